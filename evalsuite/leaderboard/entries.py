"""Results with their place on the site: file, pages, and the keys of their row and column."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalsuite.errors import StoreError
from evalsuite.result import Result
from evalsuite.store import load_results, slug

ColumnKey = tuple[str, int | str, str, str]
"""Task, version (text for other tools' tasks), fingerprint and main measure."""


@dataclass(frozen=True)
class Entry:
    """One result and where it stands on the site.

    Attributes:
        result: The result.
        file: Path of its copy below the site.
        content: Bytes of the result file.
        model_page: Path of its model's page.
        task_page: Path of its task's page.
        fingerprint: The task's; of an imported result, that of the column it shares, or empty.
    """

    result: Result
    file: str
    content: bytes
    model_page: str
    task_page: str
    fingerprint: str

    @property
    def tool(self) -> str | None:
        """The tool an imported result comes from, None for an own one."""
        return None if self.result.origin is None else str(self.result.origin["tool"])

    @property
    def href(self) -> str:
        """The copy's path as a relative link; a name on disk may hold any byte."""
        return quote(os.fsencode(self.file), safe="/,@=+")

    @property
    def limit(self) -> int | None:
        """Items a task was cut to, or None for a full run."""
        limit: int | None = self.result.settings.get("limit")
        return limit

    @property
    def device(self) -> str:
        """Device type of the run."""
        return str(self.result.settings.get("device", "not stated"))

    @property
    def dtype(self) -> str:
        """Resolved dtype of the run."""
        return str(self.result.settings.get("dtype", "not stated"))

    @property
    def column_key(self) -> ColumnKey:
        """What two results must share to be compared."""
        task = self.result.task
        return task["name"], task["version"], self.fingerprint, self.result.main_measure

    @property
    def row_key(self) -> tuple[str, ...]:
        """Everything about the model and its run that can move a score."""
        model, result = self.result.model, self.result
        rest = json.dumps([model.get("options"), result.settings], sort_keys=True)
        return model["name"], model["revision"], result.variant, model["identity"], rest


def load(roots: Sequence[Path]) -> tuple[list[Entry], list[str]]:
    """Read every result, and one sentence for each file that could not be read.

    Raises:
        UsageError: A folder does not exist.
        NothingToReadError: There is no result file at all.
    """
    unique = list({root.resolve(): root for root in reversed(roots)}.values())[::-1]
    found = load_results(*unique, strict=False)
    problems = list(found.problems)
    usable: list[Result] = []
    for result in found:
        fault = _fault(result)
        if fault:
            problems.append(f"'{result.path}' is a malformed result file: {fault}.")
        else:
            usable.append(result)
    return _place(usable, unique, problems), _without_roots(problems, unique)


def _place(results: Sequence[Result], roots: Sequence[Path], problems: list[str]) -> list[Entry]:
    models = _pages("models", (_model_key(result) for result in results))
    tasks = _pages("tasks", (result.task_key for result in results))
    fingerprints = _own_fingerprints(results)
    read: list[Entry] = []
    for result, file in zip(results, _files(results, roots), strict=True):
        try:
            content = _path(result).read_bytes()
        except OSError as error:
            problems.append(str(StoreError(f"Cannot read '{result.path}': {error.strerror}.")))
            continue
        pages = models[_model_key(result)], tasks[result.task_key]
        read.append(Entry(result, file, content, *pages, _fingerprint(result, fingerprints)))
    return sorted(read, key=lambda entry: (entry.row_key, entry.column_key, entry.file))


def _own_fingerprints(results: Iterable[Result]) -> dict[str, set[str]]:
    """Return the fingerprints of own results by task and version."""
    held: dict[str, set[str]] = {}
    for result in results:
        if not result.imported:
            held.setdefault(result.task_key, set()).add(result.task["fingerprint"])
    return held


def _fingerprint(result: Result, own: Mapping[str, set[str]]) -> str:
    """Return a result's fingerprint; of an imported one, that of the task it is the same as.

    Where the catalogue does not know the digest of a task's data, that is the fingerprint of the
    own results, if they agree on one.
    """
    if result.origin is None:
        return str(result.task["fingerprint"])
    shared = result.origin.get("same_as")
    if not isinstance(shared, Mapping):
        return ""
    known = shared.get("fingerprint")
    if isinstance(known, str):
        return known
    held = own.get(result.task_key, set())
    return next(iter(held)) if len(held) == 1 else ""


def _files(results: Sequence[Result], roots: Sequence[Path]) -> list[str]:
    """Path of each result's copy; the root's index comes first where two roots share a path."""
    placed = []
    for result in results:
        root = _path(result).parents[3]  # <root>/<model>/<revision>/<variant>/<task>.json
        placed.append((roots.index(root), _path(result).relative_to(root).as_posix()))
    shared = len({relative.casefold() for _, relative in placed}) < len(placed)
    return [f"results/{index}/{name}" if shared else f"results/{name}" for index, name in placed]


def _pages(folder: str, keys: Iterable[Hashable]) -> dict[Any, str]:
    """Return a page for each key, unique also on disks that ignore case."""
    pages: dict[Any, str] = {}
    taken: set[str] = set()
    for key in sorted(set(keys), key=repr):
        name = slug("@".join(key) if isinstance(key, tuple) else str(key))
        if name.casefold() in taken:
            name = f"{name[:80]}-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}"
        taken.add(name.casefold())
        pages[key] = f"{folder}/{name}.html"
    return pages


def _model_key(result: Result) -> tuple[str, str]:
    return result.model["name"], result.model["revision"]


def _path(result: Result) -> Path:
    if result.path is None:
        raise StoreError("A result that was never stored has no place on a leaderboard.")
    return result.path


def _without_roots(problems: Iterable[str], roots: Sequence[Path]) -> list[str]:
    """Cut the results folder off the paths: a page is the same wherever it is built."""
    cut = []
    for text in problems:
        for root in roots:
            text = text.replace(f"'{root}{os.sep}", "'")
        cut.append(text)
    return sorted(cut)


def _fault(result: Result) -> str | None:
    """Say what keeps a result off a page, or None; the store checks less than a page needs."""
    for name in ("task", "model", "settings", "counts", "run"):
        if not isinstance(getattr(result, name), Mapping):
            return f"`{name}` is no object"
    texts = {
        **{f"task.{name}": result.task.get(name) for name in ("name", "fingerprint")},
        **{f"model.{name}": result.model.get(name) for name in ("name", "revision", "identity")},
        "variant": result.variant,
    }
    for name, value in texts.items():
        if not isinstance(value, str):
            return f"`{name}` is no string"
    limit = result.settings.get("limit")
    if type(result.task["version"]) is not int and not (
        result.imported and isinstance(result.task["version"], str)
    ):
        return "`task.version` is no whole number"
    for name, number in result.counts.items():
        if type(number) is not int:
            return f"`{name}` is no whole number"
    if limit is not None and type(limit) is not int:
        return "`settings.limit` is no whole number"
    return _score_fault(result)


def _score_fault(result: Result) -> str | None:
    for name, score in result.scores.items():
        if not all(map(math.isfinite, (score.value, *(score.ci95 or ())))):
            return f"a value of `{name}` is no finite number"
    return None
