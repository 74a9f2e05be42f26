"""Rows of a comparison: the difference on a task or suite, how sure it is, and its mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalsuite import stats
from evalsuite.compare.drawn import Differences, Entrant
from evalsuite.compare.pairing import Pair
from evalsuite.measures import Measure
from evalsuite.registry import Suite
from evalsuite.stats import Difference, derived_seed
from evalsuite.stats.differences import RESAMPLES, RESAMPLES_OF_OTHERS, from_draws
from evalsuite.stats.intervals import uncorrected

Floats = NDArray[np.float64]
Mark = Literal["better", "worse", "equal", "unclear"]

ALPHA = 0.05
LEVEL = 0.95
_DRAWS_A_ROW = 80  # the smallest p-value, times the rows Holm corrects for, is half of ALPHA
SIGNS: Mapping[Mark, str] = {"better": "+", "worse": "-", "equal": "=", "unclear": "?"}


@dataclass(frozen=True)
class Measured:
    """A difference before it is seen among others.

    Attributes:
        name: What the row is called, e.g. ``STS12@1``.
        kind: ``task``, ``suite`` or ``slice``.
        measure: What is compared.
        baseline: Score of the baseline.
        candidate: Score of the candidate.
        difference: The candidate's less the baseline's.
        higher_is_better: Direction of the measure.
        task: The task of a slice.
    """

    name: str
    kind: Literal["task", "suite", "slice"]
    measure: str
    baseline: float
    candidate: float
    difference: Difference
    higher_is_better: bool
    task: str = ""


@dataclass(frozen=True)
class Row:
    """A difference among the others of its table.

    Attributes:
        measured: The difference.
        p_holm: Its two-sided p-value after Holm over the rows of the table.
        mark: ``better`` or ``worse`` where ``p_holm`` is under 5 %, ``equal`` where no item
            changed, else ``unclear``.
    """

    measured: Measured
    p_holm: float
    mark: Mark

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference."""
        return self.measured.difference.interval(LEVEL)


def resamples(rows: int, asked: int | None) -> tuple[int, int]:
    """Return how many draws let a test among that many rows reject after Holm.

    Args:
        rows: Length of the table.
        asked: What the user wants, or None.

    Returns:
        Number of draws of means, and of what is no mean.
    """
    usual = (RESAMPLES, RESAMPLES_OF_OTHERS)
    return asked or max(usual[0], _DRAWS_A_ROW * rows), asked or max(usual[1], _DRAWS_A_ROW * rows)


def too_few(rows: int, asked: int | None) -> bool:
    """Whether the draws asked for leave no row a chance to differ after Holm."""
    return asked is not None and 2 * rows / (asked + 1) >= ALPHA


def task_row(pair: Pair, measure: Measure, models: tuple[str, str], draws: Differences) -> Measured:
    """Return the difference of two results on one task.

    Args:
        pair: The results.
        measure: What to compare.
        models: Labels of candidate and baseline.
        draws: Where differences are computed.
    """
    candidate, baseline = map(Entrant, models, pair.samples(measure))
    return Measured(
        name=pair.task,
        kind="task",
        measure=str(measure),
        baseline=float(stats.score(measure, baseline.sample)),
        candidate=float(stats.score(measure, candidate.sample)),
        difference=draws.of(pair.task, measure, candidate, baseline),
        higher_is_better=measure.higher_is_better,
    )


def suite_row(suite: Suite, rows: Mapping[str, Measured], *, seed: int) -> Measured | None:
    """Return a suite's difference, the mean of its tasks', or None where a task is missing.

    Args:
        suite: The suite; a group of tasks counts as one child.
        rows: Name of the task, without version, to its row.
        seed: The user's; the suite joins it.
    """
    names = suite.all_tasks()
    if not names or not set(names) <= set(rows):
        return None
    if len({rows[name].higher_is_better for name in names}) > 1:
        return None  # a mean of what should rise and what should fall says nothing
    shares = weights(suite)
    parts = [(shares[name], rows[name].difference) for name in shares]
    shown = {rows[name].measure for name in names}
    return Measured(
        name=f"mean of {suite.name}",
        kind="suite",
        measure=shown.pop() if len(shown) == 1 else "several",
        baseline=sum(shares[name] * rows[name].baseline for name in shares),
        candidate=sum(shares[name] * rows[name].candidate for name in shares),
        difference=combined(parts, seed=derived_seed(seed, suite.name, "compare")),
        higher_is_better=rows[names[0]].higher_is_better,
    )


def weights(suite: Suite) -> dict[str, float]:
    """Return each task's share in a suite's mean; a group's tasks divide the share of one child."""
    children = len(suite.tasks) + len(suite.groups)
    shares = dict.fromkeys(suite.tasks, 1 / children) if children else {}
    for group in suite.groups:
        for name, share in weights(group).items():
            shares[name] = shares.get(name, 0.0) + share / children
    return shares


def combined(parts: Sequence[tuple[float, Difference]], *, seed: int) -> Difference:
    """Return the weighted sum of differences on different tasks, whose errors are independent.

    The bootstrap distributions of the tasks are put in random order and added draw by draw.

    Args:
        parts: Weight and difference of each task.
        seed: From :func:`derived_seed`.
    """
    r = max(len(part.distribution.draws) for _, part in parts)
    draws = np.zeros(r)
    for number, (weight, part) in enumerate(parts):
        draws += weight * _shuffled(part.distribution.draws, r, derived_seed(seed, number))
    value = sum(weight * part.value for weight, part in parts)
    changed = sum(part.n_changed for _, part in parts)
    return from_draws(
        uncorrected(value, draws),
        test="bootstrap of the mean",
        n=sum(part.n for _, part in parts),
        n_changed=changed,
    )


def _shuffled(draws: Floats, r: int, seed: int) -> Floats:
    """Return r draws in random order, each used equally often; ``[k]`` -> ``[r]``."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(draws) for _ in range(-(-r // len(draws)))]
    return np.concatenate(rounds)[:r]


def judged(found: Sequence[Measured]) -> tuple[Row, ...]:
    """Correct the p-values of a table's rows for their number and mark each."""
    adjusted = stats.holm([one.difference.p for one in found])
    return tuple(Row(one, p, mark(one, p)) for one, p in zip(found, adjusted, strict=True))


def mark(one: Measured, p: float) -> Mark:
    """Say in a word what a difference comes to."""
    if one.difference.n_changed == 0:
        return "equal"
    if p >= ALPHA or one.difference.value == 0:
        return "unclear"
    return "better" if (one.difference.value > 0) == one.higher_is_better else "worse"
