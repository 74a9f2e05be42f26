"""The policy of a gate: what each row of it may lose, and how sure it must be.

A policy is a TOML file (``docs/gate.md``). Tables name rows from the general to the particular,
``[default]``, ``[suite.S]``, ``[task.T]``, ``[task.T.measure."m"]``; the more particular one wins,
key by key.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from evalsuite import measures, registry
from evalsuite.errors import UsageError, unknown_name
from evalsuite.measures import Measure

TOLERANCE = 1e-4
ALPHA_LIMIT = 0.5
CHOICES: Mapping[str, tuple[str, ...]] = {
    "inconclusive": ("warn", "fail", "pass"),
    "environment": ("any", "same"),
}
KEYS = ("max_drop", "floor", "alpha", "require", "inconclusive", "environment", "max_slowdown")
TOP_KEYS = ("default", "suite", "task", "same_weights", "tolerance")
OF_TESTS = ("max_drop", "alpha", "inconclusive")  # no part of per-item equality

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """What one row must meet.

    Attributes:
        max_drop: Most the score may be worse than the baseline's, on the measure's own scale.
        floor: Worst score the candidate may have, or None.
        alpha: Level of the tests.
        require: Whether a result that is missing on either side is an error; else it is skipped.
        inconclusive: What an undecided row does: ``warn``, ``fail`` or ``pass``.
        environment: ``any``, or ``same`` where another device, dtype or package is an error.
        max_slowdown: Most the task may cost more than the baseline's, as a share of it; None where
            costs are not judged.
    """

    max_drop: float = 0.0
    floor: float | None = None
    alpha: float = 0.05
    require: bool = True
    inconclusive: str = "warn"
    environment: str = "any"
    max_slowdown: float | None = None


class Setting(NamedTuple):
    """A value of a rule and the table it stands in, as it is written."""

    value: Any
    table: str


@dataclass(frozen=True)
class Policy:
    """A checked policy file.

    Attributes:
        file: Its path, named in errors.
        digest: sha256 of its bytes.
        default: ``[default]``, or None where there is no such table.
        suites: ``[suite.S]`` by suite.
        tasks: ``[task.T]`` by task.
        measures: ``[task.T.measure."m"]`` by task and measure.
        same_weights: Whether items must agree one by one, instead of scores by a test.
        tolerance: By how much an item's columns may differ then.
    """

    file: str
    digest: str = ""
    default: Table | None = None
    suites: Mapping[str, Table] = field(default_factory=dict)
    tasks: Mapping[str, Table] = field(default_factory=dict)
    measures: Mapping[tuple[str, str], Table] = field(default_factory=dict)
    same_weights: bool = False
    tolerance: float = TOLERANCE

    def named_tasks(self) -> list[str]:
        """Names of the tasks that suite and task tables name, in the order of the file."""
        of_suites = (name for suite in self.suites for name in _tasks_of(suite))
        return list(dict.fromkeys([*of_suites, *self.tasks]))

    def extra_measures(self, task: str) -> list[str]:
        """Measures that have a table of their own."""
        return [measure for name, measure in self.measures if name == task]

    def rule(self, task: str, measure: str) -> Rule:
        """Return the rule of a row: each key from the most particular table that has it."""
        settings = self.settings(task, measure)
        return Rule(**{key: setting.value for key, setting in settings.items()})

    def rule_of_costs(self, task: str) -> Rule:
        """Return the rule of a task's costs, which no table of a measure changes."""
        return self.rule(task, "")

    def settings(self, task: str, measure: str) -> dict[str, Setting]:
        """Return the keys set for a row, each with the table that sets it."""
        merged: dict[str, Setting] = {}
        for name, table in self._tables(task, measure):
            merged |= {key: Setting(value, name) for key, value in table.items()}
        return merged

    def _tables(self, task: str, measure: str) -> Iterator[tuple[str, Table]]:
        """Yield the tables that speak of a row, the more particular later."""
        yield "default", self.default or {}
        for suite, table in self.suites.items():
            if task in _tasks_of(suite):
                yield f"suite.{suite}", table
        yield f"task.{task}", self.tasks.get(task, {})
        yield _measure_table(task, measure), self.measures.get((task, measure), {})

    def check_tasks(self, known: Collection[str]) -> None:
        """Check that every task with a table exists.

        Args:
            known: Names of the catalogue's tasks and of those in the results.

        Raises:
            UsageError: A name is none of them.
        """
        for name in self.tasks:
            if name not in known:
                error = unknown_name("task", name, known)
                raise UsageError(f"{self._where(f'task.{name}')}: {error}")

    def check_measure(self, task: str, measure: str, known: Collection[str]) -> None:
        """Check that a task has a measure that the policy names.

        Raises:
            UsageError: It has not.
        """
        if measure not in known:
            error = unknown_name("measure", measure, known)
            raise UsageError(f"{self._where(_measure_table(task, measure))}: {error}")

    def check_range(self, task: str, measure: Measure) -> None:
        """Check that a row's limits are on the scale of its measure: 0.05, not 5 points of 100.

        Raises:
            UsageError: No score could ever, or every score would, break one of them.
        """
        low, high = measure.bounds
        for key, setting in self.settings(task, measure.name).items():
            drop = key == "max_drop" and setting.value >= high - low
            floor = key == "floor" and not low <= setting.value <= high
            if drop or floor:
                raise UsageError(
                    f"{self._where(setting.table)}: `{key}` is {setting.value:g}, but "
                    f"{measure.name} runs from {low:g} to {high:g}: 5 points of 100 are written "
                    "0.05."
                )

    def _where(self, table: str) -> str:
        return f"'{self.file}', [{table}]"


