"""Texts a second of evalsuite's engine against SentenceTransformer.encode, on CUDA.

Without a GPU it runs on the CPU, for trying. Both sides turn the same distinct texts into vectors
in NumPy, so that the device has finished when the clock is read; models are loaded before. The
peer runs at its default batch size (the first of --batch-sizes) and at the others. At the end
memory is made to run out (on CUDA by a cap on the process's share of the device, on the CPU by an
encoder that fails once), and the vectors are compared with those of the undisturbed run.

Needs neither datasets nor mteb nor faiss. --model is the folder of a sentence-transformers
checkpoint; where the demo package's 90 MB cannot travel, save it in half precision first:
``SentenceTransformer(folder, model_kwargs={"dtype": torch.float16}).save(smaller)``; both sides
then load the same rounded weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import common, texts
from benchmarks.encoding import (
    DEFAULT_MODEL,
    Ours,
    Peer,
    load_sentence_transformer,
    model_folder,
)
from evalsuite.hardware import cuda_available

RATE = "texts_per_second"
WARM_UP_TEXTS = 2048
HUGE_BUDGET = 2**23


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("gpu.encode", __doc__, rounds=5)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="folder [the demo package's]")
    parser.add_argument("--short", type=int, default=20_000, help="short texts [20000]")
    parser.add_argument("--long", type=int, default=4_000, help="long texts [4000]")
    parser.add_argument("--batch-sizes", type=common.integers, default=[32, 128, 512])
    parser.add_argument("--dtypes", type=common.words, default=["fp32", "bf16"])
    parser.add_argument("--batch-tokens", type=int, help="of evalsuite [the engine's default]")
    return parser.parse_args(argv)


class FailsOnce:
    """A token encoder whose first large batch runs out of memory, for machines without a GPU."""

    def __init__(self, encoder: Any) -> None:
        """Wrap a loaded encoder."""
        self._encoder = encoder
        self._failed = False
        self.pad_id, self.pad_left = encoder.pad_id, encoder.pad_left
        self.tokenize = encoder.tokenize

    def forward(self, ids: Any, mask: Any, role: Any) -> Any:
        """Fail on the first batch of several texts, then pass on."""
        if len(ids) > 1 and not self._failed:
            self._failed = True
            raise RuntimeError("out of memory (made up by the benchmark)")
        return self._encoder.forward(ids, mask, role)


def starved(ours: Ours, sample: list[str]) -> tuple[Any, Any]:
    """Encode while memory runs out; return the vectors and the engine."""
    if ours.device == "cpu":
        engine = ours.engine(FailsOnce(ours.encoder))
        return engine.encode(sample), engine
    import torch

    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    cap = torch.cuda.memory_reserved() + 2**30
    torch.cuda.set_per_process_memory_fraction(min(1.0, cap / total))
    try:
        engine = ours.engine(batch_tokens=HUGE_BUDGET)
        return engine.encode(sample), engine
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def out_of_memory(ours: dict[str, Ours], sample: list[str]) -> dict[str, Any]:
    """Provoke back-off on every one of our sides and compare vectors."""
    found = {}
    rows = []
    for name, side in ours.items():
        expected = side.encode(sample)
        vectors, engine = starved(side, sample)
        found[name] = {
            "backoffs": engine.backoffs,
            "batch_tokens_after": engine.batch_tokens,
            "max_difference": float(np.abs(vectors - expected).max()),
            "bit_identical_texts": int((vectors == expected).all(axis=1).sum()),
            "texts": len(sample),
        }
        record = found[name]
        rows.append((name, record["backoffs"], f"{record['max_difference']:.1e}"))
    common.print_table(("memory made to run out", "back-offs", "max |diff|"), rows)
    return found


def run_case(
    name: str, sample: list[str], ours: dict[str, Ours], peers: dict[str, Peer], rounds: int
) -> dict[str, Any]:
    """Time every side on one set of texts."""
    every: dict[str, Ours | Peer] = {**ours, **peers}
    for side in every.values():
        side.encode(sample[:WARM_UP_TEXTS])
    work = {key: partial(side.encode, sample) for key, side in every.items()}
    seconds = common.interleave(work, rounds)
    some = sample[:WARM_UP_TEXTS]
    reference = next(iter(peers.values())).encode(some)
    record: dict[str, Any] = {
        "texts": len(sample),
        "sides": {key: common.timing(s, len(sample), "texts") for key, s in seconds.items()},
        "ratios": common.compare(seconds, ours, peers),
        "peer_best": common.fastest(seconds, peers),
        "max_difference": {
            key: float(np.abs(side.encode(some) - reference).max()) for key, side in every.items()
        },
    }
    print(f"{name}: {len(sample)} texts, {rounds} rounds")
    common.print_table(("side", "s (median)", "texts/s"), common.median_rows(record["sides"], RATE))
    common.print_ratios(r for r in record["ratios"] if _dtype(r["ours"]) == _dtype(r["peer"]))
    return record


def _dtype(side: str) -> str:
    return side.split()[1]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    device = "cuda" if cuda_available() else "cpu"
    loaded, source = texts.load(args.data_dir, args.short, args.long)
    folder = model_folder(args.model)
    ours = {
        f"evalsuite {dtype}": Ours(folder, dtype, device, args.batch_tokens)
        for dtype in args.dtypes
    }
    peers = {}
    for dtype in args.dtypes:
        model = load_sentence_transformer(folder, dtype, device)
        for size in args.batch_sizes:
            peers[f"sentence-transformers {dtype} batch {size}"] = Peer(model, size)
    cases = {
        name: run_case(name, sample, ours, peers, args.rounds) for name, sample in loaded.items()
    }
    report = {
        "counted": __doc__,
        "device": device,
        "texts": source,
        "warm_up": f"every side on {WARM_UP_TEXTS} texts, not timed",
        "cases": cases,
        "out_of_memory": out_of_memory(ours, [*loaded["short"][:1000], *loaded["long"][:1000]]),
    }
    common.write_json(args.out, "gpu.encode", report, device)


if __name__ == "__main__":
    main()
