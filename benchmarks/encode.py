"""Texts a second of evalsuite's engine against SentenceTransformer.encode, on the CPU.

Both sides turn the same distinct texts into vectors in NumPy, tokenising included; models are
loaded before. Evalsuite runs as the evaluator runs it, with a fresh vector cache in memory every
round. The peer runs at its default batch size (the first of --batch-sizes) and at the others; its
best is the one with the smallest median. Work counted: the FLOP of the model at each text's own
token count, so padding is no work; shares are of the best torch.mm rate measured between rounds.
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
    Flops,
    MatmulRate,
    Ours,
    Peer,
    load_sentence_transformer,
    model_folder,
)

WARM_UP_TEXTS = 128


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("encode", __doc__, rounds=5)
    parser.add_argument("--short", type=int, default=4000, help="short texts [4000]")
    parser.add_argument("--long", type=int, default=400, help="long texts [400]")
    parser.add_argument("--batch-sizes", type=common.integers, default=[32, 8, 16, 64])
    parser.add_argument("--dtypes", type=common.words, default=["fp32", "bf16"])
    parser.add_argument("--probes", type=int, default=5, help="torch.mm repeats a shape [5]")
    return parser.parse_args(argv)


def build_sides(args: argparse.Namespace) -> tuple[dict[str, Ours], dict[str, Peer]]:
    """Load every model once and name every side."""
    folder = model_folder(DEFAULT_MODEL)
    ours = {f"evalsuite {dtype}": Ours(DEFAULT_MODEL, dtype) for dtype in args.dtypes}
    peers = {}
    for dtype in args.dtypes:
        model = load_sentence_transformer(folder, dtype)
        for size in args.batch_sizes:
            peers[f"sentence-transformers {dtype} batch {size}"] = Peer(model, size)
    return ours, peers


def differences(
    ours: dict[str, Ours], peers: dict[str, Peer], reference: str, sample: list[str]
) -> dict[str, float]:
    """Return the largest difference of any vector element to the peer's default."""
    expected = peers[reference].encode(sample)
    sides: dict[str, Ours | Peer] = {**ours, **peers}
    return {
        name: float(np.abs(side.encode(sample) - expected).max()) for name, side in sides.items()
    }


def report_shares(
    record: dict[str, Any], sides: dict[str, Any], flops: float, rate: MatmulRate
) -> None:
    """Add to every side its share of the machine's rate of matrix products in its dtype."""
    rows = []
    for name, side in sides.items():
        dtype = name.split()[1]
        side["flop_per_second"] = flops / side["median_seconds"]
        side["share_of_matmul_rate"] = side["flop_per_second"] / rate.peak(dtype)
        rows.append(
            (
                name,
                f"{side['median_seconds']:.3f}",
                f"{side['texts_per_second']:.1f}",
                f"{100 * side['share_of_matmul_rate']:.1f} %",
                f"{record['max_difference'][name]:.1e}",
            )
        )
    header = ("side", "s (median)", "texts/s", "of torch.mm", "max |diff|")
    common.print_table(header, rows)


def run_case(
    name: str,
    sample: list[str],
    sides: tuple[dict[str, Ours], dict[str, Peer]],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Time every side on one set of texts."""
    ours, peers = sides
    every: dict[str, Ours | Peer] = {**ours, **peers}
    for side in every.values():
        side.encode(sample[:WARM_UP_TEXTS])
    dtypes = list(dict.fromkeys(side.split()[1] for side in every))
    default = next(iter(peers))
    rate = MatmulRate(dtypes, args.probes)
    first = next(iter(ours.values())).encoder
    lengths = np.array([len(ids) for ids in first.tokenize(sample)])
    work = {key: partial(side.encode, sample) for key, side in every.items()}
    seconds = common.interleave(work, args.rounds, rate.probe)
    flops = Flops.of(next(iter(peers.values())).sentence_transformer).total(lengths)
    record: dict[str, Any] = {
        "texts": len(sample),
        "tokens": int(lengths.sum()),
        "flop": flops,
        "matmul_flop_per_second": rate.best,
        "sides": {key: common.timing(s, len(sample), "texts") for key, s in seconds.items()},
        "ratios": common.compare(seconds, ours, peers),
        "peer_default": default,
        "peer_best": {
            dtype: common.fastest(seconds, [peer for peer in peers if f" {dtype} " in peer])
            for dtype in dtypes
        },
        "max_difference": differences(ours, peers, default, sample),
    }
    print(f"{name}: {len(sample)} texts, {record['tokens']} tokens, {args.rounds} rounds")
    report_shares(record, record["sides"], flops, rate)
    common.print_ratios(chosen_ratios(record, dtypes))
    return record


def chosen_ratios(record: dict[str, Any], dtypes: list[str]) -> list[dict[str, Any]]:
    """Return the ratios in equal dtype to the peer's default and best; the file holds them all."""
    default = record["peer_default"].rpartition(" ")[2]
    wanted = []
    for ratio in record["ratios"]:
        for dtype in dtypes:
            peers = (
                f"sentence-transformers {dtype} batch {default}",
                record["peer_best"][dtype],
            )
            if ratio["ours"] == f"evalsuite {dtype}" and ratio["peer"] in peers:
                wanted.append(ratio)
    return wanted


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    import torch

    loaded, source = texts.load(args.data_dir, args.short, args.long)
    sides = build_sides(args)
    cases = {name: run_case(name, sample, sides, args) for name, sample in loaded.items()}
    report = {
        "counted": __doc__,
        "texts": source,
        "threads": torch.get_num_threads(),
        "warm_up": f"every side on {WARM_UP_TEXTS} texts, not timed",
        "cases": cases,
    }
    common.write_json(args.out, "encode", report)


if __name__ == "__main__":
    main()
