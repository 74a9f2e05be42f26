"""What a result says beside its items: scores, the task's identity, provenance."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from evalsuite import hardware, measures, stats
from evalsuite.errors import ModelError
from evalsuite.models import Resolved
from evalsuite.protocol import Protocol
from evalsuite.result import Outcome, Phase, Score
from evalsuite.task import Task

PATH_ROLES = {"--data-dir": "DATA", "--results": "RESULTS", "--out": "OUT"}


def scores(task: Task, outcome: Outcome, seed: int) -> dict[str, Score]:
    """Aggregate every measure of a task; the main one gets its bootstrap interval.

    Raises:
        ModelError: Every item was excluded.
    """
    found = {}
    for name in task.measures:
        measure = measures.parse(name)
        sample = outcome.items.sample(measure)
        if sample.n_rows == 0:
            raise ModelError(f"{task}: every item was excluded, nothing is left to score.")
        interval = None
        if name == task.main_measure:
            interval = stats.bootstrap_interval(
                measure, sample, seed=stats.derived_seed(seed, str(task), "interval")
            )
        n = sample.n_rows // sample.n_replicates  # replicates are of the same items
        found[name] = Score(float(stats.score(measure, sample)), n, interval)
    return found


def task_identity(task: Task, protocol: Protocol, fingerprint: str) -> dict[str, Any]:
    """Return what a result says of its task."""
    return task.described() | {
        "fingerprint": fingerprint,
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "split": task.split,
    }


def provenance(
    model: Resolved,
    protocol: Protocol,
    engine: Any,
    *,
    device: str,
    source: str,
    tags: Mapping[str, str],
    phases: tuple[Phase, ...],
) -> dict[str, Any]:
    """Return what varies from run to run.

    Args:
        model: The model.
        protocol: The protocol that ran.
        engine: The model as the protocol got it; counts what it did.
        device: Where the model ran.
        source: Where the items came from.
        tags: The user's notes.
        phases: What was timed.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": list(hardware.command_line(PATH_ROLES)),
        "data_source": source,
        "tags": dict(tags),
        "batch_tokens": getattr(engine, "batch_tokens", None),
        "texts_encoded": getattr(engine, "texts_encoded", None),
        "out_of_memory_backoffs": getattr(engine, "backoffs", 0),
        "peak_memory_mib": hardware.peak_memory_mib(device),
        "phases": [
            {"name": phase.name, "seconds": round(phase.seconds, 4), "items": phase.items}
            for phase in phases
        ],
        **hardware.environment(device, {*protocol.moved_by, *model.moved_by}),
    }
