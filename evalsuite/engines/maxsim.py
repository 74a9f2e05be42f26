"""Late interaction: texts of several vectors, compared by MaxSim.

The score of a document is the sum, over the vectors of the query, of the largest inner product with
a vector of the document (Khattab & Zaharia 2020). A document without vectors is never found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.search import TopK, candidates, filled_up

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SHARD_DOCUMENTS = 2048
_BLOCK_QUERY_VECTORS, _BLOCK_DOCUMENT_VECTORS = 2048, 512  # their products fit into a cache


@dataclass(frozen=True)
class _Block:
    """Some documents, sorted by their number of vectors.

    Attributes:
        places: Where each document stands in its shard, ``[n]``.
        runs: First vector, documents and vectors a document of each run of equal length.
        vectors: ``[vectors, dim]``, filled up.
    """

    places: Ints
    runs: Sequence[tuple[int, int, int]]
    vectors: torch.Tensor

    @classmethod
    def of(cls, documents: Sequence[Floats], places: Ints, device: str) -> Self:
        """Lay the vectors of documents end to end."""
        import torch

        lengths, counts = np.unique([len(documents[i]) for i in places], return_counts=True)
        starts = np.cumsum([0, *(lengths * counts)])[:-1]
        vectors = filled_up(np.concatenate([documents[i] for i in places]), 64)
        runs = list(zip(starts.tolist(), counts.tolist(), lengths.tolist(), strict=True))
        return cls(places, runs, torch.from_numpy(vectors).to(device))

    def largest(self, queries: torch.Tensor) -> torch.Tensor:
        """Return the largest product of each document with each query vector, ``[n, v]``."""
        import torch

        products = self.vectors @ queries.T
        return torch.cat(
            [
                products[start : start + count * length].view(count, length, -1).amax(1)
                for start, count, length in self.runs
            ]
        )


def _blocks(documents: Sequence[Floats], device: str) -> list[_Block]:
    """Sort a shard by length and cut it; a document without vectors is left out."""
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    before = np.cumsum(lengths[order]) - lengths[order]
    edges = np.flatnonzero(np.diff(before // _BLOCK_DOCUMENT_VECTORS)) + 1
    return [_Block.of(documents, some, device) for some in np.split(order, edges) if len(some)]


def _query_blocks(queries: Sequence[Floats]) -> list[slice]:
    """Cut queries into runs with a bounded number of vectors, at least one query each."""
    ends = np.cumsum([len(query) for query in queries])
    edges, start = [0], 0
    while start < len(queries):
        most = (ends[start - 1] if start else 0) + _BLOCK_QUERY_VECTORS
        start = max(start + 1, int(np.searchsorted(ends, most, side="right")))
        edges.append(start)
    return [slice(first, end) for first, end in pairwise(edges)]


def _scores(queries: Sequence[Floats], blocks: Sequence[_Block], n: int, device: str) -> Floats:
    """Return the MaxSim of some queries with a shard, ``[q, n]``; -inf where a side is empty."""
    import torch

    found = np.full((len(queries), n), -np.inf, np.float32)
    lengths = np.array([len(query) for query in queries])
    ends = np.cumsum(lengths)
    some = np.flatnonzero(lengths)
    if len(some) == 0:
        return found
    rows = torch.from_numpy(filled_up(np.concatenate(queries), 16)).to(device)
    for block in blocks:
        largest = block.largest(rows)[:, : ends[-1]].cpu().numpy().astype(np.float64)
        sums = np.add.reduceat(largest, (ends - lengths)[some], axis=1)
        found[np.ix_(some, block.places)] = sums.T
    return found


def search(
    queries: Sequence[Floats],
    shards: Iterable[Sequence[Floats]],
    k: int,
    tie_rank: Ints,
    *,
    device: str = "cpu",
) -> TopK:
    """Return the k documents with the largest MaxSim of each query, exactly.

    Args:
        queries: The vectors of each query, ``[vectors, dim]``; without any, it finds nothing.
        shards: Consecutive parts of the corpus, each a list of ``[vectors, dim]``.
        k: Documents a query.
        tie_rank: ``[documents]`` order among equal scores, smallest first.
        device: Torch device the products run on.
    """
    best = TopK(len(queries), k, tie_rank)
    parts = _query_blocks(queries)
    offset = 0
    for shard in shards:
        blocks = _blocks(shard, device)
        for part in parts:
            scores = _scores(queries[part], blocks, len(shard), device)
            floor = np.maximum(best.floor(part), np.finfo(np.float32).min)
            counts, columns, values = candidates(scores, k, floor)
            best.merge(part.start, counts, columns + offset, values)
        offset += len(shard)
    return best


def of_pairs(
    queries: Sequence[Floats], documents: Sequence[Floats], rows: Ints, columns: Ints
) -> Floats:
    """Return the MaxSim of some pairs, computed in float64; the least float where a side is empty.

    Args:
        queries: The vectors of each query, ``[vectors, dim]``.
        documents: The vectors of each document.
        rows: Queries, ``[n]``.
        columns: Documents, ``[n]``.
    """
    found = np.full(len(rows), np.finfo(np.float32).min, np.float32)
    order = np.argsort(rows, kind="stable")
    last, query = -1, np.empty((0, 0))
    for place in order.tolist():
        row, document = int(rows[place]), documents[columns[place]]
        if row != last:
            last, query = row, queries[row].astype(np.float64)
        if len(query) and len(document):
            found[place] = (query @ document.T.astype(np.float64)).max(axis=1).sum()
    return found
