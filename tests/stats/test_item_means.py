"""Replicates of a mean come down to one row an item, and to the same scores and intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evalsuite import measures
from evalsuite.stats import bootstrap_interval, difference, score
from evalsuite.stats.draws import Sample, item_means, over_draws

ACCURACY = measures.parse("accuracy")


def replicated(n: int = 60, k: int = 5, seed: int = 0) -> Sample:
    """Return k replicates of n items, rows shuffled."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    correct = (rng.random((k, n)) > hard).astype(np.float64).ravel()
    order = rng.permutation(n * k)
    unit, replicate = np.tile(np.arange(n), k)[order], np.repeat(np.arange(k), n)[order]
    return Sample({"correct": correct[order]}, unit=unit, replicate=replicate)


def test_every_item_becomes_a_row_with_the_same_score() -> None:
    sample = replicated()
    means = item_means(ACCURACY, sample)
    assert means.is_plain
    assert means.n_rows == sample.n_units == 60
    assert float(score(ACCURACY, means)) == pytest.approx(float(score(ACCURACY, sample)), abs=1e-14)


def test_every_resample_has_the_same_score() -> None:
    sample = replicated()
    means = item_means(ACCURACY, sample)
    long = over_draws(lambda draw: score(ACCURACY, sample, draw), ACCURACY, sample, 50, 3)
    short = over_draws(lambda draw: score(ACCURACY, means, draw), ACCURACY, means, 50, 3)
    assert short == pytest.approx(long, abs=1e-14)


def test_what_is_no_mean_of_item_means_stays() -> None:
    sample = replicated()
    assert sample.unit is not None
    assert sample.replicate is not None
    for other in (
        replace(ACCURACY, decomposes=False),
        replace(ACCURACY, across_replicates="median"),
        replace(ACCURACY, resample="both"),
    ):
        assert item_means(other, sample) is sample
    for part in (
        replace(sample, replicate=None),
        replace(sample, group=np.zeros(300, dtype=np.int64)),
        Sample({"correct": np.ones(3)}, np.array([0, 1, 0]), replicate=np.array([0, 0, 1])),
        Sample({"correct": np.ones(4)}, np.array([0, 0, 1, 1]), replicate=np.array([0, 0, 1, 1])),
    ):
        assert item_means(ACCURACY, part) is part


def test_intervals_and_differences_of_replicates() -> None:
    sample, other = replicated(400, 5, seed=1), replicated(400, 5, seed=2)
    low, high = bootstrap_interval(ACCURACY, sample, seed=1)
    generic = over_draws(lambda draw: score(ACCURACY, sample, draw), ACCURACY, sample, 1000, 1)
    expected = np.quantile(generic, [0.025, 0.975])
    assert [low, high] == pytest.approx(expected.tolist(), abs=0.01)
    found = difference(ACCURACY, sample, other, seed=1, n_resamples=500)
    value = float(score(ACCURACY, sample)) - float(score(ACCURACY, other))
    assert found.value == pytest.approx(value)
    assert found.interval()[0] < value < found.interval()[1]
    assert found.test == "sign flips"
