"""Exact search over other vectors than dense floats, against the obvious way to do it.

All sides get the same made vectors and find the best k documents of every query.

* hamming: signs of random vectors. evalsuite packs bits and counts them in blocks; numpy compares
  unpacked bits query by query and sorts; faiss is its binary flat index, packing included, where
  installed.
* maxsim: several unit vectors a text. evalsuite multiplies blocks; the loop multiplies each query
  with each document; sentence-transformers scores padded texts, then torch's topk.
* sparse: weights over a vocabulary, words drawn by Zipf's law. evalsuite multiplies blocks of
  queries on all cores; scipy multiplies all at once and sorts.

The largest difference is that of the scores at each rank, ours less theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common

Floats = NDArray[np.float32]
Side = Callable[[], Floats]
"""Returns the best scores of each query, best first, ``[q, k]``."""

SIZES = {"hamming": (50_000, 200), "maxsim": (5_000, 50), "sparse": (50_000, 200)}
_VOCABULARY, _TERMS, _QUERY_TERMS = 30_522, 120, 30
_BITS, _DIM, _VECTORS, _QUERY_VECTORS = 384, 128, 120, 32


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("search_kinds", __doc__, rounds=5)
    parser.add_argument("--cases", type=common.words, default=list(CASES))
    for name in ("documents", "queries"):
        parser.add_argument(f"--{name}", type=int, help="of every case, instead of its own")
    parser.add_argument("--k", type=int, default=100)
    return parser.parse_args(argv)


def hamming(documents: int, queries: int, k: int) -> Mapping[str, Side]:
    """Return the sides of binary codes."""
    from evalsuite.engines import hamming as ours

    rng = np.random.default_rng(0)
    d, q = (rng.standard_normal((n, _BITS)).astype(np.float32) for n in (documents, queries))
    ties = np.arange(documents)

    def unpacked() -> Floats:
        bits = d > 0
        apart = [np.sort(np.count_nonzero(bits != row, axis=1))[:k] for row in q > 0]
        return np.asarray(_BITS - 2 * np.stack(apart), dtype=np.float32)

    def flat() -> Floats:
        import faiss

        index = faiss.IndexBinaryFlat(_BITS)
        index.add(np.packbits(d > 0, axis=1))
        apart, _ = index.search(np.packbits(q > 0, axis=1), k)
        return np.asarray(_BITS - 2 * apart, dtype=np.float32)

    sides: dict[str, Side] = {
        "evalsuite": lambda: ours.search(q, [d], k, ties).scores,
        "numpy, unpacked bits": unpacked,
    }
    return sides | ({"faiss binary flat": flat} if find_spec("faiss") else {})


def maxsim(documents: int, queries: int, k: int) -> Mapping[str, Side]:
    """Return the sides of several vectors a text."""
    import torch
    from sentence_transformers.util.similarity import maxsim as library

    from evalsuite.engines import maxsim as ours

    rng = np.random.default_rng(0)

    def texts(n: int, longest: int) -> list[Floats]:
        lengths = rng.integers(longest // 2, longest + 1, n)
        made = [rng.standard_normal((length, _DIM)).astype(np.float32) for length in lengths]
        return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in made]

    d, q = texts(documents, _VECTORS), texts(queries, _QUERY_VECTORS)
    ties = np.arange(documents)
    shards = [d[i : i + ours.SHARD_DOCUMENTS] for i in range(0, documents, ours.SHARD_DOCUMENTS)]

    def loop() -> Floats:
        whole = [[(query @ text.T).max(axis=1).sum() for text in d] for query in q]
        return np.asarray(-np.sort(-np.array(whole), axis=1)[:, :k])

    def padded() -> Floats:
        tensors = [[torch.from_numpy(text) for text in side] for side in (q, d)]
        best = torch.topk(library(tensors[0], tensors[1]), k, dim=1)
        return np.asarray(best.values.numpy())

    return {
        "evalsuite": lambda: ours.search(q, shards, k, ties).scores,
        "loop over documents": loop,
        "sentence-transformers": padded,
    }


def sparse(documents: int, queries: int, k: int) -> Mapping[str, Side]:
    """Return the sides of sparse vectors."""
    from scipy.sparse import csr_array

    from evalsuite.engines.search import search_sparse

    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, _VOCABULARY + 1)

    def rows(n: int, terms: int) -> Any:
        columns = rng.choice(_VOCABULARY, (n, terms), p=share / share.sum()).ravel()
        weights = rng.random(n * terms).astype(np.float32)
        made = csr_array(
            (weights, (np.repeat(np.arange(n), terms), columns)), shape=(n, _VOCABULARY)
        )
        made.sum_duplicates()
        return made

    d, q = rows(documents, _TERMS), rows(queries, _QUERY_TERMS)
    ties = np.arange(documents)

    def product() -> Floats:
        scores = (q @ d.T).toarray()
        best = np.argsort(-scores, axis=1)[:, :k]
        return np.asarray(np.take_along_axis(scores, best, axis=1))

    return {
        "evalsuite": lambda: search_sparse(q, d, k, ties).scores,
        "scipy product and argsort": product,
    }


CASES: Mapping[str, Callable[[int, int, int], Mapping[str, Side]]] = {
    "hamming": hamming,
    "maxsim": maxsim,
    "sparse": sparse,
}


def run_case(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Time every side of a case, after one run of each."""
    documents, queries = (
        asked or own for asked, own in zip((args.documents, args.queries), SIZES[name], strict=True)
    )
    k = min(args.k, documents)
    sides = CASES[name](documents, queries, k)
    found = {side: search() for side, search in sides.items()}
    seconds = common.interleave(sides, args.rounds)
    peers = [side for side in sides if side != "evalsuite"]
    record = {
        "documents": documents,
        "queries": queries,
        "k": k,
        "sides": {side: common.timing(s, queries, "queries") for side, s in seconds.items()},
        "ratios": common.compare(seconds, ["evalsuite"], peers),
        "peer_best": common.fastest(seconds, peers),
        "max_score_difference": {
            side: float(np.abs(found["evalsuite"] - found[side]).max()) for side in peers
        },
    }
    print(f"{name}: {documents} documents, {queries} queries, k {k}, {args.rounds} rounds")
    rows = common.median_rows(record["sides"], "queries_per_second")
    common.print_table(("side", "s (median)", "queries a second"), rows)
    common.print_ratios(record["ratios"])
    return record


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    import torch

    report = {
        "counted": __doc__,
        "data": "random vectors and codes; terms by Zipf's law",
        "threads": torch.get_num_threads(),
        "warm_up": "one run of every side, not timed",
        "cases": {name: run_case(name, args) for name in args.cases},
    }
    common.write_json(args.out, "search_kinds", report)


if __name__ == "__main__":
    main()
