"""Several models against one baseline: every row, slice, item and rank of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb

from evalsuite import measures
from evalsuite.compare.changed import Item, changed_most
from evalsuite.compare.costs import Costs, costs
from evalsuite.compare.drawn import Differences
from evalsuite.compare.pairing import Incomparable, Pair, pair
from evalsuite.compare.ranks import Rank, Ranking, contests
from evalsuite.compare.rows import (
    Measured,
    Row,
    judged,
    resamples,
    suite_row,
    task_row,
    too_few,
    weights,
)
from evalsuite.compare.selection import Selection
from evalsuite.compare.slices import Empty, check_column, slice_row, slices
from evalsuite.errors import UsageError
from evalsuite.measures import Measure
from evalsuite.registry import Suite, suites
from evalsuite.stats import Sample


@dataclass(frozen=True)
class Question:
    """What is asked of the results.

    Attributes:
        tasks: Names of tasks, with or without version; all tasks if empty.
        suites: Suites whose tasks are meant, beside ``tasks``.
        measure: Measure to compare, or None for each task's main measure.
        slice_by: Column, or ``group``, that tasks are cut by, or None.
        items: Number of items to list a task, or 0.
        seed: Seed of every random draw.
        n_resamples: Number of draws, or None for as many as the number of rows needs.
    """

    tasks: tuple[str, ...] = ()
    suites: tuple[Suite, ...] = ()
    measure: Measure | None = None
    slice_by: str | None = None
    items: int = 0
    seed: int = 0
    n_resamples: int | None = None

    def wants(self, task: str) -> bool:
        """Whether a task, given with its version, is asked about."""
        if not self.tasks and not self.suites:
            return True
        name = task.rpartition("@")[0]
        named = {task, name} & set(self.tasks)
        return bool(named) or any(name in suite.all_tasks() for suite in self.suites)


@dataclass(frozen=True)
class Comparison:
    """One candidate against the baseline.

    Attributes:
        candidate: Label of the candidate.
        rows: A row a task, then a row a suite.
        apart: Tasks that cannot be compared, with the reason.
        notes: What else differs and could move a score, with the tasks it differs on.
        slices: Rows of slices, where asked for; corrected among themselves.
        empty: Slices that hold too little.
        items: Task to the items that changed most, where asked for.
        costs: What both sides cost, as far as their files say.
    """

    candidate: str
    rows: tuple[Row, ...]
    apart: tuple[Incomparable, ...]
    notes: Mapping[str, tuple[str, ...]]
    slices: tuple[Row, ...] = ()
    empty: tuple[Empty, ...] = ()
    items: Mapping[str, tuple[Item, ...]] | None = None
    costs: tuple[Costs, ...] = ()


@dataclass(frozen=True)
class Report:
    """All that ``evalsuite compare`` says.

    Attributes:
        baseline: Label of the baseline.
        comparisons: One a candidate.
        ranks: Suite or task to the ranks of all models, where there are more than two.
        question: What was asked.
        problems: One sentence for each file that could not be read or was left out.
        unreadable_files: How many of them could not be read.
        pairs: Comparable results of each candidate, for what needs the items themselves.
    """

    baseline: str
    comparisons: tuple[Comparison, ...]
    ranks: Mapping[str, Sequence[Rank]]
    question: Question
    problems: tuple[str, ...]
    unreadable_files: int
    pairs: tuple[tuple[Pair, ...], ...]

    @property
    def empty(self) -> bool:
        """Whether nothing was comparable."""
        return not any(comparison.rows for comparison in self.comparisons)

    @property
    def unreadable(self) -> bool:
        """Whether something that was asked for could not be read."""
        damaged = any(one.kind == "unreadable" for c in self.comparisons for one in c.apart)
        return damaged or self.unreadable_files > 0

    @property
    def too_few_draws(self) -> bool:
        """Whether the draws asked for leave some table no chance to tell models apart."""
        asked = self.question.n_resamples
        return any(too_few(max(len(c.rows), len(c.slices)), asked) for c in self.comparisons)


@dataclass(frozen=True)
class _Matched:
    pairs: list[tuple[Pair, Measure]]
    apart: list[Incomparable]


def compare(
    baseline: Selection, candidates: Sequence[Selection], question: Question | None = None
) -> Report:
    """Compare candidates with a baseline on the same items.

    Args:
        baseline: Results that every candidate is measured against.
        candidates: Results to measure.
        question: What to compare; everything by its main measure by default.

    Raises:
        UsageError: No task can be cut by the column asked for.
    """
    question = question or Question()
    baseline, *others = _distinct([baseline, *candidates])
    matched = [_matched(candidate, baseline, question) for candidate in others]
    if question.slice_by is not None and any(one.pairs for one in matched):
        check_column(question.slice_by, [pair for one in matched for pair, _ in one.pairs])
    problems = dict.fromkeys(text for one in (baseline, *others) for text in one.problems)
    draws = _draws(matched, question)
    return Report(
        baseline=baseline.label,
        comparisons=tuple(
            _comparison((candidate.label, baseline.label), one, question, draws)
            for candidate, one in zip(others, matched, strict=True)
        ),
        ranks=_ranks(baseline, others, matched, question, draws) if len(others) > 1 else {},
        question=question,
        problems=tuple(problems),
        unreadable_files=sum(one.unreadable for one in (baseline, *others)),
        pairs=tuple(tuple(pair for pair, _ in one.pairs) for one in matched),
    )


def _distinct(selections: Sequence[Selection]) -> list[Selection]:
    """Number labels that occur twice, so that every model of a table has its own."""
    seen: dict[str, int] = {}
    out = []
    for one in selections:
        seen[one.label] = seen.get(one.label, 0) + 1
        number = seen[one.label]
        out.append(one if number == 1 else replace(one, label=f"{one.label} #{number}"))
    return out


def _matched(candidate: Selection, baseline: Selection, question: Question) -> _Matched:
    """Pair what is asked about; the others, and what neither side has, stand apart."""
    sides = [
        replace(side, results={t: r for t, r in side.results.items() if question.wants(t)})
        for side in (candidate, baseline)
    ]
    found, apart = pair(*sides)
    pairs = []
    for one in found:
        try:
            measure = question.measure or measures.parse(one.baseline.main_measure)
        except UsageError as error:
            apart.append(Incomparable(one.task, str(error), "measure"))
            continue
        if not one.has(measure):
            reason = f"its items do not hold what {measure} reads"
            apart.append(Incomparable(one.task, reason, "measure"))
        elif reason := one.other_clock(measure):
            apart.append(Incomparable(one.task, reason, "settings"))
        else:
            pairs.append((one, measure))
    there = {task for side in sides for task in side.results}
    there |= {task.rpartition("@")[0] for task in there}
    wanted = [*question.tasks, *(task for suite in question.suites for task in suite.all_tasks())]
    apart += [
        Incomparable(task, "neither side has it", "missing-both")
        for task in dict.fromkeys(wanted)
        if task not in there
    ]
    return _Matched(pairs, sorted(apart, key=lambda one: one.task))


def _draws(matched: Sequence[_Matched], question: Question) -> Differences:
    """Return where differences are computed, with draws enough for the longest table."""
    lengths = [len(one.pairs) + len(_suites(one, question)) for one in matched]
    tests = comb(len(matched) + 1, 2) if len(matched) > 1 else 1
    return Differences(question.seed, resamples(max(*lengths, tests), question.n_resamples))


def _comparison(
    models: tuple[str, str], matched: _Matched, question: Question, draws: Differences
) -> Comparison:
    rows = judged(_measured(models, matched, question, draws))
    parts, empty = _slices(matched, question)
    items = None
    if question.items:
        items = {
            pair.task: tuple(changed_most(pair, measure, question.items))
            for pair, measure in matched.pairs
        }
    return Comparison(
        candidate=models[0],
        rows=rows,
        apart=tuple(matched.apart),
        notes=_notes([pair for pair, _ in matched.pairs]),
        slices=judged(parts),
        empty=tuple(empty),
        items=items,
        costs=costs([pair for pair, _ in matched.pairs]),
    )


def _measured(
    models: tuple[str, str], matched: _Matched, question: Question, draws: Differences
) -> list[Measured]:
    """Return a difference a task and a suite."""
    tasks = [task_row(pair, measure, models, draws) for pair, measure in matched.pairs]
    by_name = {row.name.rpartition("@")[0]: row for row in tasks}
    means = [suite_row(suite, by_name, seed=question.seed) for suite in _suites(matched, question)]
    return [*tasks, *(mean for mean in means if mean is not None)]


def _suites(matched: _Matched, question: Question) -> list[Suite]:
    """Return the suites of which every task can be compared, in one version each."""
    names = [pair.task.rpartition("@")[0] for pair, _ in matched.pairs]
    once = {name for name in names if names.count(name) == 1}
    return [
        suite
        for suite in question.suites or tuple(suites().values())
        if suite.all_tasks() and set(suite.all_tasks()) <= once
    ]


def _slices(matched: _Matched, question: Question) -> tuple[list[Measured], list[Empty]]:
    cut = [
        (pair, measure, part)
        for pair, measure in matched.pairs
        for part in (slices(pair, question.slice_by) or [] if question.slice_by else [])
    ]
    found = [
        slice_row(
            pair,
            part,
            measure,
            seed=question.seed,
            n_resamples=resamples(len(cut), question.n_resamples),
        )
        for pair, measure, part in cut
    ]
    empty = [one for one in found if isinstance(one, Empty)]
    return [one for one in found if isinstance(one, Measured)], empty


def _notes(pairs: Sequence[Pair]) -> dict[str, tuple[str, ...]]:
    """Return each note with the tasks it holds for."""
    notes: dict[str, list[str]] = {}
    for one in pairs:
        for note in one.notes:
            notes.setdefault(note, []).append(one.task)
    return {note: tuple(tasks) for note, tasks in notes.items()}


def _ranks(
    baseline: Selection,
    candidates: Sequence[Selection],
    matched: Sequence[_Matched],
    question: Question,
    draws: Differences,
) -> dict[str, Sequence[Rank]]:
    """Rank all models by the suites that two of them or more have whole, else by task."""
    samples: dict[str, dict[str, Sample]] = {}
    by_task: dict[str, Measure] = {}
    whole: dict[str, Suite] = {}
    for candidate, one in zip(candidates, matched, strict=True):
        whole |= {suite.name: suite for suite in _suites(one, question)}
        for both, measure in one.pairs:
            new, old = both.samples(measure)
            by_task[both.task] = measure
            samples.setdefault(both.task, {baseline.label: old})[candidate.label] = new
    keys = {task.rpartition("@")[0]: task for task in samples}
    shares = [
        (f"mean of {suite.name}", {keys[name]: share for name, share in weights(suite).items()})
        for suite in whole.values()
        if len({by_task[keys[name]].higher_is_better for name in suite.all_tasks()}) == 1
    ]
    ranking = Ranking(samples, by_task, draws)
    return {contest.name: ranking.ranks(contest) for contest in contests(shares, sorted(samples))}
