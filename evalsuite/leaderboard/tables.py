"""From results to the values of tables; pure.

Results share a column only if they share task, version, fingerprint and main measure; limited runs
share no table with full ones; a missing score stays missing. Imported results share the column of
the task theirs is the same as, stand below own ones and are never the best.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalsuite import measures
from evalsuite.errors import UsageError
from evalsuite.leaderboard.entries import ColumnKey, Entry
from evalsuite.registry import Suite
from evalsuite.result import Score
from evalsuite.store import slug


def higher_is_better(measure: str) -> bool | None:
    """Return a measure's direction, None for a measure nobody registered here."""
    try:
        return measures.parse(measure).higher_is_better
    except UsageError:
        return None


def best(values: Iterable[float | None], higher: bool | None) -> float | None:
    """Return the best value; None if there is nothing to choose from or no known direction."""
    present = [value for value in values if value is not None]
    if len(present) < 2 or higher is None:
        return None
    return max(present) if higher else min(present)


@dataclass(frozen=True)
class Column:
    """One task in one fingerprint.

    Attributes:
        key: What its results share.
        page: The task's page.
        in_mean: Whether it counts in the suite's mean.
        fingerprint: First 8 digits, where the task has several columns; empty if all is imported.
        best: Best own score of the column.
    """

    key: ColumnKey
    page: str
    in_mean: bool
    fingerprint: str | None
    best: float | None

    @property
    def label(self) -> str:
        """Task with version."""
        return f"{self.key[0]}@{self.key[1]}"

    @property
    def measure(self) -> str:
        """Main measure."""
        return self.key[3]

    @property
    def higher(self) -> bool | None:
        """Direction of the measure."""
        return higher_is_better(self.measure)


@dataclass(frozen=True)
class Row:
    """One model in one variant: its results by column, and their mean over the suite."""

    cells: Mapping[ColumnKey, Entry]
    mean: float | None
    n_means: int
    repeat: int

    @property
    def entry(self) -> Entry:
        """Any result of the row: they share model and settings, and are own or imported alike."""
        return next(iter(self.cells.values()))

    @property
    def imported(self) -> bool:
        """Whether another tool made its results."""
        return self.entry.result.imported


@dataclass(frozen=True)
class Table:
    """Comparable runs: all full, or all cut to the same limit."""

    limit: int | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    best_mean: float | None

    @property
    def mean_higher(self) -> bool | None:
        """Direction of the mean, None where the tasks disagree."""
        directions = {column.higher for column in self.columns if column.in_mean}
        return directions.pop() if len(directions) == 1 else None

    @property
    def split_tasks(self) -> bool:
        """Whether a task stands in several columns that are not comparable."""
        return any(column.fingerprint is not None for column in self.columns)

    @property
    def own_rows(self) -> tuple[Row, ...]:
        """Rows of results that were made here."""
        return tuple(row for row in self.rows if not row.imported)


@dataclass(frozen=True)
class Section:
    """A suite, or the tasks of no suite, on the first page."""

    name: str
    title: str
    slug: str
    in_suite: bool
    n_tasks: int
    tables: tuple[Table, ...]
    absent: tuple[str, ...]


def sections(entries: Sequence[Entry], suites: Iterable[Suite]) -> list[Section]:
    """Return a section for each suite with results, and one for tasks in no suite."""
    made = []
    seen: set[str] = set()
    for suite in suites:
        tasks = suite.all_tasks()
        seen.update(tasks)
        if any(entry.result.task["name"] in tasks for entry in entries):
            made.append(_section(entries, tasks, suite))
    others = {entry.result.task["name"] for entry in entries} - seen
    if others:
        made.append(_section(entries, sorted(others, key=lambda name: (name.lower(), name)), None))
    return made


def _section(entries: Sequence[Entry], tasks: Sequence[str], suite: Suite | None) -> Section:
    mine = [entry for entry in entries if entry.result.task["name"] in set(tasks)]
    limits = sorted({entry.limit for entry in mine}, key=lambda limit: (limit is not None, limit))
    tables = tuple(
        _table([entry for entry in mine if entry.limit == limit], tasks, suite, limit)
        for limit in limits
    )
    present = {entry.result.task["name"] for entry in mine}
    absent = tuple(task for task in tasks if task not in present)
    if suite is None:
        return Section("Other tasks", "Tasks in no suite", "_other", False, 0, tables, ())
    name = suite.name
    return Section(name, suite.title, slug(name), True, len(tasks), tables, absent)


def _table(
    entries: Sequence[Entry], tasks: Sequence[str], suite: Suite | None, limit: int | None
) -> Table:
    columns = _columns(entries, tasks)
    rows = [
        Row(cells, _mean(cells, columns, suite), _n_means(cells, columns), key[-1])
        for key, cells in _cells(entries).items()
    ]
    higher = Table(limit, columns, (), None).mean_higher
    rows.sort(key=lambda row: _rank(row, higher))
    best_mean = best((row.mean for row in rows if not row.imported), higher)
    return Table(limit, columns, tuple(rows), best_mean)


