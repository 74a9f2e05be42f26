"""Retrieval: rank a corpus for each query and compare with graded judgements."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.find import find
from evalsuite.measures import RANKING, ir
from evalsuite.protocol import Protocol
from evalsuite.result import EXCLUDED, OK, Items, Outcome, Phase, Ranking
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Retrieval


def _without_identical(ranking: NDArray[np.int64], data: Retrieval) -> NDArray[np.int64]:
    """Put -1 in the place of each query's own document (equal id)."""
    position = {identifier: i for i, identifier in enumerate(data.documents.ids)}
    own = np.array([position.get(query, -2) for query in data.query_ids])
    return np.where(ranking == own[:, None], -1, ranking)


def _closed(ranking: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move every -1 of a row to its end."""
    order = np.argsort(ranking == -1, axis=1, kind="stable")
    return np.take_along_axis(ranking, order, axis=1)


def run(task: Task, data: Retrieval, model: Any) -> list[Outcome]:
    """Search with every query and score each ranking.

    A query that finds nothing counts 0 everywhere; one without judgements is excluded and counted.
    Judged documents that are not in the corpus stay in the ideal ranking, as in trec_eval.
    """
    params = {**PROTOCOL.defaults, **task.params}
    cutoffs = sorted({*ir.DEFAULT_KS, *(int(name.partition("@")[2]) for name in task.measures)})
    started = time.perf_counter()
    ties = ir.tie_ranks(data.documents.ids)
    best = find(data.queries, data.documents, model, params["similarity"], cutoffs[-1], ties)
    ranking = best.indices
    searched = time.perf_counter()
    if params["ignore_identical_ids"]:
        ranking = _without_identical(ranking, data)
    index = {identifier: i for i, identifier in enumerate(data.documents.ids)}
    judgements = ir.Judgements.from_qrels(data.query_ids, index, data.qrels)
    columns = ir.evaluate(_closed(ranking), judgements, cutoffs)
    judged = np.array([bool(data.qrels.get(query)) for query in data.query_ids])
    for values in columns.values():
        values[~judged] = np.nan
    missing = {d for grades in data.qrels.values() for d in grades if d not in index}
    items = Items(data.query_ids, columns, np.where(judged, OK, EXCLUDED))
    phases = (
        Phase("encode and search", searched - started, len(data.queries) + len(data.documents)),
        Phase("measures", time.perf_counter() - searched, len(data.queries)),
    )
    evidence = {"judged_documents_not_in_corpus": len(missing)}
    found = Ranking.of_rows(data.query_ids, data.documents.ids, ranking, best.scores)
    return [Outcome(items, phases, evidence, ranking=found)]


PROTOCOL = Protocol(
    name="retrieval",
    version=1,
    layout="retrieval",
    needs=("encode", "encode_sparse", "encode_multi", "find"),
    run=run,
    columns=RANKING,
    choices={"similarity": ("cosine", "dot")},
    defaults={"similarity": "cosine", "ignore_identical_ids": False},
)
