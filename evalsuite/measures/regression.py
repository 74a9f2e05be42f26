"""How near predicted numbers come to the true ones, of a sample or of many resamples at once.

    kendalltau  Kendall's tau-b: (P - Q) / sqrt((n0 - n1) (n0 - n2)), with P and Q pairs of items in
                equal and in opposite order, n0 pairs in all, n1 and n2 those tied in gold and in
                prediction; 0 where either is constant
    mse, rmse   mean squared error, and its root
    mae         mean absolute error
    r2          1 - mse / variance of the gold; 0 where that is 0 and the error is not

They equal SciPy's and scikit-learn's. An item drawn t times has t (t - 1) / 2 ties with itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import CELLS_A_BLOCK, Aggregate, Columns, Measure, Sums

Floats = NDArray[np.float64]

_LEAF = 128  # items among which all pairs are compared by one product of matrices


def kendalltau(columns: Columns, weights: Floats | None) -> Floats:
    """Kendall's tau-b of ``gold`` and ``predicted``; equals ``scipy.stats.kendalltau``."""
    rows = np.ones((1, len(columns["gold"]))) if weights is None else weights
    x, y = (np.unique(columns[name], return_inverse=True)[1] for name in ("gold", "predicted"))
    both = np.unique(x * (y.max(initial=0) + 1) + y, return_inverse=True)[1]
    swapped = _Inversions(x, y)
    tied = [Sums(codes.astype(np.int64), int(codes.max()) + 1) for codes in (x, y, both)]
    out = np.empty(len(rows))
    block = max(1, CELLS_A_BLOCK // len(x))
    for start in range(0, len(rows), block):
        drawn = rows[start : start + block]
        pairs = _pairs(drawn.sum(axis=1))
        in_x, in_y, in_both = (_pairs(total(drawn)).sum(axis=1) for total in tied)
        # Knight 1966: pairs that are neither tied nor in opposite order are in equal order
        surplus = pairs - in_x - in_y + in_both - 2 * swapped(drawn)
        spread = (pairs - in_x) * (pairs - in_y)
        tau = surplus / np.sqrt(np.where(spread > 0, spread, 1.0))
        out[start : start + block] = np.where(spread > 0, np.clip(tau, -1.0, 1.0), 0.0)
    return np.asarray(out[0]) if weights is None else out


def _pairs(times: Floats) -> Floats:
    return np.asarray(times * (times - 1) / 2)


class _Inversions:
    """Number of pairs of items, as often as drawn, that ``x`` and ``y`` put in opposite order.

    Items are sorted by ``x``. Within leaves every pair is looked at; above them, as in merge sort,
    each right half is compared with its left half by sums along the order of ``y``. All orders
    depend on the items alone: a resample only brings other weights.
    """

    def __init__(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> None:
        n = len(x)
        self._levels = max(0, math.ceil(math.log2(n / _LEAF)))
        self._size = math.ceil(n / 2**self._levels)
        padded = self._size * 2**self._levels
        self._order = np.lexsort((y, x))  # within ties of x no pair is in opposite order
        self._filled = padded - n
        ordered = np.append(y[self._order], np.full(self._filled, y.max(initial=0)))
        leaves = ordered.reshape(-1, self._size)
        earlier = np.triu(np.ones((self._size, self._size), dtype=bool), 1)
        self._leaves = ((leaves[:, :, None] > leaves[:, None, :]) & earlier).astype(np.float64)
        self._merges = [self._merge(ordered, level) for level in range(1, self._levels + 1)]

    def _merge(
        self, ordered: NDArray[np.int64], level: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
        """Return the order of ``y``, the largest first, in each block, and which are right."""
        size = self._size * 2**level
        place = np.arange(len(ordered))
        right = place % size >= size // 2
        order = np.lexsort((~right, -ordered, place // size))
        return order, right[order], size

    def __call__(self, weights: Floats) -> Floats:
        """``[r, n]`` -> ``[r]``."""
        drawn = np.take(weights, self._order, axis=1)
        drawn = np.pad(drawn, ((0, 0), (0, self._filled)))
        leaves = np.ascontiguousarray(drawn.reshape(len(drawn), -1, self._size).transpose(1, 0, 2))
        found = np.einsum("lri,lri->r", leaves @ self._leaves, leaves)
        for order, right, size in self._merges:
            merged = np.take(drawn, order, axis=1).reshape(len(drawn), -1, size)
            mask = right.reshape(-1, size)
            above = np.cumsum(np.where(mask, 0.0, merged), axis=2)
            found += np.einsum("rbi,rbi,bi->r", above, merged, mask.astype(np.float64))
        return np.asarray(found)


def mean_error(columns: Columns, weights: Floats | None, *, power: int) -> Floats:
    """Mean absolute error (``power = 1``) or mean squared error (2)."""
    errors = np.abs(columns["gold"] - columns["predicted"]) ** power
    if weights is None:
        return np.asarray(errors.mean())
    return np.asarray(weights @ errors / weights.sum(axis=-1))


def root_mean_squared_error(columns: Columns, weights: Floats | None) -> Floats:
    """Root of the mean squared error."""
    return np.asarray(np.sqrt(mean_error(columns, weights, power=2)))


def r2(columns: Columns, weights: Floats | None) -> Floats:
    """Coefficient of determination; equals scikit-learn's ``r2_score``."""
    gold = columns["gold"] - columns["gold"].mean()
    rows = np.ones((1, len(gold))) if weights is None else weights
    total = rows.sum(axis=-1)
    variance = rows @ gold**2 / total - (rows @ gold / total) ** 2
    variance[variance <= 16 * np.finfo(np.float64).eps * (gold**2).max()] = 0.0
    error = np.atleast_1d(mean_error(columns, rows, power=2))
    ratio = np.divide(error, variance, out=np.sign(error), where=variance > 0)
    return np.asarray(1 - ratio[0] if weights is None else 1 - ratio)


def _of_numbers(name: str, aggregate: Aggregate, bounds: tuple[float, float]) -> Measure:
    return Measure(name, ("gold", "predicted"), aggregate, bounds=bounds, across_groups="macro")


def _of_errors(name: str, aggregate: Aggregate) -> Measure:
    return replace(_of_numbers(name, aggregate, (0.0, np.inf)), higher_is_better=False)


_MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        _of_numbers("kendalltau", kendalltau, (-1.0, 1.0)),
        _of_numbers("r2", r2, (-np.inf, 1.0)),
        _of_errors("mse", partial(mean_error, power=2)),
        _of_errors("rmse", root_mean_squared_error),
        _of_errors("mae", partial(mean_error, power=1)),
    )
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``kendalltau``, or None."""
    return _MEASURES.get(name)
