"""Texts of single items, where they may be shown."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.errors import EvalsuiteError

if TYPE_CHECKING:
    from evalsuite.result import Result
    from evalsuite.task import Task


def item_texts(result: Result, ids: Collection[str], data_dir: Path | None) -> dict[str, str] | str:
    """Return the texts of a task's items, or why they are not shown.

    Texts of redistributable tasks are shown, those of others only from a folder the user names.
    They are read from local copies, so that no library of the hub is needed, and only if the copy
    is the one the result was made from.

    Args:
        result: A result of the task.
        ids: Items wanted.
        data_dir: Folder of local data the user named, or None.
    """
    from evalsuite import data, registry

    name = str(result.task["name"])
    if name not in registry.task_files():
        return "the catalogue does not have the task"
    task = registry.get_task(name)
    if not task.redistributable and data_dir is None:
        return "its texts may not be redistributed; --data-dir shows those of your own copy"
    if not _is_local(task, data_dir or data.default_data_dir()):
        return "there is no local copy of its data; --data-dir names one"
    protocol = registry.get_protocol(task.protocol)
    limit = result.settings.get("limit")
    try:
        loaded = data.load(task, protocol.layout, data_dir=data_dir, limit=limit, online=False)
    except EvalsuiteError as error:
        return f"its data cannot be read: {error}"
    fingerprint = task.fingerprint(loaded.digest, protocol.version, protocol.defaults)
    if fingerprint != result.task["fingerprint"]:
        return "the data here are not those the results were made from"
    return {name: text for name, text in _all_texts(loaded.data) if name in ids}


def _is_local(task: Task, data_dir: Path | None) -> bool:
    folder = task.data.get("local", {}).get("folder")
    bases = (task.folder, data_dir)
    return folder is not None and any(base and (base / folder).is_dir() for base in bases)


def _all_texts(items: Any) -> list[tuple[str, str]]:
    """Return id and text of every item: both sides of a pair, the query, or the text itself."""
    if hasattr(items, "test"):
        return list(zip(items.test.ids, items.test.texts, strict=True))
    if hasattr(items, "first"):
        sides = zip(items.ids, items.first, items.second, strict=True)
        return [(name, f"{first} | {second}") for name, first, second in sides]
    if hasattr(items, "texts"):
        return list(zip(items.ids, items.texts, strict=True))
    return list(zip(items.query_ids, items.queries, strict=True))
