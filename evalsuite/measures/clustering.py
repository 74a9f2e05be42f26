"""Measures of clusters against labels, equal to scikit-learn's, of a sample or of many resamples.

From how often label c and cluster k occur together, with the entropies H of labels, of clusters and
of both together, and I = H(C) + H(K) - H(C, K) what they tell of one another:

    homogeneity    I / H(C), 1 where there is one label
    completeness   I / H(K), 1 where there is one cluster
    v_measure      their harmonic mean (Rosenberg & Hirschberg 2007)
    ami            I less what chance gives, over the most that could be (Vinh et al. 2010)
    ari            share of pairs told alike, corrected likewise (Hubert & Arabie 1985)

An item counts as often as its column ``count`` says.

What is random is which texts were clustered together. Other texts would have made other clusters,
so items cannot be drawn anew: replicates are, each with its clusters. Groups (levels of labels)
each have their score, and all count alike.

A failed item carries the cluster -1: all of them make one cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import COUNT, Columns, Measure, Sums

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Together:
    """How often labels and clusters occur, in each of r resamples.

    Attributes:
        joint: Of each pair that occurs at all, ``[r, pairs]``.
        labels: ``[r, c]``.
        clusters: ``[r, k]``.
        label: The label of each pair, ``[pairs]``.
        cluster: Its cluster, ``[pairs]``.
    """

    joint: Floats
    labels: Floats
    clusters: Floats
    label: NDArray[np.int64]
    cluster: NDArray[np.int64]

    @property
    def information(self) -> Floats:
        """What labels and clusters tell of one another, in nats, ``[r]``."""
        told = entropy(self.labels) + entropy(self.clusters) - entropy(self.joint)
        return np.maximum(told, 0.0)


def together(columns: Columns, weights: Floats | None) -> Together:
    """Count labels and clusters.

    Args:
        columns: ``gold``, ``predicted`` and ``count``, ``[n]``.
        weights: How often each item was drawn, ``[r, n]``, or None; ``r`` is then 1.
    """
    gold, predicted = (
        np.unique(columns[name], return_inverse=True)[1] for name in ("gold", "predicted")
    )
    clusters = int(predicted.max(initial=0)) + 1
    pairs, place = np.unique(gold * clusters + predicted, return_inverse=True)
    times = columns[COUNT][None] if weights is None else weights * columns[COUNT]
    joint = Sums(place, len(pairs))(times)
    label, cluster = pairs // clusters, pairs % clusters
    return Together(
        joint,
        Sums(label, int(gold.max(initial=0)) + 1)(joint),
        Sums(cluster, clusters)(joint),
        label,
        cluster,
    )


def entropy(counts: Floats) -> Floats:
    """Return the entropy of each row of counts in nats, ``[r, k]`` -> ``[r]``."""
    shares = _ratio(counts, counts.sum(axis=-1, keepdims=True))
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=-1))


def _ratio(numerator: Floats, denominator: Floats, otherwise: float = 0.0) -> Floats:
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    out = np.full(shape, otherwise)
    return np.asarray(np.divide(numerator, denominator, out=out, where=denominator > 0))


def homogeneity(found: Together) -> Floats:
    """How much a cluster holds of one label only, ``[r]``."""
    return _ratio(found.information, entropy(found.labels), otherwise=1.0)


def completeness(found: Together) -> Floats:
    """How much of a label is in one cluster, ``[r]``."""
    return _ratio(found.information, entropy(found.clusters), otherwise=1.0)


def v_measure(found: Together) -> Floats:
    """Harmonic mean of homogeneity and completeness, ``[r]``."""
    h, c = homogeneity(found), completeness(found)
    return _ratio(2 * h * c, h + c)


def ari(found: Together) -> Floats:
    """Adjusted Rand index, ``[r]``; 1 where the two agree."""
    n = found.joint.sum(axis=-1)
    both = (found.joint**2).sum(axis=-1)
    apart = (found.labels**2).sum(axis=-1) - both  # pairs of one label in two clusters, twice
    mixed = (found.clusters**2).sum(axis=-1) - both  # pairs of two labels in one cluster, twice
    alike, unlike = both - n, n**2 - apart - mixed - both
    most = (alike + apart) * (apart + unlike) + (alike + mixed) * (mixed + unlike)
    return _ratio(2 * (alike * unlike - apart * mixed), most, otherwise=1.0)


def ami(found: Together) -> Floats:
    """Adjusted mutual information, over the mean of both entropies, ``[r]``."""
    h_labels, h_clusters = entropy(found.labels), entropy(found.clusters)
    chance = np.array([_by_chance(found, row) for row in range(len(found.joint))])
    tiny = np.finfo(np.float64).eps  # 0 / 0 where chance could do no worse, as scikit-learn has it
    over, most = found.information - chance, (h_labels + h_clusters) / 2 - chance
    over, most = (np.copysign(np.maximum(np.abs(x), tiny), x) for x in (over, most))
    single = np.where((h_labels == 0) & (h_clusters == 0), 1.0, 0.0)
    return np.where((h_labels == 0) | (h_clusters == 0), single, over / most)


def _by_chance(found: Together, row: int) -> float:
    """Return the information expected of random clusters of the same sizes."""
    from scipy.sparse import csr_matrix
    from sklearn.metrics.cluster import expected_mutual_information

    counts = found.joint[row].astype(np.int64)
    if not (drawn := counts > 0).any():
        return 0.0
    places = [
        np.unique(codes[drawn], return_inverse=True)[1] for codes in (found.label, found.cluster)
    ]
    table: Any = csr_matrix((counts[drawn], (places[0], places[1])))
    return float(expected_mutual_information(table, int(counts.sum())))


def _aggregate(
    columns: Columns, weights: Floats | None, *, statistic: Callable[[Together], Floats]
) -> Floats:
    scores = statistic(together(columns, weights))
    return np.asarray(scores if weights is not None else scores[0])


def _measure(statistic: Callable[[Together], Floats], low: float = 0.0) -> Measure:
    return Measure(
        statistic.__name__,
        ("gold", "predicted", COUNT),
        partial(_aggregate, statistic=statistic),
        bounds=(low, 1.0),
        worst=-1.0,
        across_groups="macro",
        resample="replicate",
    )


_MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        *map(_measure, (v_measure, homogeneity, completeness)),
        _measure(ami, low=-1.0),
        _measure(ari, low=-0.5),
    )
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``v_measure``, or None."""
    return _MEASURES.get(name)
