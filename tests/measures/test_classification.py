"""Measures of predicted labels against scikit-learn's, resamples written out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from evalsuite import measures, stats
from evalsuite.result import FAILED, OK, Items
from evalsuite.stats import Sample

LABELS = st.integers(0, 4)
THEIRS: Mapping[str, Callable[..., Any]] = {
    "accuracy": metrics.accuracy_score,
    "mcc": metrics.matthews_corrcoef,
    **{
        f"{name}{ending}": partial(score, average=average, zero_division=0)
        for name, score in (
            ("f1", metrics.f1_score),
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
        )
        for ending, average in (("", "macro"), ("_weighted", "weighted"))
    },
}


def columns(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, Any]:
    values = {"gold": gold, "predicted": predicted, "correct": gold == predicted}
    return {name: column.astype(np.float64) for name, column in values.items()}


def theirs(score: Callable[..., Any], gold: Any, predicted: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one label, or no positive one
        return float(score(gold, predicted))


def check(name: str, score: Callable[..., Any], rows: list[tuple[int, int, int]]) -> None:
    """Check the sample itself, and resamples against the same items written out."""
    gold, predicted, times = np.array(rows).T
    measure = measures.parse(name)
    table = columns(gold, predicted)
    found = measure.aggregate({c: table[c] for c in measure.columns}, None)
    assert np.shape(found) == ()
    assert float(found) == pytest.approx(theirs(score, gold, predicted), abs=1e-12)
    low, high = measure.bounds
    assert low <= found <= high
    if not times.any():
        return
    drawn = np.repeat(gold, times), np.repeat(predicted, times)
    weights = np.stack([np.ones(len(gold)), times.astype(np.float64)])
    both = measure.aggregate(table, weights)
    assert both == pytest.approx([float(found), theirs(score, *drawn)], abs=1e-12)


@pytest.mark.parametrize("name", THEIRS)
@given(st.lists(st.tuples(LABELS, LABELS, st.integers(0, 3)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_equals_scikit_learn(name: str, rows: list[tuple[int, int, int]]) -> None:
    check(name, THEIRS[name], rows)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 3)), min_size=1))
@settings(max_examples=60, deadline=None)
def test_average_precision_of_two_labels_equals_scikit_learns(
    rows: list[tuple[int, int, int]],
) -> None:
    check("ap", metrics.average_precision_score, rows)


def test_by_hand() -> None:
    table = columns(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]))
    expected = {
        "accuracy": 1 / 2,
        "precision": (1 + 1 / 2 + 0) / 3,
        "recall": (1 / 2 + 1 / 2 + 0) / 3,
        "f1": (2 / 3 + 1 / 2 + 0) / 3,
        "f1_weighted": (2 / 3 + 1 / 2) / 2,
    }
    for name, score in expected.items():
        assert float(measures.parse(name).aggregate(table, None)) == pytest.approx(score), name


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(0, 7, (2, 50))
    table = columns(gold, predicted)
    weights = rng.integers(0, 3, (40, 50)).astype(np.float64)
    measure = measures.parse("f1")
    whole = measure.aggregate(table, weights)
    monkeypatch.setattr("evalsuite.measures.classification.CELLS_A_BLOCK", 150)
    assert measure.aggregate(table, weights).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", [*THEIRS, "ap"])
def test_a_failed_item_counts_as_wrong_and_is_no_label(name: str) -> None:
    gold = np.array([0, 1, 0, 1, 1])
    table = columns(gold, gold)
    right = Items(list("abcde"), table, np.full(5, OK))
    status = np.array([OK, OK, OK, OK, FAILED])
    failed = Items(list("abcde"), table, status)
    measure = measures.parse(name)
    assert float(stats.score(measure, right.sample(measure))) == 1.0
    score = float(stats.score(measure, failed.sample(measure)))
    expected = {
        "accuracy": 4 / 5,
        "recall": (1 + 2 / 3) / 2,
        "recall_weighted": 4 / 5,
        "precision": 1.0,
        "precision_weighted": 1.0,
        "f1": (1 + 4 / 5) / 2,
        "f1_weighted": (2 + 3 * 4 / 5) / 5,
        "mcc": theirs(metrics.matthews_corrcoef, gold, [0, 1, 0, 1, 2]),
        "ap": 2 / 3 + 1 / 3 * 3 / 5,
    }
    assert score == pytest.approx(expected[name], abs=1e-12)


def test_replicates_and_folds_are_averaged() -> None:
    rng = np.random.default_rng(1)
    gold = np.tile(rng.integers(0, 3, 20), 4)
    table = columns(gold, rng.integers(0, 3, 80))
    part = np.repeat(np.arange(4), 20)
    for name, score in THEIRS.items():
        measure = measures.parse(name)
        read = {column: table[column] for column in measure.columns}
        each = [theirs(score, gold[part == i], table["predicted"][part == i]) for i in range(4)]
        replicates = Sample(read, unit=np.tile(np.arange(20), 4), replicate=part)
        folds = Sample(read, group=part)
        for sample in (replicates, folds):
            assert float(stats.score(measure, sample)) == pytest.approx(np.mean(each), abs=1e-12)


def test_the_interval_of_accuracy_is_that_of_items_with_all_their_predictions() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random(400) < 0.5  # wrong in every replicate: replicates are no further items
    correct = np.tile(np.where(hard, 0.0, 1.0), 10)
    sample = Sample(
        {"correct": correct}, unit=np.tile(np.arange(400), 10), replicate=np.repeat(range(10), 400)
    )
    low, high = stats.bootstrap_interval(measures.parse("accuracy"), sample, seed=1)
    width = 2 * 1.96 * np.sqrt(correct.mean() * (1 - correct.mean()) / 400)
    assert high - low == pytest.approx(width, rel=0.15)
