"""Resampling: repeatable draws, intervals that cover and agree with SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evalsuite import measures, stats

MEAN = measures.parse("ndcg@10")
SPEARMAN = measures.parse("cosine_spearman")


def test_derived_seeds_depend_on_every_part_and_on_nothing_else() -> None:
    assert stats.derived_seed(0, "T@1", "interval") == 17101465789027453480
    seeds = {
        stats.derived_seed(*parts)
        for parts in ((0, "a", "b"), (1, "a", "b"), (0, "ab", ""), (0, "a", "c"), (0, "b", "a"))
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**64 for seed in seeds)


@pytest.mark.parametrize("cells", [1, 50, 10**6])
def test_counts_are_draws_of_n_items_in_any_chunk(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "_CELLS_A_CHUNK", cells)
    counts = np.concatenate(list(stats.resample_counts(20, 100, seed=5)))
    assert counts.shape == (100, 20)
    assert (counts.sum(axis=1) == 20).all()
    assert (counts >= 0).all()
    assert abs(counts.mean(axis=0) - 1).max() < 0.5
    assert len(np.unique(counts, axis=0)) == 100
    assert counts.max() > 2


def test_intervals_repeat_and_depend_on_the_seed() -> None:
    values = {"ndcg@10": np.random.default_rng(0).random(50)}
    np.random.seed(1)  # noqa: NPY002
    first = stats.bootstrap_interval(MEAN, values, seed=3)
    np.random.seed(2)  # noqa: NPY002
    assert stats.bootstrap_interval(MEAN, values, seed=3) == first
    assert stats.bootstrap_interval(MEAN, values, seed=4) != first


def test_interval_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    gold = rng.random(200)
    data = {"gold": gold, "cosine": gold + rng.normal(size=200) * 0.3}
    reference = scipy_stats.bootstrap(
        (data["gold"], data["cosine"]),
        lambda x, y: float(scipy_stats.spearmanr(x, y).statistic),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    low, high = stats.bootstrap_interval(SPEARMAN, data, seed=0)
    width = reference.high - reference.low
    assert abs(low - reference.low) < 0.1 * width
    assert abs(high - reference.high) < 0.1 * width
    assert low < float(SPEARMAN.aggregate(data, None)) < high


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(200):
        low, high = stats.bootstrap_interval(
            MEAN, {"ndcg@10": rng.random(60)}, seed=trial, n_resamples=300
        )
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_levels_nest() -> None:
    values = {"ndcg@10": np.random.default_rng(0).random(50)}
    wide = stats.bootstrap_interval(MEAN, values, seed=1, level=0.99)
    narrow = stats.bootstrap_interval(MEAN, values, seed=1, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_one_item_and_none() -> None:
    assert stats.bootstrap_interval(MEAN, {"ndcg@10": np.array([0.3])}, seed=0) == (0.3, 0.3)
    with pytest.raises(ValueError, match="at least one item"):
        stats.bootstrap_interval(MEAN, {"ndcg@10": np.array([])}, seed=0)
