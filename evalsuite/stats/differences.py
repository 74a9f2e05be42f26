"""Whether two results on the same items differ, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures import Measure
from evalsuite.stats.draws import (
    Sample,
    by_unit,
    derived_seed,
    item_means,
    mean_draws,
    over_draws,
    replicate_scores,
    score,
)
from evalsuite.stats.intervals import Bootstrap, corrected, jackknife, student, uncorrected

Floats = NDArray[np.float64]

RESAMPLES = 10_000
RESAMPLES_OF_OTHERS = 2_000  # of what is no mean: every draw ranks all items anew


@dataclass(frozen=True)
class Difference:
    """The difference of two results on the same items, candidate less baseline.

    Attributes:
        value: Difference of the scores.
        distribution: Its bootstrap distribution, paired by unit.
        test: How "no difference" is tested: ``McNemar``, ``sign flips`` or ``paired bootstrap``.
        p_less: P-value of H0 "the difference is at least 0".
        p_greater: P-value of H0 "the difference is at most 0".
        n: Number of items.
        n_changed: Number of items whose columns differ at all.
        standard_error: Standard deviation of the bootstrap distribution.
    """

    value: float
    distribution: Bootstrap
    test: str
    p_less: float
    p_greater: float
    n: int
    n_changed: int
    standard_error: float

    @property
    def p(self) -> float:
        """Two-sided p-value of H0 "no difference"."""
        return min(1.0, 2 * min(self.p_less, self.p_greater))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the difference; empty of width where no item changed."""
        return self.distribution.interval(level) if self.n_changed else (self.value, self.value)

    def p_below(self, threshold: float) -> float:
        """Return the p-value of H0 "the difference is at least ``threshold``".

        At 0 it is the test's; elsewhere the paired bootstrap interval's, inverted.
        """
        return self.p_less if threshold == 0 else self.distribution.p_below(threshold)

    def p_above(self, threshold: float) -> float:
        """Return the p-value of H0 "the difference is at most ``threshold``"."""
        return self.p_greater if threshold == 0 else self.distribution.p_above(threshold)


def difference(
    measure: Measure,
    candidate: Sample,
    baseline: Sample,
    *,
    seed: int,
    n_resamples: int | None = None,
) -> Difference:
    """Compare two results whose rows are the same items in the same order.

    A mean of zeros and ones is tested with McNemar's exact test, any other mean with sign flips,
    what is no mean with the paired bootstrap, centred on the difference seen. Where replicates are
    what is random, their scores are the items.

    Args:
        measure: What is compared.
        candidate: Rows of one result.
        baseline: Rows of the other; the same units in the same groups.
        seed: From :func:`derived_seed`.
        n_resamples: Number of draws and of sign flips; 10,000 for means and 2,000 else.

    Raises:
        ValueError: The samples do not have the same units, or no rows.
    """
    if candidate.n_units != baseline.n_units or candidate.n_rows == 0:
        raise ValueError("paired samples hold the same units")
    n_resamples = n_resamples or (RESAMPLES if measure.decomposes else RESAMPLES_OF_OTHERS)
    changed = changed_items(measure, candidate, baseline)
    scores, others = (replicate_scores(measure, side) for side in (candidate, baseline))
    if scores is not None and others is not None and candidate.n_rows == baseline.n_rows:
        return _of_replicates(scores - others, n=candidate.n_items, n_changed=changed, seed=seed)
    if measure.resample == "replicate" and candidate.n_replicates == 1:
        measure = replace(measure, resample="item")  # one alone says nothing of others
    distribution = _paired_bootstrap(measure, candidate, baseline, seed, n_resamples)
    n = candidate.n_items
    found = from_draws(distribution, test="paired bootstrap", n=n, n_changed=changed)
    of_mean = _test_of_mean(measure, candidate, baseline, seed, n_resamples)
    if of_mean is None:
        return found
    test, less, greater = of_mean
    if changed == 0:
        less = greater = 1.0
    return replace(found, test=test, p_less=less, p_greater=greater)


def _of_replicates(d: Floats, *, n: int, n_changed: int, seed: int) -> Difference:
    """Return a difference whose errors are those of a few replicates' differences, ``[k]``."""
    found = from_draws(student(d), test="sign flips", n=n, n_changed=n_changed)
    if n_changed == 0:
        return found
    less, greater = sign_flips(d, seed=derived_seed(seed, "sign flips"))
    return replace(found, p_less=less, p_greater=greater)


def changed_items(measure: Measure, candidate: Sample, baseline: Sample) -> int:
    """Return the number of items whose columns differ at all, in any replicate."""
    if candidate.n_rows != baseline.n_rows:
        return candidate.n_items  # other replicates: nothing to match row by row
    same = [candidate.columns[name] == baseline.columns[name] for name in measure.columns]
    return candidate.items_among(~np.all(same, axis=0))


