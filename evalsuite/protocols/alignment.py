"""Alignment: how near the vectors of texts that mean the same are (Wang and Isola 2020)."""

from __future__ import annotations

import time
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.engines import similarity
from evalsuite.errors import DataError
from evalsuite.protocol import Protocol
from evalsuite.result import EXCLUDED, OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Pairs


def run(task: Task, data: Pairs, model: Any) -> list[Outcome]:
    """Encode both sides of every pair that means the same; the other pairs are excluded.

    Raises:
        DataError: No pair does.
    """
    least = {**PROTOCOL.defaults, **task.params}["least_gold"]
    same = data.gold >= least
    if not same.any():
        raise DataError(
            f"{task}: no pair has a gold of at least `least_gold`, {least:g}; the largest is "
            f"{data.gold.max():g}."
        )
    started = time.perf_counter()
    first, second = (list(compress(side, same)) for side in (data.first, data.second))
    cosine = similarity.of_pairs(first, second, model)["cosine"]
    distances = np.full(len(same), np.nan)
    distances[same] = 2 - 2 * cosine
    items = Items(
        ids=data.ids,
        columns={"alignment": distances},
        status=np.where(same, OK, EXCLUDED),
    )
    return [Outcome(items, (Phase("encode", time.perf_counter() - started, 2 * len(cosine)),))]


PROTOCOL = Protocol(
    name="alignment",
    version=1,
    layout="pairs",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=("alignment",),
    defaults={"least_gold": 4.0},
)