def _tasks_of(suite: str) -> tuple[str, ...]:
    return registry.get_suite(suite).all_tasks()


def _measure_table(task: str, measure: str) -> str:
    return f'task.{task}.measure."{measure}"'


def load_policy(path: Path) -> Policy:
    """Read and check a policy file; whether its tasks exist is checked once results are known.

    Raises:
        UsageError: The file is missing, is no TOML, or has an unknown key, suite or measure, or a
            value of the wrong type or out of range.
    """
    try:
        content = path.read_bytes()
        table = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"No policy file at '{path}'. To start: two lines, `[default]` and `max_drop = 0.005`."
        ) from None
    except OSError as error:
        raise UsageError(f"Cannot read the policy '{path}': {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8
        raise UsageError(f"The policy '{path}' is not valid TOML: {error}") from error
    return policy_from_table(table, str(path), hashlib.sha256(content).hexdigest())


def policy_from_table(table: Table, file: str, digest: str = "") -> Policy:
    """Check a policy's tables.

    Args:
        table: As parsed from TOML.
        file: Named in errors.
        digest: sha256 of the file.

    Raises:
        UsageError: As :func:`load_policy`.
    """
    _check_top(table, file)
    policy = Policy(
        file=file,
        digest=digest,
        default=table.get("default"),
        suites=_children(table, "suite", f"'{file}'"),
        tasks={
            name: {key: value for key, value in child.items() if key != "measure"}
            for name, child in _children(table, "task", f"'{file}'").items()
        },
        measures=_measure_tables(table, file),
        same_weights=table.get("same_weights", False),
        tolerance=float(table.get("tolerance", TOLERANCE)),
    )
    for name, values in _all_tables(policy):
        _check_values(values, f"'{file}', [{name}]", policy.same_weights)
    for suite in policy.suites:
        if suite not in registry.suites():
            error = unknown_name("suite", suite, registry.suites())
            raise UsageError(f"'{file}', [suite.{suite}]: {error}")
    _check_costs(policy)
    _check_conflicts(policy)
    if policy.default is None and not policy.suites and not policy.tasks:
        raise UsageError(
            f"The policy '{file}' names no rows: add a `[default]` table for all tasks of the "
            "baseline, or tables such as `[suite.quick]` or `[task.SciFact]`."
        )
    return policy


def _check_top(table: Table, file: str) -> None:
    for key, value in table.items():
        if key in KEYS:
            raise UsageError(f"'{file}': `{key}` stands outside a table: put it under `[default]`.")
        if key not in TOP_KEYS:
            raise UsageError(f"'{file}': {unknown_name('key', key, TOP_KEYS)}")
        if key in ("default", "suite", "task") and not isinstance(value, dict):
            raise UsageError(f"'{file}': `{key}` must be a table.")
    if not isinstance(table.get("same_weights", False), bool):
        raise UsageError(f"'{file}': `same_weights` must be true or false.")
    if "tolerance" in table:
        _check_number(table["tolerance"], f"'{file}': `tolerance`")
        if not table.get("same_weights", False):
            raise UsageError(f"'{file}': `tolerance` is of use only with `same_weights = true`.")


def _children(table: Table, kind: str, where: str) -> dict[str, Table]:
    children: dict[str, Table] = table.get(kind, {})
    for name, child in children.items():
        if not isinstance(child, dict):
            raise UsageError(
                f"{where}: `{name}` under [{kind}] is no table: name the {kind}, as in "
                f"`[{kind}.NAME]`."
            )
    return children


def _measure_tables(table: Table, file: str) -> dict[tuple[str, str], Table]:
    found: dict[tuple[str, str], Table] = {}
    for task, values in table.get("task", {}).items():
        where = f"'{file}', [task.{task}]"
        if not isinstance(values.get("measure", {}), dict):
            raise UsageError(f'{where}: `measure` must be a table, as `[task.{task}.measure."m"]`.')
        for name, child in _children(values, "measure", where).items():
            try:
                measures.parse(name)
            except UsageError as error:
                raise UsageError(f"'{file}', [{_measure_table(task, name)}]: {error}") from error
            found[task, name] = child
    return found


def _all_tables(policy: Policy) -> Iterator[tuple[str, Table]]:
    yield "default", policy.default or {}
    yield from ((f"suite.{name}", table) for name, table in policy.suites.items())
    yield from ((f"task.{name}", table) for name, table in policy.tasks.items())
    yield from ((_measure_table(*names), table) for names, table in policy.measures.items())


def _check_values(table: Table, where: str, same_weights: bool) -> None:
    for key, value in table.items():
        if key not in KEYS:
            raise UsageError(f"{where}: {unknown_name('key', key, KEYS)}")
        if same_weights and key in OF_TESTS:
            raise UsageError(
                f"{where}: `{key}` has no effect with `same_weights = true`, which compares item "
                "by item: remove one of the two."
            )
        what = f"{where}: `{key}`"
        if key in CHOICES:
            if value not in CHOICES[key]:
                known = ", ".join(f'"{choice}"' for choice in CHOICES[key])
                raise UsageError(f"{what} is {value!r}. Known: {known}.")
        elif key == "require":
            if not isinstance(value, bool):
                raise UsageError(f"{what} must be true or false.")
        else:
            _check_number(value, what, signed=key == "floor")
            if key == "alpha" and not 0 < value <= ALPHA_LIMIT:
                raise UsageError(f"{what} is {value:g}; it must be above 0 and at most 0.5.")


def _check_number(value: Any, what: str, *, signed: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{what} must be a number.")
    if isinstance(value, int):
        value = float(value) if abs(value) < 2**1000 else math.inf
    if not math.isfinite(value) or (value < 0 and not signed):
        wanted = "a finite number" if signed else "a finite number, 0 or more"
        raise UsageError(f"{what} is {value:g}; it must be {wanted}.")


def _check_costs(policy: Policy) -> None:
    """Refuse the limit of a task's costs where it stands in the table of a measure."""
    for (task, measure), table in policy.measures.items():
        if "max_slowdown" in table:
            raise UsageError(
                f"'{policy.file}', [{_measure_table(task, measure)}]: `max_slowdown` is of a whole "
                f"task: put it under `[task.{task}]`."
            )


def _check_conflicts(policy: Policy) -> None:
    """Refuse two suites that say different things of a task, unless its own table decides."""
    for (one, first), (other, second) in itertools.combinations(policy.suites.items(), 2):
        for task in _tasks_of(one):
            if task not in _tasks_of(other):
                continue
            for key in first.keys() & second.keys() - policy.tasks.get(task, {}).keys():
                if first[key] != second[key]:
                    raise UsageError(
                        f"'{policy.file}': [suite.{one}] and [suite.{other}] set different "
                        f"`{key}` for {task}, which is in both: set it in `[task.{task}]`."
                    )
