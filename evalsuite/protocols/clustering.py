"""Clustering: how well clusters of vectors agree with the labels of their texts.

As in mteb, k-means in small batches (Sculley 2010) makes as many clusters as there are labels, and
the V-measure says how well they agree. There are two ways:

``sampling = "draws"``, mteb's present way. A sample of the texts is taken once (``max_fraction`` of
them, or ``max_texts``) and encoded. At each level of labels there are ``n_experiments``: each draws
``texts_per_experiment`` of the sample with replacement and clusters them. An experiment is a
replicate of the item table; a text drawn several times is one row, whose ``count`` says how often.
Where labels have several levels, a level is a group.

``sampling = "sets"``, the way of mteb's first version. Every set of texts is clustered by itself
and is a replicate. A set whose texts have one label is one cluster, and scores 1.

The sample and all draws come from one random generator, level after level. In mteb it belongs to
the task object and goes on from one evaluation to the next; the draws here are those of a new task
object that is evaluated once. They are the same for every model, and depend on the order of texts.

A text without a label at a level is of a class of its own there, ``"-1"``, as mteb has it where
labels are words; ``missing_level = "leave_out"`` clusters the others only, as mteb has it where
they are numbers.

Clusters are numbered by the smallest id among their texts, so that equal clusters are equal tables.
Texts outside the sample are no items; the evidence counts them.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.vectors import of_texts
from evalsuite.errors import DataError, UsageError
from evalsuite.measures import COUNT
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import LabelledSets

Codes = NDArray[np.int64]

SEED = 42  # mteb's, of the sample, the draws and k-means
ABSENT = "-1"  # mteb's name of the class without a label


@dataclass(frozen=True)
class Experiment:
    """Texts that are clustered together.

    Attributes:
        level: Level of the labels, from 0.
        number: Number of the draw, or of the set.
        texts: Places among the encoded texts, in the order drawn.
        clusters: Number of clusters to make.
    """

    level: int
    number: int
    texts: Codes
    clusters: int


@dataclass(frozen=True)
class Plan:
    """What is encoded and clustered.

    Attributes:
        places: Of the texts to encode, in the data.
        gold: Codes of their labels at each level, ``[levels, n]``; -1 where it is left out.
        experiments: In the order of levels and numbers.
    """

    places: Codes
    gold: Codes
    experiments: Sequence[Experiment]


def sample(n: int, max_fraction: float, max_texts: int, rng: random.Random) -> Codes:
    """Return the places of the texts to encode.

    Args:
        n: Number of texts.
        max_fraction: Share of them to take; 0 takes all, in their order.
        max_texts: Number to take in place of a share; 0 leaves it to the share.
        rng: Draws them.
    """
    if not max_texts and not max_fraction:
        return np.arange(n)
    size = min(n, max_texts or int(max_fraction * n))
    return np.array(rng.sample(range(n), k=size), dtype=np.int64)


def draw(gold: Codes, n_experiments: int, size: int, rng: random.Random) -> Iterator[Experiment]:
    """Yield the experiments of every level.

    Args:
        gold: ``[levels, n]``, -1 where a text is left out.
        n_experiments: Number of draws a level.
        size: Number of texts drawn, with replacement.
        rng: Draws them.
    """
    for level, labels in enumerate(gold):
        (labelled,) = np.nonzero(labels >= 0)
        clusters = len(np.unique(labels[labelled]))
        for number in range(n_experiments):
            drawn = rng.choices(range(len(labelled)), k=size)
            yield Experiment(level, number, labelled[np.array(drawn)], clusters)


def each_set(gold: Codes, sets: Codes) -> Iterator[Experiment]:
    """Yield one experiment a set of texts; both are ``[n]``."""
    for number in np.unique(sets).tolist():
        (texts,) = np.nonzero(sets == number)
        yield Experiment(0, number, texts, len(np.unique(gold[texts])))


def label_codes(labels: Sequence[tuple[str, ...]], max_depth: int, missing_level: str) -> Codes:
    """Return the code of every label among those of its level, ``[levels, n]``.

    Args:
        labels: ``[n]``, each from the broadest level down.
        max_depth: Levels to take; 0 takes all.
        missing_level: ``class`` or ``leave_out``: what a text is that lacks a level.
    """
    depth = max(map(len, labels))
    rows = []
    for level in range(min(max_depth or depth, depth)):
        absent = np.array([len(names) <= level for names in labels])
        names = [ABSENT if len(names) <= level else names[level] for names in labels]
        codes = np.unique(names, return_inverse=True)[1]
        rows.append(np.where(absent, -1, codes) if missing_level == "leave_out" else codes)
    return np.array(rows, dtype=np.int64)


def make_plan(task: Task, data: LabelledSets, params: Mapping[str, Any]) -> Plan:
    """Return what a task encodes and clusters.

    Raises:
        DataError: The data are too few for the task, or have more levels than it takes.
        UsageError: A parameter cannot be.
    """
    _check(task, params)
    if params["sampling"] == "sets":
        if data.levels > 1:
            raise DataError(
                f"{task}: texts have labels of {data.levels} levels; sets take one. "
                'Say `sampling = "draws"`, or name one column of labels.'
            )
        gold = label_codes(data.labels, 1, "class")
        return Plan(np.arange(len(data)), gold, list(each_set(gold[0], data.sets)))
    rng = random.Random(SEED)
    fraction = 0.0 if params["max_texts"] else params["max_fraction"]
    places = sample(len(data), fraction, params["max_texts"], rng)
    if len(places) < 2:
        raise DataError(
            f"{task}: `max_fraction = {fraction:g}` of {len(data)} texts leaves {len(places)} "
            "to cluster. Say `max_texts`, or `max_fraction = 0.0` to take all."
        )
    labels = [data.labels[place] for place in places]
    gold = label_codes(labels, params["max_depth"], params["missing_level"])
    size = params["texts_per_experiment"]
    experiments = list(draw(gold, params["n_experiments"], size, rng))
    most = max(experiment.clusters for experiment in experiments)
    if most > size:
        raise UsageError(
            f"{task}: {most} labels need as many texts; `texts_per_experiment` is {size}."
        )
    return Plan(places, gold, experiments)


def _check(task: Task, params: Mapping[str, Any]) -> None:
    """Check the values of parameters.

    Raises:
        UsageError: One is out of range.
    """
    least = {"n_experiments": 2, "texts_per_experiment": 2, "batch_size": 1, "max_texts": 0}
    for key, low in {**least, "max_depth": 0}.items():
        if params[key] < low:
            raise UsageError(f"{task}: parameter `{key}` must be at least {low}.")
    if not 0 <= params["max_fraction"] <= 1:
        raise UsageError(f"{task}: parameter `max_fraction` must be between 0 and 1.")
    if params["max_texts"] and "max_fraction" in task.params:
        raise UsageError(f"{task}: say `max_texts` or `max_fraction`, not both.")


def cluster(vectors: Any, clusters: int, batch_size: int) -> Codes:
    """Put vectors into clusters by mteb's k-means, ``[n, dim]`` -> ``[n]``."""
    from scipy.sparse import issparse
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    if clusters == 1:
        return np.zeros(vectors.shape[0], dtype=np.int64)
    if issparse(vectors):
        vectors = _narrow(vectors)
    means = MiniBatchKMeans(n_clusters=clusters, batch_size=batch_size, n_init=1, random_state=SEED)
    # one thread: sums keep one order anywhere, and batches this small gain nothing from several
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters
        return np.asarray(means.fit_predict(vectors), dtype=np.int64)


