"""Loading a task's items: from a data folder, the local hub cache, or the hub, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite import registry
from evalsuite.data import bitext, examples, labelled, labelled_sets, local, reranking, summaries
from evalsuite.data.bitext import Bitext
from evalsuite.data.examples import Examples
from evalsuite.data.labelled import Labelled
from evalsuite.data.labelled_sets import LabelledSets
from evalsuite.data.layouts import Documents, Pairs, Retrieval
from evalsuite.data.parts import Parts
from evalsuite.data.reranking import Reranking
from evalsuite.data.summaries import Summaries
from evalsuite.errors import DataError, UsageError
from evalsuite.task import Task

__all__ = [
    "Bitext",
    "Documents",
    "Examples",
    "Labelled",
    "LabelledSets",
    "Loaded",
    "Pairs",
    "Parts",
    "Reranking",
    "Retrieval",
    "Summaries",
    "load",
]

Data = (
    Pairs | Retrieval | Reranking | Labelled | Bitext | LabelledSets | Parts | Summaries | Examples
)

_READERS: Mapping[str, Mapping[str, Callable[[Path, Mapping[str, Any], str], Data]]] = {
    "pairs": local.PAIR_READERS,
    "labelled": labelled.READERS,
    "examples": examples.READERS,
    "labelled_sets": labelled_sets.READERS,
    "bitext": bitext.READERS,
    "reranking": reranking.READERS,
    "summaries": summaries.READERS,
}
"""Layout to format to reader of ``(folder, options, split)``."""


@dataclass(frozen=True)
class Loaded:
    """A task's items with their content digest and the source they came from.

    ``task`` is the task itself; or the catalogue's, where that asks the same of the same items.
    """

    data: Data
    digest: str
    source: str
    task: Task


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
        layout: Kind of data its protocol takes, e.g. ``pairs`` or ``labelled``.
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
        bridge, tool = _bridge(task)
        data: Data
        if bridge is not None and folder is None:
            data, source = bridge.items(task), tool
        elif folder is not None:
            data, source = _read_local(task, layout, folder), "local"
        else:
            data, source = _read_hub(task, layout, data_dir, online=online), "hub"
        digest = data.digest()
        _check(task, data, digest, source)
        kept = data if limit is None else data.limited(limit)
    except DataError as error:
        raise DataError(f"{task}: {error}") from error
    except KeyError as error:
        raise UsageError(f"{task}: its `data` table lacks the key {error}.") from error
    same = task if bridge is None else _of_the_catalogue(task, digest)
    if limit is not None:
        digest = kept.digest()
    return Loaded(kept.ordered(), digest, source, same)


def _bridge(task: Task) -> tuple[registry.Bridge | None, str]:
    """Return the bridge to the tool that loads a task's items, if any, and its name."""
    tool = next((name for name in registry.BRIDGES if name in task.data), "")
    return registry.bridge_to(tool), tool


def _of_the_catalogue(task: Task, digest: str) -> Task:
    """Return the catalogue's task that asks the same of the same items, else the task."""
    defaults = registry.get_protocol(task.protocol).defaults

    def asks(one: Task) -> tuple[Any, ...]:
        return one.protocol, {**defaults, **one.params}, one.main_measure, one.split

    for name in registry.task_files():
        own = registry.get_task(name)
        if set(own.same_as) & set(task.same_as) and own.expect.get("digest") == digest:
            return own if asks(own) == asks(task) else task
    return task


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
    known = _READERS[layout]
    if options["format"] not in known:
        names = ", ".join(known)
        raise UsageError(f"{task}: unknown data format '{options['format']}'. Known: {names}.")
    return known[options["format"]](folder, options, task.split)


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
        "reranking": hub.read_reranking,
        "labelled": hub.read_labelled,
        "examples": hub.read_examples,
        "labelled_sets": hub.read_labelled_sets,
        "bitext": hub.read_bitext,
        "summaries": hub.read_summaries,
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