def _columns(entries: Sequence[Entry], tasks: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns in the suite's order.

    A task's newest, then fullest one comes first; one that is all imported comes last.
    """
    held: dict[ColumnKey, list[Entry]] = {}
    for entry in entries:
        held.setdefault(entry.column_key, []).append(entry)
    place = {task: index for index, task in enumerate(tasks)}
    own = {key: _own(mine) for key, mine in held.items()}
    keys = sorted(
        held,
        key=lambda key: (place[key[0]], not own[key], version_order(key[1]), -len(own[key]), key),
    )
    per_task = Counter(key[0] for key in keys)
    counted: set[str] = set()
    columns = []
    for key in keys:
        scores = (entry.result.main_score for entry in own[key])
        columns.append(
            Column(
                key,
                held[key][0].task_page,
                key[0] not in counted,
                key[2][:8] if per_task[key[0]] > 1 else None,
                best(scores, higher_is_better(key[3])),
            )
        )
        counted.add(key[0])
    return tuple(columns)


def _own(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if not entry.result.imported]


def version_order(version: int | str) -> tuple[int, str]:
    """Return what sorts a task's newest version first; other tools' versions have no order."""
    return (-version, "") if isinstance(version, int) else (1, version)


def _cells(entries: Iterable[Entry]) -> dict[tuple[tuple[str, ...], int], dict[ColumnKey, Entry]]:
    """Group by row; a second, other result for the same cell opens a row of its own."""
    rows: dict[tuple[tuple[str, ...], int], dict[ColumnKey, Entry]] = {}
    for entry in entries:
        for repeat in itertools.count(1):
            cells = rows.setdefault((entry.row_key, repeat), {})
            held = cells.setdefault(entry.column_key, entry)
            if held is entry or _same_outcome(held, entry):
                break
    return rows


def _same_outcome(one: Entry, other: Entry) -> bool:
    a, b = one.result, other.result
    return a.items_digest == b.items_digest and a.scores == b.scores


def _n_means(cells: Mapping[ColumnKey, Entry], columns: Sequence[Column]) -> int:
    return sum(column.in_mean and column.key in cells for column in columns)


def _mean(
    cells: Mapping[ColumnKey, Entry], columns: Sequence[Column], suite: Suite | None
) -> float | None:
    if suite is None:
        return None
    counted = [column.key for column in columns if column.in_mean and column.key in cells]
    return suite.mean({key[0]: cells[key].result.main_score for key in counted})


def _rank(row: Row, higher: bool | None) -> tuple[bool, bool, float, int, tuple[str, ...], int]:
    mean = 0.0 if row.mean is None else row.mean
    descending = higher is not False
    order = (row.entry.result.model["name"].lower(), *row.entry.row_key)
    mean = -mean if descending else mean
    return row.imported, row.mean is None, mean, -len(row.cells), order, row.repeat


@dataclass(frozen=True)
class TaskTable:
    """All models on one task in one fingerprint and limit.

    Attributes:
        fingerprint: The task's fingerprint.
        limit: Items the task was cut to.
        measures: Names of all measures, the main one first.
        best: Best own score of each measure.
        entries: The results, best main score first, imported ones last.
    """

    fingerprint: str
    limit: int | None
    measures: tuple[str, ...]
    best: Mapping[str, float | None]
    entries: tuple[Entry, ...]


def task_tables(entries: Iterable[Entry]) -> list[TaskTable]:
    """Return the tables of a task's page: full runs first, never two fingerprints in one."""
    groups: dict[tuple[bool, int, str, str], list[Entry]] = {}
    for entry in entries:
        _, _, fingerprint, main = entry.column_key
        key = (entry.limit is not None, entry.limit or 0, fingerprint, main)
        groups.setdefault(key, []).append(entry)
    return [_task_table(key[3], groups[key]) for key in sorted(groups)]


def _task_table(main: str, entries: Sequence[Entry]) -> TaskTable:
    names = sorted({name for entry in entries for name in entry.result.scores} - {main})
    sign = 1 if higher_is_better(main) is False else -1
    ranked = sorted(
        entries,
        key=lambda entry: (
            entry.result.imported,
            sign * entry.result.main_score,
            entry.row_key,
        ),
    )
    own = [entry.result.scores for entry in _own(entries)]
    bests = {
        name: best((scores[name].value for scores in own if name in scores), higher_is_better(name))
        for name in (main, *names)
    }
    first = entries[0]
    fingerprint = first.column_key[2]
    return TaskTable(fingerprint, first.limit, (main, *names), bests, tuple(ranked))


def ordered_scores(entry: Entry) -> list[tuple[str, Score]]:
    """Return a result's scores, the main measure first."""
    main = entry.result.main_measure
    return sorted(entry.result.scores.items(), key=lambda item: (item[0] != main, item[0]))
