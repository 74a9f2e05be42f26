"""The same weights in another engine: rows whose items have to agree one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalsuite.compare import Pair
from evalsuite.errors import StoreError
from evalsuite.gate.verdict import PASS, REGRESSION, Figures, Row, scores, under_floor
from evalsuite.measures import Measure
from evalsuite.result import EXCLUDED

_WORST_ITEMS = 5


def compare_items(row: Row, pair: Pair, measure: Measure, tolerance: float) -> Row:
    """Judge a row by whether every item's columns agree.

    Args:
        row: Task, measure, rule and notes.
        pair: The results with their items.
        measure: The row's measure; its columns are compared.
        tolerance: Most that a value may differ by.

    Raises:
        EvalsuiteError: A table lacks a column, a stored score is not that of its items, or the
            replicates differ.
    """
    candidate, baseline = pair.samples(measure)
    both = scores(pair, measure)
    if candidate.n_rows != baseline.n_rows:
        raise StoreError("the item tables hold different numbers of replicates.")
    changes = np.stack([candidate.columns[c] - baseline.columns[c] for c in measure.columns])
    change = np.abs(changes).max(axis=0)
    figures = Figures(
        *both,
        n=candidate.n_items,
        n_changed=candidate.items_among(change > 0),
        higher_is_better=measure.higher_is_better,
        largest=float(change.max()),
    )
    notes = row.notes
    if pair.candidate.model["identity"] != pair.baseline.model["identity"]:
        notes = (*notes, "the weights are not the same: the models' identities differ")
    out = candidate.items_among(~(change <= tolerance))
    if out:
        verdict = REGRESSION
        reason = (
            f"{out} of {figures.n} items differ by more than {tolerance:g}, most: "
            f"{_worst(pair, measure, change)}"
        )
    elif floor := under_floor(figures, row.rule):
        verdict, reason = REGRESSION, floor
    else:
        verdict = PASS
        reason = f"all {figures.n} items agree within {tolerance:g} (largest {figures.largest:.2g})"
    return replace(row, verdict=verdict, reason=reason, figures=figures, notes=notes)


def _worst(pair: Pair, measure: Measure, change: NDArray[np.float64]) -> str:
    """Name the items that differ most, each with the two values of the column that does."""
    samples = pair.samples(measure)
    items = pair.candidate_items
    ids = [i for i, status in zip(items.ids, items.status, strict=True) if status != EXCLUDED]
    named = []
    for place in np.argsort(-change, kind="stable")[:_WORST_ITEMS]:
        if change[place] == 0:
            break
        values = max(
            ((samples[1].columns[c][place], samples[0].columns[c][place]) for c in measure.columns),
            key=lambda both: abs(both[1] - both[0]),
        )
        named.append(f"{ids[place]} ({values[0]:.4f} to {values[1]:.4f})")
    return ", ".join(named)
