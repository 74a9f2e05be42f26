"""A report as titled tables with the sentences that belong below them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalsuite import measures
from evalsuite.compare.changed import OF_CORRELATIONS, Item, explained
from evalsuite.compare.comparison import Comparison, Report
from evalsuite.compare.costs import SPEED, Costs, said
from evalsuite.compare.ranks import Rank
from evalsuite.compare.rows import ALPHA, SIGNS, Mark, Row

_NAMED = 4  # tasks named in a sentence
_CELL = 100  # longest cell
MARKS: Mapping[Mark, str] = {
    "better": f"p under {ALPHA:g}",
    "worse": f"p under {ALPHA:g}",
    "equal": "no item changed",
    "unclear": "no difference shown, none ruled out",
}

Texts = Mapping[str, Mapping[str, str]]
"""Task with version to item to its text."""


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes:
        header: Column titles.
        rows: Cells.
        right: Columns aligned to the right.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: What it shows.
        table: Its rows, or None.
        lines: Sentences below it.
    """

    title: str
    table: Table | None
    lines: tuple[str, ...] = ()


def sections(report: Report, texts: Texts) -> list[Section]:
    """Return a report's parts in reading order.

    Args:
        report: What was compared.
        texts: Texts of items that may be shown.
    """
    out: list[Section] = []
    for comparison in report.comparisons:
        out += _of_candidate(report, comparison, texts)
    if report.ranks:
        out.append(_of_ranks(report.ranks))
    lines = tuple(_legend(report))
    if lines:
        out.append(Section("How to read it", None, lines))
    return out


def _of_candidate(report: Report, comparison: Comparison, texts: Texts) -> Iterator[Section]:
    title = f"{comparison.candidate} against the baseline {report.baseline}"
    if comparison.rows:
        yield _differences(title, comparison.rows, tuple(_notes(comparison)))
    else:
        yield Section(title, None, ("Nothing is comparable.",))
    if comparison.costs:
        yield _of_costs(comparison.costs)
    if comparison.apart:
        rows = tuple((one.task, _cut(one.reason, 300)) for one in comparison.apart)
        yield Section("Not compared", Table(("Task", "Why"), rows))
    if comparison.slices or comparison.empty:
        yield _of_slices(report, comparison)
    for task, items in (comparison.items or {}).items():
        yield _of_items(task, _measure(comparison, task), items, texts.get(task, {}))


def _measure(comparison: Comparison, task: str) -> str:
    return next(row.measured.measure for row in comparison.rows if row.measured.name == task)


# ---- differences


def _differences(
    title: str, rows: Sequence[Row], lines: tuple[str, ...], first: str = "Task"
) -> Section:
    """Return a table of differences; its measure stands in the title where all share it."""
    shared = {row.measured.measure for row in rows}
    titles = [first, *([] if len(shared) == 1 else ["Measure"])]
    numbers = ("Baseline", "Candidate", "Difference", "95 % interval", "p (Holm)")
    header = (*titles, *numbers, "Mark", "n", "Changed")
    digits = decimals(rows)
    cells = tuple(_cells(row, digits, with_measure=len(shared) > 1) for row in rows)
    start = len(titles)
    right = (*range(start, start + 5), start + 6, start + 7)
    named = f"{title}, {shared.pop()}" if len(shared) == 1 else title
    tested = f"p is two-sided, after Holm over these {len(rows)} rows; {_tests(rows)}."
    return Section(named, Table(header, cells, right), (tested, *lines))


def decimals(rows: Sequence[Row]) -> int:
    """Return how many decimals tell the smallest difference of a table from none."""
    values = [abs(row.measured.difference.value) for row in rows]
    return 6 if any(0 < value < 5e-4 for value in values) else 4


def _cells(row: Row, digits: int, *, with_measure: bool) -> tuple[str, ...]:
    one = row.measured
    low, high = row.interval
    name = f"{one.task}, {one.name}" if one.task else one.name
    return (
        _cut(name),
        *((one.measure,) if with_measure else ()),
        _number(one.baseline),
        _number(one.candidate),
        f"{one.difference.value:+z.{digits}f}",
        f"[{low:+z.{digits}f}, {high:+z.{digits}f}]",
        p_value(row),
        f"{SIGNS[row.mark]} {row.mark}",
        str(one.difference.n),
        str(one.difference.n_changed),
    )


def p_value(row: Row) -> str:
    """Three decimals, and ``<`` where the draws made can show no smaller value."""
    difference = row.measured.difference
    least = 2 / (len(difference.distribution.draws) + 1)
    at_least = difference.test != "McNemar" and difference.p <= least * (1 + 1e-9)
    if row.p_holm < 0.001:
        return "<0.001"
    if at_least and row.p_holm < 1:
        return f"<{math.ceil(1000 * row.p_holm) / 1000:.3f}"
    return f"{row.p_holm:.3f}"


def _number(value: float) -> str:
    return f"{value:z.4f}"


def _tests(rows: Sequence[Row]) -> str:
    """Name the tests that were used, and for what where there are several."""
    used: dict[str, list[str]] = {}
    for row in rows:
        name = row.measured.task or row.measured.name
        used.setdefault(row.measured.difference.test, []).append(name)
    if len(used) == 1:
        return next(iter(used))
    return "; ".join(f"{test} ({_named(names)})" for test, names in used.items())


