"""Measures of predicted numbers: against SciPy and scikit-learn, resamples written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from evalsuite.measures import parse

Floats = NDArray[np.float64]

REFERENCE: Mapping[str, Callable[[Floats, Floats], Any]] = {
    "kendalltau": lambda gold, predicted: np.nan_to_num(
        stats.kendalltau(gold, predicted).statistic
    ),
    "mse": metrics.mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "rmse": metrics.root_mean_squared_error,
    "r2": metrics.r2_score,
}


def sample(n: int, kinds: int, seed: int) -> dict[str, Floats]:
    """Return related numbers with ties; many kinds leave none."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, kinds, n).astype(float)
    return {"gold": gold, "predicted": np.round(gold + rng.normal(0, kinds / 3, n))}


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("n", [2, 3, 17, 128, 129, 257, 1000])
@pytest.mark.parametrize("kinds", [2, 7, 10_000])
def test_scores_equal_the_reference(name: str, n: int, kinds: int) -> None:
    columns = sample(n, kinds, n + kinds)
    expected = REFERENCE[name](columns["gold"], columns["predicted"])
    assert parse(name).aggregate(columns, None) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("n", [5, 130, 600])
@pytest.mark.parametrize("kinds", [3, 10_000])
def test_weights_count_items_as_often_as_drawn(name: str, n: int, kinds: int) -> None:
    columns = sample(n, kinds, n)
    rng = np.random.default_rng(n)
    weights = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(4)])
    found = parse(name).aggregate(columns, weights.astype(float))
    assert found.shape == (4,)
    for times, score in zip(weights, found, strict=True):
        drawn = [np.repeat(columns[side], times) for side in ("gold", "predicted")]
        assert score == pytest.approx(REFERENCE[name](*drawn), rel=1e-9, abs=1e-9)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3)), min_size=2))
@settings(deadline=None)
def test_kendalls_tau_of_any_draws(rows: list[tuple[int, int, int]]) -> None:
    gold, predicted, times = (np.array(side) for side in zip(*rows, strict=True))
    if times.sum() < 2:
        return
    columns = {"gold": gold.astype(float), "predicted": predicted.astype(float)}
    drawn = np.repeat(gold, times), np.repeat(predicted, times)
    expected = np.nan_to_num(stats.kendalltau(*drawn).statistic)
    (found,) = parse("kendalltau").aggregate(columns, times[None].astype(float))
    assert found == pytest.approx(expected, abs=1e-12)


def test_constant_numbers() -> None:
    constant = np.full(5, 0.1)
    varied = np.arange(5.0)
    assert parse("kendalltau").aggregate({"gold": constant, "predicted": varied}, None) == 0
    assert parse("r2").aggregate({"gold": constant, "predicted": varied}, None) == 0
    assert parse("r2").aggregate({"gold": constant, "predicted": constant}, None) == 1


def test_errors_are_better_the_lower() -> None:
    assert [parse(name).higher_is_better for name in REFERENCE] == [True, False, False, False, True]
