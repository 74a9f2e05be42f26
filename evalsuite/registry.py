"""Look-up of names: tasks, suites, protocols, built-in models and entry points.

Built-in objects are named by ``"module:object"`` strings and imported on use, entry points are
loaded only when a look-up names them: listing imports nothing.
"""

from __future__ import annotations

import functools
import importlib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from evalsuite.errors import UsageError, unknown_name
from evalsuite.protocol import Protocol
from evalsuite.task import Task, load_task

PROTOCOLS: Mapping[str, str] = {
    "classification": "evalsuite.protocols.classification:PROTOCOL",
    "clustering": "evalsuite.protocols.clustering:PROTOCOL",
    "sts": "evalsuite.protocols.sts:PROTOCOL",
    "summarization": "evalsuite.protocols.summarization:PROTOCOL",
    "transfer": "evalsuite.protocols.transfer:PROTOCOL",
    "isotropy": "evalsuite.protocols.isotropy:PROTOCOL",
    "alignment": "evalsuite.protocols.alignment:PROTOCOL",
    "multilabel_classification": "evalsuite.protocols.multilabel_classification:PROTOCOL",
    "regression": "evalsuite.protocols.regression:PROTOCOL",
    "bitext_mining": "evalsuite.protocols.bitext_mining:PROTOCOL",
    "retrieval": "evalsuite.protocols.retrieval:PROTOCOL",
    "reranking": "evalsuite.protocols.reranking:PROTOCOL",
    "pair_classification": "evalsuite.protocols.pair_classification:PROTOCOL",
    "mteb": "evalsuite.bridges.mteb.fallback:PROTOCOL",
}
MODELS: Mapping[str, tuple[str, str]] = {
    "all-MiniLM-L6-v2": (
        "evalsuite.models.minilm:resolve",
        "the real MiniLM sentence encoder (from the [demo] package, else from the hub)",
    ),
    "bm25": ("evalsuite.models.lexical:resolve_bm25", "BM25 of bm25s, fitted on the task's texts"),
    "tfidf": ("evalsuite.models.lexical:resolve_tfidf", "TF-IDF of scikit-learn, fitted likewise"),
    "random": ("evalsuite.models.random:resolve", "a random vector a text: the floor of any task"),
}


BRIDGES: Mapping[str, str] = {"mteb": "evalsuite.bridges.mteb:BRIDGE"}
"""Tools whose tasks, suites and models go by ``TOOL:NAME``."""


@dataclass(frozen=True)
class Suite:
    """A named tree: tasks and groups of tasks; a node's score is the mean of its children.

    Attributes:
        name: Name of the suite or group.
        title: One line for people.
        tasks: Names of the tasks directly below.
        groups: Groups directly below; each counts as one child.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    groups: tuple[Suite, ...] = ()

    def all_tasks(self) -> tuple[str, ...]:
        """Names of all tasks of the tree, in order."""
        return (*self.tasks, *(name for group in self.groups for name in group.all_tasks()))

    def mean(self, scores: Mapping[str, float]) -> float | None:
        """Mean of the children, or None if any task of the tree has no score."""
        children = [scores.get(task) for task in self.tasks]
        children += [group.mean(scores) for group in self.groups]
        present = [child for child in children if child is not None]
        if not present or len(present) < len(children):
            return None
        return sum(present) / len(present)


@dataclass(frozen=True)
class Bridge:
    """Another tool's tasks, suites and models; each function is given the name it has there.

    Attributes:
        task: Returns a task.
        suite: Returns a suite.
        resolve: Resolves a model's parsed spec.
        items: Returns the items of a task whose ``data`` table names the tool.
    """

    task: Callable[[str], Task]
    suite: Callable[[str], Suite]
    resolve: Callable[[Any], Any]
    items: Callable[[Task], Any]


def bridge_to(tool: str) -> Bridge | None:
    """Return the bridge to a tool, or None where there is none."""
    return load_object(BRIDGES[tool]) if tool in BRIDGES else None


def _abroad(name: str) -> tuple[Bridge | None, str]:
    """Return the bridge to the tool a name begins with, if any, and the name there."""
    tool, _, there = name.partition(":")
    return bridge_to(tool) if there else None, there


def data_folder(name: str) -> Path:
    """Return the folder ``tasks`` or ``leaderboard``: a checkout's, else the wheel's."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    return package / "_data" / name


