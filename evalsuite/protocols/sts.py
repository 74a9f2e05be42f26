"""Semantic textual similarity: how well similarities of vectors rank pairs as people do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures import SIMILARITIES
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from evalsuite.data import Pairs

Floats = NDArray[np.float64]


def dense_similarities(a: NDArray[np.float32], b: NDArray[np.float32]) -> dict[str, Floats]:
    """Return cosine, and negated Euclidean and Manhattan distance, of each pair of rows.

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
        "euclidean": -np.sqrt(np.asarray((difference * difference).sum(axis=1)).ravel()),
        "manhattan": -np.asarray(abs(difference).sum(axis=1), dtype=np.float64).ravel(),
    }


def run(task: Task, data: Pairs, model: Any) -> list[Outcome]:
    """Encode both sides of every pair in one call and compare them."""
    started = time.perf_counter()
    n = len(data.ids)
    texts = [*data.first, *data.second]
    if hasattr(model, "encode"):
        vectors = model.encode(texts)
        similarities = dense_similarities(vectors[:n], vectors[n:])
    else:
        model.fit(texts)
        sparse = model.encode_sparse(texts)
        similarities = sparse_similarities(sparse[:n], sparse[n:])
    items = Items(
        ids=data.ids,
        columns={"gold": data.gold, **similarities},
        status=np.full(n, OK),
    )
    return [Outcome(items, (Phase("encode", time.perf_counter() - started, len(texts)),))]


PROTOCOL = Protocol(
    name="sts",
    version=1,
    layout="pairs",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", *SIMILARITIES),
)
