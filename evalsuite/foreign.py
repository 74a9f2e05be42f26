"""What tasks and measures are called by other tools."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from evalsuite import measures

DEFAULT = "default"  # mteb's name of the subset of data that have but one

_CUTOFF = "|".join(measures.RANKING)

_THEIRS = {
    **{f"bitext_{name}": name for name in ("f1", "precision", "recall")},
    "multilabel_f1": "f1",
    **{f"mean_{column}": column for column in measures.summaries.COLUMNS},
}
"""Measures that mteb calls by a name which is another measure's here."""


def mteb_metric(measure: str) -> str:
    """Return mteb's name of a measure: ``ndcg@10`` is its ``ndcg_at_10``."""
    return _THEIRS.get(measure, measure.replace("@", "_at_"))


def measure_of(metric: str) -> str:
    """Return our name of one of mteb's metrics; a name we have none for stays as it is."""
    return re.sub(rf"^((?:max_over_subqueries_)?(?:{_CUTOFF}))_at_([1-9]\d*)$", r"\1@\2", metric)


def foreign_key(tool: str, name: str, revision: str) -> str:
    """Return what ``same_as`` lists: ``TOOL:NAME@REVISION``."""
    return f"{tool}:{name}@{revision}"


def mteb_part(split: str, subsets: Sequence[str]) -> str:
    """Return what follows a revision of data of which mteb scores a part only.

    Args:
        split: What is scored.
        subsets: Their names, sorted.
    """
    rest = "" if split == "test" else f",split={split}"
    if len(subsets) == 1 and subsets[0] != DEFAULT:
        rest += f",subset={subsets[0]}"
    elif len(subsets) > 1:
        digest = hashlib.sha256("\n".join(subsets).encode("utf-8", "surrogatepass")).hexdigest()
        rest += f",{len(subsets)}-subsets-{digest[:8]}"
    return rest
