"""Spearman and Pearson correlation, of a sample or of many weighted resamples at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import CELLS_A_BLOCK, Measure

SIMILARITIES = ("cosine", "euclidean", "manhattan")
CORRELATIONS = ("spearman", "pearson")
NAMES = ", ".join(f"{s}_{c}" for s in SIMILARITIES for c in CORRELATIONS)

Floats = NDArray[np.float64]


def average_ranks(values: Floats) -> Floats:
    """Rank values from 1, ties sharing their average rank; ``[n]`` -> ``[n]``."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[group])


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
    if weights is None:
        ranks = average_ranks(columns[gold]), average_ranks(columns[predicted])
        return weighted_pearson(*ranks, None)
    return _resampled_spearman(columns[gold], columns[predicted], weights)


def _resampled_spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's correlation of many resamples, ``[r]``; ranks are taken among distinct values.

    With ``t`` draws of each distinct value, ranks average ``(N + 1) / 2`` and their sum of squares
    about it is ``sum(t * (rank - mean)^2)``, so that only the product needs a term an item.
    """
    y_order = np.argsort(y, kind="stable")
    y_new = np.flatnonzero(np.diff(y[y_order], prepend=np.nan) != 0)
    x_values, x_place = np.unique(x[y_order], return_inverse=True)
    x_order = np.argsort(x_place, kind="stable")
    x_new = np.searchsorted(x_place[x_order], np.arange(len(x_values)))
    out = np.empty(len(weights))
    block = max(1, CELLS_A_BLOCK // len(x))
    for start in range(0, len(weights), block):
        drawn = np.take(weights[start : start + block], y_order, axis=1)
        x_ranks, x_spread = _centred_ranks(_summed(np.take(drawn, x_order, axis=1), x_new))
        y_ranks, y_spread = _centred_ranks(_summed(drawn, y_new))
        products = _summed(drawn * np.take(x_ranks, x_place, axis=1), y_new)
        covariance = np.einsum("rn,rn->r", products, y_ranks)
        varied = (x_spread > 0) & (y_spread > 0)
        scale = np.sqrt(np.where(varied, x_spread * y_spread, 1.0))
        out[start : start + block] = np.where(varied, covariance / scale, 0.0)
    return np.clip(out, -1.0, 1.0)


def _summed(ordered: Floats, starts: NDArray[np.int64]) -> Floats:
    """Add up neighbours of equal value; ``[r, items]`` -> ``[r, distinct values]``."""
    if len(starts) == ordered.shape[1]:
        return ordered
    return np.asarray(np.add.reduceat(ordered, starts, axis=1))


def _centred_ranks(times: Floats) -> tuple[Floats, Floats]:
    """Return average ranks less their mean and their weighted sum of squares, ``[r, n]``, ``[r]``.

    Ranks are multiples of a half, so that both are exact.
    """
    ranks = np.cumsum(times, axis=1)
    middle = (ranks[:, -1:] + 1) / 2
    ranks -= times / 2
    ranks += 0.5 - middle
    return ranks, np.einsum("rn,rn,rn->r", times, ranks, ranks)


STATISTICS: Mapping[str, Callable[..., Floats]] = {"spearman": spearman, "pearson": pearson}


def parse(name: str) -> Measure | None:
    """Return the correlation a name stands for, e.g. ``cosine_spearman``, or None."""
    match = re.fullmatch(rf"({'|'.join(SIMILARITIES)})_({'|'.join(CORRELATIONS)})", name)
    if match is None:
        return None
    similarity, statistic = match.groups()
    aggregate = partial(STATISTICS[statistic], gold="gold", predicted=similarity)
    return Measure(name, ("gold", similarity), aggregate, bounds=(-1.0, 1.0), worst=-1.0)
