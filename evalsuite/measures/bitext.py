"""How well texts find their translations among candidates.

Each candidate is a label. With gold_c texts that candidate c translates, predicted_c texts whose
nearest candidate it is, and hits_c of them right, a text whose translation is c counts

    bitext_f1         2 hits_c / (gold_c + predicted_c)
    bitext_precision  hits_c / predicted_c, 0 where nothing was predicted so
    bitext_recall     hits_c / gold_c, which on average is the accuracy

and a score is the mean over texts: F1, precision and recall of the labels weighted by gold_c, as
scikit-learn and mteb have them. Subsets (pairs of languages) each have their score, and all count
alike.

What is drawn are texts, with what they count among all others; the candidates stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import Measure, mean_of

COLUMNS = ("correct", "bitext_f1", "bitext_precision", "bitext_recall")

Floats = NDArray[np.float64]


def statistics(gold: NDArray[np.int64], predicted: NDArray[np.int64], m: int) -> dict[str, Floats]:
    """Return what each text counts.

    Args:
        gold: ``[n]``, the candidate that translates each text.
        predicted: ``[n]``, its nearest candidate.
        m: Number of candidates.

    Returns:
        Columns of :data:`COLUMNS`, each ``[n]``.
    """
    right = gold == predicted
    golds, found, hits = (
        np.bincount(places, minlength=m)[gold].astype(np.float64)
        for places in (gold, predicted, gold[right])
    )
    return {
        "correct": right.astype(np.float64),
        "bitext_f1": 2 * hits / (golds + found),
        "bitext_precision": hits / np.maximum(found, 1.0),
        "bitext_recall": hits / golds,
    }


_MEASURES: Mapping[str, Measure] = {
    name: replace(mean_of(name), across_groups="macro") for name in COLUMNS[1:]
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``bitext_f1``, or None."""
    return _MEASURES.get(name)