def _named(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
    return ", ".join(distinct[:_NAMED]) + more


def _notes(comparison: Comparison) -> Iterator[str]:
    """Say once what else differs between the two sides."""
    n = sum(row.measured.kind == "task" for row in comparison.rows)
    for note, tasks in comparison.notes.items():
        where = "all tasks" if len(tasks) == n else _named(tasks)
        yield f"Baseline / candidate: {_cut(note, 300)} ({where})."


def _of_costs(costs: Sequence[Costs]) -> Section:
    rows = tuple(
        (
            one.title,
            said(one.baseline),
            said(one.candidate),
            "" if one.ratio is None else f"×{one.ratio:.3g}",
        )
        for one in costs
    )
    table = Table(("Cost", "Baseline", "Candidate", "Ratio"), rows, (1, 2, 3))
    timed = any(one.name == SPEED for one in costs)
    line = "Texts/s: one timing a side on equal hardware, without an interval."
    return Section("Costs", table, (line,) if timed else ())


# ---- slices


def _of_slices(report: Report, comparison: Comparison) -> Section:
    column = report.question.slice_by or ""
    empty = tuple(
        f"{one.task}, {one.name} (n = {one.n}): {one.reason}." for one in comparison.empty
    )
    lines = (*empty, *_warnings(column, comparison.slices))
    title = f"{comparison.candidate} by {column}"
    if not comparison.slices:
        return Section(title, None, lines)
    return _differences(title, comparison.slices, lines, first="Slice")


def _warnings(column: str, rows: Sequence[Row]) -> Iterator[str]:
    """Warn of slices cut by the score itself."""
    read = {name for row in rows for name in measures.parse(row.measured.measure).columns}
    if column in read - {"gold"}:
        yield (
            f"Slices are cut by the baseline's own {column}: by chance alone a candidate looks "
            "better where the baseline was low and worse where it was high (regression to the "
            "mean). Cut by gold, group or a column of the data to compare slices."
        )


# ---- items


def _of_items(task: str, measure: str, items: Sequence[Item], texts: Mapping[str, str]) -> Section:
    title = f"Items of {task} that changed most, {measure}"
    what = explained(measures.parse(measure))
    if what is None:
        return Section(title, None, (f"{measure} is no mean and no correlation: none is listed.",))
    if not items:
        return Section(title, None, ("No item changed what it adds to the score.",))
    grouped = any(item.group is not None for item in items)
    ranked = what == OF_CORRELATIONS
    header = (
        "Item",
        *(("Group",) if grouped else ()),
        *(("Gold",) if ranked else ()),
        "Baseline",
        "Candidate",
        *(("Off, baseline", "Off, candidate") if ranked else ()),
        "Change",
        *(("Text",) if texts else ()),
    )
    rows = tuple(_item(item, texts, grouped=grouped, ranked=ranked) for item in items)
    right = tuple(i for i, name in enumerate(header) if name not in ("Item", "Group", "Text"))
    off = "Off: distance of the item's rank to its rank by gold, of the longest way possible. "
    return Section(title, Table(header, rows, right), (f"{off if ranked else ''}Change: {what}.",))


def _item(item: Item, texts: Mapping[str, str], *, grouped: bool, ranked: bool) -> tuple[str, ...]:
    offs = [side.off or 0.0 for side in (item.baseline, item.candidate)]
    change = f"{100 * item.change:+z.1f} %" if ranked else f"{item.change:+z.4f}"
    return (
        _cut(item.item, 40),
        *((_cut(item.group or ""),) if grouped else ()),
        *((f"{item.gold:.4g}",) if ranked else ()),
        _number(item.baseline.value),
        _number(item.candidate.value),
        *((f"{100 * off:.1f} %" for off in offs) if ranked else ()),
        change,
        *((_cut(texts.get(item.item, ""), 160),) if texts else ()),
    )


# ---- ranks


def _of_ranks(ranks: Mapping[str, Sequence[Rank]]) -> Section:
    models = list(dict.fromkeys(rank.model for column in ranks.values() for rank in column))
    cells = {(name, rank.model): rank for name, column in ranks.items() for rank in column}
    rows = tuple(
        (_cut(model), *(_rank(cells.get((name, model))) for name in ranks)) for model in models
    )
    return Section(
        "Ranks",
        Table(("Model", *map(_cut, ranks)), rows, tuple(range(1, len(ranks) + 1))),
        (
            "A rank lies between 1 + the number of models that are significantly better and n - "
            "the number that are significantly worse: all against all, p after Holm over the "
            "pairs of a column. The score stands in brackets.",
        ),
    )


def _rank(rank: Rank | None) -> str:
    if rank is None:
        return "not compared"
    place = str(rank.first) if rank.first == rank.last else f"{rank.first}-{rank.last}"
    return f"{place} of {rank.n} ({_number(rank.score)})"


# ---- the sentences at the end


def _legend(report: Report) -> Iterator[str]:
    rows = [row for c in report.comparisons for row in (*c.rows, *c.slices)]
    if not rows:
        return
    yield "Differences are candidate less baseline on the same items; intervals are 95 %."
    marks = dict.fromkeys(row.mark for row in rows)
    yield "; ".join(f"{SIGNS[mark]} {mark}: {MARKS[mark]}" for mark in SIGNS if mark in marks) + "."
    if any(row.measured.kind == "suite" for row in rows):
        yield (
            "A suite's difference is the mean of its tasks', its interval and p from their "
            "bootstrap draws."
        )
    if report.too_few_draws:
        yield (
            f"With {report.question.n_resamples} resamples no row of a table this long can differ: "
            "leave --resamples out."
        )


def _cut(text: str, length: int = _CELL) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
