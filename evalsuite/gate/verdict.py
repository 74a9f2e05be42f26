"""The verdict of each row: what the tests say of a difference, and what the rule makes of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalsuite import stats
from evalsuite.compare import Pair
from evalsuite.errors import StoreError
from evalsuite.gate.policy import Rule
from evalsuite.measures import Measure
from evalsuite.stats.differences import RESAMPLES, RESAMPLES_OF_OTHERS, Difference

PASS, REGRESSION, INCONCLUSIVE = "pass", "regression", "inconclusive"
ERROR, SKIPPED = "error", "skipped"
POWER = 0.8

_MOST_RESAMPLES = 100_000
_STORED = 1e-6  # by how much a score may differ from its items': it is stored with nine digits
_NO_SPREAD = 1e-12  # what rounding leaves of a standard error of 0


@dataclass(frozen=True)
class Figures:
    """The numbers of a row; those of the tests are None where items were compared one by one.

    Attributes:
        candidate: The candidate's score, from its items.
        baseline: The baseline's.
        n: Number of items.
        n_changed: Number of items whose columns differ at all.
        higher_is_better: Direction of the measure.
        interval: Two-sided interval of candidate less baseline, of level ``level``; its ends are
            the two one-sided bounds at the row's alpha.
        level: ``1 - 2 * alpha``.
        test: How "no difference" is tested; with a tolerance its interval decides.
        p_drop: P-value of "the drop is at most max_drop": small speaks for a regression.
        p_drop_holm: The same after Holm's correction over the rows.
        alpha_holm: What ``p_drop`` has to meet in its place among the rows.
        p_no_drop: P-value of "the drop is at least max_drop": small speaks for a pass.
        standard_error: Of the difference; None where no item changed.
        detectable: True drop this row calls a regression with 80 % power; None where no item
            changed or no drop could be called one.
        largest: Largest change of an item's columns, with ``same_weights``.
    """

    candidate: float
    baseline: float
    n: int
    n_changed: int
    higher_is_better: bool = True
    interval: tuple[float, float] | None = None
    level: float | None = None
    test: str | None = None
    p_drop: float | None = None
    p_drop_holm: float | None = None
    alpha_holm: float | None = None
    p_no_drop: float | None = None
    standard_error: float | None = None
    detectable: float | None = None
    largest: float | None = None

    @property
    def difference(self) -> float:
        """Candidate less baseline."""
        return self.candidate - self.baseline

    @property
    def drop(self) -> float:
        """By how much the candidate is worse; negative where it is better."""
        return -self.difference if self.higher_is_better else self.difference


@dataclass(frozen=True)
class Spending:
    """The numbers of a row of costs."""

    candidate: float
    baseline: float

    @property
    def ratio(self) -> float | None:
        """Candidate over baseline; None where the baseline's is 0."""
        return self.candidate / self.baseline if self.baseline else None


@dataclass(frozen=True)
class Row:
    """One task and measure of a gate, or one of its costs.

    Attributes:
        task: Name with version.
        measure: Name of the measure.
        verdict: ``pass``, ``regression``, ``inconclusive``, ``error`` or ``skipped``.
        reason: Why, in one sentence.
        rule: What it had to meet.
        figures: Its numbers, or None where nothing was compared.
        notes: What a reader should know beside.
        seconds: Time it took.
        costs: The numbers of a row of costs, which has no figures.
    """

    task: str
    measure: str
    verdict: str
    reason: str
    rule: Rule
    figures: Figures | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    costs: Spending | None = None

    @property
    def name(self) -> str:
        """What sentences call it."""
        return f"{self.task} {self.measure}"


