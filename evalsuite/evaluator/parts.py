"""Running a protocol on data of several parts: one table of items, a group a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite import measures, stats
from evalsuite.data import Parts
from evalsuite.errors import DataError
from evalsuite.protocol import Protocol
from evalsuite.result import Items, Outcome, Phase
from evalsuite.task import Task


def run(protocol: Protocol, task: Task, data: Any, model: Any) -> list[Outcome]:
    """Run a protocol on data, part by part where it has parts.

    The evidence of a task in parts says the main score of each (``scores``), and whatever the
    protocol says of it.
    """
    if not isinstance(data, Parts):
        return protocol.run(task, data, model)
    found = {name: protocol.run(task, part, model) for name, part in data.parts.items()}
    variants = zip(*found.values(), strict=True)
    return [_joined(task, dict(zip(found, variant, strict=True))) for variant in variants]


def _joined(task: Task, parts: Mapping[str, Outcome]) -> Outcome:
    """Return one outcome for those of all parts.

    Raises:
        DataError: Some parts have other replicates than others.
    """
    measure = measures.parse(task.main_measure)
    scores = {
        name: float(stats.score(measure, outcome.items.sample(measure)))
        for name, outcome in parts.items()
    }
    evidence: dict[str, Any] = {"scores": scores}
    evidence |= {name: dict(part.evidence) for name, part in parts.items() if part.evidence}
    first = next(iter(parts.values()))
    items = _items({name: outcome.items for name, outcome in parts.items()})
    phases = _phases(phase for outcome in parts.values() for phase in outcome.phases)
    return Outcome(items, phases, {"parts": evidence}, first.options)


def _items(parts: Mapping[str, Items]) -> Items:
    """Put tables below one another; what names an item, group or cluster begins with its part's."""
    tables = list(parts.values())
    first = tables[0]

    def named(of: Any) -> list[str]:
        return [f"{name}/{value}" for name, items in parts.items() for value in of(items)]

    return Items(
        ids=named(lambda items: items.ids),
        columns={
            name: np.concatenate([items.columns[name] for items in tables])
            for name in first.columns
        },
        status=np.concatenate([items.status for items in tables]),
        group=_groups(parts),
        cluster=None if first.cluster is None else np.array(named(lambda items: items.cluster)),
        replicate=_replicates(tables),
        timed=first.timed,
    )


def _groups(parts: Mapping[str, Items]) -> NDArray[np.str_]:
    return np.array(
        [
            name if items.group is None else f"{name}/{group}"
            for name, items in parts.items()
            for group in (items.ids if items.group is None else items.group)
        ]
    )


def _replicates(tables: Sequence[Items]) -> NDArray[np.int64] | None:
    given = [items.replicate for items in tables if items.replicate is not None]
    times = {len(np.unique(replicate)) for replicate in given}
    if len(times) > 1 or len(given) not in (0, len(tables)):
        raise DataError("its parts differ in how often they are run: run one of them at a time.")
    return np.concatenate(given) if given else None


def _phases(phases: Iterable[Phase]) -> tuple[Phase, ...]:
    """Add up the phases of the same name."""
    sums: dict[str, Phase] = {}
    for phase in phases:
        seen = sums.get(phase.name, Phase(phase.name, 0.0, 0))
        sums[phase.name] = Phase(phase.name, seen.seconds + phase.seconds, seen.items + phase.items)
    return tuple(sums.values())