def _narrow(vectors: Any) -> Any:
    """Return sparse vectors with 32-bit places, the only ones k-means takes."""
    from scipy.sparse import csr_array

    places = (part.astype(np.int32) for part in (vectors.indices, vectors.indptr))
    return csr_array((vectors.data, *places), shape=vectors.shape)


def run(task: Task, data: LabelledSets, model: Any) -> list[Outcome]:
    """Encode all texts in one call, then cluster once an experiment."""
    params = {**PROTOCOL.defaults, **task.params}
    plan = make_plan(task, data, params)
    started = time.perf_counter()
    vectors = of_texts([data.texts[place] for place in plan.places], model)
    encoded = time.perf_counter()
    found = [
        cluster(vectors[experiment.texts], experiment.clusters, params["batch_size"])
        for experiment in plan.experiments
    ]
    table = _items(data, plan, found)
    clustered = time.perf_counter()
    phases = (
        Phase("encode", encoded - started, len(plan.places)),
        Phase("cluster", clustered - encoded, sum(len(one.texts) for one in plan.experiments)),
    )
    return [Outcome(table, phases, _evidence(data, plan))]


def _rows(plan: Plan, rank: Codes, experiment: Experiment, found: Codes) -> Codes:
    """Return level, number, text, gold, predicted and count of each text, by id, ``[6, m]``.

    Args:
        plan: What was clustered.
        rank: Place of each encoded text in the order of ids.
        experiment: One of the plan's.
        found: Cluster of each of its texts.
    """
    texts, first, count = np.unique(experiment.texts, return_index=True, return_counts=True)
    order = np.argsort(rank[texts])
    texts, first, count = texts[order], first[order], count[order]
    _, start, cluster_of = np.unique(found[first], return_index=True, return_inverse=True)
    predicted = np.argsort(np.argsort(start))[cluster_of]
    level, number = (np.full(len(texts), value) for value in (experiment.level, experiment.number))
    return np.stack([level, number, texts, plan.gold[experiment.level][texts], predicted, count])


