"""Hybrid search: the rankings of several models made one.

With s the scores a model gives the documents it found for a query, r their ranks from 1, and w the
model's weight, a document's score is the sum over the models that found it of

    rrf     w / (60 + r)                         (Cormack, Clarke & Büttcher 2009)
    minmax  w * (s - min s) / (max s - min s)    (0.5 w where all of s are equal)

as in mteb's ``HybridSearch``. Only the best ``depth`` documents of each model take part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.find import find
from evalsuite.engines.search import TopK

if TYPE_CHECKING:
    from evalsuite.data import Documents

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RRF_K = 60


def reciprocal_ranks(scores: Floats) -> Floats:
    """Return 1 / (60 + rank) of documents in order, ``[q, depth]``."""
    ranks = np.arange(1, scores.shape[1] + 1)
    return np.broadcast_to(1.0 / (RRF_K + ranks), scores.shape)


def minmax(scores: Floats) -> Floats:
    """Return scores from 0, the worst found, to 1, ``[q, depth]``; -inf stands where none is."""
    high = scores.max(axis=1, keepdims=True, initial=-np.inf)
    low = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    apart = high > low
    spread = np.subtract(high, low, out=np.ones_like(high), where=apart)
    return np.where(apart, np.subtract(scores, np.where(apart, low, 0)) / spread, 0.5)


FUSIONS: Mapping[str, Callable[[Floats], Floats]] = {"rrf": reciprocal_ranks, "minmax": minmax}


def fuse(
    parts: Sequence[TopK], weights: Sequence[float], fusion: str, k: int, tie_rank: Ints
) -> TopK:
    """Return the k documents with the largest fused score of each query.

    Sums are in float64 and compared as float32.

    Args:
        parts: What each model found, best first.
        weights: Of each model.
        fusion: Key of :data:`FUSIONS`.
        k: Documents a query.
        tie_rank: ``[documents]`` order among equal scores, smallest first.
    """
    n, rows, scores = len(tie_rank), [], []
    for part, weight in zip(parts, weights, strict=True):
        found = part.indices >= 0
        fused = weight * FUSIONS[fusion](part.scores.astype(np.float64))
        rows.append(np.nonzero(found)[0] * n + part.indices[found])
        scores.append(fused[found])
    keys, place = np.unique(np.concatenate(rows), return_inverse=True)
    sums = np.bincount(place.reshape(-1), np.concatenate(scores), minlength=len(keys))
    queries = len(parts[0].indices)
    best = TopK(queries, k, tie_rank)
    counts = np.bincount(keys // n, minlength=queries) if n else np.zeros(queries, np.int64)
    best.merge(0, counts, keys % max(1, n), sums.astype(np.float32))
    return best


@dataclass
class HybridEngine:
    """Several models behind their engines, searched one after the other.

    Attributes:
        parts: Anything :func:`find` takes.
        weights: Of each part.
        fusion: Key of :data:`FUSIONS`.
        depth: Documents of each part that take part, a query.
    """

    parts: Sequence[Any]
    weights: Sequence[float]
    fusion: str
    depth: int

    @property
    def texts_encoded(self) -> int:
        """Texts run through the parts so far."""
        return sum(getattr(part, "texts_encoded", 0) for part in self.parts)

    @property
    def backoffs(self) -> int:
        """How often memory ran out."""
        return sum(getattr(part, "backoffs", 0) for part in self.parts)

    @property
    def usage(self) -> Mapping[str, int]:
        """What the requests of the parts came to; empty where none counts any."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(getattr(part, "usage", None) or {})
        return total

    def find(
        self, queries: Sequence[str], documents: Documents, similarity: str, k: int, tie_rank: Ints
    ) -> TopK:
        """Return the k best documents of each query; arguments as of :func:`find`."""
        depth = min(self.depth, len(documents))
        found = [find(queries, documents, part, similarity, depth, tie_rank) for part in self.parts]
        return fuse(found, self.weights, self.fusion, k, tie_rank)
