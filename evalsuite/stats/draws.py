"""What is drawn when a table of items is resampled, and how often.

A resample is never written out: it is a row of counts, how often each unit was drawn, and measures
aggregate with those counts as weights.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures import Columns, Measure
from evalsuite.measures.base import Sums

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_MOST_DRAWS = 3e7  # of a mean, before classes of values are drawn from instead
_CELLS_A_CHUNK = 500_000  # bounds memory; measures cut chunks further


def derived_seed(*parts: object) -> int:
    """Return a 64-bit seed that depends on every part and on nothing else.

    Every random draw takes its seed from here, e.g. ``derived_seed(seed, task, purpose)``, never
    from global state, so that no draw depends on what ran before it.
    """
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


@dataclass(frozen=True)
class Sample:
    """Rows of an item table as a measure reads them, and which of them are drawn together.

    Attributes:
        columns: What the measure reads, each ``[n]``.
        unit: Unit a row is drawn with (its item, or its cluster), ``[n]`` codes from 0; None where
            every row is a unit of its own.
        group: Part a row belongs to (language, subforum), ``[n]`` codes from 0, or None. Units are
            drawn within their group.
        replicate: Training seed, draw or repeat of a row, ``[n]`` codes from 0, or None.
    """

    columns: Columns
    unit: Codes | None = None
    group: Codes | None = None
    replicate: Codes | None = None

    @cached_property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    @cached_property
    def n_units(self) -> int:
        """Number of units that can be drawn."""
        return self.n_rows if self.unit is None else int(self.unit.max(initial=-1)) + 1

    @property
    def n_items(self) -> int:
        """Number of items, each once however many replicates it is in."""
        return self.n_rows if self.n_replicates == 1 else self.n_units

    def items_among(self, rows: NDArray[np.bool_]) -> int:
        """Return the number of items that have any of some rows, a mask ``[n]``."""
        if self.n_replicates == 1 or self.unit is None:
            return int(rows.sum())
        return len(np.unique(self.unit[rows]))

    @cached_property
    def n_replicates(self) -> int:
        """Number of replicates."""
        return 1 if self.replicate is None else int(self.replicate.max(initial=-1)) + 1

    @cached_property
    def strata(self) -> list[Codes]:
        """Units of each group; one stratum where there are no groups."""
        if self.group is None:
            return [np.arange(self.n_units)]
        unit = np.arange(self.n_rows) if self.unit is None else self.unit
        return [np.unique(unit[self.group == g]) for g in range(int(self.group.max()) + 1)]

    @property
    def is_plain(self) -> bool:
        """Whether every row is one unit, with neither groups nor replicates."""
        return self.unit is None and self.group is None and self.n_replicates == 1

    def rows(self, where: NDArray[np.bool_]) -> Columns:
        """Columns of some rows."""
        return {name: values[where] for name, values in self.columns.items()}


@dataclass(frozen=True)
class Draw:
    """Some resamples: how often each unit and each replicate was drawn.

    Attributes:
        units: ``[r, n_units]``, or None if units are not drawn.
        replicates: ``[r, n_replicates]``, or None if replicates are not drawn.
    """

    units: Floats | None
    replicates: Floats | None


class KeptDraws:
    """Draws kept for further samples of as many units that are resampled by the same seed.

    Those of the last seed are kept, up to 80 MB, and only of samples without groups.
    """

    _MOST_CELLS = 1e7

    def __init__(self) -> None:
        self._seed = -1
        self._draws: dict[tuple[object, ...], Draw] = {}

    def begin(self, seed: int) -> None:
        """Forget the draws of other seeds."""
        if self._seed != seed:
            self._seed, self._draws = seed, {}

    def draw(self, number: int, measure: Measure, sample: Sample, rows: int) -> Draw:
        """Return a chunk of resamples; the arguments are those of :func:`over_draws`."""
        key = number, rows, measure.resample, sample.n_units, sample.n_replicates
        if sample.group is None and key in self._draws:
            return self._draws[key]
        made = _draw(self._seed, number, measure, sample, rows)
        for times in (made.units, made.replicates):
            if times is not None:
                times.setflags(write=False)
        if sample.group is None and (len(self._draws) + 1) * _CELLS_A_CHUNK <= self._MOST_CELLS:
            self._draws[key] = made
        return made


def over_draws(
    statistic: Callable[[Draw], Floats],
    measure: Measure,
    sample: Sample,
    n_resamples: int,
    seed: int,
    kept: KeptDraws | None = None,
) -> Floats:
    """Return a statistic of every bootstrap resample, ``[n_resamples]``.

    Chunks of resamples run in threads; each has its own random stream, so that their number
    changes nothing.

    Args:
        statistic: Of a chunk of resamples ``[r]``.
        measure: Declares what is random: items, replicates or both.
        sample: Declares units and groups.
        n_resamples: Number of resamples.
        seed: From :func:`derived_seed`.
        kept: Draws of earlier samples; only saves time.
    """
    if kept is not None:
        kept.begin(seed)
    chunk = max(1, _CELLS_A_CHUNK // max(1, sample.n_units))
    sizes = [min(chunk, n_resamples - start) for start in range(0, n_resamples, chunk)]

    def of_chunk(number: int) -> Floats:
        rows = sizes[number]
        if kept is None:
            draw = _draw(seed, number, measure, sample, rows)
        else:
            draw = kept.draw(number, measure, sample, rows)
        return np.broadcast_to(statistic(draw), rows)

    with ThreadPoolExecutor(min(len(sizes), os.cpu_count() or 1)) as threads:
        return np.concatenate(list(threads.map(of_chunk, range(len(sizes)))))


def _draw(seed: int, number: int, measure: Measure, sample: Sample, rows: int) -> Draw:
    """Draw units within their groups, and replicates, as the measure declares."""
    rng = np.random.default_rng([seed, number])
    units = replicates = None
    if measure.resample in ("item", "both"):
        units = np.zeros((rows, sample.n_units))
        for stratum in sample.strata:
            units[:, stratum] = counts(rng, rows, len(stratum))
    if measure.resample in ("replicate", "both"):
        replicates = counts(rng, rows, sample.n_replicates)
    return Draw(units, replicates)


def counts(rng: np.random.Generator, rows: int, n: int) -> Floats:
    """Return how often each of n things is drawn in n draws with replacement, ``[rows, n]``."""
    out = np.empty((rows, n))
    for row in out:
        row[:] = np.bincount(rng.integers(0, n, n, dtype=np.uint32), minlength=n)
    return out


def score(measure: Measure, sample: Sample, draw: Draw | None = None) -> Floats:
    """Aggregate a sample: within (replicate, group), then over replicates, then over groups.

    Args:
        measure: What to aggregate; it declares how replicates and groups are combined.
        sample: The rows.
        draw: Resamples, or None for the sample itself.

    Returns:
        A scalar, or one score a resample ``[r]``.
    """
    units = None if draw is None else draw.units
    if sample.is_plain:
        return measure.aggregate(sample.columns, units)
    weights = units if units is None or sample.unit is None else units[:, sample.unit]
    groups = sample.group if measure.across_groups == "macro" else None
    if groups is not None and measure.decomposes and sample.n_replicates == 1:
        return _mean_of_groups(sample.columns[measure.columns[0]], groups, weights)
    scores = [
        _over_replicates(measure, sample, rows, weights, draw)
        for rows in _parts(groups, sample.n_rows)
    ]
    return np.asarray(np.mean(scores, axis=0))


def _mean_of_groups(values: Floats, groups: Codes, weights: Floats | None) -> Floats:
    """Return the mean over groups of their weighted means, ``[]`` or ``[r]``: all in one pass."""
    total = Sums(groups, int(groups.max()) + 1)
    drawn = np.ones((1, len(values))) if weights is None else weights
    means = (total(drawn * values) / total(drawn)).mean(axis=-1)
    return np.asarray(means[0] if weights is None else means)


def _parts(codes: Codes | None, n_rows: int) -> list[NDArray[np.bool_]]:
    if codes is None:
        return [np.ones(n_rows, dtype=bool)]
    return [codes == code for code in range(int(codes.max()) + 1)]


def _over_replicates(
    measure: Measure,
    sample: Sample,
    rows: NDArray[np.bool_],
    weights: Floats | None,
    draw: Draw | None,
) -> Floats:
    """Aggregate each replicate of a part, then take their mean or median; ``[]`` or ``[r]``."""
    scores = []
    for replicate in _parts(sample.replicate, sample.n_rows):
        chosen = rows & replicate
        part = None if weights is None else weights[:, chosen]
        scores.append(measure.aggregate(sample.rows(chosen), part))
    table = np.stack([np.asarray(value) for value in scores], axis=-1)
    times = None if draw is None else draw.replicates
    if times is None:
        combine = np.median if measure.across_replicates == "median" else np.mean
        return np.asarray(combine(table, axis=-1))
    table = np.broadcast_to(table, times.shape)
    if measure.across_replicates == "mean":
        return np.asarray((table * times).sum(axis=-1) / times.sum(axis=-1))
    return _weighted_median(table, times)


def _weighted_median(values: Floats, times: Floats) -> Floats:
    """Return the median of each row with every value repeated; ``[r, k]`` -> ``[r]``."""
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    reached = np.take_along_axis(times, order, axis=-1).cumsum(axis=-1)
    half = reached[:, -1:] / 2
    low = np.argmax(reached >= half, axis=-1)
    high = np.argmax(reached > half, axis=-1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, low] + ordered[rows, high]) / 2)


def mean_draws(values: Floats, n_resamples: int, seed: int) -> Floats:
    """Return bootstrap means of one column, ``[n]`` -> ``[n_resamples]``.

    Few distinct values: their counts are drawn from the multinomial distribution, which is the same
    law. Otherwise every draw is made, up to 3e7 in all. Beyond, values are cut into 512 classes of
    near-equal values whose counts are drawn, and the spread within classes, under 1e-4 of the
    variance or else every draw is made, enters as its normal limit.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    distinct, times = np.unique(values, return_counts=True)
    if len(distinct) * 25 <= n:
        return np.asarray(rng.multinomial(n, times / n, size=n_resamples) @ distinct / n)
    if n * n_resamples > _MOST_DRAWS:
        binned = _binned(np.sort(values), classes=512)
        if binned is not None:
            means, variances, times = binned
            drawn = rng.multinomial(n, times / n, size=n_resamples)
            noise = rng.standard_normal(n_resamples) * np.sqrt(drawn @ variances)
            return np.asarray((drawn @ means + noise) / n)
    out = np.empty(n_resamples)
    chunk = max(1, 65_536 // n)  # drawn values stay inside a core's cache
    for start in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - start)
        out[start : start + rows] = values[rng.integers(0, n, (rows, n), dtype=np.uint32)].mean(1)
    return out


