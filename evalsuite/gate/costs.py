"""Rows of costs: exact ones are judged as they are; a single timing can only warn."""

from __future__ import annotations

from dataclasses import replace

from evalsuite.compare import Pair
from evalsuite.compare.costs import SPEED, not_timed
from evalsuite.cost import short
from evalsuite.gate.policy import Rule
from evalsuite.gate.verdict import ERROR, INCONCLUSIVE, PASS, REGRESSION, SKIPPED, Row, Spending

EXACT = {"flops_per_token": "FLOPs a token", "bytes_per_item": "bytes an item"}
_ANY = "cost"
COSTS = (*EXACT, SPEED, _ANY)
_ROUNDING = 1e-9  # results are stored with nine digits


def cost_rows(pair: Pair, rule: Rule) -> list[Row]:
    """Return the rows of a task's costs, none where the policy sets no ``max_slowdown``.

    What neither side states is no row, unless no exact cost is left.

    Args:
        pair: The results of both sides.
        rule: The task's rule.
    """
    if rule.max_slowdown is None:
        return []
    rows = [row for name in EXACT if (row := _exact(pair, name, rule, rule.max_slowdown))]
    if not rows:
        rows = [_unstated(pair, _ANY, rule, "neither side states a cost")]
    if reason := not_timed(pair):
        first, *others = rows
        return [replace(first, notes=(f"speed is not judged: {reason}",)), *others]
    return [*rows, _timed(pair, rule, rule.max_slowdown)]


def _exact(pair: Pair, name: str, rule: Rule, allowed: float) -> Row | None:
    """Return the row of a cost that depends on no hardware, or None where nobody states it."""
    ours, theirs = (getattr(one.spent, name) for one in (pair.candidate, pair.baseline))
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        side = "candidate" if ours is None else "baseline"
        return _unstated(pair, name, rule, f"the file of the {side} does not state it")
    costs = Spending(ours, theirs)
    worse = ours > theirs * (1 + allowed) * (1 + _ROUNDING)
    reason = (
        f"it needs {short(ours)} {EXACT[name]}, the baseline {short(theirs)}"
        f"{_times(costs.ratio)}; {1 + allowed:g} times is allowed"
    )
    return Row(pair.task, name, REGRESSION if worse else PASS, reason, rule, costs=costs)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f" ({ratio:.4g} times)"


def _unstated(pair: Pair, name: str, rule: Rule, what: str) -> Row:
    """Return an error, or a skipped row where what is missing may be."""
    reason = f"{what}: run both models again with --force"
    return Row(pair.task, name, ERROR if rule.require else SKIPPED, reason, rule)


def _timed(pair: Pair, rule: Rule, allowed: float) -> Row:
    """Return the row of speed: one timing a side has no interval, so it never fails by itself."""
    ours, theirs = (one.spent.texts_per_second for one in (pair.candidate, pair.baseline))
    assert ours is not None
    assert theirs is not None
    costs = Spending(ours, theirs)
    slower = theirs > ours * (1 + allowed)
    said = (
        f"it runs {short(ours)} texts/s, the baseline {short(theirs)}; {1 + allowed:g} times the "
        "seconds are allowed; one timing a side, so no test says how sure that is"
    )
    return Row(pair.task, SPEED, INCONCLUSIVE if slower else PASS, said, rule, costs=costs)
