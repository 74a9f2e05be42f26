"""Intervals: repeatable, as SciPy's, and covering as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evalsuite import measures, stats
from evalsuite.stats import Sample, intervals

MEAN = measures.parse("ndcg@10")
SPEARMAN = measures.parse("cosine_spearman")


def sample(values: object) -> Sample:
    return Sample({"ndcg@10": np.asarray(values, dtype=np.float64)})


def correlated(n: int, seed: int = 1) -> Sample:
    rng = np.random.default_rng(seed)
    gold = rng.random(n)
    return Sample({"gold": gold, "cosine": gold + rng.normal(size=n) * 0.3})


def test_intervals_repeat_and_depend_on_the_seed() -> None:
    values = sample(np.random.default_rng(0).random(50))
    np.random.seed(1)  # noqa: NPY002
    first = stats.bootstrap_interval(MEAN, values, seed=3)
    np.random.seed(2)  # noqa: NPY002
    assert stats.bootstrap_interval(MEAN, values, seed=3) == first
    assert stats.bootstrap_interval(MEAN, values, seed=4) != first


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_of_a_correlation_agree_with_scipy(method: str) -> None:
    data = correlated(150)
    scipy_bootstrap: Any = scipy_stats.bootstrap
    reference = scipy_bootstrap(
        (data.columns["gold"], data.columns["cosine"]),
        lambda x, y: float(scipy_stats.spearmanr(x, y).statistic),
        paired=True,
        vectorized=False,
        method=method,
        n_resamples=1500,
        rng=np.random.default_rng(2),
    ).confidence_interval
    low, high = (
        stats.bootstrap_interval(SPEARMAN, data, seed=0, n_resamples=20_000)
        if method == "percentile"
        else stats.bootstrap(SPEARMAN, data, seed=0, n_resamples=20_000).interval()
    )
    width = reference.high - reference.low
    assert abs(low - reference.low) < 0.1 * width
    assert abs(high - reference.high) < 0.1 * width


def test_bca_of_a_skewed_mean_agrees_with_scipy_and_not_with_the_percentile() -> None:
    values = np.random.default_rng(4).exponential(size=40)
    reference = scipy_stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=40_000, rng=np.random.default_rng(1)
    ).confidence_interval
    ours = stats.bootstrap(MEAN, sample(values), seed=0, n_resamples=40_000)
    assert ours.interval() == pytest.approx((reference.low, reference.high), abs=0.01)
    percentile = stats.bootstrap_interval(MEAN, sample(values), seed=0, n_resamples=40_000)
    assert ours.interval()[1] - percentile[1] > 0.02


def test_grouped_jackknife_gives_nearly_the_interval_of_the_whole_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = sample(np.random.default_rng(4).exponential(size=3000))
    grouped = stats.bootstrap(MEAN, values, seed=0)
    monkeypatch.setattr(intervals, "JACKKNIFE_GROUPS", 3000)
    assert stats.bootstrap(MEAN, values, seed=0).interval() == pytest.approx(
        grouped.interval(), abs=1e-3
    )


def test_p_values_are_the_levels_at_which_the_interval_leaves_a_value_out() -> None:
    skewed = stats.bootstrap(
        MEAN, sample(np.random.default_rng(3).gamma(0.5, size=80)), seed=0, n_resamples=20_000
    )
    for level in (0.01, 0.05, 0.3, 0.5, 0.8, 0.97):
        assert skewed.p_above(skewed.quantile(level)) == pytest.approx(level, abs=2e-3)
        assert skewed.p_below(skewed.quantile(level)) == pytest.approx(1 - level, abs=2e-3)
    assert 1 / 20_001 <= skewed.p_below(1e9) < 1e-3
    assert skewed.p_above(1e9) > 0.999


@pytest.mark.parametrize(("n", "method"), [(60, "percentile"), (60, "BCa")])
def test_intervals_cover_about_as_often_as_they_say(n: int, method: str) -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(400):
        values = sample(rng.random(n))
        interval = (
            stats.bootstrap_interval(MEAN, values, seed=trial, n_resamples=400)
            if method == "percentile"
            else stats.bootstrap(MEAN, values, seed=trial, n_resamples=400).interval()
        )
        covered += interval[0] <= 0.5 <= interval[1]
    assert scipy_stats.binomtest(covered, 400, 0.94).pvalue > 1e-3


def test_levels_nest() -> None:
    values = sample(np.random.default_rng(0).random(50))
    wide = stats.bootstrap_interval(MEAN, values, seed=1, level=0.99)
    narrow = stats.bootstrap_interval(MEAN, values, seed=1, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_one_item_and_none() -> None:
    assert stats.bootstrap_interval(MEAN, sample([0.3]), seed=0) == (0.3, 0.3)
    assert stats.bootstrap(MEAN, sample([0.3]), seed=0).interval() == (0.3, 0.3)
    with pytest.raises(ValueError, match="at least one item"):
        stats.bootstrap_interval(MEAN, sample([]), seed=0)
