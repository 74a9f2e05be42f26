"""Task: a frozen value that says which data, which protocol and which measures.

A task is declared in a TOML file. It prints as ``STSBenchmark@1``, which is its CLI syntax and its
key in a result. Two results are comparable if and only if their fingerprints are equal.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalsuite import measures
from evalsuite.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_SAME_AS = re.compile(r"(mteb|lm-eval):[^\s@]+@\S+")
_REQUIRED = {"name": str, "version": int, "protocol": str, "main_measure": str, "title": str}
_OPTIONAL = {
    "type": str,
    "languages": list,
    "licence": str,
    "redistributable": bool,
    "reference": str,
    "split": str,
    "measures": list,
    "same_as": list,
    "params": dict,
    "data": dict,
}
_SELECTION: Mapping[str, type] = {  # keys that say which texts are kept to cluster
    "separator": str,
    "sample": int,
    "stratified": bool,
    "drop_lone_labels": bool,
}
_SOURCES: Mapping[str, Mapping[str, type]] = {  # types of keys in the `data` table
    "local": {
        "folder": str,
        "format": str,
        "file": str,
        "files": list,
        "columns": dict,
        "delimiter": str,
        "qrels": str,
        "train": str,
        "dev": str,
        "test": str,
        "encoding": str,
        **_SELECTION,
    },
    "hub": {
        "path": str,
        "revision": str,
        "config": str,
        "configs": list,
        "columns": dict,
        "dev": str,
        **_SELECTION,
    },
    "mteb": {"task": str, "revision": str, "subsets": list, "splits": list},
    "expect": {"digest": str},
}


@dataclass(frozen=True)
class Task:
    """Which data, which protocol with which parameters, which measures.

    Attributes:
        name: Name without the version.
        version: Raised whenever a score could change.
        protocol: Name of the protocol that runs it.
        main_measure: The measure a table shows.
        title: One line for people.
        measures: Names of all measures computed.
        split: Split of the data that is scored.
        params: The protocol's parameters that differ from its defaults.
        data: Where the items come from: ``local``, ``hub`` and ``expect`` tables.
        type: Kind of task, e.g. ``STS``.
        languages: ISO 639-3 codes.
        licence: Licence of the data.
        redistributable: Whether readers may show the texts.
        reference: Where the data are described.
        same_as: Tasks of other tools that ask the same of the same data, as
            ``TOOL:NAME@REVISION``; imported results of theirs share this task's column.
        folder: Folder of the TOML file; local paths are looked up there first.
    """

    name: str
    version: int
    protocol: str
    main_measure: str
    title: str
    measures: tuple[str, ...]
    split: str = "test"
    params: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    type: str = ""
    languages: tuple[str, ...] = ("eng",)
    licence: str = "not stated"
    redistributable: bool = False
    reference: str = ""
    same_as: tuple[str, ...] = ()
    folder: Path | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def described(self) -> dict[str, Any]:
        """What a result says of its task, whoever ran it."""
        return {
            "name": self.name,
            "version": self.version,
            "type": self.type,
            "title": self.title,
            "languages": list(self.languages),
            "licence": self.licence,
            "redistributable": self.redistributable,
            "reference": self.reference,
        }

    @property
    def expect(self) -> Mapping[str, Any]:
        """Counts (and, where known, the content digest) the data must have."""
        expected: Mapping[str, Any] = self.data.get("expect", {})
        return expected

    def fingerprint(self, digest: str, protocol_version: int, defaults: Mapping[str, Any]) -> str:
        """Return the sha256 of everything a score depends on, model and machine apart.

        Args:
            digest: Content digest of the loaded items.
            protocol_version: The protocol's integer version.
            defaults: The protocol's default parameters, filled in where the task is silent.
        """
        canonical = {
            "name": self.name,
            "version": self.version,
            "protocol": self.protocol,
            "protocol_version": protocol_version,
            "params": {**defaults, **self.params},
            "measures": list(self.measures),
            "main_measure": self.main_measure,
            "split": self.split,
            "items": digest,
        }
        text = json.dumps(canonical, sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def load_task(path: Path) -> Task:
    """Read a task from its TOML file.

    Raises:
        UsageError: The file is missing, is no TOML or declares no valid task.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError:
        raise UsageError(f"No task file at '{path}'.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the task file '{path}': {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"'{path}' is not valid TOML: {error}") from error
    return task_from_table(table, where=str(path), folder=path.parent)


def task_from_table(table: Mapping[str, Any], *, where: str, folder: Path | None = None) -> Task:
    """Validate a task's table.

    Args:
        table: As parsed from TOML.
        where: Named in errors.
        folder: Local data paths are looked up there first.

    Raises:
        UsageError: A key is missing, unknown or of the wrong type, or a name cannot be.
    """
    _check_keys(table, where)
    if not _NAME.fullmatch(table["name"]):
        raise UsageError(
            f"{where}: the name {table['name'][:80]!r} is not allowed: use up to 80 letters, "
            "digits, '.', '_' and '-', starting with a letter or digit."
        )
    if table["version"] < 1:
        raise UsageError(f"{where}: `version` starts at 1.")
    names = tuple(dict.fromkeys((table["main_measure"], *table.get("measures", ()))))
    for name in names:
        try:
            measures.parse(name)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    lists = ("measures", "languages", "same_as")
    values = {key: value for key, value in table.items() if key not in lists}
    for key in ("params", "data"):
        values[key] = MappingProxyType(dict(table.get(key, {})))
    return Task(
        **values,
        measures=names,
        languages=tuple(table.get("languages", ("eng",))),
        same_as=tuple(table.get("same_as", ())),
        folder=folder,
    )


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    known = {**_REQUIRED, **_OPTIONAL}
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: unknown key `{key}`. Known keys: {', '.join(known)}.")
    for key in _REQUIRED:
        if key not in table:
            raise UsageError(f"{where}: the key `{key}` is missing.")
    for key, value in table.items():
        kind = known[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UsageError(f"{where}: `{key}` must be of type {kind.__name__}.")
    _check_values(table, where)


def _check_values(table: Mapping[str, Any], where: str) -> None:
    for key in ("measures", "languages", "same_as"):
        if not all(isinstance(value, str) for value in table.get(key, ())):
            raise UsageError(f"{where}: `{key}` must be a list of strings.")
    for value in table.get("same_as", ()):
        if not _SAME_AS.fullmatch(value):
            raise UsageError(
                f"{where}: `same_as` holds {value[:80]!r}; write 'mteb:NAME@REVISION' with the "
                "revision of the data, or 'lm-eval:NAME@VERSION,N-shot'."
            )
    for source, kinds in _SOURCES.items():
        values = table.get("data", {}).get(source, {})
        if not isinstance(values, dict):
            raise UsageError(f"{where}: `data.{source}` must be a table.")
        for key, kind in kinds.items():
            if key in values and not isinstance(values[key], kind):
                raise UsageError(f"{where}: `data.{source}.{key}` must be of type {kind.__name__}.")