def _items(data: LabelledSets, plan: Plan, found: Sequence[Codes]) -> Items:
    """Return the item table: a replicate an experiment, and a group a level if there are several.

    Args:
        data: The texts.
        plan: What was clustered.
        found: Cluster of each text of each experiment.
    """
    ids = np.array([data.ids[place] for place in plan.places], dtype=object)
    rank = np.argsort(np.argsort(ids))
    parts = [_rows(plan, rank, *one) for one in zip(plan.experiments, found, strict=True)]
    level, number, texts, gold, predicted, count = np.concatenate(parts, axis=1)
    columns = {"gold": gold, "predicted": predicted, COUNT: count}
    return Items(
        ids=ids[texts].tolist(),
        columns={name: values.astype(np.float64) for name, values in columns.items()},
        status=np.full(len(texts), OK),
        group=np.array([f"level {i + 1}" for i in level]) if len(plan.gold) > 1 else None,
        replicate=number,
    )


def _evidence(data: LabelledSets, plan: Plan) -> dict[str, Any]:
    drawn = np.unique(np.concatenate([experiment.texts for experiment in plan.experiments]))
    lacking = [
        sum(len(data.labels[place]) <= level for place in plan.places)
        for level in range(len(plan.gold))
    ]
    return {
        "texts_outside_the_sample": len(data) - len(plan.places),
        "texts_never_drawn": len(plan.places) - len(drawn),
        "texts_without_a_label": {f"level {i + 1}": n for i, n in enumerate(lacking) if n},
    }


PROTOCOL = Protocol(
    name="clustering",
    version=1,
    layout="labelled_sets",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", "predicted", COUNT),
    defaults={
        "sampling": "draws",
        "max_fraction": 0.04,
        "max_texts": 0,
        "n_experiments": 10,
        "texts_per_experiment": 16_384,
        "max_depth": 0,
        "missing_level": "class",
        "batch_size": 512,
    },
    choices={"sampling": ("draws", "sets"), "missing_level": ("class", "leave_out")},
    moved_by=("numpy", "scikit-learn"),
)
