"""Tests of differences: as SciPy's and statsmodels', calibrated on simulated nulls and effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from evalsuite import measures, stats
from evalsuite.stats import Difference, Sample

MEAN = measures.parse("ndcg@10")
SPEARMAN = measures.parse("cosine_spearman")
Floats = NDArray[np.float64]


def of(values: Floats) -> Sample:
    return Sample({"ndcg@10": values})


def compare(d: Floats, seed: int = 0, n_resamples: int = 1000) -> Difference:
    return stats.difference(MEAN, of(d), of(np.zeros(len(d))), seed=seed, n_resamples=n_resamples)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_equals_statsmodels(won: int, lost: int) -> None:
    if won + lost == 0:
        return
    two_sided = statsmodels_mcnemar([[3, lost], [won, 5]], exact=True).pvalue
    ours = min(1.0, 2 * min(stats.mcnemar(won, lost), stats.mcnemar(lost, won)))
    assert ours == pytest.approx(two_sided)


def test_a_column_of_zeros_and_ones_is_tested_by_mcnemar() -> None:
    candidate = np.array([1.0] * 30 + [0.0] * 12 + [1.0] * 2)
    baseline = np.array([1.0] * 42 + [0.0] * 2)
    found = stats.difference(MEAN, of(candidate), of(baseline), seed=0)
    assert found.test == "McNemar"
    assert found.p_less == pytest.approx(scipy_stats.binom.cdf(2, 14, 0.5))
    assert found.value == pytest.approx(-10 / 44)
    assert (found.n, found.n_changed) == (44, 14)


@pytest.mark.parametrize("n", [8, 200])
def test_sign_flips_equal_scipy(n: int) -> None:
    d = np.random.default_rng(0).normal(0.08, 0.5, n)
    for alternative, ours in zip(("less", "greater"), stats.sign_flips(d, seed=1), strict=True):
        permutation_test: Any = scipy_stats.permutation_test
        reference = permutation_test(
            (d,),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            alternative=alternative,
            n_resamples=10_000,
            vectorized=True,
            rng=np.random.default_rng(5),
        ).pvalue
        assert ours == pytest.approx(reference, abs=1e-12 if n == 8 else 0.02)


def test_sign_flips_ignore_items_that_did_not_change() -> None:
    d = np.zeros(50_000)
    d[:3] = -0.5
    assert stats.sign_flips(d, seed=0) == (1 / 8, 1.0)


def test_permutation_of_unpaired_means_equals_scipy() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 40), rng.normal(0.4, 1, 55)
    ours = stats.permutation(a, b, seed=0)
    reference = scipy_stats.permutation_test(
        (a, b),
        lambda x, y: x.mean() - y.mean(),
        alternative="less",
        n_resamples=10_000,
        rng=np.random.default_rng(2),
    ).pvalue
    assert ours[0] == pytest.approx(reference, abs=0.01)


def test_unpaired_interval_is_that_of_two_independent_means() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 400), rng.normal(0.4, 1, 300)
    low, high = stats.unpaired(MEAN, of(a), of(b), seed=0).interval()
    reference = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.02)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    reference = multipletests(p_values, method="holm")[1]
    assert stats.holm(p_values) == pytest.approx(list(reference))


def test_nothing_changed_is_no_difference() -> None:
    values = np.random.default_rng(0).random(100)
    found = stats.difference(MEAN, of(values), of(values.copy()), seed=0)
    assert (found.value, found.n_changed, found.p) == (0.0, 0, 1.0)
    assert found.interval() == (0.0, 0.0)
    assert found.p_above(-0.01) < 1e-3  # surely not worse by a hundredth
    assert found.p_below(-0.01) == 1.0


def test_samples_of_other_units_are_refused() -> None:
    with pytest.raises(ValueError, match="same units"):
        stats.difference(MEAN, of(np.ones(3)), of(np.ones(4)), seed=0)


# ---- calibration: what is simulated is known


def binary(rng: np.random.Generator, n: int, mean: float) -> Floats:
    return rng.choice([-1.0, 0.0, 1.0], n, p=[0.05 - mean / 2, 0.9, 0.05 + mean / 2])


def few_changed(rng: np.random.Generator, n: int, mean: float) -> Floats:
    size, sign = rng.random(n), np.where(rng.random(n) < 0.5 + mean * 10, 1.0, -1.0)
    return np.where(rng.random(n) < 0.1, sign * size, 0.0)


def normal(rng: np.random.Generator, n: int, mean: float) -> Floats:
    return rng.normal(mean, 0.1, n)


SIMULATIONS = 400


def alarms(p_values: list[float], alpha: float = 0.05) -> int:
    return sum(p <= alpha for p in p_values)


@pytest.mark.parametrize("simulate", [binary, few_changed, normal])
@pytest.mark.parametrize("margin", [0.0, 0.02])
@pytest.mark.parametrize("n", [60, 400])
def test_false_alarms_at_the_margin_are_within_their_level(
    simulate: Callable[[np.random.Generator, int, float], Floats], margin: float, n: int
) -> None:
    """The true difference is exactly -margin; a regression beyond it is claimed at most 5 %."""
    rng = np.random.default_rng(11)
    p_values = [
        compare(simulate(rng, n, -margin), seed).p_below(-margin) for seed in range(SIMULATIONS)
    ]
    # not above 5 % by more than chance allows
    assert scipy_stats.binomtest(alarms(p_values), SIMULATIONS, 0.05, "greater").pvalue > 1e-3
    if n == 400:  # nor so cautious that it would see nothing
        assert scipy_stats.binomtest(alarms(p_values), SIMULATIONS, 0.02, "less").pvalue > 1e-3


@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_power_is_the_computed_one(margin: float) -> None:
    rng = np.random.default_rng(3)
    n, spread = 400, 0.1
    error = spread / np.sqrt(n)
    effect = stats.minimum_detectable(error, alpha=0.05, power=0.8)
    found = [
        compare(rng.normal(-margin - effect, spread, n), seed).p_below(-margin)
        for seed in range(SIMULATIONS)
    ]
    assert stats.power(effect, error) == pytest.approx(0.8)
    assert scipy_stats.binomtest(alarms(found), SIMULATIONS, 0.8).pvalue > 1e-3


def test_false_alarms_and_power_of_a_correlation() -> None:
    rng = np.random.default_rng(5)

    def pair(n: int, worse: float) -> tuple[Sample, Sample]:
        gold = np.round(rng.normal(size=n) * 2) / 2
        shared, noise = rng.normal(size=(2, n))
        other = rng.normal(size=n)
        a = gold + 0.8 * shared + 0.6 * noise
        b = gold + 0.8 * shared + (0.6 + worse) * other
        return Sample({"gold": gold, "cosine": b}), Sample({"gold": gold, "cosine": a})

    null = [
        stats.difference(SPEARMAN, *pair(200, 0.0), seed=seed, n_resamples=400).p_less
        for seed in range(SIMULATIONS)
    ]
    assert scipy_stats.binomtest(alarms(null), SIMULATIONS, 0.05, "greater").pvalue > 1e-3
    planted = [
        stats.difference(SPEARMAN, *pair(400, 0.6), seed=seed, n_resamples=400).p_less
        for seed in range(100)
    ]
    assert alarms(planted) > 80


def test_clusters_keep_the_level_where_rows_would_not() -> None:
    """Twenty rows of a document share their fate: taken one by one they would cry wolf."""
    rng = np.random.default_rng(9)
    unit = np.repeat(np.arange(30), 20)
    clustered: list[float] = []
    plain: list[float] = []
    for seed in range(200):
        d = rng.normal(0, 0.1, 30)[unit]
        zero = np.zeros(len(d))
        for into, units in ((clustered, unit), (plain, None)):
            sides = (Sample({"ndcg@10": values}, units) for values in (d, zero))
            into.append(stats.difference(MEAN, *sides, seed=seed, n_resamples=400).p_less)
    assert scipy_stats.binomtest(alarms(clustered), 200, 0.05, "greater").pvalue > 1e-3
    assert alarms(plain) > 60
