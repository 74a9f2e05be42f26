"""Exact nearest-neighbour search over a corpus that arrives in shards.

Scores are compared as float32 and ties go to the larger document id, as trec_eval orders a run, so
that the ranking does not depend on how the corpus was cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import UsageError

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SHARD_DOCUMENTS = 16384
_BLOCK_CELLS = 2**25  # scores held at once: 128 MiB of float32
_SPARSE_QUERIES = 32  # a core's share of them
# Products of fewer rows or columns, and those at a ragged edge, are summed in another order and so
# differ in their last bits; with both filled up they are equal wherever a document stands.
_QUERY_MULTIPLE, _DOCUMENT_MULTIPLE = 16, 64

_EMPTY = np.uint64(2**64 - 1)
_LOW_HALF = np.uint64(2**32 - 1)
_SIGN = np.uint32(2**31)


class TopK:
    """The best k documents of each query so far.

    A candidate is one integer: its float32 score, turned so that smaller is better, above its place
    among ties. Keeping the best k is then a partition of integers, which NumPy does in vector code.
    """

    def __init__(self, queries: int, k: int, tie_rank: Ints) -> None:
        """Start empty.

        Args:
            queries: Number of queries.
            k: Documents kept a query.
            tie_rank: ``[documents]`` order among equal scores, smallest first.
        """
        self.k = k
        self._tie_rank = tie_rank.astype(np.uint64)
        self._best = np.full((queries, k), _EMPTY)

    def floor(self, rows: slice) -> Floats:
        """Return the score a document needs to enter, ``[rows]``; -inf while there is room."""
        return _scores(self._best[rows].max(axis=1, initial=np.uint64(0)))

    def merge(self, start: int, counts: Ints, documents: Ints, scores: Floats) -> None:
        """Merge candidates, ordered by query.

        Args:
            start: The query of the first row.
            counts: Candidates of each row, ``[n]``.
            documents: Position of each candidate in the corpus, ``[m]``.
            scores: Its score, ``[m]``.
        """
        if not len(documents):
            return
        place = np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts)
        keys = np.full((len(counts), self.k + int(counts.max())), _EMPTY)
        mine = slice(start, start + len(counts))
        keys[:, : self.k] = self._best[mine]
        rows = np.repeat(np.arange(len(counts)), counts)
        keys[rows, self.k + place] = _descending_bits(scores) | self._tie_rank[documents]
        self._best[mine] = np.partition(keys, self.k - 1, axis=1)[:, : self.k]

    @cached_property
    def _sorted(self) -> NDArray[np.uint64]:
        return np.sort(self._best, axis=1)

    @property
    def indices(self) -> Ints:
        """Document positions, best first, -1 where there is none, ``[queries, k]``."""
        position = np.append(np.argsort(self._tie_rank), -1)
        empty = self._sorted == _EMPTY
        place = np.where(empty, np.uint64(len(position) - 1), self._sorted & _LOW_HALF)
        return position[place.astype(np.int64)]

    @property
    def scores(self) -> Floats:
        """Scores in the same order, -inf where there is none, ``[queries, k]``."""
        return _scores(self._sorted)


def _descending_bits(scores: Floats) -> NDArray[np.uint64]:
    """Return integers that order as the float32 scores do, the largest first, low half empty."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0: they are equal
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (~ascending).astype(np.uint64) << np.uint64(32)


def _scores(keys: NDArray[np.uint64]) -> Floats:
    """Return the scores inside keys; -inf for an empty place."""
    bits = ~(keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(bits & _SIGN, bits ^ _SIGN, ~bits)
    return np.where(keys == _EMPTY, np.float32(-np.inf), bits.view(np.float32))


def _cut(scores: Floats, k: int) -> Floats:
    """Return the k-th largest score of each row, ``[n]``."""
    place = scores.shape[1] - k
    cut: Floats = np.partition(scores, place, axis=1)[:, place]
    return cut


def candidates(scores: Floats, k: int, floor: Floats) -> tuple[Ints, Ints, Floats]:
    """Return how many scores of each row may be among its best k, and their columns and values.

    All that tie at the cut are candidates, so that the cut is exact.

    Args:
        scores: ``[n, m]``.
        k: How many are kept.
        floor: ``[n]`` scores below which nothing is needed.
    """
    if scores.shape[1] > k and not np.isfinite(floor).all():
        floor = np.maximum(floor, _cut(scores, k))
    wanted = scores >= floor[:, None]
    counts = np.count_nonzero(wanted, axis=1)
    flat = np.flatnonzero(wanted)
    first = np.repeat(np.arange(len(scores)) * scores.shape[1], counts)
    return counts, flat - first, scores.ravel()[flat]


def _torch_candidates(scores: torch.Tensor, k: int, floor: Floats) -> tuple[Ints, Ints, Floats]:
    """As :func:`candidates`, on the device the scores are on."""
    import torch

    least = torch.from_numpy(floor).to(scores.device)
    if scores.shape[1] > k and not np.isfinite(floor).all():
        least = torch.maximum(least, torch.topk(scores, k, dim=1, sorted=False).values.amin(1))
    wanted = scores >= least[:, None]
    rows, columns = torch.nonzero(wanted, as_tuple=True)
    found = wanted.sum(dim=1), columns, scores[rows, columns]
    counts, places, values = (tensor.cpu().numpy() for tensor in found)
    return counts, places, values


def _keep(best: TopK, scores: torch.Tensor, start: int, offset: int) -> None:
    """Merge a block of scores; on the CPU its rows are shared out over the cores."""

    def keep(rows: slice) -> None:
        mine = slice(start + rows.start, start + rows.stop)
        pick = candidates if on_cpu else _torch_candidates
        some: Any = block[rows]
        counts, columns, values = pick(some, best.k, best.floor(mine))
        best.merge(mine.start, counts, columns + offset, values)

    on_cpu = scores.device.type == "cpu"
    block = np.ascontiguousarray(scores.numpy()) if on_cpu else scores
    cores = (os.cpu_count() or 1) if on_cpu else 1
    edges = np.linspace(0, len(block), min(cores, len(block)) + 1).astype(int)
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(keep, map(slice, edges[:-1], edges[1:])))


