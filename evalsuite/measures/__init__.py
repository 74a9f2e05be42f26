"""Measures: what a column of per-item statistics comes to.

A measure is a value. Its name is its identity, its CLI syntax and its key in a result, and
:func:`parse` turns the name back into the value. Each family of measures is a module that knows its
own names.
"""

from __future__ import annotations

from collections.abc import Callable

from evalsuite.errors import UsageError
from evalsuite.measures import (
    bitext,
    classification,
    clustering,
    correlation,
    ir,
    isotropy,
    multilabel,
    pairs,
    regression,
    summaries,
)
from evalsuite.measures.base import COUNT, Aggregate, Columns, Measure, mean_of, weighted_mean
from evalsuite.measures.correlation import CORRELATIONS, SIMILARITIES
from evalsuite.measures.ir import RANKING

__all__ = [
    "CORRELATIONS",
    "COUNT",
    "RANKING",
    "SIMILARITIES",
    "Aggregate",
    "Columns",
    "Measure",
    "mean_of",
    "parse",
    "weighted_mean",
]

FAMILIES: tuple[tuple[Callable[[str], Measure | None], str], ...] = (
    (ir.parse, ir.NAMES),
    (correlation.parse, correlation.NAMES),
    (pairs.parse, pairs.NAMES),
    (classification.parse, classification.NAMES),
    (isotropy.parse, isotropy.NAMES),
    (clustering.parse, clustering.NAMES),
    (bitext.parse, bitext.NAMES),
    (regression.parse, regression.NAMES),
    (multilabel.parse, multilabel.NAMES),
    (summaries.parse, summaries.NAMES),
)
"""Each family's parser, which returns None for names of others, and its names for messages."""


def parse(name: str) -> Measure:
    """Return the measure a name stands for.

    Raises:
        UsageError: No measure has that name.
    """
    for family, _ in FAMILIES:
        if (measure := family(name)) is not None:
            return measure
    known = ", ".join(names for _, names in FAMILIES)
    raise UsageError(f"Unknown measure '{name}'. Known: {known}.")
