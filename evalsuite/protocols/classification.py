"""Classification: how well a linear classifier learns labels from the vectors of a few texts.

As in mteb: an experiment draws ``samples_per_label`` training texts of each label, fits
scikit-learn's logistic regression to their vectors and labels every test text. There are
``n_experiments``; a score is their mean. Each experiment is a replicate of the item table.

mteb seeds a new generator alike for every experiment, but shuffles the same list of places once
more with it. So the draws differ, and depend on the order of the training split.

With ``cross_validation`` the training split is cut into ``folds``, and every fold is labelled by
what is drawn from the others. The items of a fold are a group.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

Codes = NDArray[np.int64]

SEED = 42  # mteb's, of the draws, the folds and the classifier
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class Experiment:
    """What a classifier learns from and what it labels.

    Attributes:
        train: Places in the training split, in the order drawn.
        test: Places among the items.
    """

    train: Codes
    test: Codes


def orders(n: int) -> Iterator[Codes]:
    """Yield the places 0 to n - 1 as mteb has shuffled them for each experiment, without end.

    Shuffling a list in place with the same seed applies the same permutation once more.
    """
    permutation = np.random.RandomState(SEED).permutation(n)
    order = permutation
    while True:
        yield order
        order = order[permutation]


def undersampled(labels: Codes, order: Codes, per_label: int) -> Codes:
    """Return the first places of each label in an order, in that order.

    Args:
        labels: ``[n]``.
        order: Places, up to ``[n]``.
        per_label: Places to take of each label, or as many as there are.
    """
    met = labels[order]
    times = np.bincount(met)
    by_label = np.argsort(met, kind="stable")
    nth = np.empty(len(order), dtype=np.int64)
    nth[by_label] = np.arange(len(order)) - np.repeat(np.cumsum(times) - times, times)
    return np.asarray(order[nth < per_label])


def draw(data: Labelled, n_experiments: int, per_label: int) -> list[Experiment]:
    """Return the experiments over a training and a test split."""
    everything = np.arange(len(data.test))
    return [
        Experiment(undersampled(data.train.labels, order, per_label), everything)
        for order, _ in zip(orders(len(data.train)), range(n_experiments), strict=False)
    ]


def cross_validate(labels: Codes, folds: int, per_label: int) -> list[Experiment]:
    """Return the experiments over the folds of one split.

    mteb shuffles the places of the first fold's training texts, and those of later folds by them.
    """
    from sklearn.model_selection import KFold

    parts = list(KFold(folds, shuffle=True, random_state=SEED).split(labels))
    return [
        Experiment(train[undersampled(labels[train], order, per_label)], test)
        for (train, test), order in zip(parts, orders(len(parts[0][0])), strict=False)
    ]


def _plan(task: Task, data: Labelled, params: Mapping[str, Any]) -> list[Experiment]:
    """Return the experiments of a task."""
    for key in ("n_experiments", "samples_per_label", "folds"):
        least = 2 if key == "folds" else 1
        if params[key] < least:
            raise UsageError(f"{task}: parameter `{key}` must be at least {least}.")
    if "ap" in task.measures and len(data.names) != 2:
        raise UsageError(f"{task}: `ap` needs two labels, not {len(data.names)}.")
    per_label = params["samples_per_label"]
    if not params["cross_validation"]:
        plan = draw(data, params["n_experiments"], per_label)
    elif not data.is_one_split:
        raise UsageError(
            f"{task}: cross-validation labels the training split: "
            'say `split = "train"`, or leave out `cross_validation`.'
        )
    elif len(data.train) < params["folds"]:
        raise DataError(f"{task}: {len(data.train)} texts are too few for {params['folds']} folds.")
    else:
        plan = cross_validate(data.train.labels, params["folds"], per_label)
    for number, experiment in enumerate(plan):
        if len(np.unique(data.train.labels[experiment.train])) < 2:
            raise DataError(
                f"{task}: experiment {number} learns from texts of one label: more are needed."
            )
    return plan


def classify(train: Any, labels: Codes, test: Any) -> tuple[Codes, bool]:
    """Label texts by mteb's classifier.

    Args:
        train: ``[m, dim]`` vectors.
        labels: ``[m]``.
        test: ``[n, dim]`` vectors.

    Returns:
        Labels ``[n]``, and whether the fit converged.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    classifier = LogisticRegression(max_iter=MAX_ITERATIONS, random_state=SEED)
    # one thread: products this small take longer in several, and sums keep one order anywhere
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the evidence counts them
        classifier.fit(train, labels)
        predicted = np.asarray(classifier.predict(test))
    return predicted, bool(classifier.n_iter_.max() < MAX_ITERATIONS)


def run(task: Task, data: Labelled, model: Any) -> list[Outcome]:
    """Encode all texts in one call, then fit and label once an experiment.

    A label with fewer training texts than asked for is learnt from those there are, as in mteb; a
    test label that no training text has is never predicted. The evidence counts both.
    """
    params = {**PROTOCOL.defaults, **task.params}
    plan = _plan(task, data, params)
    items = data.train if params["cross_validation"] else data.test
    drawn = np.unique(np.concatenate([experiment.train for experiment in plan]))
    started = time.perf_counter()
    texts = [*(data.train.texts[i] for i in drawn), *items.texts]
    vectors = of_texts(texts, model)
    encoded = time.perf_counter()
    predicted, converged = [], 0
    for experiment in plan:
        learnt = vectors[np.searchsorted(drawn, experiment.train)]
        labelled = vectors[len(drawn) + experiment.test]
        labels, done = classify(learnt, data.train.labels[experiment.train], labelled)
        predicted.append(labels)
        converged += done
    table = _items(items, plan, np.concatenate(predicted), folds=params["cross_validation"])
    scored = time.perf_counter()
    phases = (
        Phase("encode", encoded - started, len(texts)),
        Phase("classify", scored - encoded, len(table.ids)),
    )
    evidence = _evidence(data, params["samples_per_label"])
    return [Outcome(table, phases, {"fits_not_converged": len(plan) - converged, **evidence})]


def _items(split: Split, plan: list[Experiment], predicted: Codes, *, folds: bool) -> Items:
    """Return the item table: a replicate an experiment, or a group a fold."""
    rows = np.concatenate([experiment.test for experiment in plan])
    number = np.repeat(np.arange(len(plan)), [len(experiment.test) for experiment in plan])
    gold = split.labels[rows]
    columns = {"gold": gold, "predicted": predicted, "correct": gold == predicted}
    return Items(
        ids=[split.ids[row] for row in rows],
        columns={name: values.astype(np.float64) for name, values in columns.items()},
        status=np.full(len(rows), OK),
        group=np.array([f"fold {i}" for i in number]) if folds else None,
        replicate=None if folds else number,
    )


def _evidence(data: Labelled, per_label: int) -> dict[str, int]:
    times = np.bincount(data.train.labels, minlength=len(data.names))
    return {
        "labels_with_fewer_samples": int(((times > 0) & (times < per_label)).sum()),
        "labels_without_training_texts": int((times == 0).sum()),
    }


PROTOCOL = Protocol(
    name="classification",
    version=1,
    layout="labelled",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", "predicted", "correct"),
    defaults={
        "n_experiments": 10,
        "samples_per_label": 8,
        "cross_validation": False,
        "folds": 5,
    },
    moved_by=("numpy", "scikit-learn"),
)
