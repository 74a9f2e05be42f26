"""Exact search over ten million vectors on CUDA: evalsuite against faiss-gpu and plain torch.

Entries are whole numbers of at most 181 in size, so that every inner product of up to 512 entries
is exact in fp32, whatever the order of its sum: scores and ids of all sides must be equal, not
merely close. Evalsuite streams the corpus from the host, as a corpus that never fits would come,
and orders ties as trec_eval does. Plain torch holds the corpus on the device and keeps what topk
gives. faiss-gpu, where installed, holds it in a flat index; adding it is not timed. The corpus is
made before and not timed. Without a GPU it runs on the CPU, for trying.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from evalsuite.engines.search import SHARD_DOCUMENTS, search
from evalsuite.hardware import cuda_available

LARGEST = 181  # 181 * 181 * 512 < 2**24
Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("gpu.search", __doc__, rounds=3)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--k", type=int, default=1000)
    sizes = [SHARD_DOCUMENTS, 262_144]
    parser.add_argument("--shards", type=common.integers, default=sizes, help="documents a shard")
    return parser.parse_args(argv)


def whole_numbers(rows: int, dim: int, device: str, seed: int) -> NDArray[np.float32]:
    """Return random whole numbers as fp32, made on the device in parts."""
    import torch

    generator = torch.Generator(device).manual_seed(seed)
    out = np.empty((rows, dim), np.float32)
    for start in range(0, rows, 2**18):
        shape = (min(2**18, rows - start), dim)
        part = torch.randint(-LARGEST, LARGEST + 1, shape, generator=generator, device=device)
        out[start : start + len(part)] = part.float().cpu().numpy()
    return out


@dataclass
class Searches:
    """All sides over one corpus.

    Attributes:
        corpus: ``[documents, dim]`` on the host.
        queries: ``[queries, dim]`` on the host.
        k: Documents a query.
        device: ``cuda`` or ``cpu``.
    """

    corpus: NDArray[np.float32]
    queries: NDArray[np.float32]
    k: int
    device: str

    def ours(self, size: int) -> Found:
        """Search as the retrieval protocol does, in shards of a size."""
        ties = np.arange(len(self.corpus))
        best = search(self.queries, self._shards(size), self.k, ties, device=self.device)
        return best.indices, best.scores

    def _shards(self, size: int) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self.corpus), size):
            yield self.corpus[start : start + size]

    def resident(self) -> Callable[[], Found]:
        """Put the corpus on the device and return a search with torch.topk over parts of it."""
        import torch

        parts = [torch.from_numpy(part).to(self.device) for part in self._shards(2**18)]

        def run() -> Found:
            q = torch.from_numpy(self.queries).to(self.device)
            values, ids, offset = [], [], 0
            for part in parts:
                best = torch.topk(q @ part.T, min(self.k, len(part)), dim=1)
                values.append(best.values)
                ids.append(best.indices + offset)
                offset += len(part)
            scores, order = torch.topk(torch.cat(values, dim=1), self.k, dim=1)
            found = torch.cat(ids, dim=1).gather(1, order)
            return found.cpu().numpy(), scores.cpu().numpy()

        return run

    def faiss(self) -> Callable[[], Found]:
        """Add the corpus to a flat index and return its search.

        Raises:
            ImportError: faiss is not installed.
        """
        import faiss

        index: Any = faiss.IndexFlatIP(self.corpus.shape[1])
        if self.device == "cuda":
            resources = faiss.StandardGpuResources()
            index = faiss.index_cpu_to_gpu(resources, 0, index)
        for part in self._shards(2**18):
            index.add(part)

        def run() -> Found:
            scores, ids = index.search(self.queries, self.k)
            return ids, scores

        return run


def agreement(found: Found, reference: Found) -> dict[str, Any]:
    """Compare scores exactly, and ids where no tie at the last place leaves them open."""

    def ordered(ids: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        order = np.lexsort((ids, -scores), axis=-1)
        return np.take_along_axis(ids, order, axis=1)

    scores = reference[1]
    decided = scores > scores[:, -1:]
    same = ordered(*found) == ordered(*reference)
    return {
        "scores_equal": bool((found[1] == scores).all()),
        "ids_equal": bool(same[decided].all()),
        "ids_compared": int(decided.sum()),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    device = "cuda" if cuda_available() else "cpu"
    corpus = whole_numbers(args.documents, args.dim, device, seed=1)
    queries = whole_numbers(args.queries, args.dim, device, seed=2)
    searches = Searches(corpus, queries, args.k, device)
    sides: dict[str, Callable[[], Found]] = {
        f"evalsuite, shards of {size}": partial(searches.ours, size) for size in args.shards
    }
    ours = list(sides)
    sides["plain torch, resident"] = searches.resident()
    try:
        sides["faiss flat, resident"] = searches.faiss()
        faiss = "installed"
    except (ImportError, AttributeError):  # faiss-cpu has no StandardGpuResources
        faiss = "faiss not installed" if device == "cpu" else "faiss with CUDA not installed"
    found = {name: run() for name, run in sides.items()}
    reference = found[ours[0]]
    equal = {name: agreement(result, reference) for name, result in found.items()}
    seconds = common.interleave(sides, args.rounds)
    timings = {name: common.timing(s, args.queries, "queries") for name, s in seconds.items()}
    ratios = common.compare(seconds, ours, [name for name in sides if name not in ours])
    print(f"{args.documents} x {args.dim}, {args.queries} queries, k = {args.k}, {device}")
    rows = [
        (*row, equal[row[0]]["scores_equal"], equal[row[0]]["ids_equal"])
        for row in common.median_rows(timings, "queries_per_second")
    ]
    common.print_table(("side", "s (median)", "queries/s", "same scores", "same ids"), rows)
    common.print_ratios(ratios)
    report = {
        "counted": __doc__,
        "device": device,
        "faiss": faiss,
        "data": "synthetic: random whole numbers",
        "warm_up": "one search of every side, not timed",
        "agreement": equal,
        "sides": timings,
        "ratios": ratios,
    }
    common.write_json(args.out, "gpu.search", report, device)


if __name__ == "__main__":
    main()
