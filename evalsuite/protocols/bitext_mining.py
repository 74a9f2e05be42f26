"""Bitext mining: how often the nearest candidate of a text is its translation.

Every text is matched with the candidates of its subset alone. Equal similarities, as those of equal
texts, go to the candidate with the larger id; mteb leaves the choice to torch. Where each of the
tied candidates translates a text of that meaning, either choice scores alike.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.similarity import unit_rows
from evalsuite.measures import bitext, ir
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data.bitext import Bitext, Subset

Vectors = NDArray[np.float32]


def _nearest(subset: Subset, texts: Vectors, candidates: Vectors, model: Any) -> NDArray[np.int64]:
    """Return the place of each text's nearest candidate, ``[n]``."""
    found = model.search(texts, [candidates], 1, ir.tie_ranks(subset.candidate_ids))
    return np.asarray(found.indices[:, 0])


def run(task: Task, data: Bitext, model: Any) -> list[Outcome]:
    """Encode all texts and candidates in one call, then search subset by subset."""
    params = {**PROTOCOL.defaults, **task.params}
    started = time.perf_counter()
    sides = [side for subset in data.subsets for side in (subset.texts, subset.candidates)]
    vectors = model.encode([text for side in sides for text in side])
    if params["similarity"] == "cosine":
        vectors = unit_rows(vectors)
    encoded = time.perf_counter()
    parts = np.split(vectors, np.cumsum([len(side) for side in sides])[:-1])
    counted = []
    for subset, texts, candidates in zip(data.subsets, parts[::2], parts[1::2], strict=True):
        nearest = _nearest(subset, texts, candidates, model)
        counted.append(bitext.statistics(subset.gold, nearest, len(candidates)))
    phases = (
        Phase("encode", encoded - started, len(vectors)),
        Phase("search", time.perf_counter() - encoded, len(data.ids)),
    )
    return [Outcome(_items(data, counted), phases)]


def _items(data: Bitext, counted: list[dict[str, NDArray[np.float64]]]) -> Items:
    names = [subset.name for subset in data.subsets]
    return Items(
        ids=data.ids,
        columns={name: np.concatenate([c[name] for c in counted]) for name in bitext.COLUMNS},
        status=np.full(len(data.ids), OK),
        group=np.repeat(names, [len(s.ids) for s in data.subsets]) if len(names) > 1 else None,
    )


PROTOCOL = Protocol(
    name="bitext_mining",
    version=1,
    layout="bitext",
    needs=("encode",),
    run=run,
    columns=bitext.COLUMNS,
    choices={"similarity": ("cosine", "dot")},
    defaults={"similarity": "cosine"},
)
