"""Two selections, task by task: which results are comparable, and why the others are not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite import measures, stats
from evalsuite.compare.selection import Selection
from evalsuite.errors import StoreError, UsageError
from evalsuite.measures import Measure
from evalsuite.result import EXCLUDED, OK, Items, Result
from evalsuite.stats import Sample
from evalsuite.store import load_items

# What reading an item table can raise: ours, and what damaged Parquet makes of its library.
_DAMAGES = (StoreError, OSError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError)
_TOLERANCE = 1e-6  # between machines
_SETTINGS = ("device", "dtype", "max_length", "search", "seed")


@dataclass(frozen=True)
class Pair:
    """Two comparable results of one task.

    Attributes:
        task: Name with version, e.g. ``STS12@1``.
        candidate: One result.
        baseline: The other; the difference is the candidate's score less the baseline's.
        candidate_items: Its items, in the order of the other's.
        baseline_items: The other's items.
        notes: What else differs and could move a score, baseline before candidate, e.g.
            ``packages differ: scikit-learn 1.8.0 / 1.9.0``.
    """

    task: str
    candidate: Result
    baseline: Result
    candidate_items: Items
    baseline_items: Items
    notes: tuple[str, ...]

    def has(self, measure: Measure) -> bool:
        """Whether both item tables hold what a measure reads."""
        return set(measure.columns) <= set(self.candidate_items.columns) & set(
            self.baseline_items.columns
        )

    def other_clock(self, measure: Measure) -> str:
        """Say why a timed measure cannot be compared, or nothing."""
        timed = self.candidate_items.timed | self.baseline_items.timed
        if not timed & set(measure.columns):
            return ""
        differs = self.other_environment()
        return f"{measure} is timed, and the {differs} differs" if differs else ""

    def other_environment(self) -> str:
        """Return what timings depend on that differs between the two runs, or nothing."""
        for name, old, new in zip(
            ("device", "dtype", "processor", "number of cores", "packages"),
            _clock(self.baseline),
            _clock(self.candidate),
            strict=True,
        ):
            if old != new:
                return name
        return ""

    def samples(self, measure: Measure) -> tuple[Sample, Sample]:
        """Return the rows of candidate and baseline a measure aggregates, the same units in both.

        Raises:
            UsageError: An item table lacks a column the measure reads.
        """
        if not self.has(measure):
            raise UsageError(f"The items of {self.task} do not hold what '{measure}' reads.")
        return self.candidate_items.sample(measure), self.baseline_items.sample(measure)


@dataclass(frozen=True)
class Incomparable:
    """A task whose results cannot be compared.

    Attributes:
        task: Name with version.
        reason: Why, in words.
        kind: ``missing-candidate``, ``missing-baseline``, ``fingerprint``, ``items``,
            ``unreadable`` or ``settings``.
    """

    task: str
    reason: str
    kind: str


def pair(candidate: Selection, baseline: Selection) -> tuple[list[Pair], list[Incomparable]]:
    """Match two selections by task.

    Args:
        candidate: Results to judge.
        baseline: Results they are measured against.

    Returns:
        The comparable results and the tasks left over with the reason, both sorted by task.
    """
    pairs: list[Pair] = []
    apart: list[Incomparable] = []
    for task in sorted({*candidate.results, *baseline.results}):
        matched = _match(task, candidate.results, baseline.results)
        if isinstance(matched, Pair):
            pairs.append(matched)
        else:
            apart.append(matched)
    return pairs, apart


def _match(
    task: str, candidates: Mapping[str, Result], baselines: Mapping[str, Result]
) -> Pair | Incomparable:
    if task not in baselines:
        return Incomparable(task, _only("candidate", task, baselines), "missing-baseline")
    if task not in candidates:
        return Incomparable(task, _only("baseline", task, candidates), "missing-candidate")
    candidate, baseline = candidates[task], baselines[task]
    for kind, reason in (
        ("settings", _other_limit(candidate, baseline)),
        ("fingerprint", _other_fingerprint(candidate, baseline)),
    ):
        if reason:
            return Incomparable(task, reason, kind)
    tables = []
    for side, result in (("candidate", candidate), ("baseline", baseline)):
        try:
            items = load_items(result).ordered()
        except _DAMAGES as error:
            reason = f"the item table of the {side} is missing or damaged: {error}"
            return Incomparable(task, reason, "unreadable")
        if fault := _fault(items):
            return Incomparable(task, f"the item table of the {side} {fault}", "unreadable")
        tables.append(items)
    if reason := _other_items(*tables):
        return Incomparable(task, reason, "items")
    new, old = tables
    stored = [*_other_score("candidate", candidate, new), *_other_score("baseline", baseline, old)]
    return Pair(task, candidate, baseline, new, old, (*notes(candidate, baseline), *stored))


def _other_score(side: str, result: Result, items: Items) -> Iterator[str]:
    """Say that a result's main score is not what its items give, e.g. because it was edited."""
    try:
        measure = measures.parse(result.main_measure)
        value = float(stats.score(measure, items.sample(measure)))
    except (UsageError, KeyError):
        return
    if not math.isclose(value, result.main_score, abs_tol=_TOLERANCE):
        yield (
            f"the file of the {side} says {result.main_score:.6g}, its items give {value:.6g}; "
            "the items are compared"
        )


