"""Summarization: how well similarity to people's summaries ranks those of machines.

As in mteb: a machine summary scores its largest similarity to a summary of the same text by people,
and a text the correlation of these scores with the ratings. Texts whose ratings, cosines or dot
products are all equal have none: they are excluded and counted.

mteb's first version of SummEval averages each correlation with its p-value, and keeps to it. With
``average_p_values`` so does this.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines import similarity
from evalsuite.measures.summaries import COLUMNS, SIMILARITIES
from evalsuite.protocol import Protocol
from evalsuite.result import EXCLUDED, OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data.summaries import Summaries

Floats = NDArray[np.float64]


def _best(data: Summaries, vectors: NDArray[np.float32]) -> dict[str, list[Floats]]:
    """Return each machine summary's largest similarity to one by people, text by text.

    Args:
        data: The summaries.
        vectors: ``[summaries, dim]``, those by people first.
    """
    human, machine = ([len(side) for side in sides] for sides in (data.human, data.machine))
    first = np.cumsum([0, *human[:-1]])
    partners = [
        np.tile(np.arange(start, start + h), m)
        for start, h, m in zip(first, human, machine, strict=True)
    ]
    times = np.repeat(human, machine)  # pairs of each machine summary
    rows = sum(human) + np.repeat(np.arange(len(times)), times)
    found = similarity.dense_similarities(vectors[rows], vectors[np.concatenate(partners)])
    starts = np.cumsum(times) - times
    cuts = np.cumsum(machine)[:-1]
    return {name: np.split(np.maximum.reduceat(found[name], starts), cuts) for name in SIMILARITIES}


def _correlations(ratings: Floats, best: dict[str, Floats], *, p_values: bool) -> dict[str, float]:
    """Return the statistics of one text, or NaN where something is constant."""
    from scipy import stats

    if any(len(np.unique(values)) == 1 for values in (ratings, *best.values())):
        return dict.fromkeys(COLUMNS, np.nan)
    correlate: dict[str, Any] = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}
    found = {}
    for name, values in best.items():
        for kind, function in correlate.items():
            result = function(ratings, values)
            pair = (result.statistic, result.pvalue)
            found[f"{name}_{kind}"] = float(np.mean(pair) if p_values else pair[0])
    return found


def run(task: Task, data: Summaries, model: Any) -> list[Outcome]:
    """Encode all summaries in one call and correlate text by text."""
    params = {**PROTOCOL.defaults, **task.params}
    started = time.perf_counter()
    vectors = model.encode([text for texts in (*data.human, *data.machine) for text in texts])
    encoded = time.perf_counter()
    best = _best(data, vectors)
    rows = [
        _correlations(
            ratings,
            {name: values[i] for name, values in best.items()},
            p_values=params["average_p_values"],
        )
        for i, ratings in enumerate(data.gold)
    ]
    columns = {name: np.array([row[name] for row in rows]) for name in COLUMNS}
    status = np.where(np.isnan(columns[COLUMNS[0]]), EXCLUDED, OK)
    phases = (
        Phase("encode", encoded - started, len(vectors)),
        Phase("correlate", time.perf_counter() - encoded, len(rows)),
    )
    return [Outcome(Items(data.ids, columns, status), phases)]


PROTOCOL = Protocol(
    name="summarization",
    version=1,
    layout="summaries",
    needs=("encode",),
    run=run,
    columns=COLUMNS,
    defaults={"average_p_values": False},
    moved_by=("numpy", "scipy"),
)
