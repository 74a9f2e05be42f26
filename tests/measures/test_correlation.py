"""Correlations against SciPy, and weighted ones against the resample written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from evalsuite import measures
from evalsuite.errors import UsageError
from evalsuite.measures.correlation import STATISTICS, average_ranks

Floats = NDArray[np.float64]
SCIPY: dict[str, Any] = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}


def columns(seed: int, n: int, levels: int) -> dict[str, Floats]:
    """Return gold and predicted with ties: few levels, negative ones included."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, levels, n) / 3
    return {"gold": gold, "cosine": np.round(gold * 0.2 + rng.normal(size=n), 1) - 1}


def score(name: str, data: dict[str, Floats], weights: Floats | None = None) -> Floats:
    return STATISTICS[name](data, weights, gold="gold", predicted="cosine")


@pytest.mark.parametrize("name", STATISTICS)
@given(st.integers(0, 10**6), st.integers(3, 60), st.integers(2, 9))
def test_equals_scipy(name: str, seed: int, n: int, levels: int) -> None:
    data = columns(seed, n, levels)
    assume(len(set(data["gold"])) > 1 and len(set(data["cosine"])) > 1)
    reference = SCIPY[name](data["gold"], data["cosine"]).statistic
    assert score(name, data) == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
@given(st.integers(0, 10**6), st.integers(3, 30))
def test_weights_equal_the_resample_written_out(name: str, seed: int, n: int) -> None:
    data = columns(seed, n, 4)
    rng = np.random.default_rng(seed + 1)
    drawn = rng.integers(0, n, (5, n))
    weights = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(float)
    written_out = [score(name, {k: v[row] for k, v in data.items()}) for row in drawn]
    np.testing.assert_allclose(score(name, data, weights), written_out, atol=1e-12)


@given(st.lists(st.sampled_from([-2.5, 0.0, -0.0, 0.1, 7.0, 1e300]), min_size=1, max_size=30))
def test_ranks_equal_scipy(values: list[float]) -> None:
    assert average_ranks(np.array(values)).tolist() == stats.rankdata(values).tolist()


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("constant", [0.0, 0.1, 0.9999999, 1 / 3, 1e-9, 12345.678])
@pytest.mark.parametrize("side", ["gold", "cosine"])
def test_a_constant_correlates_with_nothing(name: str, constant: float, side: str) -> None:
    data = columns(0, 101, 5) | {side: np.full(101, constant)}
    assert score(name, data) == 0.0
    weights = np.random.default_rng(0).integers(0, 3, (4, 101)).astype(float)
    assert score(name, data, weights).tolist() == [0.0] * 4


def test_bounds_and_signs() -> None:
    x = np.array([0.1, 0.2, 0.7, 0.9])
    for name in STATISTICS:
        assert score(name, {"gold": x, "cosine": 3 * x + 1}) == pytest.approx(1.0)
        assert score(name, {"gold": x, "cosine": -x}) == pytest.approx(-1.0)
    assert score("spearman", {"gold": x, "cosine": x**9}) == 1.0
    assert score("pearson", {"gold": x, "cosine": x**9}) < 0.95


def test_parse_returns_the_measure_a_name_stands_for() -> None:
    measure = measures.parse("manhattan_pearson")
    assert str(measure) == "manhattan_pearson"
    assert measure.columns == ("gold", "manhattan")
    assert (measure.bounds, measure.worst) == ((-1.0, 1.0), -1.0)
    data = {"gold": np.array([1.0, 2, 3]), "manhattan": np.array([1.0, 2, 4])}
    assert measure.aggregate(data, None) == pytest.approx(
        stats.pearsonr([1, 2, 3], [1, 2, 4]).statistic
    )
    assert measures.parse("recall@7").columns == ("recall@7",)


@pytest.mark.parametrize(
    "name", ["", "ndcg", "ndcg@0", "ndcg@-1", "ndcg@1.5", "spearman", "cosine_kendall", "ndcg@10 "]
)
def test_parse_refuses_other_names(name: str) -> None:
    with pytest.raises(UsageError, match="Known: "):
        measures.parse(name)


def test_weighted_mean_equals_the_resample_written_out() -> None:
    values = np.array([0.0, 0.25, 1.0, 0.5])
    weights = np.array([[2.0, 0, 1, 1], [0, 0, 0, 4]])
    mean = measures.parse("ndcg@10").aggregate({"ndcg@10": values}, weights)
    assert mean.tolist() == [(0 + 0 + 1 + 0.5) / 4, 0.5]
