"""Resampling and tests: how sure a score is, and whether a difference is real."""

from __future__ import annotations

from evalsuite.stats.differences import (
    Difference,
    difference,
    holm,
    mcnemar,
    minimum_detectable,
    permutation,
    power,
    sign_flips,
    unpaired,
)
from evalsuite.stats.draws import KeptDraws, Sample, derived_seed, score
from evalsuite.stats.intervals import RESAMPLES, Bootstrap, bootstrap, bootstrap_interval

__all__ = [
    "RESAMPLES",
    "Bootstrap",
    "Difference",
    "KeptDraws",
    "Sample",
    "bootstrap",
    "bootstrap_interval",
    "derived_seed",
    "difference",
    "holm",
    "mcnemar",
    "minimum_detectable",
    "permutation",
    "power",
    "score",
    "sign_flips",
    "unpaired",
]