@dataclass(frozen=True)
class Compared:
    """A row with its test, before the rows are corrected for one another.

    Attributes:
        row: Task, measure, rule, scores and notes; its verdict is still open.
        measure: The measure.
        n_units: Number of units (items, clusters or replicates) that the test draws.
        difference: The paired difference, or None where no item changed.
    """

    row: Row
    measure: Measure
    n_units: int
    difference: Difference | None

    @property
    def p_drop(self) -> float:
        """P-value of H0 "the drop is at most max_drop"."""
        return self._p_beyond(worse=True)

    @property
    def p_no_drop(self) -> float:
        """P-value of H0 "the drop is at least max_drop"."""
        return self._p_beyond(worse=False)

    def _p_beyond(self, *, worse: bool) -> float:
        higher = self.measure.higher_is_better
        limit = -self.row.rule.max_drop if higher else self.row.rule.max_drop
        if self.difference is None:
            met = not worse
        elif self.standard_error:
            below = self.difference.p_below if worse == higher else self.difference.p_above
            return max(below(limit), self.p_least)
        else:  # every item changed by the same, or the score not at all
            value = self.difference.value
            met = value < limit if worse == higher else value > limit
        return self.p_least if met else 1.0

    @property
    def standard_error(self) -> float | None:
        """Of the difference; None where no item changed, 0 where resamples do not move it."""
        if self.difference is None:
            return None
        error = self.difference.standard_error
        return error if error > _NO_SPREAD else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the difference, of level ``1 - 2 * alpha``."""
        if self.difference is None:
            return 0.0, 0.0
        if not self.standard_error:
            return self.difference.value, self.difference.value
        return self.difference.interval(1 - 2 * self.row.rule.alpha)

    @property
    def p_gain(self) -> float:
        """P-value of H0 "the candidate is no better"."""
        if self.difference is None:
            return 1.0
        higher = self.measure.higher_is_better
        return self.difference.p_greater if higher else self.difference.p_less

    @property
    def p_least(self) -> float:
        """Smallest p-value that so few units allow: all of them on one side of the limit."""
        return float(0.5 ** min(self.n_units, 1000))


def compare_scores(row: Row, pair: Pair, measure: Measure, *, n_rows: int, seed: int) -> Compared:
    """Compare one measure of two results.

    Args:
        row: Task, measure, rule and notes.
        pair: The results with their items.
        measure: The row's measure.
        n_rows: Number of rows of the gate: the more there are, the smaller a p-value has to be.
        seed: From :func:`evalsuite.stats.derived_seed`.

    Raises:
        EvalsuiteError: A table lacks a column, or a stored score is not that of its items.
    """
    candidate, baseline = pair.samples(measure)
    both = scores(pair, measure)
    drawn = candidate.n_units if measure.resample == "item" else candidate.n_replicates
    difference = None
    if not _equal(candidate, baseline, measure):
        difference = stats.difference(
            measure,
            candidate,
            baseline,
            seed=seed,
            n_resamples=_resamples(measure, n_rows, row.rule.alpha),
        )
    figures = Figures(
        *both,
        n=candidate.n_items,
        n_changed=0 if difference is None else difference.n_changed,
        higher_is_better=measure.higher_is_better,
    )
    return Compared(replace(row, figures=figures), measure, drawn, difference)


def scores(pair: Pair, measure: Measure) -> tuple[float, float]:
    """Return the scores of candidate and baseline from their items.

    Raises:
        StoreError: One is no number, or not what the result file says.
    """
    found = []
    for side, result, sample in zip(
        ("candidate", "baseline"),
        (pair.candidate, pair.baseline),
        pair.samples(measure),
        strict=True,
    ):
        score = float(stats.score(measure, sample))
        stored = result.scores.get(measure.name)
        if not math.isfinite(score):
            raise StoreError(f"the {side}'s {measure.name} is {score}: run it again with --force.")
        if stored is not None and not abs(stored.value - score) <= _STORED * max(1, abs(score)):
            raise StoreError(
                f"the {side}'s file says {measure.name} {stored.value:g}, its items {score:.9g}: "
                "one of them was altered. Run it again with --force."
            )
        found.append(score)
    return found[0], found[1]


def _equal(candidate: stats.Sample, baseline: stats.Sample, measure: Measure) -> bool:
    return candidate.n_replicates == baseline.n_replicates and all(
        np.array_equal(candidate.columns[name], baseline.columns[name]) for name in measure.columns
    )


def _resamples(measure: Measure, n_rows: int, alpha: float) -> int | None:
    """Return enough draws for a p-value to get under alpha / rows five times, or the default."""
    needed = math.ceil(5 * n_rows / alpha)
    usual = RESAMPLES if measure.decomposes else RESAMPLES_OF_OTHERS
    return None if needed <= usual else min(needed, _MOST_RESAMPLES)


# ---- verdicts of tests


def judge(compared: Sequence[Compared]) -> list[Row]:
    """Return the rows with their verdicts; regressions are corrected over all of them (Holm)."""
    adjusted = stats.holm([one.p_drop for one in compared])
    rank = np.argsort(np.argsort([one.p_drop for one in compared], kind="stable"))
    n = len(compared)
    return [
        _judged(one, adjusted[i], one.row.rule.alpha / (n - int(rank[i])), n)
        for i, one in enumerate(compared)
    ]


def _judged(one: Compared, p_holm: float, alpha_holm: float, n_rows: int) -> Row:
    figures, rule = one.row.figures, one.row.rule
    assert figures is not None
    figures = replace(
        figures,
        interval=one.interval,
        level=1 - 2 * rule.alpha,
        test=one.difference.test if one.difference else "equality",
        p_drop=one.p_drop,
        p_drop_holm=p_holm,
        alpha_holm=alpha_holm,
        p_no_drop=one.p_no_drop,
        standard_error=one.standard_error,
        detectable=_detectable(one, n_rows),
    )
    verdict, reason = _verdict(one, figures)
    notes = (*one.row.notes, *_suspicious(one, n_rows))
    return replace(one.row, verdict=verdict, reason=reason, figures=figures, notes=notes)


def _verdict(one: Compared, figures: Figures) -> tuple[str, str]:
    rule = one.row.rule
    assert figures.p_drop is not None
    assert figures.p_drop_holm is not None
    if reason := under_floor(figures, rule):
        return REGRESSION, reason
    allowed = f"{rule.max_drop:g} is allowed"
    fell = "fell" if figures.higher_is_better else "rose"
    if figures.p_drop_holm <= rule.alpha:
        return REGRESSION, (
            f"it {fell} by {figures.drop:.4f}, {allowed} (p {probability(figures.p_drop)}, "
            f"{probability(figures.p_drop_holm)} after Holm)"
        )
    if figures.n_changed == 0:
        return PASS, f"all {figures.n} items are equal"
    if abs(figures.difference) <= _NO_SPREAD and not figures.standard_error:
        return PASS, f"{figures.n_changed} items changed, but no resample changes the score"
    limit = f"a drop of {rule.max_drop:g} or more" if rule.max_drop else "a drop"
    if one.p_no_drop <= rule.alpha:
        return PASS, f"{limit} is ruled out (p {probability(one.p_no_drop)})"
    more = f"a drop of more than {rule.max_drop:g}" if rule.max_drop else "a drop"
    return INCONCLUSIVE, (
        f"{more} is neither shown (p {probability(figures.p_drop)}) nor ruled out "
        f"(p {probability(one.p_no_drop)}); {detects(figures)}"
    )


def under_floor(figures: Figures, rule: Rule) -> str | None:
    """Say that a score is worse than its floor, or None."""
    score = figures.candidate
    if rule.floor is None:
        return None
    if (score < rule.floor) if figures.higher_is_better else (score > rule.floor):
        side = "under" if figures.higher_is_better else "over"
        return f"its score {score:.4f} is {side} the floor {rule.floor:g}"
    return None


def detects(figures: Figures) -> str:
    """Say which drop a row would have called a regression."""
    if figures.detectable is None:
        return f"{figures.n} items are too few to call any drop a regression"
    return f"a true drop of {figures.detectable:.4f} would be caught with 80 % power"


def _detectable(one: Compared, n_rows: int) -> float | None:
    """Return the true drop that is called a regression with 80 % power, if any drop can be."""
    figures, rule = one.row.figures, one.row.rule
    assert figures is not None
    alpha = rule.alpha / n_rows  # Holm's first step
    if one.difference is None or max(one.p_least, _resolution(one)) > alpha:
        return None
    error = one.standard_error
    if not error:
        return None
    drop = rule.max_drop + stats.minimum_detectable(error, alpha=alpha, power=POWER)
    low, high = one.measure.bounds
    room = figures.baseline - low if figures.higher_is_better else high - figures.baseline
    return drop if drop <= room else None


def _resolution(one: Compared) -> float:
    """Smallest p-value that so many resamples can give."""
    assert one.difference is not None
    exact = one.row.rule.max_drop == 0 and one.difference.test == "McNemar"
    return 0.0 if exact else 1 / (len(one.difference.distribution.draws) + 1)


def _suspicious(one: Compared, n_rows: int) -> tuple[str, ...]:
    """Flag a significant gain that closes over half of what is left to the best score."""
    figures = one.row.figures
    assert figures is not None
    low, high = one.measure.bounds
    room = high - figures.baseline if figures.higher_is_better else figures.baseline - low
    if not math.isfinite(room) or one.p_gain > one.row.rule.alpha / n_rows:
        return ()
    if -figures.drop <= room / 2:
        return ()
    share = -figures.drop / room
    return (
        f"suspicious gain: check that the test data were not trained on (it closes {share:.0%} of "
        "the distance to the best possible score)",
    )


def probability(p: float) -> str:
    """Return a p-value as it reads in a sentence."""
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"
