"""Measures of predicted labels, equal to scikit-learn's, of a sample or of many resamples at once.

With gold_c items of label c, predicted_c predictions of it and hits_c of them right:

    precision   hits_c / predicted_c, 0 where nothing was predicted so
    recall      hits_c / gold_c, 0 where no item has the label
    f1          2 hits_c / (gold_c + predicted_c)

each averaged over the labels that occur in gold or predictions (macro), or weighted by gold_c
(``_weighted``); ``accuracy`` is the share of right predictions, ``mcc`` Matthews' correlation
(Gorodkin 2004), ``ap`` average precision of two labels with the prediction itself, 0 or 1, as the
score: one threshold, as mteb has it; ``f1_binary`` is the f1 of the second of two labels.

What is random is which texts stand in the test split: they are drawn, with all their predictions.
Replicates are draws of training texts; they share the test texts and are averaged, not drawn: an
interval speaks of the protocol's own draws, and leaves out how others would have come out.

Groups (languages, or the folds of a cross-validation) each have their score, and all count alike.

A failed item carries the label -1: it is counted wrong under its gold label, and is no label of its
own in a macro mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import CELLS_A_BLOCK, Aggregate, Columns, Measure, Sums, mean_of

Floats = NDArray[np.float64]


def label_counts(columns: Columns, weights: Floats | None) -> tuple[Floats, Floats, Floats]:
    """Count gold labels, predicted labels and right predictions of each label.

    Args:
        columns: ``gold`` and ``predicted``, ``[n]`` codes from 0; -1 predicts nothing.
        weights: How often each item was drawn, ``[r, n]``, or None.

    Returns:
        Three times ``[r, k]``; ``r`` is 1 without weights.
    """
    gold, predicted = (columns[name].astype(np.int64) for name in ("gold", "predicted"))
    k = int(max(gold.max(initial=0), predicted.max(initial=0))) + 1
    right = np.where(gold == predicted, gold, -1)
    sums = [Sums(codes, k) for codes in (gold, predicted, right)]
    if weights is None:
        weights = np.ones((1, len(gold)))
    block = max(1, CELLS_A_BLOCK // max(1, len(gold)))
    out = np.empty((3, len(weights), k))
    for start in range(0, len(weights), block):
        for place, summed in enumerate(sums):
            out[place, start : start + block] = summed(weights[start : start + block])
    return out[0], out[1], out[2]


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide elementwise, 0 where the denominator is not above 0."""
    return np.divide(
        numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0
    )


def _precision(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    return _ratio(hits, predicted)


def _recall(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    return _ratio(hits, gold)


def _f1(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    return _ratio(2 * hits, gold + predicted)


def averaged(
    columns: Columns,
    weights: Floats | None,
    *,
    statistic: Callable[[Floats, Floats, Floats], Floats],
    by_gold: bool,
) -> Floats:
    """Average a statistic of each label over labels, ``[r]``, or a scalar without weights.

    Args:
        columns: ``gold`` and ``predicted``.
        weights: ``[r, n]`` or None.
        statistic: Of the counts of :func:`label_counts`, ``[r, k]``.
        by_gold: Weigh a label by its gold items, rather than all that occur alike.
    """
    counts = label_counts(columns, weights)
    shares = counts[0] if by_gold else (counts[0] + counts[1] > 0).astype(np.float64)
    return _shaped(_ratio((statistic(*counts) * shares).sum(-1), shares.sum(-1)), weights)


def mcc(columns: Columns, weights: Floats | None) -> Floats:
    """Matthews' correlation, of any number of labels; 0 where gold or predictions are constant."""
    gold, predicted, hits = label_counts(columns, weights)
    n = gold.sum(-1)
    lost = n - predicted.sum(-1)  # failed items: one more predicted label, which no item has
    covariance = hits.sum(-1) * n - (gold * predicted).sum(-1)
    spread = (n**2 - (gold**2).sum(-1)) * (n**2 - (predicted**2).sum(-1) - lost**2)
    return _shaped(_ratio(covariance, np.sqrt(np.maximum(spread, 0.0))), weights)


def average_precision(columns: Columns, weights: Floats | None) -> Floats:
    """Average precision of the second of two labels, with the prediction as the score."""
    gold, predicted, hits = label_counts(columns, weights)
    if gold.shape[-1] < 2:  # the second label does not occur
        return _shaped(np.zeros(len(gold)), weights)
    precision, recall = (_ratio(hits[:, 1], counts[:, 1]) for counts in (predicted, gold))
    base = _ratio(gold[:, 1], gold.sum(-1))
    found = gold[:, 1] > 0
    return _shaped(np.where(found, recall * precision + (1 - recall) * base, 0.0), weights)


def f1_binary(columns: Columns, weights: Floats | None) -> Floats:
    """F1 of the second of two labels; equals scikit-learn's ``f1_score`` of two."""
    gold, predicted, hits = label_counts(columns, weights)
    if gold.shape[-1] < 2:  # the second label does not occur
        return _shaped(np.zeros(len(gold)), weights)
    return _shaped(_f1(gold, predicted, hits)[:, 1], weights)


def _shaped(scores: Floats, weights: Floats | None) -> Floats:
    return np.asarray(scores if weights is not None else scores[0])


_STATISTICS: Mapping[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
}
_READ = ("predicted", "gold")


def _of_labels(name: str, aggregate: Aggregate, low: float = 0.0) -> Measure:
    return Measure(name, _READ, aggregate, bounds=(low, 1.0), worst=-1.0, across_groups="macro")


def _averages() -> Iterator[Measure]:
    for name, statistic in _STATISTICS.items():
        for ending, by_gold in (("", False), ("_weighted", True)):
            aggregate = partial(averaged, statistic=statistic, by_gold=by_gold)
            yield _of_labels(name + ending, aggregate)


_MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        # the mean of a column: resamples and tests take the short ways there are for means
        replace(mean_of("correct"), name="accuracy", across_groups="macro"),
        *_averages(),
        _of_labels("mcc", mcc, low=-1.0),
        _of_labels("ap", average_precision),
        _of_labels("f1_binary", f1_binary),
    )
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``f1_weighted``, or None."""
    return _MEASURES.get(name)
