"""What tasks and measures are called here and elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable

from evalsuite import measures, registry
from evalsuite.errors import UsageError
from evalsuite.task import Task

_CUTOFF = "|".join(measures.RANKING)


def mteb_metric(measure: str) -> str:
    """Return mteb's name of a measure: ``ndcg@10`` is its ``ndcg_at_10``."""
    return measure.replace("@", "_at_")


def measure_of(metric: str) -> str:
    """Return our name of one of mteb's metrics; a name we have none for stays as it is."""
    return re.sub(rf"^({_CUTOFF})_at_([1-9]\d*)$", r"\1@\2", metric)


def foreign_key(tool: str, name: str, revision: str) -> str:
    """Return what ``same_as`` lists: ``TOOL:NAME@REVISION``."""
    return f"{tool}:{name}@{revision}"


def parse_key(key: str) -> tuple[str, str, str]:
    """Return tool, name and revision of an entry of ``same_as``."""
    tool, _, rest = key.partition(":")
    name, _, revision = rest.partition("@")
    return tool, name, revision


def shared_tasks(extra: Iterable[Task] = ()) -> dict[str, Task]:
    """Return our task for each foreign one that shares its column.

    Args:
        extra: Tasks beside the catalogue's; they come first.
    """
    tasks = [*(registry.get_task(name) for name in registry.task_files()), *extra]
    return {key: task for task in tasks for key in task.same_as}


def catalogue_task(name: str, version: object) -> Task | None:
    """Return the catalogue's task of that name and version, or None."""
    if name not in registry.task_files():
        return None
    task = registry.get_task(name)
    return task if task.version == version else None


def known_fingerprint(task: Task) -> str | None:
    """Return the fingerprint runs of a task have here, None where its data's digest is unknown."""
    digest = task.expect.get("digest")
    if not isinstance(digest, str):
        return None
    try:
        protocol = registry.get_protocol(task.protocol)
    except UsageError:
        return None
    return task.fingerprint(digest, protocol.version, protocol.defaults)