def _binned(ordered: Floats, classes: int) -> tuple[Floats, Floats, Codes] | None:
    """Cut sorted values into classes; return mean, variance and size of each, or None if coarse."""
    edges = np.linspace(ordered[0], ordered[-1], classes // 2 + 1)[1:-1]
    cuts = np.union1d(
        np.searchsorted(ordered, edges),  # equal widths hold outliers apart
        np.linspace(0, len(ordered), classes // 2 + 1).astype(np.int64)[1:-1],  # equal counts
    )
    starts = np.unique(np.concatenate([[0], cuts[cuts < len(ordered)]]))
    sizes = np.diff(np.append(starts, len(ordered)))
    means = np.add.reduceat(ordered, starts) / sizes
    within = (ordered - np.repeat(means, sizes)) ** 2
    variances = np.add.reduceat(within, starts) / sizes
    if within.sum() > 1e-4 * ((ordered - ordered.mean()) ** 2).sum():
        return None
    return means, variances, sizes


def by_unit(sample: Sample, column: str) -> tuple[Floats, Floats]:
    """Return sums of a column and numbers of rows of each unit, ``[n_units]`` each."""
    values: Mapping[str, Floats] = sample.columns
    if sample.unit is None:
        return values[column], np.ones(sample.n_rows)
    sums = np.bincount(sample.unit, weights=values[column], minlength=sample.n_units)
    rows = np.bincount(sample.unit, minlength=sample.n_units).astype(np.float64)
    return np.asarray(sums, dtype=np.float64), rows


def item_means(measure: Measure, sample: Sample) -> Sample:
    """Return one row a unit, the mean of its rows, where a score is the mean of those.

    So it is where replicates of a mean are averaged and each of them has every unit once. Any other
    sample is returned as it is.
    """
    if not measure.decomposes or measure.across_replicates != "mean":
        return sample
    unit, replicate = sample.unit, sample.replicate
    if unit is None or replicate is None or sample.group is not None:
        return sample
    full = sample.n_units * sample.n_replicates
    times = np.bincount(unit * sample.n_replicates + replicate, minlength=full)
    if measure.resample != "item" or (times != 1).any():
        return sample
    column = measure.columns[0]
    sums, rows = by_unit(sample, column)
    return Sample({column: sums / rows})


def replicate_scores(measure: Measure, sample: Sample) -> Floats | None:
    """Return the score of each replicate, ``[k]``, where they are what is random and averaged.

    Else, or where there is one replicate only, return None.
    """
    if measure.resample != "replicate" or measure.across_replicates != "mean":
        return None
    if sample.n_replicates < 2:
        return None
    return score(measure, sample, Draw(None, np.eye(sample.n_replicates)))
