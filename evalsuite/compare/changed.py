"""The items whose contribution to a score changed most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.compare.pairing import Pair
from evalsuite.measures import Measure
from evalsuite.measures.correlation import average_ranks
from evalsuite.result import EXCLUDED, Items
from evalsuite.stats import Sample

Floats = NDArray[np.float64]

OF_MEANS = "change of the item's value"
OF_CORRELATIONS = (
    "how much nearer the item's rank came to its rank by gold, as a share of the longest way"
)


@dataclass(frozen=True)
class Side:
    """What one result says of an item.

    Attributes:
        value: What the measure reads, failed items at their worst.
        off: Distance of its rank to its rank by gold, as a share of the longest possible distance;
            None for means.
    """

    value: float
    off: float | None


@dataclass(frozen=True)
class Item:
    """An item whose contribution changed.

    Attributes:
        item: Its id.
        group: Its group, or None.
        baseline: What the baseline says of it.
        candidate: What the candidate says of it.
        change: Of its contribution, positive where the score gains: of its value for means; for
            correlations how much nearer its rank came to its rank by gold.
        gold: Its gold value, or None.
    """

    item: str
    group: str | None
    baseline: Side
    candidate: Side
    change: float
    gold: float | None


def explained(measure: Measure) -> str | None:
    """Say what the change of an item's contribution is, or None where it has no contribution."""
    if measure.decomposes:
        return OF_MEANS
    return OF_CORRELATIONS if _correlates(measure) else None


def changed_most(pair: Pair, measure: Measure, n: int) -> list[Item]:
    """Return up to n items whose contribution changed, largest change first.

    Args:
        pair: Two results of a task.
        measure: A mean or a correlation with gold; of others no item is returned.
        n: Number of items.
    """
    if explained(measure) is None:
        return []
    new, old = pair.samples(measure)
    sides = [
        _by_item(items, _contributions(measure, sample))
        for items, sample in ((pair.candidate_items, new), (pair.baseline_items, old))
    ]
    keys = sorted(set(sides[0]) & set(sides[1]))
    direction = 1.0 if measure.higher_is_better else -1.0
    changes = {
        key: direction * (sides[0][key][1] - sides[1][key][1])
        for key in keys
        if sides[0][key][1] != sides[1][key][1]
    }
    first = sorted(changes, key=lambda key: (-abs(changes[key]), key))[:n]
    correlates = _correlates(measure)
    golds = _by_item(pair.baseline_items, _golds(old)) if correlates else {}
    return [
        Item(
            item=key[1],
            group=None if pair.baseline_items.group is None else key[0],
            baseline=_side(sides[1][key], correlates),
            candidate=_side(sides[0][key], correlates),
            change=changes[key],
            gold=golds[key][0] if correlates else None,
        )
        for key in first
    ]


def _correlates(measure: Measure) -> bool:
    return len(measure.columns) == 2 and measure.columns[0] == "gold"


def _contributions(measure: Measure, sample: Sample) -> Floats:
    """Return each row's value and what it adds to the score, up to a constant, ``[n, 2]``."""
    values = sample.columns[measure.columns[-1]]
    if measure.decomposes:
        return np.stack([values, values], axis=1)
    ranks, wanted = average_ranks(values), average_ranks(sample.columns["gold"])
    return np.stack([values, -np.abs(ranks - wanted) / max(1, len(values) - 1)], axis=1)


def _golds(sample: Sample) -> Floats:
    return np.repeat(sample.columns["gold"][:, None], 2, axis=1)


def _by_item(items: Items, values: Floats) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the values of each item by group and id, the mean over its replicates."""
    kept = items.status != EXCLUDED
    groups: Iterable[str] = (
        [""] * int(kept.sum()) if items.group is None else items.group[kept].tolist()
    )
    ids = np.asarray(items.ids, dtype=object)[kept]
    held: dict[tuple[str, str], list[Floats]] = {}
    for group, identifier, row in zip(groups, ids, values, strict=True):
        held.setdefault((group, identifier), []).append(row)
    means = {key: np.mean(rows, axis=0) for key, rows in held.items()}
    return {key: (float(value), float(adds)) for key, (value, adds) in means.items()}


def _side(values: tuple[float, float], correlates: bool) -> Side:
    return Side(values[0], abs(values[1]) if correlates else None)