def from_draws(distribution: Bootstrap, *, test: str, n: int, n_changed: int) -> Difference:
    """Return a difference tested by its bootstrap distribution, centred on "no difference"."""
    draws, value = distribution.draws, distribution.value
    less = (int((draws - value <= value).sum()) + 1) / (len(draws) + 1)
    greater = (int((draws - value >= value).sum()) + 1) / (len(draws) + 1)
    return Difference(
        value=value,
        distribution=distribution,
        test=test,
        p_less=less if n_changed else 1.0,
        p_greater=greater if n_changed else 1.0,
        n=n,
        n_changed=n_changed,
        standard_error=float(draws.std()),
    )


def _paired_bootstrap(
    measure: Measure, candidate: Sample, baseline: Sample, seed: int, n_resamples: int
) -> Bootstrap:
    seed = derived_seed(seed, "paired bootstrap")
    value = float(score(measure, candidate)) - float(score(measure, baseline))
    candidate, baseline = item_means(measure, candidate), item_means(measure, baseline)
    if measure.decomposes and candidate.is_plain and baseline.is_plain:
        column = measure.columns[0]
        d = candidate.columns[column] - baseline.columns[column]
        return replace(_mean_distribution(d, seed, n_resamples), value=value)
    draws = over_draws(
        lambda draw: score(measure, candidate, draw) - score(measure, baseline, draw),
        measure,
        baseline,
        n_resamples,
        seed,
    )
    if not measure.decomposes:  # where BCa's corrections are noise: rank correlations do worse
        return uncorrected(value, draws)
    return corrected(value, draws, jackknife(measure, candidate) - jackknife(measure, baseline))


def _mean_distribution(d: Floats, seed: int, n_resamples: int) -> Bootstrap:
    """Return the distribution of the mean of paired differences, safe where few items changed.

    Two items that differ by plus and minus the changed items' root mean square are added, as
    Agresti & Min (2005) do for proportions: without them a handful of changed items, all drawn
    from by chance, gives intervals that are too narrow (false alarms of 9 % in place of 5 %).
    """
    spread = np.sqrt((d[d != 0] ** 2).mean()) if d.any() else 0.0
    d = np.concatenate([d, [spread, -spread]])
    left_out = (d.sum() - d) / (len(d) - 1)
    return corrected(float(d.mean()), mean_draws(d, n_resamples, seed), left_out)


def _test_of_mean(
    measure: Measure, candidate: Sample, baseline: Sample, seed: int, n_resamples: int
) -> tuple[str, float, float] | None:
    """Return the name of a mean's test of "no difference" and its one-sided p-values, or None."""
    if not measure.decomposes or measure.resample != "item" or not _one_mean(measure, candidate):
        return None
    sums, rows = by_unit(candidate, measure.columns[0])
    other_sums, other_rows = by_unit(baseline, measure.columns[0])
    if not np.array_equal(rows, other_rows):
        return None
    d = sums - other_sums
    if (rows == 1).all() and np.isin([*sums, *other_sums], (0.0, 1.0)).all():
        lost, won = int((d < 0).sum()), int((d > 0).sum())
        return "McNemar", mcnemar(won, lost), mcnemar(lost, won)
    less, greater = sign_flips(d, seed=derived_seed(seed, "sign flips"), n_flips=n_resamples)
    return "sign flips", less, greater


def _one_mean(measure: Measure, sample: Sample) -> bool:
    """Whether the score is one mean over rows, so that units' sums decide it."""
    grouped = sample.group is not None and measure.across_groups == "macro"
    return not grouped and (sample.n_replicates == 1 or measure.across_replicates == "mean")


def mcnemar(successes: int, failures: int) -> float:
    """Exact one-sided McNemar test (McNemar 1947): P(X <= successes), X ~ Bin(changed, 1/2).

    Args:
        successes: Changed items that speak against the alternative.
        failures: Changed items that speak for it.
    """
    from scipy import special  # takes as long to import as all else here

    return float(special.bdtr(successes, successes + failures, 0.5))


