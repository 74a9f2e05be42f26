"""What ``--explain`` says, against the same figures computed here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import stats
from evalsuite.gate import Figures, Report, Row, Rule, decide
from evalsuite.gate.explain import explain
from tests.gate.stores import NDCG, pair_of_models, policy, sides, write

POLICY = policy()


def row(task: str, error: float | None, *, n_rows: int, **rule: Any) -> Row:
    """Return a row as a gate of so many rows makes it."""
    own = Rule(**rule)
    detectable = None
    if error:
        least = stats.minimum_detectable(error, alpha=own.alpha / n_rows)
        detectable = own.max_drop + least
    figures = Figures(0.5, 0.5, 400, 400, standard_error=error, detectable=detectable)
    return Row(task, "m", "pass", "", own, figures)


def gate(root: Path, **table: Any) -> Report:
    return decide(*sides(root), policy(**table))


def test_best_worst_and_together() -> None:
    rows = [row(t, e, n_rows=2, max_drop=0.01) for t, e in (("A@1", 0.002), ("B@1", 0.01))]
    text = explain(rows, POLICY)
    assert "This gate judges 2 rows." in text
    assert "every true drop is exactly what is allowed (0.01)" in text
    assert "at most 0.05" in text
    assert "p <= 0.025 to be the first" in text
    best, worst = (one.figures.detectable for one in rows if one.figures)
    assert f"{best:.4f} at best (A@1 m) and {worst:.4f} at worst (B@1 m)" in text
    together = float(re.findall(r"a drop of (0\.\d+) in all of them", text)[0])
    assert best is not None
    assert 0.01 < together <= best
    found = [stats.power(together - 0.01, e, alpha=0.025) for e in (0.002, 0.01)]
    assert 1 - np.prod([1 - power for power in found]) == pytest.approx(0.8, abs=0.02)


def test_which_rows_an_unchanged_candidate_may_not_pass() -> None:
    needed = stats.minimum_detectable(0.01, alpha=0.05)
    text = explain([row("A@1", 0.01, n_rows=1, max_drop=0.01)], POLICY)
    assert "stays inconclusive in more than 1 run of 5" in text
    assert f"max_drop is less than the row needs: A@1 m ({needed:.4f})." in text
    text = explain([row("A@1", 0.01, n_rows=1, max_drop=0.03)], POLICY)
    assert "passes each row in at least 4 runs of 5" in text
    text = explain([row("A@1", 0.01, n_rows=1)], POLICY)
    assert "If every true drop is 0, the chance" in text
    assert "only a gain can rule a drop out" in text


def test_rows_that_decide_nothing_are_named(tmp_path: Path) -> None:
    few = np.array([0.2, 0.4, 0.6])
    for model, columns in (("old", few), ("new", few - [0.1, 0.2, 0.1])):
        write(tmp_path, model, "Few", {NDCG: columns})
    pair_of_models(tmp_path, -0.01, "Many")
    text = gate(tmp_path).explanation
    assert "1 row decides nothing, because there are too few items" in text
    assert "Few@1 ndcg@10." in text
    text = gate(tmp_path, task={"Few": {}}).explanation
    assert "No row would call any drop a regression: there are too few items." in text


def test_equal_rows_and_no_rows_say_nothing_of_spread(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    report = gate(tmp_path)
    assert "In 1 row no item or score changed" in report.explanation
    assert "catches" not in report.explanation
    assert explain([], POLICY).startswith("No row could be compared")


def test_several_levels_and_limits() -> None:
    rows = [row("A@1", 0.01, n_rows=2, max_drop=0.01), row("B@1", 0.01, n_rows=2, alpha=0.1)]
    text = explain(rows, POLICY)
    assert "what is allowed (0 to 0.01), the chance that any of them" in text
    assert "at most 0.1 (Holm" in text
    assert "B@1 m (" in text
