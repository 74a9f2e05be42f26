"""Reranking: rank each query's own candidates and compare with graded judgements."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.reranking import csr_rows, judgements_of
from evalsuite.engines.rerank import Scorer, scorer
from evalsuite.engines.search import TopK
from evalsuite.errors import DataError, UsageError
from evalsuite.measures import RANKING, ir
from evalsuite.protocol import Protocol
from evalsuite.result import EXCLUDED, OK, Items, Outcome, Phase, Ranking
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Reranking

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_BLOCK_CANDIDATES = 2**20


@dataclass(frozen=True)
class Units:
    """What is ranked and scored: queries, or users with several queries each.

    Attributes:
        ids: ``[u]``.
        order: Queries, unit after unit, ``[q]``.
        bounds: Unit i owns ``order[bounds[i]:bounds[i + 1]]``, at least one query, ``[u + 1]``.
    """

    ids: list[str]
    order: Ints
    bounds: Ints

    def blocks(self, candidates: Ints) -> Iterator[slice]:
        """Yield runs of units that hold a bounded number of candidates, at least one unit each.

        Args:
            candidates: Of each query, ``[q]``.
        """
        before = np.concatenate([[0], np.cumsum(candidates[self.order])])[self.bounds]
        start = 0
        while start < len(self.ids):
            end = np.searchsorted(before, before[start] + _BLOCK_CANDIDATES, side="right") - 1
            yield slice(start, max(start + 1, int(end)))
            start = max(start + 1, int(end))


def each_query(data: Reranking) -> Units:
    """Return every query as a unit of its own."""
    n = len(data.query_ids)
    return Units(list(data.query_ids), np.arange(n), np.arange(n + 1))


def users(data: Reranking) -> Units:
    """Return the queries by what stands before the last underscore of their ids.

    Raises:
        DataError: An id has none, or a user's queries are judged differently.
    """
    for query in data.query_ids:
        if "_" not in query:
            raise DataError(
                f"{ir.SUBQUERIES}...: the query id '{query[:60]}' is not USER_NUMBER, so that "
                "nobody can say which queries belong together."
            )
    names = [query.rpartition("_")[0] for query in data.query_ids]
    ids = sorted(set(names))
    place = {name: i for i, name in enumerate(ids)}
    codes = np.array([place[name] for name in names], dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    units = Units(ids, order, np.searchsorted(codes[order], np.arange(len(ids) + 1)))
    _check_judged_alike(data, units)
    return units


def _check_judged_alike(data: Reranking, units: Units) -> None:
    """Check that the queries of a unit have the same judgements.

    Raises:
        DataError: They do not.
    """
    first = np.repeat(units.order[units.bounds[:-1]], np.diff(units.bounds))
    counts = np.diff(data.judgements.indptr)
    alike = np.array_equal(counts[first], counts[units.order])
    if alike:
        entries = csr_rows(data.judgements.indptr, units.order)[1]
        wanted = csr_rows(data.judgements.indptr, first)[1]
        alike = all(
            np.array_equal(values[entries], values[wanted])
            for values in (data.judgements.docs, data.judgements.grades)
        )
    if not alike:
        raise DataError(f"{ir.SUBQUERIES}...: the queries of a user are judged differently.")


@dataclass(frozen=True)
class Lists:
    """All that is needed to rank the candidates of some units.

    Attributes:
        data: Queries with candidates.
        units: What is ranked.
        score: Scores candidates.
        ties: Place of each document among equal scores, ``[documents]``.
        own: The document with a query's own id, which is left out, ``[q]``; None to leave it in.
        most: Documents kept of a unit.
    """

    data: Reranking
    units: Units
    score: Scorer
    ties: Ints
    own: Ints | None
    most: int

    def ranked(self, block: slice) -> TopK:
        """Return the best candidates of a run of units."""
        bounds = self.units.bounds[block.start : block.stop + 1]
        queries = self.units.order[bounds[0] : bounds[-1]]
        some = self.data.candidates.taken(queries)
        rows, docs = some.rows(), some.docs
        if self.own is not None:
            kept = docs != self.own[queries[rows]]
            rows, docs = rows[kept], docs[kept]
        scores = self.score(queries[rows], docs)
        unit = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))[rows]
        if len(queries) >= len(bounds):  # several queries a unit
            unit, docs, scores = _best_of_each(unit, docs, scores, len(self.ties))
        counts = np.bincount(unit, minlength=len(bounds) - 1)
        best = TopK(len(counts), max(1, min(self.most, int(counts.max()))), self.ties)
        best.merge(0, counts, docs, scores)
        return best


def _best_of_each(unit: Ints, docs: Ints, scores: Floats, n_docs: int) -> tuple[Ints, Ints, Floats]:
    """Return units, documents and scores with a unit's document once, at its best score."""
    keys = unit * n_docs + docs
    order = np.argsort(keys, kind="stable")
    distinct, first = np.unique(keys[order], return_index=True)
    if len(first):
        scores = np.maximum.reduceat(scores[order], first)
    return distinct // n_docs, distinct % n_docs, scores


