"""Multilabel classification: how well the labels of a text's neighbours are its own.

As in mteb: an experiment draws training texts until each label has ``samples_per_label``, and every
test text gets the labels that most of its five nearest neighbours among them have (scikit-learn's
``KNeighborsClassifier``). There are ``n_experiments``; a score is their mean. Each experiment is a
replicate of the item table. Labels that no test text has are left out, as there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.vectors import of_texts
from evalsuite.errors import DataError, UsageError
from evalsuite.measures import multilabel
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data.labelled import Labelled

Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

SEED = 42  # mteb's
NEIGHBOURS = 5


def draw(labels: Sequence[Sequence[str]], per_label: int, n_experiments: int) -> list[Places]:
    """Return the places each experiment learns from, in the order drawn.

    A text is taken if one of its labels has not been met ``per_label`` times. One generator
    shuffles the places anew for each experiment.

    Args:
        labels: Of the training texts, ``[n]``.
        per_label: Texts wanted of each label.
        n_experiments: Number of experiments.
    """
    rng = np.random.default_rng(SEED)
    drawn = []
    for _ in range(n_experiments):
        order = np.arange(len(labels)).tolist()
        rng.shuffle(order)
        met: Counter[str] = Counter()
        taken = []
        for place in order:
            if any(met[label] < per_label for label in labels[place]):
                taken.append(place)
                met.update(labels[place])
        drawn.append(np.array(taken, dtype=np.int64))
    return drawn


def _flags(labels: Sequence[Sequence[str]], code: dict[str, int]) -> Flags:
    """Return which of the known labels each text has, ``[n, k]``."""
    flags = np.zeros((len(labels), len(code)), dtype=bool)
    for row, names in zip(flags, labels, strict=True):
        row[[code[name] for name in names if name in code]] = True
    return flags


def label(train: Any, flags: Flags, test: Any) -> Flags:
    """Return the labels of ``[n, dim]`` vectors by those of ``[m, dim]``; ``[n, k]``."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(n_neighbors=NEIGHBOURS)
    classifier.fit(train, flags.astype(np.int64))
    return np.asarray(classifier.predict(test) > 0)


def _plan(task: Task, labels: Sequence[Sequence[str]], code: dict[str, int]) -> list[Places]:
    """Return the places each experiment of a task learns from."""
    params = {**PROTOCOL.defaults, **task.params}
    for key in ("n_experiments", "samples_per_label"):
        if params[key] < 1:
            raise UsageError(f"{task}: parameter `{key}` must be at least 1.")
    if not 2 <= len(code) <= multilabel.MOST_LABELS:
        raise DataError(
            f"{task}: the test texts have {len(code)} labels; 2 to {multilabel.MOST_LABELS} can be "
            "told apart."
        )
    plan = draw(labels, params["samples_per_label"], params["n_experiments"])
    if min(map(len, plan)) < NEIGHBOURS:
        raise DataError(f"{task}: an experiment draws fewer than {NEIGHBOURS} texts to learn from.")
    return plan


def run(task: Task, data: Labelled, model: Any) -> list[Outcome]:
    """Encode all texts in one call, then label once an experiment.

    Raises:
        DataError: There are too few or too many labels, or too few texts to learn from.
    """
    from evalsuite.data.labelled import labels_of

    sets = [labels_of(name) for name in data.names]
    learnt, gold = ([sets[i] for i in split.labels] for split in (data.train, data.test))
    code = {name: i for i, name in enumerate(sorted({name for labels in gold for name in labels}))}
    plan = _plan(task, learnt, code)
    drawn = np.unique(np.concatenate(plan))
    started = time.perf_counter()
    vectors = of_texts([*(data.train.texts[i] for i in drawn), *data.test.texts], model)
    encoded = time.perf_counter()
    flags, truth, test = _flags(learnt, code), _flags(gold, code), vectors[len(drawn) :]
    found = []
    for places in plan:
        predicted = label(vectors[np.searchsorted(drawn, places)], flags[places], test)
        found.append(multilabel.statistics(truth, predicted))
    phases = (
        Phase("encode", encoded - started, len(drawn) + len(data.test)),
        Phase("classify", time.perf_counter() - encoded, len(plan) * len(data.test)),
    )
    unknown = {name for labels in learnt for name in labels} - set(code)
    evidence = {"labels_without_test_texts": len(unknown)}
    return [Outcome(_items(data.test.ids, found), phases, evidence)]


def _items(ids: Sequence[str], found: list[dict[str, NDArray[np.float64]]]) -> Items:
    """Return the item table: a replicate an experiment."""
    times = len(found)
    return Items(
        ids=[*ids] * times,
        columns={
            name: np.concatenate([columns[name] for columns in found])
            for name in multilabel.COLUMNS
        },
        status=np.full(times * len(ids), OK),
        replicate=np.repeat(np.arange(times), len(ids)),
    )


PROTOCOL = Protocol(
    name="multilabel_classification",
    version=1,
    layout="labelled",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=multilabel.COLUMNS,
    defaults={"n_experiments": 10, "samples_per_label": 8},
    moved_by=("numpy", "scikit-learn"),
)
