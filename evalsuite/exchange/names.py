"""What tasks and measures are called here and elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from evalsuite import registry
from evalsuite.errors import UsageError
from evalsuite.foreign import foreign_key, measure_of, mteb_metric, mteb_part
from evalsuite.task import Task

__all__ = [
    "catalogue_task",
    "foreign_key",
    "known_fingerprint",
    "measure_of",
    "mteb_metric",
    "mteb_part",
    "parse_key",
    "shared_tasks",
]


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
