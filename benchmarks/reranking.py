"""Reranking of MindSmallReranking's shape against ``mteb.evaluate``, texts to scores.

200,000 rows (a text a user read, with the candidates for that user) over 3,000 distinct news texts.
As in MIND, many rows share a text, 32 rows belong to a user and have the same candidates, and a
user's documents get their best score over the rows. Both sides encode with the loaded MiniLM in
fp32, score, rank and compute every measure; building the data is timed on neither side. evalsuite
also draws the bootstrap interval of its result. mteb runs at its default batch size 32 and at the
others given.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.texts import distinct, synthetic
from evalsuite import registry
from evalsuite.data import Documents, Reranking
from evalsuite.data.reranking import make_reranking
from evalsuite.evaluator import record

TASK = "MindSmallReranking"
MODEL = "all-MiniLM-L6-v2"
ROWS_A_USER = 32
MEAN_CANDIDATES, MOST_CANDIDATES = 41, 295  # of MIND's users


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("reranking", __doc__, rounds=1)
    parser.add_argument("--rows", type=int, default=200_000, help="queries, sub-queries of users")
    parser.add_argument("--texts", type=int, default=3_000, help="distinct texts of both sides")
    parser.add_argument("--batch-sizes", type=common.integers, default=[32, 128], help="of mteb")
    return parser.parse_args(argv)


def news(data_dir: Path, n: int) -> tuple[list[str], str]:
    """Return distinct texts and what they are: first sentences of AG News, or made up."""
    path = data_dir / "ag_news" / "test.txt"
    if not path.is_file():
        return synthetic(n, 11), "made up"
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = distinct(line.split("\t", 1)[-1].split(". ", 1)[0] for line in lines)
    if len(texts) < n:
        raise SystemExit(f"AG News has {len(texts)} distinct first sentences, fewer than {n}.")
    return texts[:n], "first sentences of AG News"


def made_lists(texts: Sequence[str], rows: int, seed: int = 0) -> Reranking:
    """Return lists of MIND's shape: an eighth of the texts are documents, the others were read."""
    rng = np.random.default_rng(seed)
    n_docs = max(2, len(texts) // 8)
    read, users = texts[n_docs:], -(-rows // ROWS_A_USER)
    most = min(MOST_CANDIDATES, n_docs)
    sizes = np.clip(rng.geometric(1 / MEAN_CANDIDATES, users) + 1, 2, most)
    lists = [rng.choice(n_docs, size, replace=False) for size in sizes]
    clicked = [(rng.random(size) < 0.04).astype(np.int32) for size in sizes]
    for grades in clicked:
        grades[0] = 1
    user = np.arange(rows) // ROWS_A_USER
    counts = sizes[user]
    places = np.repeat(np.arange(rows), counts)
    docs = np.concatenate([lists[u] for u in user])
    popular = (len(read) * rng.random(rows) ** 2).astype(int)
    return make_reranking(
        Documents([f"N{n}" for n in range(n_docs)], list(texts[:n_docs])),
        [f"{u}_{n % ROWS_A_USER}" for n, u in enumerate(user)],
        [read[i] for i in popular],
        (places, docs),
        (places, docs, np.concatenate([clicked[u] for u in user])),
    )


class Ours:
    """The protocol and its measures over a fresh engine."""

    def __init__(self, data: Reranking) -> None:
        """Load the model; not timed."""
        from benchmarks.encoding import Ours as Encoding

        self._data, self._encoding = data, Encoding(MODEL, "fp32")
        self._encoding.encode(["warm-up"])
        self.scores: dict[str, float] = {}

    def run(self) -> None:
        """Encode, rank and score once."""
        task, protocol = registry.get_task(TASK), registry.get_protocol("reranking")
        (outcome,) = protocol.run(task, self._data, self._encoding.engine())
        scores = record.scores(task, outcome, seed=0)
        self.scores = {name: score.value for name, score in scores.items()}


class Mteb:
    """``mteb.evaluate`` at one batch size."""

    def __init__(self, data: Reranking, batch_size: int) -> None:
        """Load the model and build what mteb would have loaded; not timed."""
        import mteb

        from benchmarks.encoding import load_sentence_transformer, model_folder
        from benchmarks.mteb_tasks import reranking_dataset

        self._batch_size = batch_size
        self._model = load_sentence_transformer(model_folder(MODEL), "fp32")
        self._model.encode(["warm-up"])
        self._task: Any = mteb.get_task(TASK)
        self._task.dataset, self._task.data_loaded = reranking_dataset(data, "test"), True
        self.scores: dict[str, float] = {}

    def run(self) -> None:
        """Evaluate once."""
        import mteb

        found = mteb.evaluate(
            self._model,
            [self._task],
            encode_kwargs={"batch_size": self._batch_size, "show_progress_bar": False},
            cache=None,
            overwrite_strategy="always",
            show_progress_bar=False,
            co2_tracker=False,
        )
        scores: Mapping[str, float] = found.task_results[0].scores["test"][0]
        self.scores = {name: value for name, value in scores.items() if isinstance(value, float)}


def run_case(data: Reranking, batch_sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Time every side and compare their scores."""
    ours = Ours(data)
    peers = {f"mteb batch {size}": Mteb(data, size) for size in batch_sizes}
    sides: dict[str, Any] = {"evalsuite": ours, **peers}
    seconds = common.interleave({name: side.run for name, side in sides.items()}, rounds)
    rows = len(data.query_ids)
    return {
        "distinct_queries": len(set(data.queries)),
        **data.counts(),
        "scores": ours.scores,
        "sides": {name: common.timing(s, rows, "rows") for name, s in seconds.items()},
        "peer_best": common.fastest(seconds, peers),
        "ratios": common.compare(seconds, ["evalsuite"], peers),
        "max_score_difference": {
            name: max(
                abs(value - peer.scores[measure.replace("@", "_at_")])
                for measure, value in ours.scores.items()
            )
            for name, peer in peers.items()
        },
    }


def print_case(record: Mapping[str, Any]) -> None:
    """Print every side: seconds, rows a second, and how far its scores lie from ours."""
    rows = []
    for name, seconds, rate in common.median_rows(record["sides"], "rows_per_second"):
        apart = record["max_score_difference"].get(name)
        rows.append((name, seconds, rate, "" if apart is None else f"{apart:.1e}"))
    common.print_table(("side", "seconds (median)", "rows/s", "max |diff| of scores"), rows)
    common.print_ratios(record["ratios"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    import torch
    from datasets import disable_progress_bars

    disable_progress_bars()
    texts, what = news(args.data_dir, args.texts)
    record = run_case(made_lists(texts, args.rows), args.batch_sizes, args.rounds)
    print(f"{args.rows} rows over {args.texts} texts, {args.rounds} rounds")
    print_case(record)
    report = {
        "counted": __doc__,
        "texts": what,
        "threads": torch.get_num_threads(),
        "warm_up": "one text a model, not timed",
        "cases": {TASK: record},
    }
    common.write_json(args.out, "reranking", report)


if __name__ == "__main__":
    main()
