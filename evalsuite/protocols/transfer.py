"""Frozen transfer, as SentEval defines it: what a logistic regression learns from frozen vectors.

Source: SentEval (Conneau and Kiela 2018), ``senteval/tools/validation.py``, without PyTorch
(``usepytorch=False``): scikit-learn's ``LogisticRegression``, whose C is the one with the best
accuracy of those tried, in percent rounded to two decimals; the smallest of equals.

    one split           every fold is labelled by what is learnt from the others, its C chosen by a
                        cross-validation among those; C in 2^-2 ... 2^3 (``InnerKFoldClassifier``)
    train, test         C chosen by a cross-validation of the training split; C in 2^-1 ... 2^5
                        (``KFoldClassifier``)
    train, dev, test    C chosen by the dev split; C in 2^-2 ... 2^3 (``SplitClassifier``)

Folds are stratified and shuffled with the seed 1111. They depend on the order of the training split
and, as there, on its being sorted by number of words, then by label. The items of an outer fold are
a group: SentEval's accuracy is the mean of the folds'.

The features of a pair with vectors u and v are ``|u - v|`` and ``u * v``, side by side.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.vectors import of_texts
from evalsuite.errors import DataError, UsageError
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data.examples import Examples, Split

Places = NDArray[np.int64]

SEED = 1111  # SentEval's, of the folds
MAX_ITERATIONS = 100
STRENGTHS = tuple(2.0**t for t in range(-2, 4))
STRENGTHS_OF_TRAIN_AND_TEST = tuple(2.0**t for t in range(-1, 6))


@dataclass(frozen=True)
class Fold:
    """Places of the examples that are learnt from, and of those then labelled."""

    learnt: Places
    labelled: Places

    def within(self, places: Places) -> Fold:
        """Return the same fold where places count among these."""
        return Fold(places[self.learnt], places[self.labelled])


@dataclass(frozen=True)
class Experiment:
    """A fold to be scored, the folds its C is chosen by, and the values of C tried."""

    fold: Fold
    trials: Sequence[Fold]
    strengths: Sequence[float]


@dataclass(frozen=True)
class Fit:
    """What a classifier predicts, ``[n]``, how much of it is right, and whether it converged."""

    predicted: Places
    accuracy: float
    converged: bool


def sorted_places(split: Split) -> Places:
    """Return the places of a split by number of words, then by label; equals keep their order."""
    words = np.array([[len(text.split()) for text in texts] for texts in split.texts])
    return np.lexsort((split.labels, *words.T[::-1]))


def stratified(labels: Places, n: int) -> list[Fold]:
    """Return the folds of some labels.

    Raises:
        ValueError: No label occurs ``n`` times.
    """
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(n, shuffle=True, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of labels rarer than folds, as in SentEval
        return [Fold(learnt, labelled) for learnt, labelled in folds.split(labels, labels)]


def _nested(places: Places, labels: Places, n: int) -> Iterator[Experiment]:
    for fold in stratified(labels[places], n):
        outer = fold.within(places)
        inner = stratified(labels[outer.learnt], n)
        yield Experiment(outer, [trial.within(outer.learnt) for trial in inner], STRENGTHS)


def plan(data: Examples, folds: int) -> list[Experiment]:
    """Return the experiments of a task.

    Places are those of the training split, then of the dev split, then of the items, where these
    are splits of their own.

    Raises:
        ValueError: No label occurs often enough.
    """
    train, labels = sorted_places(data.train), data.train.labels
    if data.is_one_split:
        return list(_nested(train, labels, folds))
    if data.dev is None:
        fold = Fold(train, len(train) + np.arange(len(data.test)))
        trials = [trial.within(train) for trial in stratified(labels[train], folds)]
        return [Experiment(fold, trials, STRENGTHS_OF_TRAIN_AND_TEST)]
    dev = len(train) + np.arange(len(data.dev))
    fold = Fold(train, len(train) + len(dev) + np.arange(len(data.test)))
    return [Experiment(fold, [Fold(train, dev)], STRENGTHS)]


def _checked_plan(task: Task, data: Examples, folds: int) -> list[Experiment]:
    """Return the experiments of a task after checking that each can be.

    Raises:
        DataError: The examples are too few for the folds.
        UsageError: There are fewer than two folds, or a dev split that nothing is chosen by.
    """
    if folds < 2:
        raise UsageError(f"{task}: parameter `folds` must be at least 2.")
    if data.is_one_split and data.dev is not None:
        raise UsageError(
            f"{task}: with the training split as the items, each fold chooses C by itself: leave "
            "out `dev`, or name a test split."
        )
    if "f1_binary" in task.measures and len(data.names) != 2:
        raise UsageError(f"{task}: `f1_binary` needs two labels, not {len(data.names)}.")
    try:
        found = plan(data, folds)
    except ValueError as error:
        raise DataError(
            f"{task}: {len(data.train)} training texts are too few for {folds} folds: a label "
            "with more texts than folds is needed. Take more texts (a larger --limit), or fewer "
            "`folds`."
        ) from error
    for experiment in found:
        for fold in (experiment.fold, *experiment.trials):
            if len(np.unique(data.train.labels[fold.learnt])) < 2:
                raise DataError(f"{task}: a fold learns from texts of one label: more are needed.")
    return found


def features(texts: Sequence[tuple[str, ...]], model: Any) -> Any:
    """Return the features of texts, or of pairs of texts, from one call; ``[n, dim or 2 dim]``."""
    vectors = of_texts([text for side in zip(*texts, strict=True) for text in side], model)
    n = len(texts)
    if vectors.shape[0] == n:
        return vectors
    first, second = vectors[:n], vectors[n:]
    if isinstance(vectors, np.ndarray):
        return np.hstack([np.abs(first - second), first * second])
    from scipy import sparse

    return sparse.hstack([abs(first - second), first * second], format="csr")


def fit(features: Any, labels: Places, fold: Fold, strength: float) -> Fit:
    """Learn from a fold's examples and label the others.

    Args:
        features: ``[n, dim]``.
        labels: ``[n]``.
        fold: Places among them.
        strength: C, the inverse of the strength of regularisation.
    """
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, random_state=SEED)
    classifier.fit(features[fold.learnt], labels[fold.learnt])
    predicted = np.asarray(classifier.predict(features[fold.labelled]))
    accuracy = float(np.mean(predicted == labels[fold.labelled]))
    return Fit(predicted, accuracy, bool(classifier.n_iter_.max() < MAX_ITERATIONS))


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Run fits side by side, each in one thread: sums keep one order on any number of cores."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with (
        warnings.catch_warnings(),
        threadpool_limits(1),
        ThreadPoolExecutor(os.cpu_count() or 1) as workers,
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the evidence counts them
        yield workers


def choose(experiment: Experiment, fits: Sequence[Fit]) -> tuple[float, float]:
    """Return the C with the best accuracy, and that accuracy in percent.

    Args:
        experiment: Has ``t`` trials.
        fits: ``t`` for each C tried, in order.
    """
    accuracies = np.array([one.accuracy for one in fits]).reshape(len(experiment.strengths), -1)
    # row by row, and rounded: what ties in SentEval ties here
    percent = [round(100 * float(np.mean(row)), 2) for row in accuracies]
    best = int(np.argmax(percent))
    return experiment.strengths[best], percent[best]


def probe(
    experiments: Sequence[Experiment], vectors: Any, labels: Places
) -> tuple[list[Fit], dict[str, Any]]:
    """Choose each experiment's C, then fit and label.

    Args:
        experiments: What to learn from and what to label.
        vectors: ``[n, dim]``.
        labels: ``[n]``.

    Returns:
        One fit an experiment, and what to say of all.
    """
    trials = [(trial, c) for one in experiments for c in one.strengths for trial in one.trials]
    with _workers() as workers:
        tried = list(workers.map(lambda job: fit(vectors, labels, *job), trials))
        left = iter(tried)
        chosen = [
            choose(one, list(islice(left, len(one.strengths) * len(one.trials))))
            for one in experiments
        ]
        jobs = [(one.fold, c) for one, (c, _) in zip(experiments, chosen, strict=True)]
        fits = list(workers.map(lambda job: fit(vectors, labels, *job), jobs))
    evidence = {
        "chosen_c": [c for c, _ in chosen],
        "dev_accuracy": round(float(np.mean([percent for _, percent in chosen])) / 100, 6),
        "fits": len(tried) + len(fits),
        "fits_not_converged": sum(not one.converged for one in (*tried, *fits)),
    }
    return fits, evidence


def run(task: Task, data: Examples, model: Any) -> list[Outcome]:
    """Encode all texts in one call, choose each experiment's C, then fit and label.

    Raises:
        DataError: The examples are too few for the folds.
    """
    experiments = _checked_plan(task, data, {**PROTOCOL.defaults, **task.params}["folds"])
    own = [data.dev, None if data.is_one_split else data.test]
    splits = [data.train, *(split for split in own if split is not None)]
    started = time.perf_counter()
    texts = [texts for split in splits for texts in split.texts]
    vectors = features(texts, model)
    encoded = time.perf_counter()
    labels = np.concatenate([split.labels for split in splits])
    fits, evidence = probe(experiments, vectors, labels)
    phases = (
        Phase("encode", encoded - started, len(texts) * len(texts[0])),
        Phase("probe", time.perf_counter() - encoded, evidence["fits"]),
    )
    ids = [identifier for split in splits for identifier in split.ids]
    return [Outcome(_items(ids, labels, experiments, fits), phases, evidence)]


def _items(
    ids: Sequence[str], labels: Places, experiments: Sequence[Experiment], fits: Sequence[Fit]
) -> Items:
    """Return the item table: a group a fold, where there are several."""
    rows = np.concatenate([one.fold.labelled for one in experiments])
    number = np.repeat(np.arange(len(fits)), [len(one.predicted) for one in fits])
    gold, predicted = labels[rows], np.concatenate([one.predicted for one in fits])
    columns = {"gold": gold, "predicted": predicted, "correct": gold == predicted}
    return Items(
        ids=[ids[row] for row in rows],
        columns={name: values.astype(np.float64) for name, values in columns.items()},
        status=np.full(len(rows), OK),
        group=np.array([f"fold {i}" for i in number]) if len(fits) > 1 else None,
    )


PROTOCOL = Protocol(
    name="transfer",
    version=1,
    layout="examples",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", "predicted", "correct"),
    defaults={"folds": 10},
    moved_by=("numpy", "scikit-learn", "scipy"),
)
