"""Spearman and Pearson correlation, of a sample or of many weighted resamples at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def average_ranks(values: Floats, weights: Floats | None = None) -> Floats:
    """Rank values from 1, ties sharing their average rank.

    With weights, an item drawn ``w`` times occupies ``w`` ranks, so that the result equals ranking
    the resample written out. Sorting happens once for all resamples.

    Args:
        values: ``[n]``.
        weights: ``[r, n]`` draw counts, or None for one draw of each item.

    Returns:
        ``[n]`` or ``[r, n]``.
    """
    distinct, group = np.unique(values, return_inverse=True)
    if weights is None:
        sizes = np.bincount(group, minlength=len(distinct)).astype(np.float64)
        return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[group])
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group])


def weighted_pearson(x: Floats, y: Floats, weights: Floats | None) -> Floats:
    """Pearson's r of ``x`` and ``y`` (``[n]`` or ``[r, n]``); 0 where either is constant as drawn.

    Source: r = cov(x, y) / sqrt(var(x) var(y)), two-pass for accuracy.
    """
    x, y = x - x[..., :1], y - y[..., :1]  # makes a constant exactly 0
    w = np.ones((1, x.shape[-1])) if weights is None else weights
    total = w.sum(axis=-1, keepdims=True)
    dx = x - (w * x).sum(axis=-1, keepdims=True) / total
    dy = y - (w * y).sum(axis=-1, keepdims=True) / total
    covariance = np.einsum("rn,rn,rn->r", *np.broadcast_arrays(w, dx, dy))
    spread_x = np.einsum("rn,rn,rn->r", *np.broadcast_arrays(w, dx, dx))
    spread_y = np.einsum("rn,rn,rn->r", *np.broadcast_arrays(w, dy, dy))
    varied = (spread_x > _noise(x, total)) & (spread_y > _noise(y, total))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(varied, covariance / np.sqrt(spread_x * spread_y), 0.0)
    r = np.clip(r, -1.0, 1.0)
    return np.asarray(r[0]) if weights is None else r


def _noise(x: Floats, total: Floats) -> Floats:
    """Return the sum of squares that rounding alone leaves of equal values; ``[r]``."""
    scale = 16 * np.finfo(np.float64).eps * np.abs(x).max(axis=-1)
    return np.asarray(total[:, 0] * scale**2)


def pearson(
    columns: Mapping[str, Floats], weights: Floats | None, *, gold: str, predicted: str
) -> Floats:
    """Pearson's correlation of two item columns; equals ``scipy.stats.pearsonr``."""
    return weighted_pearson(columns[gold], columns[predicted], weights)


def spearman(
    columns: Mapping[str, Floats], weights: Floats | None, *, gold: str, predicted: str
) -> Floats:
    """Spearman's correlation of two item columns; equals ``scipy.stats.spearmanr``.

    A failed item carries the worst similarity, so it lowers the score instead of leaving it.
    """
    return weighted_pearson(
        average_ranks(columns[gold], weights), average_ranks(columns[predicted], weights), weights
    )


STATISTICS: Mapping[str, Callable[..., Floats]] = {"spearman": spearman, "pearson": pearson}
