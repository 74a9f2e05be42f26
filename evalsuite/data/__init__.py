"""Loading a task's items: from a data folder, the local hub cache, or the hub, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.data import labelled, local
from evalsuite.data.labelled import Labelled
from evalsuite.data.layouts import Documents, Pairs, Retrieval
from evalsuite.errors import DataError, UsageError
from evalsuite.task import Task

__all__ = ["Documents", "Labelled", "Loaded", "Pairs", "Retrieval", "load"]

Data = Pairs | Retrieval | Labelled


@dataclass(frozen=True)
class Loaded:
    """A task's items with their content digest and the source they came from."""

    data: Data
    digest: str
    source: str


def default_data_dir() -> Path | None:
    """Return ``EVALSUITE_DATA`` as a folder, or None."""
    value = os.environ.get("EVALSUITE_DATA")
    return Path(value) if value else None


def load(
    task: Task,
    layout: str,
    *,
    data_dir: Path | None = None,
    limit: int | None = None,
    online: bool = True,
) -> Loaded:
    """Load a task's items and check them against what the task expects.

    Args:
        task: The task.
        layout: Kind of data its protocol takes: ``pairs``, ``retrieval`` or ``labelled``.
        data_dir: Folder of local data; ``EVALSUITE_DATA`` by default.
        limit: Keep this many items (queries, for retrieval); a limited digest is its own.
        online: Whether the hub may be asked.

    Raises:
        DataError: The data are missing, altered or malformed.
        UsageError: The data folder does not exist or the task's ``data`` table cannot be.
    """
    data_dir = data_dir or default_data_dir()
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"No data folder at '{data_dir}' (--data-dir or EVALSUITE_DATA).")
    try:
        folder = _local_folder(task, data_dir)
        if folder is not None:
            data, source = _read_local(task, layout, folder), "local"
        else:
            data, source = _read_hub(task, layout, data_dir, online=online), "hub"
        digest = data.digest()
        _check(task, data, digest, source)
    except DataError as error:
        raise DataError(f"{task}: {error}") from error
    except KeyError as error:
        raise UsageError(f"{task}: its `data` table lacks the key {error}.") from error
    if limit is not None:
        data = data.limited(limit)
        digest = data.digest()
    return Loaded(data.ordered(), digest, source)


def _local_folder(task: Task, data_dir: Path | None) -> Path | None:
    """Return the folder a task's local data are in: beside its TOML file or in the data folder."""
    source = task.data.get("local")
    if source is None:
        return None
    for base in (task.folder, data_dir):
        if base is not None and (base / source["folder"]).is_dir():
            return base / str(source["folder"])
    return None


def _read_local(task: Task, layout: str, folder: Path) -> Data:
    options: Mapping[str, Any] = task.data["local"]
    if layout == "retrieval":
        return local.read_beir(folder, options, split=task.split)
    known = labelled.READERS if layout == "labelled" else local.PAIR_READERS
    if options["format"] not in known:
        names = ", ".join(known)
        raise UsageError(f"{task}: unknown data format '{options['format']}'. Known: {names}.")
    if layout == "labelled":
        return labelled.READERS[options["format"]](folder, options, task.split)
    return local.PAIR_READERS[options["format"]](folder, options)


def _read_hub(task: Task, layout: str, data_dir: Path | None, *, online: bool) -> Data:
    source = task.data.get("hub")
    wanted = task.data.get("local", {}).get("folder")
    place = f"'{wanted}' in {data_dir or 'a folder named by --data-dir or EVALSUITE_DATA'}"
    if source is None:
        raise DataError(
            f"the data are missing. Put {place}; this task has no copy on the hub."
            if wanted
            else "its `data` table names neither `local` nor `hub`."
        )
    from evalsuite.data import hub

    try:
        folder = hub.snapshot(source, online=online)
    except DataError as error:
        also = f", or put {place}" if wanted else ""
        raise DataError(
            f"{error} Go online once (`evalsuite data fetch` keeps a copy in the hub cache){also}."
        ) from error
    read: Mapping[str, Callable[[Path, Mapping[str, Any], str], Data]] = {
        "retrieval": hub.read_retrieval,
        "labelled": hub.read_labelled,
    }
    return read.get(layout, hub.read_pairs)(folder, source, task.split)


def _check(task: Task, data: Data, digest: str, source: str) -> None:
    """Compare counts always, the digest for local copies: a hub copy is pinned by its revision."""
    counts = data.counts()
    for name, expected in task.expect.items():
        if name in counts and counts[name] != expected:
            raise DataError(
                f"the data are not the task's: {counts[name]} {name.replace('_', ' ')} instead of "
                f"{expected}. Replace them by an unaltered copy."
            )
    known = task.expect.get("digest")
    if source == "local" and known is not None and digest != known:
        raise DataError(
            f"the data are altered: their content digest is {digest[:12]}, expected {known[:12]}. "
            "Replace them by an unaltered copy, or declare a task of your own."
        )
