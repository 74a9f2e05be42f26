"""Rank ranges: where each of several models can stand, from tests of all against all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from evalsuite import stats
from evalsuite.compare.drawn import Differences, Entrant
from evalsuite.compare.rows import ALPHA, combined
from evalsuite.measures import Measure
from evalsuite.stats import Difference, Sample, derived_seed


@dataclass(frozen=True)
class Contest:
    """What models are ranked by: a task, or a suite's mean.

    Attributes:
        name: What it is called, e.g. ``mean of sts``.
        weights: Task key to its share in the score.
    """

    name: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Rank:
    """Where a model stands.

    Attributes:
        model: Its label.
        score: Its score.
        better: Number of models that are significantly better.
        worse: Number of models that are significantly worse.
        n: Number of models.
    """

    model: str
    score: float
    better: int
    worse: int
    n: int

    @property
    def first(self) -> int:
        """Best rank it can have."""
        return 1 + self.better

    @property
    def last(self) -> int:
        """Worst rank it can have."""
        return self.n - self.worse


@dataclass(frozen=True)
class Ranking:
    """Tests of all models against all.

    Attributes:
        samples: Task key to the rows of each model, by label.
        measures: Task key to the measure.
        draws: Where differences are computed.
    """

    samples: Mapping[str, Mapping[str, Sample]]
    measures: Mapping[str, Measure]
    draws: Differences

    def ranks(self, contest: Contest) -> list[Rank]:
        """Rank the models that have every task of a contest, best score first.

        A model's rank is between 1 + the number significantly better and n - the number
        significantly worse. Being indistinguishable is not transitive, so that no two models share
        a rank because a third stands between them.
        """
        models = self._models(contest)
        scores = {model: self._score(contest, model) for model in models}
        pairs = list(combinations(models, 2))
        found = [self._difference(contest, *pair) for pair in pairs]
        adjusted = stats.holm([difference.p for difference in found]) if found else []
        higher = next(self.measures[task].higher_is_better for task in contest.weights)
        won: dict[str, list[str]] = {model: [] for model in models}
        lost: dict[str, list[str]] = {model: [] for model in models}
        for (one, other), difference, p in zip(pairs, found, adjusted, strict=True):
            if p < ALPHA and difference.value:
                ahead = one if (difference.value > 0) == higher else other
                behind = other if ahead is one else one
                won[ahead].append(behind)
                lost[behind].append(ahead)
        order = sorted(models, key=lambda model: -scores[model] if higher else scores[model])
        return [
            Rank(model, scores[model], len(lost[model]), len(won[model]), len(models))
            for model in order
        ]

    def _models(self, contest: Contest) -> list[str]:
        held = [self.samples.get(task, {}) for task in contest.weights]
        return [model for model in held[0] if all(model in models for models in held)]

    def _score(self, contest: Contest, model: str) -> float:
        return sum(
            weight * float(stats.score(self.measures[task], self.samples[task][model]))
            for task, weight in contest.weights.items()
        )

    def _difference(self, contest: Contest, one: str, other: str) -> Difference:
        parts = [
            (weight, self._on_task(task, one, other)) for task, weight in contest.weights.items()
        ]
        if len(parts) == 1:
            return parts[0][1]
        return combined(parts, seed=derived_seed(self.draws.seed, contest.name, "ranks"))

    def _on_task(self, task: str, one: str, other: str) -> Difference:
        held = self.samples[task]
        sides = (Entrant(model, held[model]) for model in (one, other))
        return self.draws.of(task, self.measures[task], *sides)


def contests(
    suites: Sequence[tuple[str, Mapping[str, float]]], tasks: Sequence[str]
) -> list[Contest]:
    """Return what to rank by: the suites there are, else each task."""
    if suites:
        return [Contest(name, weights) for name, weights in suites]
    return [Contest(task, {task: 1.0}) for task in tasks]