@functools.cache
def task_files() -> Mapping[str, Path]:
    """Return the catalogue: task name to TOML file, sorted by name."""
    files = {path.stem: path for path in data_folder("tasks").glob("*/*.toml")}
    return dict(sorted(files.items(), key=lambda item: item[0].lower()))


@functools.cache
def suites() -> Mapping[str, Suite]:
    """Return every suite of the catalogue by name."""
    table = tomllib.loads((data_folder("tasks") / "suites.toml").read_text(encoding="utf-8"))
    return {name: _suite(name, node) for name, node in table.items()}


def _suite(name: str, node: Mapping[str, Any]) -> Suite:
    groups = tuple(_suite(child, table) for child, table in node.get("groups", {}).items())
    return Suite(name, node["title"], tuple(node.get("tasks", ())), groups)


def get_suite(name: str) -> Suite:
    """Return a suite by name.

    Raises:
        UsageError: No suite has that name.
    """
    bridge, there = _abroad(name)
    if bridge is not None:
        return bridge.suite(there)
    if name not in suites():
        raise unknown_name("suite", name, suites())
    return suites()[name]


def entry_points(kind: str) -> Iterator[tuple[metadata.EntryPoint, str]]:
    """Yield the entry points of ``evalsuite.<kind>`` with their distribution's name, unloaded."""
    for entry in metadata.entry_points(group=f"evalsuite.{kind}"):
        yield entry, entry.dist.name if entry.dist else "?"


def load_object(path: str) -> Any:
    """Import ``"module:object"``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _load_entry_point(kind: str, name: str) -> Any:
    for entry, distribution in entry_points(kind):
        if entry.name == name:
            try:
                return entry.load()
            except Exception as error:  # a plug-in can fail in any way
                raise UsageError(
                    f"The {kind[:-1]} '{name}' of the package '{distribution}' cannot be loaded: "
                    f"{type(error).__name__}: {error}."
                ) from error
    return None


def get_task(name: str) -> Task:
    """Return a task by name, ``NAME@VERSION``, ``TOOL:NAME`` or path of a TOML file.

    Raises:
        UsageError: There is no such task, or not in that version.
    """
    if name.endswith(".toml"):
        return load_task(Path(name))
    plain, _, version = name.partition("@")
    task: Any
    bridge, there = _abroad(plain)
    if bridge is not None:
        task = bridge.task(there)
    elif plain in task_files():
        task = load_task(task_files()[plain])
    else:
        found = _load_entry_point("tasks", plain)
        task = load_task(Path(found)) if isinstance(found, Path | str) else found
        if not isinstance(task, Task):
            known = [*task_files(), *(entry.name for entry, _ in entry_points("tasks"))]
            raise unknown_name("task", plain, known)
    if version and version != str(task.version):
        raise UsageError(
            f"Task '{plain}' is at version {task.version} here; '@{version}' is not available."
        )
    return cast("Task", task)


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        UsageError: No protocol has that name.
    """
    protocol = (
        load_object(PROTOCOLS[name]) if name in PROTOCOLS else _load_entry_point("protocols", name)
    )
    if not isinstance(protocol, Protocol):
        raise unknown_name("protocol", name, PROTOCOLS)
    return protocol


def model_resolver(name: str) -> Any | None:
    """Return the resolver of a built-in or plugged-in model, or None."""
    bridge, _ = _abroad(name)
    if bridge is not None:
        return bridge.resolve
    if name in MODELS:
        return load_object(MODELS[name][0])
    return _load_entry_point("models", name)
