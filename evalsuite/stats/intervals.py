"""Bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures import Measure
from evalsuite.stats.draws import (
    Draw,
    KeptDraws,
    Sample,
    item_means,
    mean_draws,
    over_draws,
    replicate_scores,
    score,
)

Floats = NDArray[np.float64]

RESAMPLES = 1000
STUDENT_QUANTILES = 10_000
JACKKNIFE_GROUPS = 1000
JACKKNIFE_GROUPS_OF_OTHERS = 200  # of what is no mean: the skew is the same to two digits

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Bootstrap:
    """A statistic with its bootstrap distribution, corrected for bias and skew (BCa).

    Source: Efron 1987, "Better Bootstrap Confidence Intervals".

    Attributes:
        value: The statistic of the sample itself.
        draws: The statistic of each resample, sorted, ``[r]``.
        bias: z0, from the share of draws below the value.
        acceleration: a, from the skew of the jackknife; 0 for the percentile method.
    """

    value: float
    draws: Floats
    bias: float = 0.0
    acceleration: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether every resample came out the same."""
        return bool(self.draws[0] == self.draws[-1])

    def quantile(self, level: float) -> float:
        """Return the end of the one-sided interval that covers with probability ``level``."""
        z = self.bias + _NORMAL.inv_cdf(level)
        adjusted = _NORMAL.cdf(self.bias + z / (1 - self.acceleration * z))
        return float(np.quantile(self.draws, adjusted))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def p_below(self, threshold: float) -> float:
        """Return the p-value of H0 "the statistic is at least ``threshold``".

        It is the smallest level at which the one-sided interval leaves the threshold out, from
        inverting :meth:`quantile`; never under ``1 / (r + 1)``.
        """
        return self._p(threshold, below=True)

    def p_above(self, threshold: float) -> float:
        """Return the p-value of H0 "the statistic is at most ``threshold``"."""
        return self._p(threshold, below=False)

    def _p(self, threshold: float, *, below: bool) -> float:
        r = len(self.draws)
        if self.constant:
            met = self.value < threshold if below else self.value > threshold
            return 1 / (r + 1) if met else 1.0
        if self.draws[-1] < threshold if below else self.draws[0] > threshold:
            return 1 / (r + 1)  # no draw reaches it: the tail the correction reads is empty
        less = np.searchsorted(self.draws, threshold, side="left")
        most = np.searchsorted(self.draws, threshold, side="right")
        share = float(np.clip((less + most) / (2 * r), 0.5 / r, 1 - 0.5 / r))
        w = _NORMAL.inv_cdf(share) - self.bias
        # beyond a skew BCa was made for, the correction has no inverse: leave it out
        scale = 1 + self.acceleration * w
        z = w / (scale if scale > 0 else 1.0) - self.bias
        p = _NORMAL.cdf(-z if below else z)
        return max(p, 1 / (r + 1))


def bootstrap_interval(
    measure: Measure,
    sample: Sample,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = RESAMPLES,
    kept: KeptDraws | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a measure (Efron & Tibshirani 1993, ch. 13).

    Where replicates are what is random it is Student's: they are few.

    Args:
        measure: What to aggregate.
        sample: Its rows.
        seed: From :func:`derived_seed`.
        level: Coverage aimed at.
        n_resamples: Number of bootstrap draws.
        kept: Draws of earlier samples; only saves time.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: There are no rows.
    """
    scores = replicate_scores(measure, sample)
    if scores is not None:
        low, high = np.clip(student(scores).interval(level), *measure.bounds)
        return float(low), float(high)
    draws = _draws(measure, sample, seed, n_resamples, kept)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap(
    measure: Measure, sample: Sample, *, seed: int, n_resamples: int = RESAMPLES
) -> Bootstrap:
    """Return a measure's score with its BCa bootstrap distribution; arguments as above.

    Raises:
        ValueError: There are no rows.
    """
    draws = _draws(measure, sample, seed, n_resamples)
    value = float(score(measure, sample))
    return corrected(value, draws, jackknife(measure, sample))


def corrected(value: float, draws: Floats, left_out: Floats) -> Bootstrap:
    """Return the BCa distribution of a statistic.

    Args:
        value: Of the sample.
        draws: Of each resample, ``[r]``.
        left_out: With each unit, or group of units, left out; ``[k]``.
    """
    r = len(draws)
    at_most = ((draws < value).sum() + (draws <= value).sum()) / 2
    influence = left_out.mean() - left_out
    spread = (influence**2).sum() ** 1.5
    acceleration = (influence**3).sum() / (6 * spread) if spread > 0 else 0.0
    bias = _NORMAL.inv_cdf(float(np.clip(at_most / r, 0.5 / r, 1 - 0.5 / r)))
    return Bootstrap(value, np.sort(draws), bias, float(acceleration))


def uncorrected(value: float, draws: Floats) -> Bootstrap:
    """Return the percentile distribution of a statistic, from the draws of its resamples."""
    return Bootstrap(value, np.sort(draws))


def student(scores: Floats) -> Bootstrap:
    """Return the distribution of the mean of a few scores, ``[k]``: Student's, as its quantiles."""
    from scipy import special  # takes as long to import as all else here

    k = len(scores)
    levels = (np.arange(STUDENT_QUANTILES) + 0.5) / STUDENT_QUANTILES
    error = scores.std(ddof=1) / k**0.5
    return Bootstrap(float(scores.mean()), scores.mean() + error * special.stdtrit(k - 1, levels))


def jackknife(measure: Measure, sample: Sample) -> Floats:
    """Return the score with each group of units left out, ``[k]``; at most 1,000 groups."""
    if measure.resample == "replicate":
        k = sample.n_replicates
        return np.asarray(score(measure, sample, Draw(None, 1 - np.eye(k)))) if k > 1 else _NONE
    most = JACKKNIFE_GROUPS if measure.decomposes else JACKKNIFE_GROUPS_OF_OTHERS
    k = min(sample.n_units, most)
    if k < 2:
        return _NONE
    sample = item_means(measure, sample)
    # spread each stratum over the groups, so that none is left out whole
    place = np.empty(sample.n_units, dtype=np.int64)
    place[np.concatenate(sample.strata)] = np.arange(sample.n_units) % k
    parts = []
    for numbers in np.array_split(np.arange(k), max(1, k * sample.n_units // 500_000)):
        kept = (place[None, :] != numbers[:, None]).astype(np.float64)
        parts.append(np.atleast_1d(score(measure, sample, Draw(kept, None))))
    return np.concatenate(parts)


_NONE: Floats = np.zeros(1)


def _draws(
    measure: Measure, sample: Sample, seed: int, n_resamples: int, kept: KeptDraws | None = None
) -> Floats:
    if sample.n_rows == 0:
        raise ValueError("an interval needs at least one item")
    sample = item_means(measure, sample)
    if measure.decomposes and sample.is_plain:
        return mean_draws(sample.columns[measure.columns[0]], n_resamples, seed)

    def of_draw(draw: Draw) -> Floats:
        return score(measure, sample, draw)

    return over_draws(of_draw, measure, sample, n_resamples, seed, kept)
