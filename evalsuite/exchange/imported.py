"""From scores found in another tool's file to a stored result of imported origin.

A reader yields what it found, file by file; nothing is held but the counts.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.errors import DataError, NothingToReadError, StoreError, UsageError
from evalsuite.exchange import files, names
from evalsuite.exchange.found import UNKNOWN, Found, Progress, Report, Selection, Skipped
from evalsuite.result import Result, Score
from evalsuite.store import Store, canonical_json, read_result, to_json
from evalsuite.task import Task

Reader = Callable[[Path], Iterable[Found | Skipped]]
"""Yields what one file holds; raises DataError where it is malformed."""


def import_all(
    tool: str,
    source: Path,
    read: Reader,
    results: Path,
    selection: Selection,
    progress: Progress | None = None,
) -> Report:
    """Import what a reader finds in the files of a folder, or in one file.

    Args:
        tool: The tool's name, as in ``same_as``.
        source: The folder or file.
        read: Reads one file.
        results: Folder of the results.
        selection: What is wanted.
        progress: Called after each file.

    Raises:
        UsageError: There is no such folder or file.
        NothingToReadError: It holds no result of the tool, or none that is asked for.
        StoreError: The results cannot be written.
    """
    _check(source, results)
    report = Report()
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    writer = _Writer(tool, Store(results), stamp, names.shared_tasks(selection.own))
    total = sum(1 for _ in _files(source)) if progress else 0
    for path in _files(source):
        report.files += 1
        for found in _of_file(read, path, source):
            _take(found, writer, selection, report)
        if progress:
            progress(report.files, total)
    if report.is_empty:
        asked = selection.models or selection.tasks or selection.shared
        raise NothingToReadError(
            f"No result of {tool} under '{source}'"
            + (" is what --model, --task or --shared asks for." if asked else ".")
        )
    return report


def _check(source: Path, results: Path) -> None:
    if not source.exists():
        raise UsageError(f"No folder or file at '{source}'.")
    if results.exists() and not results.is_dir():
        raise UsageError(f"'{results}' is not a folder. Name another one with --results.")


def _files(source: Path) -> Iterator[Path]:
    return files.walk(source) if source.is_dir() else iter([source])


def _of_file(read: Reader, path: Path, source: Path) -> Iterator[Found | Skipped]:
    """Yield what a file holds, its path cut to what lies below the source."""
    file = path.relative_to(source).as_posix() if path != source else path.name
    try:
        for found in read(path):
            yield replace(found, file=file)
    except DataError as error:
        yield Skipped(file, str(error), malformed=True)


def _take(found: Found | Skipped, writer: _Writer, selection: Selection, report: Report) -> None:
    if isinstance(found, Skipped):
        report.leave_out(found)
        return
    if not selection.wants_model(found.model) or not selection.wants_task(found.task):
        return
    if selection.shared and writer.foreign(found) not in writer.shared:
        return
    if found.fault:
        report.leave_out(Skipped(found.file, found.fault))
        return
    outcome = writer.store(found)
    if isinstance(outcome, Skipped):
        report.leave_out(outcome)
    elif outcome:
        report.imported += 1
    else:
        report.unchanged += 1


@dataclass(frozen=True)
class _Writer:
    """Turns what was found into results and stores them."""

    tool: str
    into: Store
    stamp: str
    shared: Mapping[str, Task]

    def foreign(self, found: Found) -> str:
        """Return the foreign task as ``same_as`` names it."""
        return names.foreign_key(self.tool, found.task, found.revision)

    def shared_task(self, found: Found) -> Task | None:
        """Return our task whose column a foreign task shares: same data, split and measure."""
        task = self.shared.get(self.foreign(found))
        if task is None or task.split != found.split or task.main_measure not in found.scores:
            return None
        return task

    def store(self, found: Found) -> bool | Skipped:
        """Store a result: True if it is new, False if it stood there, or why it was left out."""
        result = self._result(found)
        model, revision = result.model["name"], result.model["revision"]
        path = self.into.path(model, revision, result.variant, result.task_key)
        try:
            older = read_result(path) if path.exists() else None
        except StoreError:
            return Skipped(found.file, "an unreadable result stands in its place")
        if older is not None:
            if not older.imported:
                return Skipped(found.file, "a result of evalsuite's own stands in its place")
            if _content(older) == _content(result):
                return False
            if not self._replaces(result, older):
                return Skipped(found.file, "another file gives other scores for the same result")
        self.into.write_imported(path, result)
        return True

    def _replaces(self, new: Result, old: Result) -> bool:
        """Whether a result is newer than the one in its place, by its date or its import's."""
        before = old.run if isinstance(old.run, Mapping) else {}
        ours, theirs = str(new.run.get("date") or ""), str(before.get("date") or "")
        if ours and theirs and ours != theirs:
            return ours > theirs
        return before.get("imported") != self.stamp

    def _result(self, found: Found) -> Result:
        task = self.shared_task(found)
        shown = task.measures if task else found.shown
        scores = {
            name: Score(value, found.n)
            for name, value in found.scores.items()
            if shown is None or name in shown
        }
        limit = () if found.limit is None else (f"limit={found.limit}",)
        options = [f"{key}={found.options[key]}" for key in sorted(found.options)]
        revision = found.model_revision
        evidence = dict(found.notes)
        if found.stderr:
            evidence["stderr"] = {k: v for k, v in found.stderr.items() if k in scores}
        return Result(
            task=_task_identity(task, found, self.tool),
            model={
                "name": found.model,
                "identity": f"{self.tool}:{found.model}@{revision}",
                "revision": revision[:12] if _is_hash(revision) else revision,
                "options": dict(found.options),
                "kind": UNKNOWN,
            },
            settings={
                "device": found.device,
                "dtype": found.dtype,
                "limit": found.limit,
                "max_length": None,
                "search": None,
                "seed": None,
            },
            variant=",".join(("imported", self.tool, *limit, *options)),
            scores=scores,
            main_measure=task.main_measure if task else found.main,
            counts={},
            evidence=evidence,
            items_digest="",
            run=self._provenance(found),
            origin=self._origin(found, task),
        )

    def _provenance(self, found: Found) -> dict[str, Any]:
        packages = {self.tool: found.tool_version} if found.tool_version else {}
        run: dict[str, Any] = {"imported": self.stamp, "packages": packages}
        return run | ({"date": found.date} if found.date else {})

    def _origin(self, found: Found, task: Task | None) -> dict[str, Any]:
        origin: dict[str, Any] = {
            "tool": self.tool,
            "version": found.tool_version,
            "task": found.task,
            "revision": found.revision,
            "file": found.file,
        }
        if task is not None:
            origin["same_as"] = {
                "task": str(task),
                "fingerprint": names.known_fingerprint(task),
            }
        return origin


def _task_identity(task: Task | None, found: Found, tool: str) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "fingerprint": "",
        "protocol": tool,
        "protocol_version": None,
        "split": found.split,
    }
    if task is None:
        return identity | {
            "name": f"{tool}:{found.task}",
            "version": found.version,
            "type": "",
            "title": f"The task {found.task} of {tool}",
            "languages": list(found.languages),
            "licence": "not stated",
            "redistributable": False,
            "reference": "",
        }
    return identity | task.described()


def _content(result: Result) -> str:
    """Return what makes a second import of a result a new one: not its file or its date."""
    table = to_json(result)
    shared = (result.origin or {}).get("same_as")
    return canonical_json([table["scores"], table["task"], table["settings"], shared])


def _is_hash(revision: str) -> bool:
    return len(revision) == 40 and all(c in "0123456789abcdef" for c in revision)
