"""Verdicts of rows: regression, pass, inconclusive, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from evalsuite import measures, stats
from evalsuite.compare import Pair
from evalsuite.errors import StoreError
from evalsuite.gate import Row, Rule
from evalsuite.gate.equality import compare_items
from evalsuite.gate.verdict import compare_scores, judge
from evalsuite.measures import Measure
from tests.gate.stores import COSINE, GOLD, NDCG, NDCGS, SPEARMAN, result

MEAN = measures.parse(NDCG)
COST = replace(MEAN, higher_is_better=False, worst=1.0)


def pair(candidate: Any, baseline: Any, **changes: Any) -> Pair:
    """Return a pair of columns, or of single columns of nDCG."""
    tables = [c if isinstance(c, dict) else {NDCG: c} for c in (candidate, baseline)]
    (new, new_items), (old, old_items) = (
        result(name, columns=table, **changes)
        for name, table in zip(("new", "old"), tables, strict=True)
    )
    return Pair("Alpha@1", new, old, new_items.ordered(), old_items.ordered(), ())


def judged(
    candidate: ArrayLike | dict[str, Any],
    baseline: ArrayLike | dict[str, Any] = NDCGS,
    measure: Measure = MEAN,
    n_rows: int = 1,
    **rule: Any,
) -> Row:
    """Return the verdict on a single row, as one of ``n_rows`` of which the others are equal."""
    row = Row("Alpha@1", measure.name, "", "", Rule(**rule))
    both, same = pair(candidate, baseline), pair(baseline, baseline)
    rows = [compare_scores(row, both, measure, n_rows=n_rows, seed=1)]
    rows += [compare_scores(row, same, measure, n_rows=n_rows, seed=1) for _ in range(n_rows - 1)]
    return judge(rows)[0]


def noise(scale: float = 0.05, n: int = 400) -> Any:
    return np.random.default_rng(5).normal(0, scale, n)


# ---- the three verdicts


def test_equal_items_pass_whatever_the_policy() -> None:
    for drop in (0.0, 0.01):
        row = judged(NDCGS, max_drop=drop)
        assert (row.verdict, row.reason) == ("pass", "all 400 items are equal")
        assert row.figures is not None
        assert row.figures.interval == (0.0, 0.0)
        assert row.figures.n_changed == 0
        assert row.figures.detectable is None


def test_a_drop_beyond_what_is_allowed_is_a_regression() -> None:
    row = judged(NDCGS - 0.05 + noise(), max_drop=0.02)
    assert row.verdict == "regression"
    assert "0.02 is allowed" in row.reason
    figures = row.figures
    assert figures is not None
    assert figures.interval is not None
    assert figures.interval[1] < -0.02
    assert figures.level == 0.9
    assert figures.p_drop is not None
    assert figures.p_drop <= 0.05
    assert figures.drop == pytest.approx(0.05, abs=0.01)
    assert figures.n == 400


def test_a_drop_within_what_is_allowed_passes() -> None:
    row = judged(NDCGS - 0.01 + noise(), max_drop=0.03)
    assert row.verdict == "pass"
    assert "a drop of 0.03 or more is ruled out" in row.reason
    assert row.figures is not None
    assert row.figures.interval is not None
    assert row.figures.interval[0] > -0.03


def test_an_undecided_row_says_what_it_would_have_caught() -> None:
    row = judged(NDCGS - 0.01 + noise(0.2), max_drop=0.01)
    assert row.verdict == "inconclusive"
    figures = row.figures
    assert figures is not None
    error = figures.standard_error
    assert error is not None
    assert figures.detectable == pytest.approx(0.01 + stats.minimum_detectable(error))
    assert f"a true drop of {figures.detectable:.4f} would be caught with 80 % power" in row.reason


def test_without_tolerance_the_tests_are_exact() -> None:
    hits = (NDCGS > 0.5).astype(float)
    lost = hits.copy()
    lost[np.flatnonzero(hits)[:10]] = 0.0
    row = judged(lost, hits)
    assert row.verdict == "regression"
    assert row.figures is not None
    assert row.figures.test == "McNemar"
    assert row.figures.p_drop == pytest.approx(0.5**10)
    assert judged(hits, lost).verdict == "pass"
    row = judged(NDCGS - 0.05 + noise())
    assert row.figures is not None
    assert row.figures.test == "sign flips"
    assert row.verdict == "regression"


def test_holm_asks_more_of_a_row_among_many() -> None:
    drop = NDCGS - 0.0055 + noise() - noise().mean()
    assert judged(drop).verdict == "regression"
    row = judged(drop, n_rows=20)
    assert row.verdict == "inconclusive"
    assert row.figures is not None
    assert row.figures.p_drop is not None
    assert row.figures.p_drop_holm == pytest.approx(20 * row.figures.p_drop)
    assert row.figures.alpha_holm == 0.05 / 20
    assert row.figures.detectable is not None
    error = row.figures.standard_error
    assert error is not None
    assert row.figures.detectable == pytest.approx(stats.minimum_detectable(error, alpha=0.0025))


def test_spearman_has_no_items_to_flip_and_is_bootstrapped() -> None:
    gold = {"gold": GOLD, "cosine": COSINE}
    spearman = measures.parse(SPEARMAN)
    worse = {"gold": GOLD, "cosine": COSINE + noise(0.1)}
    row = judged(worse, gold, spearman, max_drop=0.005)
    assert row.verdict == "regression"
    assert row.figures is not None
    assert row.figures.test == "paired bootstrap"
    better = {"gold": GOLD, "cosine": COSINE * 0.9}  # the same ranks
    row = judged(better, gold, spearman)
    assert row.verdict == "pass"
    assert "no resample changes the score" in row.reason
    assert row.figures is not None
    assert row.figures.detectable is None


def test_a_floor_is_a_floor_whatever_the_baseline() -> None:
    row = judged(NDCGS, floor=0.9)
    assert row.verdict == "regression"
    assert "is under the floor 0.9" in row.reason
    assert judged(NDCGS, floor=0.1).verdict == "pass"


def test_the_sign_turns_where_lower_is_better() -> None:
    both = NDCGS + 0.05 + noise(), NDCGS
    assert judged(*both, measure=COST, max_drop=0.02).verdict == "regression"
    assert judged(*both[::-1], measure=COST, max_drop=0.02).verdict == "pass"
    assert judged(*both[::-1], measure=COST).verdict == "pass"
    row = judged(*both, measure=COST, floor=0.4)
    assert row.verdict == "regression"
    assert "is over the floor 0.4" in row.reason
    row = judged(*both, measure=COST)
    assert "it rose by 0.0" in row.reason
    assert row.figures is not None
    assert row.figures.drop == pytest.approx(row.figures.difference)
    gain = judged(NDCGS * 0.1, NDCGS, measure=COST)
    assert any("suspicious gain" in note for note in gain.notes)


def test_too_few_items_decide_nothing() -> None:
    """Three items that all rose by the same: no test could reach 0.05, so nothing is ruled out."""
    few = np.array([0.2, 0.4, 0.6])
    row = judged(few + 0.001, few, max_drop=0.05)
    assert row.verdict == "inconclusive"
    assert row.figures is not None
    assert row.figures.p_no_drop == 0.125
    row = judged(few - [0.19, 0.39, 0.58], few, max_drop=0.05)
    assert row.verdict == "inconclusive"
    assert "3 items are too few to call any drop a regression" in row.reason
    assert judged(few, few).verdict == "pass"


def test_p_values_can_get_small_enough_for_many_rows() -> None:
    gold = {"gold": GOLD, "cosine": COSINE}
    worse = {"gold": GOLD, "cosine": COSINE[::-1]}
    row = judged(worse, gold, measures.parse(SPEARMAN), n_rows=150, max_drop=0.01)
    assert row.verdict == "regression"


def test_gains_too_large_to_believe_are_flagged_but_pass() -> None:
    row = judged(1 - (1 - NDCGS) * 0.3)
    assert row.verdict == "pass"
    (note,) = row.notes
    assert "suspicious gain" in note
    assert "70%" in note
    assert judged(1 - (1 - NDCGS) * 0.6).notes == ()
    few = np.array([0.2, 0.4, 0.6])
    assert judged([1.0, 1.0, 1.0], few).notes == ()  # large, but three items prove nothing


def test_false_alarms_and_false_passes_at_the_limit_are_rare() -> None:
    """At a true drop of exactly max_drop either happens in 1 run of 20, but for chance."""
    rng = np.random.default_rng(11)
    verdicts = []
    for seed in range(200):
        baseline = rng.uniform(0, 1, 150)
        both = pair(baseline - 0.02 + rng.normal(0, 0.1, 150), baseline)
        row = Row("Alpha@1", NDCG, "", "", Rule(max_drop=0.02))
        compared = compare_scores(row, both, MEAN, n_rows=1, seed=seed)
        verdicts.append(judge([compared])[0].verdict)
    assert verdicts.count("regression") <= 18  # P(X > 18) = 0.007 for X ~ Bin(200, 0.05)
    assert verdicts.count("pass") <= 18
    assert verdicts.count("inconclusive") > 160


def test_the_same_seed_gives_the_same_figures() -> None:
    rows = [judged(NDCGS - 0.01 + noise(), max_drop=0.01) for _ in range(2)]
    assert rows[0] == rows[1]


def test_no_rows_no_verdicts() -> None:
    assert judge([]) == []


# ---- scores that are not their items'


def test_a_score_that_is_not_its_items_is_refused() -> None:
    both = pair(NDCGS, NDCGS)
    score = replace(both.candidate.scores[NDCG], value=0.99)
    altered = replace(both, candidate=replace(both.candidate, scores={NDCG: score}))
    row = Row("Alpha@1", NDCG, "", "", Rule())
    with pytest.raises(StoreError, match=r"the candidate's file says ndcg@10 0.99, its"):
        compare_scores(row, altered, MEAN, n_rows=1, seed=1)
    with pytest.raises(StoreError, match=r"candidate.*0.99"):
        compare_items(row, altered, MEAN, 0.1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_score_that_is_no_number_is_refused() -> None:
    both = pair(NDCGS, np.where(np.arange(400) == 3, np.nan, NDCGS))
    row = Row("Alpha@1", NDCG, "", "", Rule())
    with pytest.raises(StoreError, match="the baseline's ndcg@10 is nan"):
        compare_scores(row, both, MEAN, n_rows=1, seed=1)


# ---- the same weights


def same(candidate: Any, baseline: Any = NDCGS, tolerance: float = 1e-4, **rule: Any) -> Row:
    row = Row("Alpha@1", NDCG, "", "", Rule(**rule))
    return compare_items(row, pair(candidate, baseline), MEAN, tolerance)


def test_items_within_the_tolerance_pass() -> None:
    row = same(NDCGS + np.linspace(-9e-5, 9e-5, 400))
    assert row.verdict == "pass"
    assert "all 400 items agree within 0.0001" in row.reason
    assert row.figures is not None
    assert row.figures.largest == pytest.approx(9e-5)
    assert row.figures.p_drop is None
    assert same(NDCGS).verdict == "pass"
    assert same(NDCGS, tolerance=0.0).verdict == "pass"


def test_items_beyond_it_fail_and_are_named_even_where_the_score_stays() -> None:
    moved = NDCGS.copy()
    moved[7] += 0.5
    moved[3] -= 0.5
    row = same(moved)
    assert row.figures is not None
    assert row.figures.difference == pytest.approx(0)
    assert row.verdict == "regression"
    assert row.reason.startswith("2 of 400 items differ by more than 0.0001, most: i000")
    for item in (3, 7):
        assert f"i{item:04} ({NDCGS[item]:.4f} to {moved[item]:.4f})" in row.reason
    assert row.reason.count(" to ") == 2
    assert same(NDCGS + 1e-3, tolerance=2e-3).verdict == "pass"


def test_floors_hold_with_the_same_weights_too_and_other_weights_are_named() -> None:
    row = same(NDCGS, floor=0.9)
    assert row.verdict == "regression"
    assert "floor" in row.reason
    assert row.notes == ("the weights are not the same: the models' identities differ",)
