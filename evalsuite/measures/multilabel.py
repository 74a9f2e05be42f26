"""Measures of predicted sets of labels, equal to scikit-learn's and mteb's.

With g labels of a text, p predicted, b both and k in all, a text counts

    lrap     label ranking average precision, a predicted label ranked before all others:
             (b b / p + (g - b) g / k) / g; 1 where it has no label or all
    hamming  mteb's Hamming score, b / (g + p - b); 1 where there is neither

and ``multilabel_f1`` is F1 of each label, averaged over those that occur in gold or predictions.
Sets are whole numbers, label i the bit 2^i. What is drawn are texts; replicates are draws of
training texts and are averaged, as in classification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import Columns, Measure, mean_of

COLUMNS = ("correct", "lrap", "hamming", "gold_labels", "predicted_labels")
MOST_LABELS = 53  # bits of whole numbers that float64 holds exactly

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def statistics(gold: Flags, predicted: Flags) -> dict[str, Floats]:
    """Return the columns of texts; both arguments ``[n, k]``."""
    k = gold.shape[1]
    g, p, b = (
        flags.sum(axis=1).astype(np.float64) for flags in (gold, predicted, gold & predicted)
    )
    lrap = (b * b / np.maximum(p, 1) + (g - b) * g / k) / np.maximum(g, 1)
    either = g + p - b
    bits = 2.0 ** np.arange(k)
    return {
        "correct": (gold == predicted).all(axis=1).astype(np.float64),
        "lrap": np.where((g == 0) | (g == k), 1.0, lrap),
        "hamming": np.where(either == 0, 1.0, b / np.maximum(either, 1)),
        "gold_labels": gold @ bits,
        "predicted_labels": predicted @ bits,
    }


def macro_f1(columns: Columns, weights: Floats | None) -> Floats:
    """F1 of each label, averaged; a scalar, or ``[r]`` with weights ``[r, n]``."""
    sets = [columns[name].astype(np.int64) for name in ("gold_labels", "predicted_labels")]
    k = int(max(values.max(initial=1) for values in sets)).bit_length()
    gold, predicted = ((values[:, None] >> np.arange(k)) & 1 for values in sets)
    rows = np.ones((1, len(gold))) if weights is None else weights
    hits = rows @ (gold & predicted).astype(np.float64)
    total = rows @ (gold + predicted).astype(np.float64)
    f1 = 2 * hits / np.maximum(total, 1.0)
    found = f1.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1)
    return np.asarray(found[0] if weights is None else found)


_READ = ("gold_labels", "predicted_labels")
_MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        replace(mean_of("lrap"), across_groups="macro"),
        replace(mean_of("hamming"), across_groups="macro"),
        Measure("multilabel_f1", _READ, macro_f1, across_groups="macro"),
    )
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``lrap``, or None."""
    return _MEASURES.get(name)
