"""Regression: how well a linear model predicts numbers from the vectors of texts.

As in mteb: where there are more training texts than ``n_samples``, each of ``n_experiments`` fits
scikit-learn's linear regression to as many of them, drawn with the seed 42 plus its number evenly
from tenths of the numbers; a score is the mean. Otherwise all are learnt from, in their order, and
mteb's experiments are one. Each experiment is a replicate of the item table.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.vectors import of_texts
from evalsuite.errors import DataError, UsageError
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data.labelled import Labelled, Split

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

SEED = 42  # mteb's
BINS = 10


def _numbers(task: Task, data: Labelled) -> Floats:
    """Return the number each label is.

    Raises:
        DataError: One is none, or is not finite.
    """
    numbers = []
    for name in data.names:
        try:
            numbers.append(float(name))
        except ValueError:
            numbers.append(np.nan)
        if not np.isfinite(numbers[-1]):
            raise DataError(f"{task}: the label '{name[:60]}' is not a number to be predicted.")
    return np.array(numbers)


def draw(numbers: Floats, n_samples: int, n_experiments: int) -> list[Places]:
    """Return the places each experiment learns from, in the order drawn.

    Args:
        numbers: Of the training texts, ``[n]``.
        n_samples: Places an experiment draws.
        n_experiments: Number of experiments.

    Raises:
        DataError: A part of the numbers is too small to be drawn from.
    """
    if n_samples >= len(numbers):
        return [np.arange(len(numbers))]
    import pandas as pd
    from datasets.utils.stratify import stratified_shuffle_split_generate_indices

    bins = pd.qcut(numbers, q=BINS, labels=False, duplicates="drop")
    drawn = []
    for number in range(n_experiments):
        rng = np.random.default_rng(SEED + number)
        sizes = len(numbers) - n_samples, n_samples
        try:
            _, taken = next(stratified_shuffle_split_generate_indices(bins, *sizes, rng))
        except ValueError as error:
            raise DataError(
                f"{n_samples} of {len(numbers)} texts cannot be drawn evenly."
            ) from error
        drawn.append(np.asarray(taken, dtype=np.int64))
    return drawn


def predict(train: Any, numbers: Floats, test: Any) -> Floats:
    """Fit ``[m, dim]`` vectors to ``[m]`` numbers and return those of ``[n, dim]``."""
    from sklearn.linear_model import LinearRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums keep one order anywhere
        found = LinearRegression().fit(train, numbers).predict(test)
    return np.asarray(found, dtype=np.float64)


def run(task: Task, data: Labelled, model: Any) -> list[Outcome]:
    """Encode all texts in one call, then fit and predict once an experiment."""
    params = {**PROTOCOL.defaults, **task.params}
    for key in ("n_experiments", "n_samples"):
        if params[key] < 1:
            raise UsageError(f"{task}: parameter `{key}` must be at least 1.")
    values = _numbers(task, data)
    numbers = values[data.train.labels]
    plan = draw(numbers, params["n_samples"], params["n_experiments"])
    drawn = np.unique(np.concatenate(plan))
    started = time.perf_counter()
    vectors = of_texts([*(data.train.texts[i] for i in drawn), *data.test.texts], model)
    encoded = time.perf_counter()
    test = vectors[len(drawn) :]
    predicted = [
        predict(vectors[np.searchsorted(drawn, places)], numbers[places], test) for places in plan
    ]
    phases = (
        Phase("encode", encoded - started, len(drawn) + len(data.test)),
        Phase("regress", time.perf_counter() - encoded, len(plan) * len(data.test)),
    )
    return [Outcome(_items(data.test, values[data.test.labels], predicted), phases)]


def _items(split: Split, gold: Floats, predicted: list[Floats]) -> Items:
    """Return the item table: a replicate an experiment."""
    times = len(predicted)
    return Items(
        ids=[*split.ids] * times,
        columns={"gold": np.tile(gold, times), "predicted": np.concatenate(predicted)},
        status=np.full(times * len(split), OK),
        replicate=np.repeat(np.arange(times), len(split)) if times > 1 else None,
    )


PROTOCOL = Protocol(
    name="regression",
    version=1,
    layout="labelled",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", "predicted"),
    defaults={"n_experiments": 10, "n_samples": 2048},
    moved_by=("numpy", "scikit-learn", "pandas", "datasets"),
)
