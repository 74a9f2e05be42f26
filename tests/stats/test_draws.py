"""What is drawn: units within groups, clusters whole, replicates; how scores are put together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from evalsuite import measures, stats
from evalsuite.stats import Sample, draws
from evalsuite.stats.draws import Draw, counts, mean_draws, over_draws

MEAN = measures.parse("ndcg@10")
SPEARMAN = measures.parse("cosine_spearman")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_derived_seeds_depend_on_every_part_and_on_nothing_else() -> None:
    assert stats.derived_seed(0, "T@1", "interval") == 17101465789027453480
    seeds = {
        stats.derived_seed(*parts)
        for parts in ((0, "a", "b"), (1, "a", "b"), (0, "ab", ""), (0, "a", "c"), (0, "b", "a"))
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_counts_are_draws_of_n_things_with_replacement() -> None:
    drawn = counts(rng(5), 400, 20)
    assert drawn.shape == (400, 20)
    assert (drawn.sum(axis=1) == 20).all()
    assert len(np.unique(drawn, axis=0)) == 400
    # the law of one count is Bin(20, 1/20): mean 1, variance 0.95
    assert abs(drawn.mean(axis=0) - 1).max() < 0.25
    assert drawn.var() == pytest.approx(0.95, abs=0.05)


def test_draws_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample({"gold": rng(0).random(40), "cosine": rng(1).random(40)})

    def drawn() -> bytes:
        return over_draws(
            lambda draw: stats.score(SPEARMAN, sample, draw), SPEARMAN, sample, 200, 7
        ).tobytes()

    monkeypatch.setattr(draws, "_CELLS_A_CHUNK", 1000)
    many = drawn()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert drawn() == many


def test_units_are_drawn_within_their_group() -> None:
    group = np.array([0, 0, 0, 1, 1, 2])
    sample = Sample({"ndcg@10": np.arange(6.0)}, group=group)
    seen: list[Draw] = []
    over_draws(lambda draw: seen.append(draw) or np.zeros(1), MEAN, sample, 50, 1)  # type: ignore[func-returns-value]
    units = np.concatenate([draw.units for draw in seen if draw.units is not None])
    assert (units[:, :3].sum(axis=1) == 3).all()
    assert (units[:, 3:5].sum(axis=1) == 2).all()
    assert (units[:, 5] == 1).all()


def test_clusters_are_drawn_whole() -> None:
    """Rows of a cluster that move together carry the information of one."""
    value = np.repeat(rng(2).random(30), 20)
    clustered = Sample({"ndcg@10": value}, unit=np.repeat(np.arange(30), 20))
    plain = Sample({"ndcg@10": value})
    wide = stats.bootstrap_interval(MEAN, clustered, seed=0)
    narrow = stats.bootstrap_interval(MEAN, plain, seed=0)
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(np.sqrt(20), rel=0.2)
    of_clusters = Sample({"ndcg@10": value[::20]})
    alone = stats.bootstrap_interval(MEAN, of_clusters, seed=0)
    assert wide == pytest.approx(alone, abs=0.02)


@pytest.mark.parametrize(
    ("across", "expected"), [("macro", (0.5 + 0.2) / 2), ("pooled", (0.5 * 2 + 0.2 * 4) / 6)]
)
def test_groups_are_averaged_or_pooled(across: Literal["macro", "pooled"], expected: float) -> None:
    sample = Sample(
        {"ndcg@10": np.array([0.4, 0.6, 0.1, 0.3, 0.2, 0.2])}, group=np.array([0, 0, 1, 1, 1, 1])
    )
    assert stats.score(replace(MEAN, across_groups=across), sample) == pytest.approx(expected)


@pytest.mark.parametrize(("across", "expected"), [("mean", 0.5), ("median", 0.3)])
def test_replicates_are_averaged_or_their_median_taken(
    across: Literal["mean", "median"], expected: float
) -> None:
    values, replicate = np.array([0.2, 0.4, 0.2, 0.2, 0.9, 1.1]), np.repeat([0, 1, 2], 2)
    sample = Sample({"ndcg@10": values}, unit=np.tile([0, 1], 3), replicate=replicate)
    measure = replace(MEAN, across_replicates=across)
    assert stats.score(measure, sample) == pytest.approx(expected)
    once = Draw(np.ones((1, 2)), np.ones((1, 3)))
    assert stats.score(measure, sample, once) == pytest.approx([expected])
    only_last = Draw(np.ones((1, 2)), np.array([[0.0, 0.0, 3.0]]))
    assert stats.score(measure, sample, only_last) == pytest.approx([1.0])
    even = Draw(np.ones((1, 2)), np.array([[2.0, 0.0, 2.0]]))  # 0.3, 0.3, 1.0, 1.0
    assert stats.score(measure, sample, even) == pytest.approx([0.65])


@pytest.mark.parametrize("resample", ["item", "replicate", "both"])
def test_what_is_random_is_what_the_measure_says(
    resample: Literal["item", "replicate", "both"],
) -> None:
    """Items that never differ give no spread, nor do replicates that never differ."""
    items, replicates = 12, 8
    unit, replicate = np.tile(np.arange(items), replicates), np.repeat(np.arange(replicates), items)
    measure = replace(MEAN, resample=resample)
    by_item = Sample({"ndcg@10": rng(0).random(items)[unit]}, unit=unit, replicate=replicate)
    by_seed = Sample({"ndcg@10": rng(1).random(replicates)[replicate]}, unit, None, replicate)
    for sample, what in ((by_item, "item"), (by_seed, "replicate")):
        low, high = stats.bootstrap_interval(measure, sample, seed=3)
        assert (high - low > 0.05) == (resample in (what, "both")), what


def test_means_of_few_values_many_values_and_many_items_have_the_same_law() -> None:
    """Multinomial counts, every draw made, and counts of classes: mean and quantiles agree."""
    n, r = 10_000, 8_000
    continuous = rng(0).gamma(0.7, size=n)
    drawn = mean_draws(continuous, 2_000, 1)  # 2e7 draws: made one by one
    binned = mean_draws(continuous, r, 1)  # 8e7: by class
    scale = continuous.std() / np.sqrt(n)
    assert drawn.mean() == pytest.approx(continuous.mean(), abs=4 * scale / np.sqrt(2_000))
    assert binned.mean() == pytest.approx(continuous.mean(), abs=4 * scale / np.sqrt(r))
    assert drawn.std() == pytest.approx(scale, rel=0.06)
    assert binned.std() == pytest.approx(scale, rel=0.03)
    for q in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert np.quantile(binned, q) == pytest.approx(np.quantile(drawn, q), abs=0.25 * scale)
    few = (rng(0).random(2_000) < 0.3).astype(float)
    assert mean_draws(few, r, 2).std() == pytest.approx(few.std() / np.sqrt(2_000), rel=0.03)


def test_an_outlier_is_drawn_and_not_smoothed_away() -> None:
    values = np.append(rng(0).random(40_000), 1e6)
    drawn = mean_draws(values, 6_000, 0)
    share_without = (drawn < 1).mean()  # (1 - 1/n)^n = 1/e of resamples miss it
    assert share_without == pytest.approx(np.exp(-1), abs=0.03)


def test_a_mean_of_groups_in_one_pass_is_that_of_each_group() -> None:
    sample = Sample({"ndcg@10": rng(3).standard_normal(50)}, group=rng(4).integers(0, 4, 50))
    quick = replace(MEAN, across_groups="macro")
    slow = replace(quick, decomposes=False)
    for draw in (None, Draw(rng(5).integers(1, 4, (6, 50)).astype(float), None)):
        found = draws.score(quick, sample, draw)
        np.testing.assert_allclose(found, draws.score(slow, sample, draw), atol=1e-15)
