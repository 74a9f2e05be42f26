"""From a policy and two selections to rows with verdicts: it fails closed."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from evalsuite import measures, registry
from evalsuite.compare import Incomparable, Pair, Selection, pair
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.gate.costs import cost_rows
from evalsuite.gate.equality import compare_items
from evalsuite.gate.explain import explain
from evalsuite.gate.policy import Policy
from evalsuite.gate.report import Report, side
from evalsuite.gate.verdict import (
    ERROR,
    INCONCLUSIVE,
    PASS,
    REGRESSION,
    SKIPPED,
    Compared,
    Row,
    compare_scores,
    judge,
)
from evalsuite.stats import derived_seed
from evalsuite.store import slug

_SAME_RUN = "candidate and baseline are one and the same run"
_MAIN = "main measure"  # where no result says which
_NAMED = 10  # names in a note
_WORST_FIRST = (REGRESSION, ERROR, INCONCLUSIVE, PASS, SKIPPED)
_IMPORTED = re.compile(r"^'.*' is imported from .* and has no items\.$", re.DOTALL)
_FILE = re.compile(r"^'(.*?)\.json'", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """What was typed for the two sides, and the seed of all resampling."""

    candidate: str = "candidate"
    baseline: str = "baseline"
    seed: int = 0


def decide(
    candidate: Selection, baseline: Selection, policy: Policy, asked: Asked | None = None
) -> Report:
    """Judge a candidate against a baseline.

    Args:
        candidate: Results to judge.
        baseline: Results they are measured against.
        policy: What each row may lose.
        asked: What was typed, and the seed.

    Raises:
        UsageError: The policy names a task or measure that does not exist, or a limit that is off
            its measure's scale.
    """
    asked = asked or Asked()
    _check_names(policy, candidate, baseline)
    rows = [
        row
        for task in _tasks(policy, candidate, baseline)
        for row in _rows(policy, task, candidate, baseline)
    ]
    rows += _unreadable(policy, baseline, rows)
    _check_limits(policy, rows)
    judged = _judged(rows, candidate, baseline, policy, asked.seed)
    return Report(
        candidate=side(asked.candidate, candidate),
        baseline=side(asked.baseline, baseline),
        policy=policy,
        rows=tuple(sorted(judged, key=_place)),
        notes=tuple(_notes(judged, candidate, baseline)),
        explanation=explain(judged, policy),
        seed=asked.seed,
    )


def _place(row: Row) -> tuple[int, float]:
    """Order rows: by verdict, regressions by their drop, others as they are in the policy."""
    fallen = row.figures.drop if row.verdict == REGRESSION and row.figures else 0.0
    return _WORST_FIRST.index(row.verdict), -fallen


# ---- which rows there are


def _check_names(policy: Policy, candidate: Selection, baseline: Selection) -> None:
    results = [*baseline.results.values(), *candidate.results.values()]
    plugged = (entry.name for entry, _ in registry.entry_points("tasks"))
    policy.check_tasks(
        {*registry.task_files(), *plugged, *(str(result.task["name"]) for result in results)}
    )
    for task, measure in policy.measures:
        known = {name for r in results if r.task["name"] == task for name in r.scores}
        if not known:
            known = set(registry.get_task(task).measures)
        policy.check_measure(task, measure, known)


def _check_limits(policy: Policy, rows: Iterable[Row]) -> None:
    for row in rows:
        try:
            measure = measures.parse(row.measure)
        except UsageError:  # a result of another tool or time: the row will be an error
            continue
        policy.check_range(row.task.rpartition("@")[0], measure)


def _tasks(policy: Policy, candidate: Selection, baseline: Selection) -> list[str]:
    """Return the keys of the tasks that are rows, those of the baseline first."""
    names = policy.named_tasks()
    if policy.default is not None:
        names = [*(str(result.task["name"]) for result in baseline.results.values()), *names]
    return [key for name in dict.fromkeys(names) for key in _versions(name, candidate, baseline)]


def _versions(name: str, candidate: Selection, baseline: Selection) -> list[str]:
    """Return the versions of a task on both sides; else the newest one there is."""
    ours, theirs = (
        {key: r.task["version"] for key, r in one.results.items() if r.task["name"] == name}
        for one in (candidate, baseline)
    )
    if both := [key for key in theirs if key in ours]:
        return both
    some = theirs or ours
    if some:
        return [max(some, key=lambda key: (str(some[key]).zfill(9), key))]
    return [str(registry.get_task(name))]


def _rows(policy: Policy, key: str, candidate: Selection, baseline: Selection) -> Iterator[Row]:
    """Yield the rows of one task: its main measure, and those with a table of their own."""
    result = baseline.results.get(key) or candidate.results.get(key)
    if result is not None:
        name, main = str(result.task["name"]), result.main_measure
    else:
        task = registry.get_task(key)
        name, main = task.name, task.main_measure
    for measure in dict.fromkeys([main, *policy.extra_measures(name)]):
        yield Row(key, measure, ERROR, "", policy.rule(name, measure))


def _unreadable(policy: Policy, baseline: Selection, rows: list[Row]) -> list[Row]:
    """Return a row for each file of the baseline that may have held one, but cannot be read."""
    if policy.default is None:
        return []
    found = []
    named = {slug(row.task) for row in rows}
    for problem in baseline.problems:
        match = _FILE.match(problem)
        stem = _stem(match[1]) if match else "unknown task"
        if stem not in named and not _IMPORTED.match(problem):
            rule = policy.rule(stem.partition("@")[0], _MAIN)
            found.append(Row(stem, _MAIN, ERROR, problem, rule))
    return found


# ---- from rows to verdicts


def _judged(
    rows: list[Row], candidate: Selection, baseline: Selection, policy: Policy, seed: int
) -> list[Row]:
    """Return the rows with their verdicts; the items of a task are loaded once."""
    outcomes: list[Row | Compared] = []
    for task, rows_of_task in itertools.groupby(rows, key=lambda row: row.task):
        matched = _matched(task, candidate, baseline)
        problems = _problems(task, candidate, baseline)
        for row in rows_of_task:
            start = time.perf_counter()
            outcome = _outcome(row, matched, problems, policy, len(rows), seed)
            outcomes.append(_timed(outcome, time.perf_counter() - start))
        if isinstance(matched, Pair):
            outcomes += cost_rows(matched, policy.rule_of_costs(task.rpartition("@")[0]))
    judged = iter(judge([one for one in outcomes if isinstance(one, Compared)]))
    return [next(judged) if isinstance(one, Compared) else one for one in outcomes]


def _timed(outcome: Row | Compared, seconds: float) -> Row | Compared:
    if isinstance(outcome, Compared):
        return replace(outcome, row=replace(outcome.row, seconds=seconds))
    return replace(outcome, seconds=seconds)


def _matched(task: str, candidate: Selection, baseline: Selection) -> Pair | Incomparable:
    """Return the pair of a task, or why there is none; whatever a broken file does is a reason."""
    name = task.rpartition("@")[0]
    ours, theirs = (
        replace(one, results={k: r for k, r in one.results.items() if r.task["name"] == name})
        for one in (candidate, baseline)
    )
    try:
        pairs, apart = pair(ours, theirs)
    except Exception as error:  # a file can be broken in any way; a gate must not pass for it
        return Incomparable(task, _unexpected(error), "unreadable")
    found: list[Pair | Incomparable] = [*pairs, *apart]
    for one in found:
        if one.task == task:
            return one
    return Incomparable(task, "neither side has it", "missing-both")


def _outcome(
    row: Row,
    matched: Pair | Incomparable,
    problems: list[str],
    policy: Policy,
    n_rows: int,
    seed: int,
) -> Row | Compared:
    """Compare one row, or say why it cannot be: whatever fails makes an error, never a pass."""
    if row.reason:
        return row
    if isinstance(matched, Incomparable):
        return _incomparable(row, matched, problems)
    if row.rule.environment == "same" and matched.notes:
        return replace(row, reason=f'environment = "same", but {"; ".join(matched.notes)}')
    same = (_SAME_RUN,) if matched.candidate.run == matched.baseline.run else ()
    row = replace(row, notes=(*matched.notes, *same))
    try:
        measure = measures.parse(row.measure)
        if policy.same_weights:
            return compare_items(row, matched, measure, policy.tolerance)
        drawn = derived_seed(seed, _utf8(row.task), row.measure, "compare")  # as compare's rows
        return compare_scores(row, matched, measure, n_rows=n_rows, seed=drawn)
    except EvalsuiteError as error:
        return replace(row, reason=str(error))
    except Exception as error:  # as above
        return replace(row, reason=_unexpected(error))


def _utf8(name: str) -> str:
    """Return a name without the halves of surrogate pairs, which only a hostile file has."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _unexpected(error: Exception) -> str:
    return f"it cannot be compared ({type(error).__name__}: {error})"


