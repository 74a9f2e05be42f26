"""How well a similarity tells pairs that match from pairs that do not.

Pairs are sorted by similarity, the most similar first. A threshold lies between two pairs of
different similarity, so that ties are never split. With N pairs, P of which match, and n_t pairs
above threshold t, hits_t of which match:

    ap        sum_t (hits_t - hits_{t-1}) / P * hits_t / n_t, the last threshold below all pairs
    accuracy  max_t (hits_t + (N - P) - (n_t - hits_t)) / N
    f1        max_t 2 hits_t / (n_t + P)

AP equals scikit-learn's ``average_precision_score``. The thresholds of accuracy and F1 are mteb's:
with at least one pair on either side, so that calling all pairs a match is no option. Where nothing
can be told apart, because all similarities are equal, both are 0.

``max_*`` is the best over the similarities, chosen anew in every resample.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import CELLS_A_BLOCK, Columns, Measure

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
NAMES = f"{{max, {', '.join(SIMILARITIES)}}}_{{ap, accuracy, f1}}"

Floats = NDArray[np.float64]


def average_precision(hits: Floats, above: Floats) -> Floats:
    """Area under precision over recall, in steps; 0 where nothing matches.

    Args:
        hits: Matching pairs above each threshold, ``[r, thresholds]``; the last is below all pairs.
        above: Pairs above each threshold, ``[r, thresholds]``.

    Returns:
        ``[r]``.
    """
    found = np.diff(hits, axis=1, prepend=0.0)
    found *= hits
    found /= np.maximum(above, 1.0)
    return np.asarray(found.sum(axis=1) / np.maximum(hits[:, -1], 1.0))


def best_accuracy(hits: Floats, above: Floats) -> Floats:
    """Share of pairs told right at the best threshold; arguments as above."""
    total = above[:, -1:]
    right = 2 * hits - above + (total - hits[:, -1:])
    right[(above == 0) | (above == total)] = 0.0
    return np.asarray(right.max(axis=1) / total[:, 0])


def best_f1(hits: Floats, above: Floats) -> Floats:
    """F1 of the matching pairs at the best threshold; arguments as above."""
    total, matching = above[:, -1:], hits[:, -1:]
    f1 = 2 * hits / np.maximum(above + matching, 1.0)
    f1[above == total] = 0.0
    return np.asarray(f1.max(axis=1))


STATISTICS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "ap": average_precision,
    "accuracy": best_accuracy,
    "f1": best_f1,
}


def best_of(
    columns: Columns, weights: Floats | None, *, similarities: Sequence[str], statistic: str
) -> Floats:
    """Return the best score over similarities; of each resample where weights are given.

    Args:
        columns: ``gold``, 1 where a pair matches and else 0, and the similarities, each ``[n]``.
        weights: How often each pair was drawn in each resample, whole numbers ``[r, n]``, or None.
        similarities: Columns to sort by.
        statistic: Key of :data:`STATISTICS`.

    Returns:
        A scalar, or ``[r]``.
    """
    score = STATISTICS[statistic]
    rows = np.ones((1, len(columns["gold"]))) if weights is None else weights
    best = np.zeros(len(rows))
    block = max(1, CELLS_A_BLOCK // rows.shape[1])
    for name in similarities:
        order = np.argsort(-columns[name])
        values, gold = columns[name][order], columns["gold"][order]
        last = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # of pairs that tie
        for start in range(0, len(rows), block):
            part = slice(start, start + block)
            drawn = np.take(rows[part], order, axis=1)
            hits, above = np.cumsum(drawn * gold, axis=1), np.cumsum(drawn, axis=1)
            if len(last) < len(values):
                hits, above = np.take(hits, last, axis=1), np.take(above, last, axis=1)
            best[part] = np.maximum(best[part], score(hits, above))
    return np.asarray(best[0]) if weights is None else best


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``cosine_ap`` or ``max_f1``, or None."""
    match = re.fullmatch(rf"(max|{'|'.join(SIMILARITIES)})_({'|'.join(STATISTICS)})", name)
    if match is None:
        return None
    which, statistic = match.groups()
    similarities = SIMILARITIES if which == "max" else (which,)
    aggregate = partial(best_of, similarities=similarities, statistic=statistic)
    return Measure(name, ("gold", *similarities), aggregate, worst=-np.inf)