def filled_up(vectors: Floats, multiple: int) -> Floats:
    """Append zero rows up to a multiple, at least one."""
    rows = max(1, -(-len(vectors) // multiple)) * multiple
    if rows == len(vectors):
        return np.ascontiguousarray(vectors)
    filled = np.zeros((rows, vectors.shape[1]), np.float32)
    filled[: len(vectors)] = vectors
    return filled


def search(
    queries: Floats,
    shards: Iterable[Floats],
    k: int,
    tie_rank: Ints,
    *,
    device: str = "cpu",
) -> TopK:
    """Return the k documents with the largest inner product of each query.

    Memory holds one shard and one block of scores, whatever the size of the corpus.

    Args:
        queries: ``[q, dim]``.
        shards: Consecutive parts of the corpus, each ``[m, dim]``.
        k: Documents a query.
        tie_rank: ``[documents]`` order among equal scores, smallest first.
        device: Torch device the products run on.
    """
    import torch

    best = TopK(len(queries), k, tie_rank)
    q = torch.from_numpy(filled_up(queries, _QUERY_MULTIPLE)).to(device)
    offset = 0
    for shard in shards:
        block = torch.from_numpy(filled_up(shard, _DOCUMENT_MULTIPLE)).to(device)
        step = max(1, _BLOCK_CELLS // len(block) // _QUERY_MULTIPLE) * _QUERY_MULTIPLE
        held = torch.empty(min(step, len(q)), len(block), device=device)  # fresh pages cost time
        for start in range(0, len(queries), step):
            some = q[start : start + step]
            scores = torch.mm(some, block.T, out=held[: len(some)])
            _keep(best, scores[: len(queries) - start, : len(shard)], start, offset)
        offset += len(shard)
    return best


def search_sparse(queries: csr_array, documents: csr_array, k: int, tie_rank: Ints) -> TopK:
    """Return the best k documents by sparse inner product; only positive scores are found.

    Args:
        queries: ``[q, terms]``.
        documents: ``[d, terms]``.
        k: Documents a query.
        tie_rank: ``[d]``.
    """
    best = TopK(queries.shape[0], k, tie_rank)
    by_term = documents.T.tocsr()
    step = max(1, min(_SPARSE_QUERIES, _BLOCK_CELLS // max(1, documents.shape[0])))

    def keep(start: int) -> None:
        scores = (queries[start : start + step] @ by_term).toarray().astype(np.float32, copy=False)
        positive = np.full(len(scores), np.nextafter(np.float32(0), np.float32(1)))
        if scores.shape[1] > k:
            positive = np.maximum(positive, _cut(scores, k))
        best.merge(start, *candidates(scores, k, positive))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(keep, range(0, queries.shape[0], step)))
    return best


def search_faiss(
    queries: Floats, shards: Iterable[Floats], k: int, tie_rank: Ints, *, gpu: bool = False
) -> TopK:
    """As :func:`search`, with faiss's exact index; which of equal scores make the cut is faiss's.

    Raises:
        UsageError: faiss is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise UsageError(
            "Searching with faiss needs the package: pip install 'evalsuite[faiss]' (or [gpu])."
        ) from error
    best = TopK(len(queries), k, tie_rank)
    offset = 0
    for shard in shards:
        index: Any = faiss.IndexFlatIP(shard.shape[1])
        if gpu:
            index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
        index.add(np.ascontiguousarray(shard))
        values, columns = index.search(np.ascontiguousarray(queries), min(k, len(shard)))
        counts = np.full(len(queries), columns.shape[1])
        best.merge(0, counts, columns.ravel() + offset, cast("Floats", values).ravel())
        offset += len(shard)
    return best
