"""Pair measures against scikit-learn and plain loops, and weighted ones against the resample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from evalsuite import measures
from evalsuite.measures import pairs
from evalsuite.measures.pairs import SIMILARITIES, STATISTICS

Floats = NDArray[np.float64]


def columns(seed: int, n: int, levels: int) -> dict[str, Floats]:
    """Return gold and four similarities with ties, negative ones included; both golds occur."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 2, n).astype(float)
    gold[:2] = 0.0, 1.0
    noise = {name: rng.normal(size=n) * (1 + i) for i, name in enumerate(SIMILARITIES)}
    return {"gold": gold} | {
        name: np.round((gold + values) * levels) / levels - 1 for name, values in noise.items()
    }


def score(name: str, data: dict[str, Floats], weights: Floats | None = None) -> Floats:
    return measures.parse(name).aggregate(data, weights)


def best(data: dict[str, Floats], statistic: str, similarity: str = "cosine") -> float:
    """Return scikit-learn's AP, or try every threshold between two pairs."""
    gold, values = data["gold"], data[similarity]
    if statistic == "ap":
        return float(average_precision_score(gold, values)) if gold.any() else 0.0
    told = [values > threshold for threshold in np.unique(values)[:-1]]
    if statistic == "accuracy":
        return max((float((gold == one).mean()) for one in told), default=0.0)
    return max((2 * float(gold[one].sum()) / (one.sum() + gold.sum()) for one in told), default=0.0)


@pytest.mark.parametrize("statistic", STATISTICS)
@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([1, 3, 1000]))
def test_equals_scikit_learn_and_plain_search(
    statistic: str, seed: int, n: int, levels: int
) -> None:
    data = columns(seed, n, levels)
    for name in SIMILARITIES:
        found = score(f"{name}_{statistic}", data)
        assert found.shape == ()
        assert found == pytest.approx(best(data, statistic, name), abs=1e-12)


@pytest.mark.parametrize("name", [f"{s}_{m}" for s in ("max", "euclidean") for m in STATISTICS])
@given(st.integers(0, 10**6), st.integers(2, 30), st.sampled_from([1, 3, 1000]))
def test_weights_equal_the_resample_written_out(name: str, seed: int, n: int, levels: int) -> None:
    """Resamples of one class only, and of one pair only, are among them."""
    data = columns(seed, n, levels)
    rng = np.random.default_rng(seed + 1)
    drawn = rng.integers(0, rng.integers(1, n + 1), (9, n))
    weights = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(float)
    written_out = [score(name, {k: v[row] for k, v in data.items()}) for row in drawn]
    np.testing.assert_allclose(score(name, data, weights), written_out, atol=1e-12)


def test_blocks_move_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = columns(0, 50, 3)
    weights = np.random.default_rng(0).integers(0, 3, (40, 50)).astype(float)
    whole = {name: score(f"max_{name}", data, weights).tobytes() for name in STATISTICS}
    for cells in (1, 120, 51 * 40):
        monkeypatch.setattr(pairs, "CELLS_A_BLOCK", cells)
        for name in STATISTICS:
            assert score(f"max_{name}", data, weights).tobytes() == whole[name]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_max_is_the_best_similarity(statistic: str) -> None:
    data = columns(3, 40, 1000)
    each = [float(score(f"{name}_{statistic}", data)) for name in SIMILARITIES]
    assert float(score(f"max_{statistic}", data)) == max(each)
    assert len(set(each)) > 1


def test_the_order_of_pairs_that_tie_moves_nothing() -> None:
    data = columns(5, 64, 1)
    turned = {name: values[::-1] for name, values in data.items()}
    for name in STATISTICS:
        assert score(f"cosine_{name}", data) == score(f"cosine_{name}", turned)


def test_by_hand() -> None:
    data = {"gold": np.array([1.0, 1, 0, 1, 0]), "cosine": np.array([0.9, 0.8, 0.8, 0.2, 0.1])}
    assert score("cosine_ap", data) == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4)
    assert score("cosine_accuracy", data) == pytest.approx(4 / 5)  # above 0.1: one wrong
    assert score("cosine_f1", data) == pytest.approx(6 / 7)
    apart = {"gold": data["gold"], "cosine": data["gold"]}
    assert [score(f"cosine_{name}", apart) for name in STATISTICS] == [1.0, 1.0, 1.0]


def test_equal_similarities_tell_nothing_apart() -> None:
    data = {"gold": np.array([1.0, 0, 0, 1]), "cosine": np.full(4, 0.3)}
    assert score("cosine_ap", data) == 0.5  # the share that matches
    assert score("cosine_accuracy", data) == score("cosine_f1", data) == 0.0


def test_parse_returns_the_measure_a_name_stands_for() -> None:
    measure = measures.parse("max_ap")
    assert (str(measure), measure.columns) == ("max_ap", ("gold", *SIMILARITIES))
    assert measures.parse("dot_f1").columns == ("gold", "dot")
    assert pairs.parse("max_precision") is None
    assert pairs.parse("cosine_spearman") is None
