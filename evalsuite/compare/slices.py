"""Parts of a task: its items cut by the values of a column or by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evalsuite import stats
from evalsuite.compare.pairing import Pair
from evalsuite.compare.rows import Measured
from evalsuite.errors import UsageError, unknown_name
from evalsuite.measures import COUNT, Measure
from evalsuite.result import EXCLUDED, Items
from evalsuite.stats import Sample, derived_seed

GROUP = "group"
_DISTINCT = 10  # numeric columns with more values are cut into quartiles
_QUARTILES = (0.25, 0.5, 0.75)

Key = tuple[str, str]
"""Group and id of an item."""


@dataclass(frozen=True)
class Empty:
    """A slice that holds too little to compare.

    Attributes:
        task: Name with version.
        name: What the slice is called, e.g. ``gold <= 1.5``.
        n: Number of items.
        reason: Why there is no number.
    """

    task: str
    name: str
    n: int
    reason: str


@dataclass(frozen=True)
class Slice:
    """The items of a slice: their name and the rows of either table."""

    name: str
    candidate: NDArray[np.bool_]
    baseline: NDArray[np.bool_]


def check_column(column: str, pairs: Sequence[Pair]) -> None:
    """Check that some task can be cut by a column.

    Raises:
        UsageError: None can; the message names the nearest column.
    """
    known: dict[str, None] = {}
    for pair in pairs:
        known |= dict.fromkeys(pair.baseline_items.columns)
        if pair.baseline_items.group is not None:
            known[GROUP] = None
    if column not in known and column == GROUP:
        raise UsageError(f"No task here has groups. Columns: {', '.join(sorted(known))}.")
    if column not in known:
        raise unknown_name("column", column, known)


def slices(pair: Pair, column: str) -> list[Slice] | None:
    """Cut a task's items, or return None where it does not have the column.

    Groups and columns of up to ten distinct values are cut by value, others at the quartiles of the
    baseline's values; items without a value are a slice of their own.
    """
    items = pair.baseline_items
    if column == GROUP:
        if items.group is None:
            return None
        names = dict(zip(_keys(items), items.group.tolist(), strict=True))
        order = sorted(set(names.values()))
    elif column in items.columns:
        names, order = _cut(column, _values(items, column))
    else:
        return None
    return [
        Slice(name, _rows(pair.candidate_items, names, name), _rows(items, names, name))
        for name in order
    ]


def _keys(items: Items) -> list[Key]:
    groups = [""] * len(items.ids) if items.group is None else items.group.tolist()
    return list(zip(groups, items.ids, strict=True))


def _values(items: Items, column: str) -> dict[Key, float]:
    """Return each item's value; the mean over its replicates."""
    held: dict[Key, list[float]] = {}
    kept = items.status != EXCLUDED
    for key, value, counts in zip(_keys(items), items.columns[column].tolist(), kept, strict=True):
        if counts:
            held.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in held.items()}


def _cut(column: str, values: Mapping[Key, float]) -> tuple[dict[Key, str], list[str]]:
    """Return the slice of each item, and the slices in order."""
    numbers = np.fromiter(values.values(), dtype=np.float64, count=len(values))
    finite = numbers[np.isfinite(numbers)]
    distinct = np.unique(finite)
    if len(distinct) <= _DISTINCT:
        labels = [f"{column} = {value:.6g}" for value in distinct]
        places = np.searchsorted(distinct, numbers)
    else:
        edges = np.unique(np.quantile(finite, _QUARTILES))
        edges = edges[edges < distinct[-1]] if edges[0] < distinct[-1] else distinct[-2:-1]
        labels = _between(column, [float(edge) for edge in edges])
        places = np.searchsorted(edges, numbers, side="left")
    missing = f"{column} missing"
    names = {
        key: labels[place] if np.isfinite(number) else missing
        for key, number, place in zip(values, numbers, places, strict=True)
    }
    return names, [name for name in [*labels, missing] if name in set(names.values())]


def _between(column: str, edges: Sequence[float]) -> list[str]:
    digits = next(d for d in (3, 6, 9, 17) if len({f"{e:.{d}g}" for e in edges}) == len(edges))
    said = [f"{edge:.{digits}g}" for edge in edges]
    middle = [f"{low} < {column} <= {high}" for low, high in pairwise(said)]
    return [f"{column} <= {said[0]}", *middle, f"{column} > {said[-1]}"]


def _rows(items: Items, names: Mapping[Key, str], name: str) -> NDArray[np.bool_]:
    return np.array([names.get(key) == name for key in _keys(items)], dtype=bool)


def slice_row(
    pair: Pair, part: Slice, measure: Measure, *, seed: int, n_resamples: tuple[int, int]
) -> Measured | Empty:
    """Return the difference on a slice, aggregated anew from its items.

    Args:
        pair: The results of the task.
        part: The slice.
        measure: What to compare.
        seed: The user's; task, measure and slice join it.
        n_resamples: Number of draws of means, and of what is no mean.
    """
    candidate = pair.candidate_items.taken(part.candidate).sample(measure)
    baseline = pair.baseline_items.taken(part.baseline).sample(measure)
    reason = _too_little(measure, (candidate, baseline))
    if reason:
        return Empty(pair.task, part.name, baseline.n_items, reason)
    return Measured(
        name=part.name,
        kind="slice",
        measure=str(measure),
        baseline=float(stats.score(measure, baseline)),
        candidate=float(stats.score(measure, candidate)),
        difference=stats.difference(
            measure,
            candidate,
            baseline,
            seed=derived_seed(seed, pair.task, measure, part.name, "compare"),
            n_resamples=n_resamples[0 if measure.decomposes else 1],
        ),
        higher_is_better=measure.higher_is_better,
        task=pair.task,
    )


def _too_little(measure: Measure, samples: tuple[Sample, Sample]) -> str:
    if min(sample.n_units for sample in samples) < 2:
        return "fewer than 2 items"
    if measure.decomposes:
        return ""
    for name in (column for column in measure.columns if column != COUNT):
        if any(np.ptp(sample.columns[name]) == 0 for sample in samples):
            return f"{name} is the same for every item: {measure} is not defined"
    return ""
