"""Retrieval: rank a corpus for each query and compare with graded judgements."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.search import SHARD_DOCUMENTS, TopK, search_sparse
from evalsuite.measures import RANKING, ir
from evalsuite.protocol import Protocol
from evalsuite.result import EXCLUDED, OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Documents, Retrieval


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length, so that inner products are cosines; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def _shards(documents: Documents, model: Any, similarity: str) -> Iterator[NDArray[np.float32]]:
    """Encode the corpus part by part, so that memory holds one part."""
    for texts in documents.shards(SHARD_DOCUMENTS):
        vectors = model.encode(texts, role="document")
        yield _unit(vectors) if similarity == "cosine" else vectors


def _search(data: Retrieval, model: Any, similarity: str, k: int) -> TopK:
    """Return the best k documents of every query."""
    ties = ir.tie_ranks(data.documents.ids)
    if hasattr(model, "encode"):
        queries = model.encode(data.queries, role="query")
        queries = _unit(queries) if similarity == "cosine" else queries
        shards = _shards(data.documents, model, similarity)
        best: TopK = model.search(queries, shards, k, ties)
        return best
    corpus = data.documents.texts[:]
    model.fit(corpus)
    return search_sparse(
        model.encode_sparse(data.queries, role="query"),
        model.encode_sparse(corpus, role="document"),
        k,
        ties,
    )


def _without_identical(ranking: NDArray[np.int64], data: Retrieval) -> NDArray[np.int64]:
    """Drop each query's own document (equal id) from its ranking, closing the gap."""
    position = {identifier: i for i, identifier in enumerate(data.documents.ids)}
    own = np.array([position.get(query, -2) for query in data.query_ids])
    ranking = np.where(ranking == own[:, None], -1, ranking)
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
    ranking = _search(data, model, params["similarity"], cutoffs[-1]).indices
    searched = time.perf_counter()
    if params["ignore_identical_ids"]:
        ranking = _without_identical(ranking, data)
    index = {identifier: i for i, identifier in enumerate(data.documents.ids)}
    judgements = ir.Judgements.from_qrels(data.query_ids, index, data.qrels)
    columns = ir.evaluate(ranking, judgements, cutoffs)
    judged = np.array([bool(data.qrels.get(query)) for query in data.query_ids])
    for values in columns.values():
        values[~judged] = np.nan
    missing = {d for grades in data.qrels.values() for d in grades if d not in index}
    items = Items(data.query_ids, columns, np.where(judged, OK, EXCLUDED))
    phases = (
        Phase("encode and search", searched - started, len(data.queries) + len(data.documents)),
        Phase("measures", time.perf_counter() - searched, len(data.queries)),
    )
    return [Outcome(items, phases, {"judged_documents_not_in_corpus": len(missing)})]


PROTOCOL = Protocol(
    name="retrieval",
    version=1,
    layout="retrieval",
    needs=("encode", "encode_sparse"),
    run=run,
    columns=RANKING,
    choices={"similarity": ("cosine", "dot")},
    defaults={"similarity": "cosine", "ignore_identical_ids": False},
)