def _only(side: str, task: str, other: Mapping[str, Result]) -> str:
    """Say that one side has a task, and which version of it the other has."""
    name = task.rpartition("@")[0]
    versions = [key for key in other if key.rpartition("@")[0] == name]
    its = {"candidate": "baseline", "baseline": "candidate"}[side]
    return f"only the {side} has it" + (
        f"; the {its} has {' and '.join(versions)}" if versions else ""
    )


def _other_limit(candidate: Result, baseline: Result) -> str:
    limits = [result.settings.get("limit") for result in (baseline, candidate)]
    if limits[0] == limits[1]:
        return ""
    said = ["none" if limit is None else f"{limit} items" for limit in limits]
    return f"limit differs: {said[0]} in the baseline, {said[1]} in the candidate"


def _other_fingerprint(candidate: Result, baseline: Result) -> str:
    if candidate.task["fingerprint"] == baseline.task["fingerprint"]:
        return ""
    for name, word in (("protocol", "protocol"), ("protocol_version", "protocol's version")):
        old, new = baseline.task.get(name), candidate.task.get(name)
        if old != new:
            return f"other fingerprint: its {word} changed, {old} / {new} (baseline / candidate)"
    return "other fingerprint: the data, the task's parameters or its measures changed"


def _fault(items: Items) -> str:
    """Say which rows that should hold numbers do not, or nothing."""
    for name, values in items.columns.items():
        if name in items.timed:
            continue
        needed = items.status != EXCLUDED if name == "gold" else items.status == OK
        bad = int((~np.isfinite(values[needed])).sum())
        if bad:
            return f"holds NaN or infinity in {bad} rows of '{name}' that are ok"
    if not (items.status != EXCLUDED).any():
        return "has no item that counts"
    return ""


def _other_items(candidate: Items, baseline: Items) -> str:
    """Say how two item tables are not of the same items, or nothing."""
    if all(map(_equal, _keys(candidate), _keys(baseline))):
        return ""
    new, old = _units(candidate), _units(baseline)
    if new.keys() != old.keys():
        return (
            f"item tables hold other items: {len(old.keys() - new.keys())} only in the baseline, "
            f"{len(new.keys() - old.keys())} only in the candidate"
        )
    excluded = sum(new[unit][0] != old[unit][0] for unit in new)
    if excluded:
        return f"{excluded} {'item is' if excluded == 1 else 'items are'} excluded on one side only"
    if new != old:
        return "item tables hold other gold values"
    return ""


Values = NDArray[Any]


def _keys(items: Items) -> tuple[Values, Values, Values, Values, Values]:
    """Return what must be equal: id, group and cluster, whether a row counts, and its gold."""
    n = len(items.ids)
    return (
        np.asarray(items.ids, dtype=object),
        np.zeros(n) if items.group is None else items.group,
        np.zeros(n) if items.cluster is None else items.cluster,
        items.status != EXCLUDED,
        items.columns.get("gold", np.zeros(n)),
    )


def _equal(one: Values, other: Values) -> bool:
    return bool(np.array_equal(one, other))


def _units(items: Items) -> dict[tuple[Any, ...], tuple[bool, float]]:
    """Return each unit, whether any row of it counts, and its gold; replicates are one unit."""
    units: dict[tuple[Any, ...], tuple[bool, float]] = {}
    for *unit, counts, gold in zip(*(values.tolist() for values in _keys(items)), strict=True):
        if counts or tuple(unit) not in units:
            units[tuple(unit)] = (counts, gold if counts else 0.0)
    return units


def notes(candidate: Result, baseline: Result) -> tuple[str, ...]:
    """Return what else differs between two results and could move a score, baseline first."""
    found = [
        f"{name} differs: {_said(old)} / {_said(new)}"
        for name in _SETTINGS
        if (old := baseline.settings.get(name)) != (new := candidate.settings.get(name))
    ]
    old, new = (result.run.get("device_name") for result in (baseline, candidate))
    if old != new:
        found.append(f"hardware differs: {_said(old)} / {_said(new)}")
    changed = list(_changed_packages(candidate, baseline))
    if changed:
        found.append(f"packages differ: {', '.join(changed)}")
    return tuple(found)


def _changed_packages(candidate: Result, baseline: Result) -> Iterator[str]:
    """Yield packages both ran with, in other versions; one only a model needs is no difference."""
    old, new = (result.run.get("packages", {}) for result in (baseline, candidate))
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            yield f"{name} {old[name]} / {new[name]}"


def _clock(result: Result) -> tuple[Any, ...]:
    """Return what timings depend on."""
    settings, run = result.settings, result.run
    return (
        settings["device"],
        settings["dtype"],
        run.get("device_name"),
        run.get("cores"),
        run.get("packages", {}),
    )


def _said(value: object) -> str:
    return "not stated" if value is None else str(value)
