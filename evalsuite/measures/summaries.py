"""How well similarities rank the summaries of a text as people do: the mean over texts.

A text's statistic is the correlation of its machine summaries' similarities with their ratings.
What is drawn are texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evalsuite.measures.base import Measure, mean_of
from evalsuite.measures.correlation import CORRELATIONS

SIMILARITIES = ("cosine", "dot")
COLUMNS = tuple(f"{s}_{c}" for s in SIMILARITIES for c in CORRELATIONS)

_MEASURES: Mapping[str, Measure] = {
    f"mean_{column}": replace(
        mean_of(column), name=f"mean_{column}", bounds=(-1.0, 1.0), worst=-1.0
    )
    for column in COLUMNS
}
NAMES = ", ".join(_MEASURES)


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``mean_cosine_spearman``, or None."""
    return _MEASURES.get(name)
