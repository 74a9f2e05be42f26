"""Similarities of pairs of texts, from dense or sparse vectors, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length, so that inner products are cosines; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def dense_similarities(a: NDArray[np.float32], b: NDArray[np.float32]) -> dict[str, Floats]:
    """Return cosine, dot product and negated Euclidean and Manhattan distance of pairs of rows.

    Computed in float64. The cosine with a zero vector is 0.

    Args:
        a: ``[n, dim]``.
        b: ``[n, dim]``.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", x, x) * np.einsum("nd,nd->n", y, y))
    products = np.einsum("nd,nd->n", x, y)
    difference = x - y
    return {
        "cosine": np.divide(products, norms, out=np.zeros_like(products), where=norms > 0),
        "dot": products,
        "euclidean": -np.sqrt(np.einsum("nd,nd->n", difference, difference)),
        "manhattan": -np.abs(difference).sum(axis=1),
    }


def sparse_similarities(a: csr_array, b: csr_array) -> dict[str, Floats]:
    """As :func:`dense_similarities`, of sparse rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt(np.asarray((a * a).sum(axis=1)) * np.asarray((b * b).sum(axis=1))).ravel()
    products = np.asarray((a * b).sum(axis=1), dtype=np.float64).ravel()
    difference = a - b
    return {
        "cosine": np.divide(products, norms, out=np.zeros_like(products), where=norms > 0),
        "dot": products,
        "euclidean": -np.sqrt(np.asarray((difference * difference).sum(axis=1)).ravel()),
        "manhattan": -np.asarray(abs(difference).sum(axis=1), dtype=np.float64).ravel(),
    }


def of_pairs(first: Sequence[str], second: Sequence[str], model: Any) -> dict[str, Floats]:
    """Encode both sides of every pair in one call and compare them.

    Args:
        first: ``[n]`` texts.
        second: ``[n]`` texts.
        model: Offers ``encode``, or ``fit`` and ``encode_sparse``.

    Returns:
        Similarity to ``[n]`` values; more is more similar.
    """
    n = len(first)
    texts = [*first, *second]
    if hasattr(model, "encode"):
        vectors = model.encode(texts)
        return dense_similarities(vectors[:n], vectors[n:])
    model.fit(texts)
    sparse = model.encode_sparse(texts)
    return sparse_similarities(sparse[:n], sparse[n:])
