"""Synthetic corpora of vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Problem:
    """A corpus with queries and judgements, as vectors.

    Attributes:
        document_ids: ``[n]``.
        documents: ``[n, dim]``, unit length.
        query_ids: ``[q]``.
        queries: ``[q, dim]``, unit length.
        qrels: Query id to document id to grade.
    """

    document_ids: list[str]
    documents: Vectors
    query_ids: list[str]
    queries: Vectors
    qrels: dict[str, dict[str, int]]


def unit(vectors: Vectors) -> Vectors:
    """Scale rows to unit length, in place."""
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def shard(rows: int, dim: int, seed: int) -> Vectors:
    """Return one seeded shard of random unit vectors."""
    return unit(np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32))


def shards(documents: int, dim: int, size: int) -> Iterator[Vectors]:
    """Yield a corpus shard by shard; only one is ever in memory."""
    for start in range(0, documents, size):
        yield shard(min(size, documents - start), dim, seed=1000 + start)


def planted(documents: int, queries: int, dim: int, seed: int = 0) -> Problem:
    """Return random vectors with random judgements: one to five graded documents a query.

    A query is its first judged document with noise, so that scores are neither 0 nor 1.
    """
    rng = np.random.default_rng(seed)
    corpus = shard(documents, dim, seed + 1)
    noise = shard(queries, dim, seed + 2)
    document_ids = [f"d{i}" for i in range(documents)]
    query_ids = [f"q{i}" for i in range(queries)]
    judged = [
        rng.choice(documents, min(documents, int(rng.integers(1, 6))), replace=False)
        for _ in query_ids
    ]
    weight = rng.uniform(0.1, 0.6, (queries, 1)).astype(np.float32)
    nearest = corpus[[rows[0] for rows in judged]]
    return Problem(
        document_ids,
        corpus,
        query_ids,
        unit(weight * nearest + (1 - weight) * noise),
        {
            query: {document_ids[row]: int(rng.integers(1, 4)) for row in rows}
            for query, rows in zip(query_ids, judged, strict=True)
        },
    )