def _problems(task: str, candidate: Selection, baseline: Selection) -> list[str]:
    """Return what is said of files of a task that could not be read or were left out."""
    return [
        problem
        for problem in (*candidate.problems, *baseline.problems)
        if (match := _FILE.match(problem)) and _stem(match[1]) == slug(task)
    ]


def _stem(path: str) -> str:
    return re.split(r"[\\/]", path)[-1]


def _incomparable(row: Row, apart: Incomparable, problems: list[str]) -> Row:
    """Return an error; or a skipped row, where a result is missing that may be."""
    if not apart.kind.startswith("missing"):
        return replace(row, reason=apart.reason)
    optional = not row.rule.require and all(map(_IMPORTED.match, problems))
    return replace(
        row,
        verdict=SKIPPED if optional else ERROR,
        reason="; ".join([apart.reason, *problems]),
    )


# ---- what concerns no single row


def _notes(rows: list[Row], candidate: Selection, baseline: Selection) -> Iterator[str]:
    same = sum(_SAME_RUN in row.notes for row in rows)
    if same:
        yield (f"{same} of {len(rows)} rows compare a run with itself: was the candidate run anew?")
    gated = {row.task for row in rows}
    outside = sorted({*candidate.results, *baseline.results} - gated)
    if outside:
        yield f"outside this gate: {_listed(outside)}"
    imported = 0
    for side_, selection in (("candidate", candidate), ("baseline", baseline)):
        for problem in selection.problems:
            match = _FILE.match(problem)
            if _IMPORTED.match(problem):
                imported += 1
            elif match and _stem(match[1]) not in set(map(slug, gated)):
                yield f"not read, outside this gate ({side_}): {problem}"
    if imported:
        yield f"imported results have no items and are left out: {imported}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
