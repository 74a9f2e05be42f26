"""What a policy would and would not catch, computed from the results it was used on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalsuite import stats
from evalsuite.gate.policy import Policy
from evalsuite.gate.verdict import POWER, Figures, Row

_NAMED = 5


def explain(rows: Sequence[Row], policy: Policy) -> str:
    """Return one paragraph on the power and the false alarms of a gate.

    The standard errors are those of the differences seen; power is by the normal approximation.

    Args:
        rows: The gate's rows with their verdicts.
        policy: Its policy.
    """
    if policy.same_weights:
        return _of_equality(rows, policy)
    tested = [(row, row.figures) for row in rows if row.figures]
    if not tested:
        return "No row could be compared, so nothing can be said of what this policy would catch."
    moved = [(row, f) for row, f in tested if f.standard_error]
    sentences = [*_false_alarms(tested)]
    if moved:
        sentences += [*_caught(moved, len(tested)), *_missed(moved), *_unchanged(moved)]
    equal = len(tested) - len(moved)
    if equal:
        sentences.append(
            f"In {_rows(equal)} no item or score changed, so these data do not say how much such "
            "rows vary."
        )
    return " ".join(sentences)


def _of_equality(rows: Sequence[Row], policy: Policy) -> str:
    compared = [row.figures for row in rows if row.figures]
    n = sum(figures.n for figures in compared)
    return (
        f"With same_weights = true nothing is tested: {_rows(len(compared))} with {n} items in all "
        f"are compared item by item, and any item that moves by more than {policy.tolerance:g} "
        "fails its row. Changes within that, even in every item, pass."
    )


def _false_alarms(tested: Sequence[tuple[Row, Figures]]) -> list[str]:
    n = len(tested)
    alphas = sorted({row.rule.alpha for row, _ in tested})
    drops = sorted({row.rule.max_drop for row, _ in tested})
    allowed = f"{drops[0]:g}" if len(drops) == 1 else f"{drops[0]:g} to {drops[-1]:g}"
    exactly = "every true drop is 0"
    if drops != [0]:
        exactly = f"every true drop is exactly what is allowed ({allowed})"
    return [
        f"This gate judges {_rows(n)}. If {exactly}, the chance that any of them is called a "
        f"regression is at most {alphas[-1]:g} (Holm's correction; a single row has to reach "
        f"p <= {alphas[0] / n:.2g} to be the first)."
    ]


def _caught(moved: Sequence[tuple[Row, Figures]], n: int) -> list[str]:
    seen = [(f.detectable, row.name) for row, f in moved if f.detectable is not None]
    if not seen:
        return ["No row would call any drop a regression: there are too few items."]
    best, worst = min(seen), max(seen)
    each = (
        f"With {100 * POWER:g} % power a row catches a true drop of {best[0]:.4f} ({best[1]})"
        if best == worst
        else f"With {100 * POWER:g} % power a row catches a true drop of {best[0]:.4f} at best "
        f"({best[1]}) and {worst[0]:.4f} at worst ({worst[1]})"
    )
    if len(seen) == 1:
        return [each + "."]
    return [
        f"{each}; a drop of {_uniform(moved, n):.4f} in all of them at once is caught by at least "
        "one, if rows err independently, which tasks of one kind do not."
    ]


def _uniform(moved: Sequence[tuple[Row, Figures]], n: int) -> float:
    """Return the drop, the same in every row, that at least one of n rows shows at 80 % power."""
    able = [(row.rule, f) for row, f in moved if f.detectable is not None]

    def missed(drop: float) -> float:
        chances = [
            1 - stats.power(drop - rule.max_drop, _error(f), alpha=rule.alpha / n)
            for rule, f in able
            if drop > rule.max_drop
        ]
        return math.prod(chances)

    low, high = 0.0, max(f.detectable or 0.0 for _, f in able)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if 1 - missed(middle) >= POWER else (middle, high)
    return high


def _missed(moved: Sequence[tuple[Row, Figures]]) -> list[str]:
    said = []
    tolerated = [row for row, _ in moved if row.rule.max_drop > 0]
    if tolerated:
        said.append("Drops within max_drop are not regressions, whatever their certainty.")
    blind = [row.name for row, f in moved if f.detectable is None]
    if blind:
        said.append(
            f"{_rows(len(blind))} {'decides' if len(blind) == 1 else 'decide'} nothing, because "
            f"there are too few items or they vary too much: {_listed(blind)}."
        )
    return said


def _unchanged(moved: Sequence[tuple[Row, Figures]]) -> list[str]:
    """Say how often a candidate that is truly as good passes, and which max_drop that takes."""
    strict = [row for row, _ in moved if row.rule.max_drop == 0]
    if len(strict) == len(moved):
        return [
            "With max_drop = 0 a candidate that is truly as good but not equal item by item stays "
            "inconclusive nearly always: only a gain can rule a drop out."
        ]
    needed = {
        row.name: stats.minimum_detectable(_error(f), alpha=row.rule.alpha, power=POWER)
        for row, f in moved
    }
    short = [
        f"{row.name} ({needed[row.name]:.4f})"
        for row, _ in moved
        if needed[row.name] > row.rule.max_drop
    ]
    if not short:
        return ["A candidate that is truly as good passes each row in at least 4 runs of 5."]
    return [
        "A candidate that is truly as good stays inconclusive in more than 1 run of 5 where "
        f"max_drop is less than the row needs: {_listed(short)}."
    ]


def _error(figures: Figures) -> float:
    assert figures.standard_error is not None
    return figures.standard_error


def _rows(n: int) -> str:
    return f"{n} row" + "s" * (n != 1)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
