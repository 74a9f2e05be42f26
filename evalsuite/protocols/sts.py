"""Semantic textual similarity: how well similarities of vectors rank pairs as people do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.engines import similarity
from evalsuite.measures import SIMILARITIES
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Pairs


def run(task: Task, data: Pairs, model: Any) -> list[Outcome]:
    """Encode both sides of every pair in one call and compare them."""
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
    name="sts",
    version=1,
    layout="pairs",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("gold", *SIMILARITIES),
)
