"""Pair classification: how well one threshold on a similarity tells which pairs match."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.engines import similarity
from evalsuite.errors import DataError
from evalsuite.measures.pairs import SIMILARITIES
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Pairs


def _check(task: Task, data: Pairs) -> None:
    """Check that every pair matches or does not, and that there are both.

    Raises:
        DataError: A gold is neither 0 nor 1, or all are equal.
    """
    wrong = ~np.isin(data.gold, (0.0, 1.0))
    if wrong.any():
        where = int(wrong.argmax())
        raise DataError(
            f"{task}: the gold of pair '{data.ids[where][:60]}' is {data.gold[where]:g}. Pair "
            "classification takes 1 (the texts match) and 0 (they do not)."
        )
    if len(np.unique(data.gold)) < 2:
        raise DataError(
            f"{task}: all {len(data.ids)} pairs have the gold {data.gold[0]:g}, which leaves "
            "nothing to tell apart. Take data of both kinds, or a larger --limit."
        )


def run(task: Task, data: Pairs, model: Any) -> list[Outcome]:
    """Encode both sides of every pair in one call and compare them in four ways.

    Raises:
        DataError: The golds are not those of two classes.
    """
    _check(task, data)
    started = time.perf_counter()
    n = len(data.ids)
    found = similarity.of_pairs(data.first, data.second, model)
    items = Items(
        ids=data.ids,
        columns={"gold": data.gold, **{name: found[name] for name in SIMILARITIES}},
        status=np.full(n, OK),
    )
    return [Outcome(items, (Phase("encode", time.perf_counter() - started, 2 * n),))]


PROTOCOL = Protocol(
    name="pair_classification",
    version=1,
    layout="pairs",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", *SIMILARITIES),
)
