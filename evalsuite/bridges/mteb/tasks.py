"""mteb's tasks and benchmarks as tasks and suites.

A task is written ``mteb:NAME[?subset=A,B&split=S&similarity=dot]``. In results it goes by
``mteb.NAME``, with what it is cut to behind it.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

from evalsuite.bridges.mteb import kinds, library
from evalsuite.errors import UsageError
from evalsuite.foreign import DEFAULT, foreign_key, mteb_part
from evalsuite.registry import Suite
from evalsuite.task import Task, task_from_table

MAIN = "main_score"  # the measure of tasks that mteb itself runs

_LONGEST = 80
_OPTIONS = ("subset", "split", "similarity")


@dataclass(frozen=True)
class Asked:
    """A task of mteb's as it was asked for.

    Attributes:
        name: Its name in mteb.
        subsets: Subsets it is cut to, sorted; none for all.
        splits: Splits it is cut to; none for its own.
        params: Parameters of the protocol.
    """

    name: str
    subsets: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return what ``mteb:`` is put before."""
        parts = {"subset": ",".join(self.subsets), "split": ",".join(self.splits), **self.params}
        options = "&".join(
            f"{key}={quote(value, safe=',')}" for key, value in parts.items() if value
        )
        return f"{self.name}?{options}" if options else self.name

    @property
    def own_name(self) -> str:
        """The name of results: path-safe, and short enough."""
        parts = (*self.subsets, *self.splits, *self.params.values())
        name = "-".join((f"mteb.{self.name}", *(parts if len(parts) < 4 else (f"{len(parts)}",))))
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
        is_plain = parts == self.subsets[:1]  # several could be read as another one
        if is_plain and len(plain) <= _LONGEST and plain == name:
            return plain
        return f"{plain[: _LONGEST - 13]}-{hashlib.sha256(str(self).encode()).hexdigest()[:12]}"


def parse(text: str) -> Asked:
    """Parse what follows ``mteb:``.

    Raises:
        UsageError: An option is unknown or malformed.
    """
    name, _, query = text.partition("?")
    try:
        options = dict(parse_qsl(query, strict_parsing=bool(query)))
    except ValueError:
        raise UsageError(f"'mteb:{text[:80]}': options are written ?subset=A,B&split=S.") from None
    for option in options:
        if option not in _OPTIONS:
            known = ", ".join(_OPTIONS)
            raise UsageError(f"'mteb:{text[:80]}': unknown option '{option[:40]}'. Known: {known}.")

    def listed(option: str) -> tuple[str, ...]:
        return tuple(sorted(filter(None, options.get(option, "").split(","))))

    params = {"similarity": options["similarity"]} if "similarity" in options else {}
    return Asked(name, listed("subset"), listed("split"), params)


def task(text: str) -> Task:
    """Return one of mteb's tasks.

    Raises:
        UsageError: mteb is not installed or has no such task, or it is not of texts.
    """
    return _task(str(parse(text)))


@functools.cache
def _task(text: str) -> Task:
    asked = parse(text)
    found = library.task(asked.name, asked.subsets, asked.splits)
    if found.is_aggregate:
        raise UsageError(
            f"mteb's '{asked.name}' is the mean of {len(found.metadata.tasks)} tasks: "
            f"run it as a suite, --suite mteb:{asked.name}."
        )
    others = set(found.metadata.modalities) - {"text"}
    if others:
        raise UsageError(
            f"mteb's task '{asked.name}' is of {' and '.join(sorted(others))}s: evalsuite runs "
            "texts only. Run it with mteb."
        )
    table, kind = _table(asked, found), kinds.of(found)
    if kind is None:
        return _foreign(asked, table)
    table |= {
        "protocol": kind.protocol,
        "main_measure": kind.main_measure(found),
        "measures": list(kind.measures),
        "params": {**kind.params(found), **asked.params},
    }
    return task_from_table(table, where=f"mteb:{asked}")


def _foreign(asked: Asked, table: Mapping[str, Any]) -> Task:
    """Return a task that mteb itself runs: its measures are not ours."""
    if asked.params:
        raise UsageError(f"'mteb:{asked}': mteb itself runs this task and takes no similarity.")
    lists = {key: tuple(table[key]) for key in ("languages", "same_as")}
    return Task(**{**table, **lists}, protocol="mteb", main_measure=MAIN, measures=(MAIN,))


def _table(asked: Asked, found: Any) -> dict[str, Any]:
    """Return what a task's declaration says of its data."""
    metadata = found.metadata
    subsets, splits = sorted(found.hf_subsets), sorted(found.eval_splits)
    split = ",".join(splits)
    data = {"task": asked.name, "revision": metadata.revision, "subsets": subsets, "splits": splits}
    part = "" if subsets == [DEFAULT] and len(splits) == 1 else mteb_part(split, subsets)
    return {
        "name": asked.own_name,
        "version": 1,
        "title": _title(metadata.description),
        "type": metadata.type,
        "languages": sorted({language.partition("-")[0] for language in found.languages}),
        "licence": str(metadata.license or "not stated"),
        "reference": str(metadata.reference or ""),
        "split": split,
        "same_as": [foreign_key("mteb", asked.name, metadata.revision + part)],
        "data": {"mteb": data},
    }


def _title(description: str) -> str:
    """Return the first sentence of a description, on one line."""
    line = " ".join(description.split())
    first = re.split(r"(?<=[a-z)])\. ", line, maxsplit=1)[0]
    return first if len(first) <= 100 else first[:97] + "..."


def suite(name: str) -> Suite:
    """Return one of mteb's benchmarks, or a task of its that is a mean of tasks.

    Raises:
        UsageError: mteb is not installed or has no such benchmark.
    """
    mteb = library.load()
    with library.quiet():
        try:
            benchmark = mteb.get_benchmark(name)
        except KeyError:
            return _aggregate(name)
        title = f"mteb's benchmark {benchmark.name}"
        return _tree(f"mteb:{name}", title, benchmark.tasks)


def _aggregate(name: str) -> Suite:
    mteb = library.load()
    known = [benchmark.name for benchmark in mteb.get_benchmarks()]
    try:
        found = library.task(name)
    except UsageError:
        raise library.unknown("benchmark", name, known) from None
    if not found.is_aggregate:
        raise UsageError(f"mteb's '{name}' is a task, no suite: --task mteb:{name}.")
    return _tree(f"mteb:{name}", f"mteb's {name}", found.metadata.tasks)


def _tree(name: str, title: str, tasks: Any) -> Suite:
    """Return tasks as a suite; a mean of tasks is a group, which counts as one child."""
    plain = tuple(f"mteb:{_asked(task)}" for task in tasks if not task.is_aggregate)
    groups = tuple(
        _tree(task.metadata.name, task.metadata.name, task.metadata.tasks)
        for task in tasks
        if task.is_aggregate
    )
    return Suite(name, title, plain, groups)


def _asked(task: Any) -> Asked:
    """Return how a task is asked for that a benchmark may have cut down."""
    every, splits = task.metadata.hf_subsets, task.metadata.eval_splits
    return Asked(
        task.metadata.name,
        () if set(task.hf_subsets) == set(every) else tuple(sorted(task.hf_subsets)),
        () if set(task.eval_splits) == set(splits) else tuple(sorted(task.eval_splits)),
    )
