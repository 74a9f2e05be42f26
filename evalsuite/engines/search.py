"""Exact nearest-neighbour search over a corpus that arrives in shards.

Scores are compared as float32 and ties go to the larger document id, as trec_eval orders a run, so
that the ranking does not depend on how the corpus was cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import UsageError
from evalsuite.measures.ir import rank_documents

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SHARD_DOCUMENTS = 16384
_BLOCK_CELLS = 2**25  # scores held at once: 128 MiB of float32


class TopK:
    """The best k documents of each query so far.

    Attributes:
        indices: ``[queries, k]`` document positions, best first, -1 where there is none.
        scores: ``[queries, k]`` float32, -inf where there is none.
    """

    def __init__(self, queries: int, k: int, tie_rank: Ints) -> None:
        """Start empty.

        Args:
            queries: Number of queries.
            k: Documents kept a query.
            tie_rank: ``[documents]`` order among equal scores, smallest first.
        """
        self.k = k
        self.indices = np.full((queries, k), -1, dtype=np.int64)
        self.scores = np.full((queries, k), -np.inf, dtype=np.float32)
        self._tie_rank = tie_rank

    def merge(self, rows: slice, indices: Ints, scores: Floats) -> None:
        """Merge candidates ``[rows, m]`` of some queries; -1 marks an empty place."""
        indices = np.concatenate([self.indices[rows], indices], axis=1)
        scores = np.concatenate([self.scores[rows], scores], axis=1)
        order = rank_documents(
            scores, np.where(indices < 0, len(self._tie_rank), self._tie_rank[indices])
        )[:, : self.k]
        self.indices[rows] = np.take_along_axis(indices, order, axis=1)
        self.scores[rows] = np.take_along_axis(scores, order, axis=1)


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
    q = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
    offset = 0
    for shard in shards:
        block = torch.from_numpy(np.ascontiguousarray(shard)).to(device)
        ranks = tie_rank[offset : offset + len(shard)]
        step = max(1, _BLOCK_CELLS // max(1, len(shard)))
        for start in range(0, len(queries), step):
            scores = q[start : start + step] @ block.T
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
