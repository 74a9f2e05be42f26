"""A report as the object ``--json`` prints; ``docs/compare.md`` documents every field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evalsuite.compare.changed import Item
from evalsuite.compare.comparison import Comparison, Report
from evalsuite.compare.rows import ALPHA, LEVEL, Row
from evalsuite.compare.sections import Texts


def to_json(report: Report, texts: Texts) -> dict[str, Any]:
    """Return a report as JSON values, all numbers finite or null.

    Args:
        report: What was compared.
        texts: Texts of items that may be shown.
    """
    return {
        "baseline": report.baseline,
        "alpha": ALPHA,
        "level": LEVEL,
        "seed": report.question.seed,
        "comparisons": [_comparison(one, texts) for one in report.comparisons],
        "ranks": [
            {
                "of": name,
                "models": [
                    {
                        "model": rank.model,
                        "score": _finite(rank.score),
                        "rank": [rank.first, rank.last],
                        "better": rank.better,
                        "worse": rank.worse,
                        "n": rank.n,
                    }
                    for rank in column
                ],
            }
            for name, column in report.ranks.items()
        ],
        "problems": list(report.problems),
    }


def _comparison(comparison: Comparison, texts: Texts) -> dict[str, Any]:
    return {
        "candidate": comparison.candidate,
        "rows": [_row(row) for row in comparison.rows],
        "not_compared": [
            {"task": one.task, "kind": one.kind, "reason": one.reason} for one in comparison.apart
        ],
        "differs": [
            {"what": note, "tasks": list(tasks)} for note, tasks in comparison.notes.items()
        ],
        "costs": [
            {
                "cost": one.name,
                "baseline": list(one.baseline),
                "candidate": list(one.candidate),
                "ratio": _finite(one.ratio),
            }
            for one in comparison.costs
        ],
        "slices": [_row(row) for row in comparison.slices]
        + [
            {"task": one.task, "name": one.name, "n": one.n, "reason": one.reason}
            for one in comparison.empty
        ],
        "items": [
            {"task": task, "items": [_item(item, texts.get(task, {})) for item in items]}
            for task, items in (comparison.items or {}).items()
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    one = row.measured
    return {
        **({"task": one.task} if one.task else {}),
        "name": one.name,
        "kind": one.kind,
        "measure": one.measure,
        "baseline": _finite(one.baseline),
        "candidate": _finite(one.candidate),
        "difference": _finite(one.difference.value),
        "ci95": [_finite(end) for end in row.interval],
        "p": _finite(one.difference.p),
        "p_holm": _finite(row.p_holm),
        "mark": row.mark,
        "test": one.difference.test,
        "resamples": len(one.difference.distribution.draws),
        "n": one.difference.n,
        "n_changed": one.difference.n_changed,
    }


def _item(item: Item, texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "item": item.item,
        "group": item.group,
        "gold": _finite(item.gold),
        "baseline": _finite(item.baseline.value),
        "candidate": _finite(item.candidate.value),
        "baseline_off": _finite(item.baseline.off),
        "candidate_off": _finite(item.candidate.off),
        "change": _finite(item.change),
        **({"text": texts[item.item]} if item.item in texts else {}),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
