"""The items of mteb's tasks, loaded by mteb."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from evalsuite.bridges.mteb import kinds, library
from evalsuite.data import Parts
from evalsuite.errors import DataError, UsageError
from evalsuite.task import Task


@dataclass(frozen=True)
class Unread:
    """Data that mteb alone reads: no item of them is known here."""

    def digest(self) -> str:
        """Return no digest."""
        return ""

    def counts(self) -> dict[str, int]:
        """Return no sizes."""
        return {}

    def ordered(self) -> Self:
        """Return the same."""
        return self

    def limited(self, limit: int) -> Self:
        """Refuse to cut what is not known.

        Raises:
            UsageError: Always.
        """
        raise UsageError("--limit: mteb itself runs this task, whole. Leave --limit out.")


def theirs(task: Task) -> Any:
    """Return mteb's task behind one of ours, its data not loaded."""
    table = task.data["mteb"]
    return library.task(
        table["task"], tuple(table.get("subsets", ())), tuple(table.get("splits", ()))
    )


def load(task: Task) -> Any:
    """Return the items of a task whose ``data`` table names mteb.

    Raises:
        DataError: They are not to be had, or malformed.
        UsageError: mteb is not installed, or its task is none of the protocol's.
    """
    if task.protocol == "mteb":
        return Unread()
    found = theirs(task)
    _check_revision(task, found)
    kind = kinds.of(found)
    if kind is None or kind.protocol != task.protocol:
        raise UsageError(f"{task}: mteb's task is none that protocol '{task.protocol}' can run.")
    with library.quiet():
        fetch(found)
        try:
            return _converted(kind, found)
        finally:
            if found.data_loaded:
                found.unload_data()


def fetch(found: Any) -> None:
    """Have mteb load the data of a task at the revision it pins.

    Offline, ``datasets`` finds what it has prepared itself, of whatever revision, and nothing of
    the hub's cache: there, mteb is first shown the folder the cache has of the revision.

    Raises:
        DataError: They are not to be had.
    """
    from huggingface_hub import constants

    folder = _snapshot(found.metadata) if constants.HF_HUB_OFFLINE else None
    try:
        if folder is not None:
            source = {**found.metadata.dataset, "path": str(folder)}
            found.metadata = found.metadata.model_copy(update={"dataset": source})
        found.load_data()
    except Exception as error:  # every data set fails in its own way
        path, revision = type(found).metadata.dataset["path"], str(found.metadata.revision)[:12]
        said = " ".join(str(error).split())[:300].rstrip(".")
        where = "" if folder else " It is not in the hub cache: go online once."
        raise DataError(
            f"mteb cannot load '{path}' (revision {revision}), {type(error).__name__}: {said}."
            + (where if constants.HF_HUB_OFFLINE else "")
        ) from error


def _snapshot(metadata: Any) -> Path | None:
    """Return the folder the hub's cache has of a task's data, or None."""
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            huggingface_hub.snapshot_download(
                metadata.dataset["path"],
                revision=metadata.revision,
                repo_type="dataset",
                local_files_only=True,
            )
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _check_revision(task: Task, found: Any) -> None:
    """Check that mteb pins the data the task was declared for."""
    asked = task.data["mteb"].get("revision")
    if asked and asked != found.metadata.revision:
        raise DataError(
            f"the task is of revision {asked[:12]} of the data, and this mteb loads "
            f"{found.metadata.revision[:12]}. Raise the task's version with its revision."
        )


def _converted(kind: kinds.Kind, found: Any) -> Any:
    """Return the data of a task, in parts where it has several subsets or splits."""
    splits = sorted(found.eval_splits)
    parts = {
        subset if len(splits) == 1 else f"{split}/{subset}": kind.convert(found, subset, split)
        for split in splits
        for subset in sorted(found.hf_subsets)
    }
    return Parts(parts) if len(parts) > 1 else next(iter(parts.values()))
