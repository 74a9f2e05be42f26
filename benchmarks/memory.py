"""Peak memory of a search over a corpus that arrives in shards.

Every run is a process of its own that measures itself (resource.getrusage), once after its imports
(the baseline) and once at its end (the peak). Shards are made on the fly from seeds, so that
nothing but the search holds any of the corpus. The peer is faiss's exact index, which holds all
vectors; it is left out, and said to be, where faiss is not installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks import common

OURS, FAISS = "evalsuite, streamed", "faiss IndexFlatIP, resident"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("memory", __doc__, rounds=3)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--shard", type=int, default=16384, help="documents a shard [16384]")
    parser.add_argument("--worker", choices=(OURS, FAISS), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def peak_mib() -> float:
    """Return the largest resident size of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def search_ours(args: argparse.Namespace) -> tuple[float, Any]:
    """Search as the retrieval protocol does."""
    import torch  # noqa: F401 - part of the baseline

    from benchmarks.corpora import shard, shards
    from evalsuite.engines.search import search

    baseline = peak_mib()
    queries = shard(args.queries, args.dim, seed=1)
    corpus = shards(args.documents, args.dim, args.shard)
    return baseline, search(queries, corpus, args.k, np.arange(args.documents)).indices


def search_faiss(args: argparse.Namespace) -> tuple[float, Any]:
    """Search with faiss's exact index."""
    import faiss

    from benchmarks.corpora import shard, shards

    baseline = peak_mib()
    index = faiss.IndexFlatIP(args.dim)
    for part in shards(args.documents, args.dim, args.shard):
        index.add(part)
    return baseline, index.search(shard(args.queries, args.dim, seed=1), args.k)[1]


def work(args: argparse.Namespace) -> None:
    """Search once in this process and print what it took."""
    started = time.perf_counter()
    baseline, ids = (search_ours if args.worker == OURS else search_faiss)(args)
    answer = {
        "baseline_mib": baseline,
        "peak_mib": peak_mib(),
        "seconds": time.perf_counter() - started,
        "first_ids": np.asarray(ids)[:5, :5].tolist(),
    }
    print(json.dumps(answer))


def measure(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--worker", side]
    for name in ("documents", "queries", "dim", "k", "shard"):
        command += [f"--{name}", str(getattr(args, name))]
    done = subprocess.run(command, cwd=common.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    if args.worker:
        work(args)
        return
    sides = [OURS, FAISS] if find_spec("faiss") else [OURS]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(args.rounds):
        for side in sides[:: 1 if number % 2 == 0 else -1]:
            runs[side].append(measure(side, args))
    peaks = {side: [run["peak_mib"] for run in of] for side, of in runs.items()}
    ratios = common.compare(peaks, [OURS], sides[1:])
    corpus = args.documents * args.dim * 4 / 2**20
    print(f"{args.documents} x {args.dim} float32 ({corpus:.0f} MiB), {args.queries} queries")
    rows = []
    for side, of in runs.items():
        keys = ("baseline_mib", "peak_mib", "seconds")
        rows.append((side, *(f"{np.median([run[key] for run in of]):.1f}" for key in keys)))
    common.print_table(("side", "after imports (MiB)", "peak (MiB)", "s, shards made"), rows)
    common.print_ratios(ratios)
    report = {
        "counted": __doc__,
        "corpus_mib": corpus,
        "faiss": "installed" if FAISS in sides else "faiss is not installed",
        "same_first_ids": len({str(run["first_ids"]) for of in runs.values() for run in of}) == 1,
        "sides": runs,
        "ratios": ratios,
        "warm_up": "none: memory, not time",
    }
    common.write_json(args.out, "memory", report)


if __name__ == "__main__":
    main()
