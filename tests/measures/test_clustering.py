"""Measures of clusters against scikit-learn's, counts and resamples written out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_rel
from sklearn import metrics

from evalsuite import measures, stats
from evalsuite.result import FAILED, OK, Items

THEIRS: Mapping[str, Callable[..., Any]] = {
    "v_measure": metrics.v_measure_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "ami": metrics.adjusted_mutual_info_score,
    "ari": metrics.adjusted_rand_score,
}
CODES = st.integers(0, 4)
ROWS = st.lists(st.tuples(CODES, CODES, st.integers(1, 3), st.integers(0, 3)), min_size=1)


def columns(gold: Any, predicted: Any, count: Any) -> dict[str, Any]:
    values = {"gold": gold, "predicted": predicted, "count": count}
    return {name: np.asarray(column, dtype=np.float64) for name, column in values.items()}


@pytest.mark.parametrize("name", THEIRS)
@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_equals_scikit_learn(name: str, rows: list[tuple[int, int, int, int]]) -> None:
    gold, predicted, count, times = np.array(rows).T
    measure = measures.parse(name)
    table = columns(gold, predicted, count)
    found = float(measure.aggregate(table, None))
    written = np.repeat(gold, count), np.repeat(predicted, count)
    assert found == pytest.approx(THEIRS[name](*written), abs=1e-9)
    low, high = measure.bounds
    assert low - 1e-12 <= found <= high + 1e-12
    if times.any():
        drawn = (np.repeat(codes, count * times) for codes in (gold, predicted))
        weights = np.stack([np.ones(len(gold)), times])
        both = measure.aggregate(table, weights)
        assert both == pytest.approx([found, THEIRS[name](*drawn)], abs=1e-9)


@pytest.mark.parametrize("name", THEIRS)
def test_equals_scikit_learn_on_many_items(name: str) -> None:
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 60, 8000)
    predicted = np.where(rng.random(8000) < 0.6, gold, rng.integers(0, 90, 8000))
    found = measures.parse(name).aggregate(columns(gold, predicted, np.ones(8000)), None)
    assert float(found) == pytest.approx(THEIRS[name](gold, predicted), abs=1e-12)


def test_by_hand() -> None:
    """Clusters {a a}, {b c}: I = ln 2, H(C) = 1.5 ln 2, H(K) = ln 2."""
    table = columns([0, 0, 1, 2], [5, 5, 7, 7], np.ones(4))
    expected = {"homogeneity": 2 / 3, "completeness": 1.0, "v_measure": 4 / 5, "ari": 4 / 7}
    for name, score in expected.items():
        assert float(measures.parse(name).aggregate(table, None)) == pytest.approx(score), name


@pytest.mark.parametrize("name", THEIRS)
def test_names_of_clusters_are_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(0, 5, (2, 100))
    renamed = np.array([7, 1, 30, -1, 4])[predicted]
    measure = measures.parse(name)
    scores = [
        float(measure.aggregate(columns(gold, codes, np.ones(100)), None))
        for codes in (predicted, renamed)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-12)


def test_failed_items_are_one_cluster_and_keep_their_count() -> None:
    gold = np.array([0, 0, 1, 1, 0, 1])
    status = np.array([OK] * 4 + [FAILED] * 2)
    items = Items(list("abcdef"), columns(gold, gold, np.full(6, 2)), status)
    measure = measures.parse("v_measure")
    sample = items.sample(measure)
    assert sample.columns["count"].tolist() == [2] * 6
    score = float(stats.score(measure, sample))
    assert score == pytest.approx(metrics.v_measure_score(gold, [0, 0, 1, 1, 2, 2]))


# ---- what is drawn


def drawn_items(shift: float = 0.0, draws: int = 10, levels: int = 2) -> Items:
    """Return a table of draws, in which a share of the items is put into a cluster at random."""
    rng = np.random.default_rng(1)
    n = 80
    parts = []
    for level in range(levels):
        for number in range(draws):
            gold = rng.integers(0, 3 + level, n)
            wrong = rng.random(n) < rng.uniform(0.2, 0.4) - shift
            predicted = np.where(wrong, rng.integers(0, 3, n), gold)
            parts.append((gold, predicted, rng.integers(1, 4, n), np.full(n, number), level))
    gold, predicted, count, replicate = (
        np.concatenate([part[i] for part in parts]) for i in range(4)
    )
    return Items(
        ids=[f"t{i}" for i in range(n)] * (draws * levels),
        columns=columns(gold, predicted, count),
        status=np.full(len(gold), OK),
        group=np.repeat([f"level {p[4] + 1}" for p in parts], n),
        replicate=replicate,
    )


def test_the_score_is_the_mean_over_draws_then_levels() -> None:
    items = drawn_items()
    assert items.group is not None
    assert items.replicate is not None
    measure = measures.parse("v_measure")
    each = [
        metrics.v_measure_score(
            *(np.repeat(items.columns[c][rows], items.columns["count"][rows].astype(int))
              for c in ("gold", "predicted"))
        )
        for level in ("level 1", "level 2")
        for number in range(10)
        for rows in [(items.group == level) & (items.replicate == number)]
    ]  # fmt: skip
    assert float(stats.score(measure, items.sample(measure))) == pytest.approx(np.mean(each))
    assert items.n_items == 80


def test_intervals_and_differences_are_students_of_the_draws_scores() -> None:
    measure = measures.parse("v_measure")
    new, old = (drawn_items(shift).sample(measure) for shift in (0.05, 0.0))
    scores, others = (stats.draws.replicate_scores(measure, side) for side in (new, old))
    assert scores is not None
    assert others is not None
    assert scores.mean() == pytest.approx(float(stats.score(measure, new)))
    ends = ttest_1samp(scores, 0).confidence_interval()
    assert stats.bootstrap_interval(measure, new, seed=1) == pytest.approx(ends, abs=1e-4)
    found = stats.difference(measure, new, old, seed=1)
    assert found.value == pytest.approx((scores - others).mean())
    ends = ttest_rel(scores, others).confidence_interval()
    assert found.interval() == pytest.approx(ends, abs=1e-4)
    assert (found.test, found.n) == ("sign flips", 160)
    assert 0 < found.n_changed < 160
    flips = np.array(list(itertools.product((-1, 1), repeat=10))) @ (scores - others)
    as_far = (flips >= (scores - others).sum() - 1e-12).mean()
    assert (found.p_greater, found.p) == (as_far, 2 * as_far)
    assert found.p < 0.05
    same = stats.difference(measure, new, new, seed=1)
    assert (same.p, same.n_changed) == (1.0, 0)
    assert same.interval() == (0.0, 0.0)


def test_a_draw_alone_is_resampled_by_item() -> None:
    measure = measures.parse("v_measure")
    sides = [drawn_items(shift, draws=1, levels=1).sample(measure) for shift in (0.15, 0.0)]
    found = stats.difference(measure, *sides, seed=1)
    assert found.test == "paired bootstrap"
    low, high = found.interval()
    assert low < found.value < high


def test_intervals_stay_on_the_scale() -> None:
    measure = measures.parse("v_measure")
    gold = np.tile([0, 0, 1, 1], 3)
    table = columns(gold, [0, 1, 0, 1, *gold[4:]], np.ones(12))
    replicate = np.repeat([0, 1, 2], 4)
    items = Items(list("abcd") * 3, table, np.full(12, OK), replicate=replicate)
    assert stats.bootstrap_interval(measure, items.sample(measure), seed=1) == (0.0, 1.0)
