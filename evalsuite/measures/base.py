"""What a measure is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CELLS_A_BLOCK = 131_072  # a block of resamples, with its ranks or counts, stays in a core's cache
COUNT = "count"  # the column that says how often an item stands in its replicate

Columns = Mapping[str, NDArray[np.float64]]
Aggregate = Callable[[Columns, NDArray[np.float64] | None], NDArray[np.float64]]
"""``(columns of [n_items], weights [n_resamples, n_items] or None) -> [n_resamples] or scalar``."""


@dataclass(frozen=True)
class Measure:
    """One number read off a table of items.

    Attributes:
        name: Identity, CLI syntax and key in a result, e.g. ``ndcg@10``.
        columns: The item columns it reads.
        aggregate: Turns the columns into the score. With ``weights`` (how often each item was
            drawn in each resample) it returns one score a resample, vectorised.
        higher_is_better: Direction.
        bounds: Smallest and largest possible value.
        worst: What a failed item counts in each column.
        decomposes: Whether the score is the plain mean of its one column.
        across_replicates: How scores of training seeds or repeats are combined.
        across_groups: ``macro`` takes the mean of the groups' scores, ``pooled`` ignores groups.
        resample: What is random and therefore drawn: items (or the clusters they come in),
            replicates, or both.
    """

    name: str
    columns: tuple[str, ...]
    aggregate: Aggregate
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    worst: float = 0.0
    decomposes: bool = False
    across_replicates: Literal["mean", "median"] = "mean"
    across_groups: Literal["macro", "pooled"] = "macro"
    resample: Literal["item", "replicate", "both"] = "item"

    def __str__(self) -> str:
        return self.name


def weighted_mean(
    columns: Columns, weights: NDArray[np.float64] | None, *, column: str
) -> NDArray[np.float64]:
    """Mean of one column; of each resample where weights are given."""
    values = columns[column]
    if weights is None:
        return np.asarray(values.mean())
    return np.asarray(weights @ values / weights.sum(axis=-1))


def mean_of(column: str) -> Measure:
    """Return the measure that is the mean of one column, under the column's name."""
    aggregate = partial(weighted_mean, column=column)
    return Measure(column, (column,), aggregate, decomposes=True)


class Sums:
    """Sums of weights by code; codes below 0 are left out."""

    def __init__(self, codes: NDArray[np.int64], k: int) -> None:
        order = np.argsort(codes, kind="stable")
        self._order = order[np.searchsorted(codes[order], 0) :]
        self._codes, self._starts = np.unique(codes[self._order], return_index=True)
        self._k = k

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[r, n]`` -> ``[r, k]``."""
        out = np.zeros((len(weights), self._k))
        if len(self._codes):
            ordered = np.take(weights, self._order, axis=1)
            out[:, self._codes] = np.add.reduceat(ordered, self._starts, axis=1)
        return out
