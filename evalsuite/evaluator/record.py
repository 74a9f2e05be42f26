"""What a result says beside its items: scores, the task's identity, provenance."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from evalsuite import hardware, measures, stats
from evalsuite.engines.meter import Meter
from evalsuite.errors import ModelError
from evalsuite.models import Resolved
from evalsuite.protocol import Protocol
from evalsuite.result import Outcome, Phase, Score
from evalsuite.task import Task

PATH_ROLES = {
    "--data-dir": "DATA",
    "--results": "RESULTS",
    "--out": "OUT",
    "--runs": "RUNS",
    "--rerank": "RUNS",
}


def scores(
    task: Task, outcome: Outcome, seed: int, kept: stats.KeptDraws | None = None
) -> dict[str, Score]:
    """Aggregate every measure of a task; the main one gets its bootstrap interval.

    Scores of another tool are taken as they are; nobody says of how many items they are.

    A single replicate has none where replicates are what is random.

    Raises:
        ModelError: Every item was excluded.
    """
    if outcome.scores:
        return {name: Score(value, 0) for name, value in outcome.scores.items()}
    found = {}
    n = outcome.items.n_items
    for name in task.measures:
        measure = measures.parse(name)
        sample = outcome.items.sample(measure)
        if sample.n_rows == 0:
            raise ModelError(f"{task}: every item was excluded, nothing is left to score.")
        interval = None
        alone = measure.resample == "replicate" and sample.n_replicates < 2
        if name == task.main_measure and not alone:
            interval = stats.bootstrap_interval(
                measure, sample, seed=stats.derived_seed(seed, str(task), "interval"), kept=kept
            )
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


def cost(model: Resolved, engine: Any) -> dict[str, float | None]:
    """Return what a model costs on any machine; what nobody knows is None.

    Args:
        model: The model.
        engine: The model as the protocol got it; counts the bytes of what it returned.
    """
    meter: Meter | None = getattr(engine, "meter", None)
    return model.cost.stored(None if meter is None else meter.bytes_per_item)


def _speed(engine: Any) -> dict[str, Any] | None:
    """Return how fast a model ran for one task; None for the cache's texts and other machines'."""
    meter: Meter | None = getattr(engine, "meter", None)
    elsewhere = getattr(engine, "usage", None) is not None
    return None if meter is None or elsewhere else meter.speed()


def provenance(
    engine: Any,
    *,
    device: str,
    machine: Mapping[str, Any],
    source: str,
    tags: Mapping[str, str],
    phases: tuple[Phase, ...],
) -> dict[str, Any]:
    """Return what varies from run to run.

    Args:
        engine: The model as the protocol got it; counts what it did.
        device: Where the model ran.
        machine: From :func:`evalsuite.hardware.environment`.
        source: Where the items came from.
        tags: The user's notes.
        phases: What was timed.
    """
    usage = getattr(engine, "usage", None)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": list(hardware.command_line(PATH_ROLES)),
        "data_source": source,
        "tags": dict(tags),
        "batch_tokens": getattr(engine, "batch_tokens", None),
        "texts_encoded": getattr(engine, "texts_encoded", None),
        "out_of_memory_backoffs": getattr(engine, "backoffs", 0),
        "speed": _speed(engine),
        **({"requests": dict(usage)} if usage else {}),
        "peak_memory_mib": hardware.peak_memory_mib(device),
        "phases": [
            {"name": phase.name, "seconds": round(phase.seconds, 4), "items": phase.items}
            for phase in phases
        ],
        **machine,
    }
