"""Finding and reading result files, whatever part of a results tree is named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalsuite.errors import StoreError
from evalsuite.result import Result
from evalsuite.store import read_result

_DEPTHS = ("*@*.json", "*/*@*.json", "*/*/*@*.json", "*/*/*/*@*.json")


@dataclass(frozen=True)
class Files:
    """What was read.

    Attributes:
        results: Own results, in the order of their files.
        unreadable: File and sentence of each that could not be read.
        imported: File and sentence of each left out because another tool made it.
    """

    results: tuple[Result, ...]
    unreadable: tuple[tuple[Path, str], ...] = ()
    imported: tuple[tuple[Path, str], ...] = ()


def result_files(path: Path) -> list[Path]:
    """Return the result files a path stands for, sorted.

    Args:
        path: A result file, or a folder at any depth of a results tree: the whole tree, a model, a
            revision or a variant. Results moved to ``superseded`` lie deeper and are not among
            them, unless that folder's date is named.
    """
    if not path.is_dir():
        return [path] if path.suffix == ".json" else []
    return sorted(file for depth in _DEPTHS for file in path.glob(depth) if file.is_file())


def read(paths: Iterable[Path]) -> Files:
    """Read result files; those that cannot be used are named, not raised."""
    results, unreadable, imported = [], [], []
    for path in paths:
        try:
            result = read_result(path)
        except StoreError as error:
            unreadable.append((path, str(error)))
            continue
        if fault := _fault(result):
            unreadable.append((path, f"'{path}' is a malformed result file: {fault}."))
        elif result.origin is not None:
            tool = result.origin["tool"]
            imported.append((path, f"'{path}' is imported from {tool} and has no items."))
        else:
            results.append(result)
    return Files(tuple(results), tuple(unreadable), tuple(imported))


def _fault(result: Result) -> str | None:
    """Say what keeps a result from being compared, or None; the store checks less."""
    for name in ("task", "model", "settings", "run"):
        if not isinstance(getattr(result, name), Mapping):
            return f"`{name}` is no object"
    for name, parent in (("options", result.model), ("packages", result.run), ("tags", result.run)):
        if not isinstance(parent.get(name, {}), Mapping):
            return f"`{name}` is no object"
    texts = {
        "task.name": result.task["name"],
        "task.fingerprint": result.task["fingerprint"],
        "model.name": result.model["name"],
        "model.revision": result.model.get("revision"),
        "variant": result.variant,
        "items_digest": result.items_digest,
    }
    for name, value in texts.items():
        if not isinstance(value, str):
            return f"`{name}` is no string"
    for name, score in result.scores.items():
        if not all(map(math.isfinite, (score.value, *(score.ci95 or ())))):
            return f"a value of `{name}` is no finite number"
    return None
