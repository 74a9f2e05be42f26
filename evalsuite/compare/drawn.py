"""Differences between several models, for which no model's scores are drawn twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalsuite import stats
from evalsuite.measures import Measure
from evalsuite.stats import Difference, Sample, derived_seed
from evalsuite.stats.differences import changed_items, from_draws
from evalsuite.stats.draws import over_draws
from evalsuite.stats.intervals import uncorrected

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Entrant:
    """A model on a task: its label and its rows."""

    model: str
    sample: Sample


@dataclass
class Differences:
    """Differences as :func:`evalsuite.stats.difference` has them, to the last bit.

    What is no mean takes most time to draw. As the resamples of a task are the same for every
    model, the draws of a difference are the difference of two models' draws, and k models cost k
    times one instead of k (k - 1) times.

    Attributes:
        seed: The user's; the task and the measure join it.
        n_resamples: Number of draws of means, and of what is no mean.
    """

    seed: int
    n_resamples: tuple[int, int]
    _drawn: dict[tuple[str, str, str], tuple[float, Floats]] = field(default_factory=dict)
    _found: dict[tuple[str, str, str, str], Difference] = field(default_factory=dict)

    def of(self, task: str, measure: Measure, candidate: Entrant, baseline: Entrant) -> Difference:
        """Return the difference of two models on a task."""
        key = (task, str(measure), candidate.model, baseline.model)
        if key not in self._found:
            shared = candidate.sample.n_units == baseline.sample.n_units
            if measure.decomposes or measure.resample != "item" or not shared:
                self._found[key] = stats.difference(
                    measure,
                    candidate.sample,
                    baseline.sample,
                    seed=derived_seed(self.seed, task, measure, "compare"),
                    n_resamples=self.n_resamples[0 if measure.decomposes else 1],
                )
            else:
                self._found[key] = self._from_draws(task, measure, candidate, baseline)
        return self._found[key]

    def _from_draws(
        self, task: str, measure: Measure, candidate: Entrant, baseline: Entrant
    ) -> Difference:
        new, old = (self._draws(task, measure, side) for side in (candidate, baseline))
        return from_draws(
            uncorrected(new[0] - old[0], new[1] - old[1]),
            test="paired bootstrap",
            n=candidate.sample.n_items,
            n_changed=changed_items(measure, candidate.sample, baseline.sample),
        )

    def _draws(self, task: str, measure: Measure, side: Entrant) -> tuple[float, Floats]:
        """Return a model's score and the scores of its resamples."""
        key = (task, str(measure), side.model)
        if key not in self._drawn:
            seed = derived_seed(self.seed, task, measure, "compare")
            draws = over_draws(
                partial(stats.score, measure, side.sample),
                measure,
                side.sample,
                self.n_resamples[1],
                derived_seed(seed, "paired bootstrap"),
            )
            value = float(stats.score(measure, side.sample))
            self._drawn[key] = value, draws
        return self._drawn[key]
