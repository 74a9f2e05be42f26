"""Exact nearest-neighbour search over a corpus that arrives in shards.

Scores are compared as float32 and ties go to the larger document id, as trec_eval orders a run, so
that the ranking does not depend on how the corpus was cut.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    def merge(self, rows: slice, indices: Ints, scores: Floats) -> None:
        """Merge candidates ``[rows, m]`` of some queries; -1 marks an empty place."""
        keys = (_descending_bits(scores) << np.uint64(32)) | self._tie_rank[indices]
        keys[indices < 0] = _EMPTY
        keys = np.concatenate([self._best[rows], keys], axis=1)
        self._best[rows] = np.partition(keys, self.k - 1, axis=1)[:, : self.k]

    @cached_property
    def _sorted(self) -> NDArray[np.uint64]:
        return np.sort(self._best, axis=1)

    @property
    def indices(self) -> Ints:
        """Document positions, best first, -1 where there is none, ``[queries, k]``."""
        position = np.argsort(self._tie_rank)
        tie_rank = np.minimum(self._sorted & _LOW_HALF, len(position) - 1).astype(np.int64)
        return np.where(self._sorted == _EMPTY, -1, position[tie_rank])

    @property
    def scores(self) -> Floats:
        """Scores in the same order, -inf where there is none, ``[queries, k]``."""
        bits = ~(self._sorted >> np.uint64(32)).astype(np.uint32)
        bits = np.where(bits & _SIGN, bits ^ _SIGN, ~bits).astype(np.uint32)
        return np.where(self._sorted == _EMPTY, -np.inf, bits.view(np.float32)).astype(np.float32)


def _descending_bits(scores: Floats) -> NDArray[np.uint64]:
    """Return integers that order as the float32 scores do, the largest score first."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0: they are equal
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (~ascending).astype(np.uint64)


def exact_cut(scores: Floats, tie_rank: Ints, k: int) -> Ints:
    """Return the columns of the best k of each row in no order, ties at the cut by ``tie_rank``.

    Args:
        scores: ``[n, m]`` with m > k.
        tie_rank: ``[m]``.
        k: How many.
    """
    kept = np.empty((len(scores), k), dtype=np.int64)
    for i, row in enumerate(scores):
        cut = np.partition(row, len(row) - k)[len(row) - k]
        above = np.flatnonzero(row > cut)
        level = np.flatnonzero(row == cut)
        level = level[np.argsort(tie_rank[level], kind="stable")][: k - len(above)]
        kept[i] = np.concatenate([above, level])
    return kept


def _torch_candidates(scores: torch.Tensor, k: int, tie_rank: Ints) -> tuple[Ints, Floats]:
    """Return columns and values of the best k of each row, exact where scores tie at the cut."""
    import torch

    values, columns = torch.topk(scores, k, dim=1, sorted=False)
    cut = values.amin(dim=1, keepdim=True)
    tied = ((scores == cut).sum(dim=1) > (values == cut).sum(dim=1)).cpu().numpy()
    found, best = columns.cpu().numpy(), values.cpu().numpy()
    if tied.any():
        rows = np.flatnonzero(tied)
        some = scores[torch.from_numpy(rows).to(scores.device)].cpu().numpy()
        found[rows] = exact_cut(some, tie_rank, k)
        best[rows] = np.take_along_axis(some, found[rows], axis=1)
    return found, best


def _filled_up(vectors: Floats, multiple: int) -> Floats:
    """Append zero rows up to a multiple, at least one."""
    rows = max(1, -(-len(vectors) // multiple)) * multiple
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
    q = torch.from_numpy(_filled_up(queries, _QUERY_MULTIPLE)).to(device)
    offset = 0
    for shard in shards:
        block = torch.from_numpy(_filled_up(shard, _DOCUMENT_MULTIPLE)).to(device)
        ranks = tie_rank[offset : offset + len(shard)]
        step = max(1, _BLOCK_CELLS // len(block) // _QUERY_MULTIPLE) * _QUERY_MULTIPLE
        for start in range(0, len(queries), step):
            scores = q[start : start + step] @ block.T
            scores = scores[: len(queries) - start, : len(shard)]
            if len(shard) > k:
                columns, values = _torch_candidates(scores, k, ranks)
            else:
                values = scores.cpu().numpy()
                columns = np.broadcast_to(np.arange(len(shard)), values.shape)
            best.merge(slice(start, start + len(values)), columns + offset, values)
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
    step = max(1, _BLOCK_CELLS // max(1, documents.shape[0]))
    for start in range(0, queries.shape[0], step):
        scores = (queries[start : start + step] @ by_term).toarray().astype(np.float32)
        if scores.shape[1] > k:
            columns = exact_cut(scores, tie_rank, k)
        else:
            columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        values = np.take_along_axis(scores, columns, axis=1)
        found = values > 0
        best.merge(
            slice(start, start + len(values)),
            np.where(found, columns, -1),
            np.where(found, values, -np.inf).astype(np.float32),
        )
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
        best.merge(slice(0, len(queries)), columns + offset, cast("Floats", values))
        offset += len(shard)
    return best