def sign_flips(d: Floats, *, seed: int, n_flips: int = RESAMPLES) -> tuple[float, float]:
    """Permutation test of paired differences: under H0 each sign is as likely as the other.

    All ``2^n`` sign patterns are counted where there are fewer than flips asked for; else the
    p-value is ``(c + 1) / (n + 1)`` (Phipson & Smyth 2010).

    Args:
        d: Paired differences, ``[n]``.
        seed: From :func:`derived_seed`.
        n_flips: Number of random sign patterns.

    Returns:
        One-sided p-values: of H0 "the mean is at least 0", and of H0 "it is at most 0".
    """
    d = d[d != 0]
    seen, slack = d.sum(), 1e-9 * np.abs(d).sum()
    if len(d) < 63 and 2 ** len(d) <= n_flips:
        patterns = (np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1
        sums = (1 - 2.0 * patterns) @ d
        return float((sums <= seen + slack).mean()), float((sums >= seen - slack).mean())
    sums = _flipped_sums(d, np.random.default_rng(seed), n_flips)
    less, greater = (sums <= seen + slack).sum(), (sums >= seen - slack).sum()
    return float((less + 1) / (n_flips + 1)), float((greater + 1) / (n_flips + 1))


def _flipped_sums(d: Floats, rng: np.random.Generator, n_flips: int) -> Floats:
    """Return sums with random signs, ``[n_flips]``; a random byte flips eight values at once."""
    octets = np.zeros((-(-len(d) // 8), 8))
    octets.flat[: len(d)] = d
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    sums = ((1 - 2.0 * bits) @ octets.T).T.ravel()  # [octets * 256]
    offset = np.arange(len(octets)) * 256
    out = np.empty(n_flips)
    chunk = max(1, 131_072 // len(octets))
    for start in range(0, n_flips, chunk):
        rows = min(chunk, n_flips - start)
        drawn = rng.integers(0, 256, (rows, len(octets)), dtype=np.uint8)
        out[start : start + rows] = sums.take(drawn + offset).sum(axis=1)
    return out


def unpaired(
    measure: Measure,
    candidate: Sample,
    baseline: Sample,
    *,
    seed: int,
    n_resamples: int = RESAMPLES,
) -> Bootstrap:
    """Return the distribution of a difference between results on different items.

    Args:
        measure: What is compared.
        candidate: Rows of one result.
        baseline: Rows of the other.
        seed: From :func:`derived_seed`.
        n_resamples: Number of draws, made independently on each side.
    """
    from evalsuite.stats.intervals import bootstrap

    sides = [
        bootstrap(
            measure, sample, seed=derived_seed(seed, "unpaired", side), n_resamples=n_resamples
        )
        for side, sample in (("candidate", candidate), ("baseline", baseline))
    ]
    rng = np.random.default_rng(derived_seed(seed, "unpaired", "match"))
    draws = rng.permutation(sides[0].draws) - rng.permutation(sides[1].draws)
    left_out = np.concatenate(
        [
            jackknife(measure, candidate) - sides[1].value,
            sides[0].value - jackknife(measure, baseline),
        ]
    )
    return corrected(sides[0].value - sides[1].value, draws, left_out)


def permutation(
    candidate: Floats, baseline: Floats, *, seed: int, n_permutations: int = RESAMPLES
) -> tuple[float, float]:
    """Permutation test of two means over different items; p-values ``(c + 1) / (n + 1)``.

    Args:
        candidate: ``[n]``.
        baseline: ``[m]``.
        seed: From :func:`derived_seed`.
        n_permutations: Number of random assignments of items to sides.

    Returns:
        One-sided p-values: of H0 "the candidate's mean is no lower", and of "it is no higher".
    """
    pooled = np.concatenate([candidate, baseline])
    rng = np.random.default_rng(seed)
    seen, slack = candidate.sum(), 1e-9 * np.abs(pooled).sum()
    sums = np.array(
        [rng.permutation(pooled)[: len(candidate)].sum() for _ in range(n_permutations)]
    )
    less, greater = (sums <= seen + slack).sum(), (sums >= seen - slack).sum()
    return (less + 1) / (n_permutations + 1), (greater + 1) / (n_permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    out = np.empty(len(p_values))
    out[order] = adjusted
    return [float(p) for p in out]


def minimum_detectable(
    standard_error: float, *, alpha: float = 0.05, power: float = 0.8, sided: int = 1
) -> float:
    """Return the smallest true difference a test finds with the given power.

    Normal approximation: ``(z(1 - alpha / sided) + z(power)) * standard error``.

    Args:
        standard_error: Of the difference.
        alpha: Level of the test.
        power: Probability of finding it.
        sided: 1 or 2.
    """
    z = NormalDist().inv_cdf(1 - alpha / sided) + NormalDist().inv_cdf(power)
    return float(z * standard_error)


def power(effect: float, standard_error: float, *, alpha: float = 0.05, sided: int = 1) -> float:
    """Return the probability that a test finds a true difference; as :func:`minimum_detectable`."""
    if standard_error == 0:
        return float(effect != 0)
    z = NormalDist().inv_cdf(1 - alpha / sided)
    return NormalDist().cdf(abs(effect) / standard_error - z)
