"""Intervals from per-item tables, by resampling."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures import Columns, Measure

RESAMPLES = 1000
_CELLS_A_CHUNK = 1_000_000  # keeps a chunk of weights and its ranks inside the processor's cache


def derived_seed(*parts: object) -> int:
    """Return a 64-bit seed that depends on every part and on nothing else.

    Every random draw takes its seed from here, e.g. ``derived_seed(seed, task, purpose)``, never
    from global state, so that no draw depends on what ran before it.
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "little")


def resample_counts(n_items: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield bootstrap draws as counts, ``[chunk, n_items]``, ``n_resamples`` rows in all."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS_A_CHUNK // max(1, n_items))
    for start in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - start)
        drawn = rng.integers(0, n_items, size=(rows, n_items), dtype=np.int32)
        drawn += (np.arange(rows, dtype=np.int32) * n_items)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n_items)
        yield counts.reshape(rows, n_items).astype(np.float64)


def bootstrap_interval(
    measure: Measure,
    columns: Columns,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a measure over items (Efron & Tibshirani 1993, ch. 13).

    Args:
        measure: What to aggregate.
        columns: Item columns, each ``[n_items]``.
        seed: From :func:`derived_seed`.
        level: Coverage aimed at.
        n_resamples: Number of bootstrap draws.

    Returns:
        Lower and upper end.
    """
    n_items = len(columns[measure.columns[0]])
    if n_items == 0:
        raise ValueError("an interval needs at least one item")
    draws = np.concatenate(
        [
            np.atleast_1d(measure.aggregate(columns, counts))
            for counts in resample_counts(n_items, n_resamples, seed)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)