def _asks_for_users(task: Task) -> bool:
    """Whether a task's measures are of users rather than of queries.

    Raises:
        UsageError: Some are and some are not: they are means over different items.
    """
    of_users = {name.startswith(ir.SUBQUERIES) for name in task.measures}
    if len(of_users) > 1:
        raise UsageError(
            f"{task}: either all measures begin with '{ir.SUBQUERIES}' or none does: they are "
            "means over users or over queries."
        )
    return of_users == {True}


def _own_documents(data: Reranking) -> Ints:
    """Return the position of the document with each query's id, -1 where there is none, ``[q]``."""
    position = {identifier: i for i, identifier in enumerate(data.documents.ids)}
    return np.array([position.get(query, -1) for query in data.query_ids], dtype=np.int64)


def run(task: Task, data: Reranking, model: Any) -> list[Outcome]:
    """Score every query's candidates and rank them.

    A query without candidates counts 0 everywhere; one without judgements is excluded and counted.
    Judged documents that are no candidates stay in the ideal ranking, as in mteb.
    """
    params = {**PROTOCOL.defaults, **task.params}
    cutoffs = sorted({*ir.DEFAULT_KS, *(int(name.partition("@")[2]) for name in task.measures)})
    grouped = _asks_for_users(task)
    started = time.perf_counter()
    lists = Lists(
        data=data,
        units=users(data) if grouped else each_query(data),
        score=scorer(data, model, params["similarity"]),
        ties=ir.tie_ranks(data.documents.ids),
        own=_own_documents(data) if params["ignore_identical_ids"] else None,
        most=cutoffs[-1],
    )
    columns, ranking = _evaluate(lists, cutoffs)
    ended = time.perf_counter() - started
    units = lists.units
    judged = data.judged()[units.order[units.bounds[:-1]]]
    for values in columns.values():
        values[~judged] = np.nan
    if grouped:
        columns = {f"{ir.SUBQUERIES}{name}": values for name, values in columns.items()}
    items = Items(units.ids, columns, np.where(judged, OK, EXCLUDED))
    phases = (Phase("score and rank", ended, len(data.candidates)),)
    evidence = {
        "queries_without_candidates": int(((ranking.counts == 0) & judged).sum()),
        "judgements_of_documents_not_in_corpus": int(
            (data.judgements.docs == len(data.documents)).sum()
        ),
    }
    return [Outcome(items, phases, evidence, ranking=ranking)]


def _evaluate(lists: Lists, cutoffs: list[int]) -> tuple[dict[str, NDArray[np.float64]], Ranking]:
    """Return every measure of each unit at each cutoff, and the ranking they are of."""
    data, units = lists.data, lists.units
    measured, counts, docs, scores = [], [], [], []
    for block in units.blocks(np.diff(data.candidates.indptr)):
        best = lists.ranked(block)
        judges = judgements_of(data.judgements, units.order[units.bounds[:-1][block]])
        indices = best.indices
        measured.append(ir.evaluate(indices, judges, cutoffs))
        found = indices >= 0
        counts.append(found.sum(axis=1))
        docs.append(indices[found])
        scores.append(best.scores[found])
    columns = {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}
    parts = (np.concatenate(part) for part in (counts, docs, scores))
    return columns, Ranking(units.ids, data.documents.ids, *parts)


PROTOCOL = Protocol(
    name="reranking",
    version=1,
    layout="reranking",
    needs=("score_pairs", "encode", "encode_sparse", "encode_multi"),
    run=run,
    columns=(*RANKING, *(f"{ir.SUBQUERIES}{name}" for name in RANKING)),
    choices={"similarity": ("cosine", "dot")},
    defaults={"similarity": "cosine", "ignore_identical_ids": False},
)
