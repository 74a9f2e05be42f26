"""How vectors fill their space, from what each text contributes.

    mean_cosine      mean cosine of two different texts (Ethayarajh 2019)
    uniformity       log of the mean of exp(-2 |u - v|^2) over two different texts with vectors u, v
                     of unit length (Wang and Isola 2020, t = 2)
    isoscore         (P - 1) / (d - 1) with P = tr(C)^2 / |C|_F^2, where C is the covariance of the
                     vectors and d their length (Rudman et al. 2022)
    partition_ratio  min Z(c) / max Z(c) with Z(c) the sum of exp(c . x) over vectors x; c are the
                     eigenvectors of X'X and their opposites (Mu and Viswanath 2018)
    alignment        mean of |u - v|^2 over pairs that mean the same, vectors of unit length
                     (Wang and Isola 2020, alpha = 2)

IsoScore's steps come down to that ratio: with s the singular values of C scaled to the norm
sqrt(d), |s - 1|^2 = 2 d - 2 sqrt(d) tr(C) / |C|_F.

A mean over pairs of n texts, M, is no mean over texts that could be resampled: a text is in n - 1
pairs. The column of a text is therefore ``2 m - M``, with m the mean over its own pairs. Its mean
is M, and it varies as M's first-order expansion does (Hoeffding 1948), so that intervals and paired
tests are those of texts drawn anew. ``spread``, whose mean is |C|_F^2, is built alike. Resamples
leave the directions c as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import Columns, Measure, mean_of, weighted_mean

Floats = NDArray[np.float64]

COLUMNS = ("mean_cosine", "potential", "variance", "spread", "dimensions", "least", "most")
POWER = 2.0  # t of the uniformity
_SMALLEST = float(np.exp(-4 * POWER))  # the potential of opposite vectors


def uniformity(columns: Columns, weights: Floats | None) -> Floats:
    """Log of the mean potential of two texts."""
    mean = weighted_mean(columns, weights, column="potential")
    return np.asarray(np.log(np.maximum(mean, _SMALLEST)))


def isoscore(columns: Columns, weights: Floats | None) -> Floats:
    """IsoScore; 0 where all vectors are equal."""
    trace, square = (weighted_mean(columns, weights, column=c) for c in ("variance", "spread"))
    occupied = np.divide(trace**2, square, out=np.ones_like(trace), where=square > 0)
    return np.asarray(np.clip((occupied - 1) / (columns["dimensions"].max() - 1), 0.0, 1.0))


def partition_ratio(columns: Columns, weights: Floats | None) -> Floats:
    """Smallest over largest partition function."""
    least, most = (weighted_mean(columns, weights, column=c) for c in ("least", "most"))
    return np.asarray(least / most)


_MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        replace(mean_of("mean_cosine"), bounds=(-1.0, 1.0), worst=1.0, higher_is_better=False),
        replace(mean_of("alignment"), bounds=(0.0, 4.0), worst=4.0, higher_is_better=False),
        Measure(
            "uniformity",
            ("potential",),
            uniformity,
            higher_is_better=False,
            bounds=(-4 * POWER, 0.0),
            worst=1.0,
        ),
        Measure("isoscore", ("variance", "spread", "dimensions"), isoscore),
        Measure("partition_ratio", ("least", "most"), partition_ratio),
    )
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``isoscore``, or None."""
    return _MEASURES.get(name)
