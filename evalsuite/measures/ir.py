"""Ranked-retrieval measures, equal to trec_eval's query by query.

With rel_i the grade at rank i, hits_i the number of relevant documents in the first i
ranks and R the number of relevant documents judged, the measures and their trec_eval names:

    ndcg@k       ndcg_cut.k  sum_{i<=k} rel_i / log2(i + 1), over that of the ideal ranking
    map@k        map_cut.k   sum_{i<=k, rel_i>0} hits_i / i, over R
    recall@k     recall.k    hits_k / R
    precision@k  P.k         hits_k / k, also where fewer than k were retrieved
    mrr@k        recip_rank  1 / (rank of the first relevant document), 0 beyond k

Each is a sum over the first k ranks divided by a norm, so prefix sums over the ranks give
all queries and all cutoffs at once.

As in trec_eval, a document is relevant when its grade is above 0. Documents that are
unjudged, or judged 0 or below, gain nothing, and a negative grade costs nothing either.
A query without relevant documents, or without results, scores 0.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.measures.base import Measure, mean_of

RANKING = ("ndcg", "map", "recall", "precision", "mrr")
SUBQUERIES = "max_over_subqueries_"
"""Before a measure of users, each with the best score a document has for any of their queries."""
NAMES = f"{', '.join(f'{name}@K' for name in RANKING)}, {SUBQUERIES}map@K"
DEFAULT_KS = (1, 3, 5, 10, 20, 100, 1000)


@dataclass(frozen=True)
class Judgements:
    """Judged documents of each query as CSR-like arrays.

    Attributes:
        indptr: [n_queries + 1], query q owns the entries indptr[q]:indptr[q + 1].
        docs: [n_judged], document indices, ascending within a query; n_docs stands for
            every document outside the corpus.
        grades: [n_judged], relevance grades as judged.
        n_docs: Size of the corpus.
    """

    indptr: NDArray[np.int64]
    docs: NDArray[np.int64]
    grades: NDArray[np.int32]
    n_docs: int

    @classmethod
    def from_qrels(
        cls,
        query_ids: Sequence[str],
        doc_index: Mapping[str, int],
        qrels: Mapping[str, Mapping[str, int]],
    ) -> Self:
        """Builds the judgements of the given queries, in their order.

        Judged documents missing from doc_index are kept: they count as relevant
        documents that nobody can retrieve. A query missing from qrels has no judgements.
        """
        n_docs = 1 + max(doc_index.values(), default=-1)
        judged = [qrels.get(query, {}) for query in query_ids]
        indptr = np.cumsum([0, *map(len, judged)], dtype=np.int64)
        docs = np.array([doc_index.get(doc, n_docs) for row in judged for doc in row], np.int64)
        grades = np.array([grade for row in judged for grade in row.values()], np.int32)
        order = np.lexsort((docs, _rows(indptr)))
        return cls(indptr, docs[order], grades[order], n_docs)

    def lookup(self, ranking: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the grades of ranked documents.

        Args:
            ranking: [n_queries, depth], document indices, -1 where nothing was retrieved.

        Returns:
            [n_queries, depth], grades as judged, 0 where unjudged or nothing was retrieved.
        """
        n_queries = len(self.indptr) - 1
        if len(ranking) != n_queries:
            raise ValueError(f"ranking has {len(ranking)} rows for {n_queries} judged queries")
        stride = self.n_docs + 1
        keys = _rows(self.indptr) * stride + self.docs
        wanted = np.arange(n_queries)[:, None] * stride + ranking
        entry = np.searchsorted(keys, wanted)
        # A closing sentinel answers the searches that run past the last key.
        found = (ranking >= 0) & (np.append(keys, -1)[entry] == wanted)
        return np.where(found, np.append(self.grades, np.int32(0))[entry], np.int32(0))

    def ideal(self, depth: int) -> NDArray[np.int32]:
        """Returns the grades of the best possible ranking, for ndcg.

        Returns:
            [n_queries, depth], relevant grades in descending order, then 0.
        """
        rows, gains = _rows(self.indptr), np.maximum(self.grades, 0)
        # Rows keep their bounds under this sort, so an entry's rank is its place in the row.
        descending = gains[np.lexsort((-gains, rows))]
        ranks = np.arange(len(rows)) - self.indptr[rows]
        head = ranks < depth
        ideal = np.zeros((len(self.indptr) - 1, depth), np.int32)
        ideal[rows[head], ranks[head]] = descending[head]
        return ideal

    def n_relevant(self) -> NDArray[np.int64]:
        """Returns the number of relevant documents of each query, [n_queries]."""
        relevant = _rows(self.indptr)[self.grades > 0]
        return np.bincount(relevant, minlength=len(self.indptr) - 1).astype(np.int64)


def evaluate(
    ranking: NDArray[np.int64], judgements: Judgements, ks: Sequence[int] = DEFAULT_KS
) -> dict[str, NDArray[np.float64]]:
    """Computes every measure of each query at each cutoff; the module gives the formulas.

    Args:
        ranking: [n_queries, depth], document indices, best first, -1 where nothing was
            retrieved. The depth may be below the largest cutoff.
        judgements: Judgements of the same queries, in the same order.
        ks: Cutoffs, at least 1.

    Returns:
        "measure@k" to [n_queries] values in [0, 1].
    """
    if min(ks) < 1:
        raise ValueError(f"cutoffs must be at least 1, got {list(ks)}")
    gains = np.maximum(judgements.lookup(ranking[:, : max(ks)]), 0)
    ideal = judgements.ideal(max(ks))
    relevant = gains > 0
    hits = np.cumsum(relevant, axis=1)
    ranks = np.arange(1, gains.shape[1] + 1)
    found = _prefix_sums(relevant, ks)
    n_relevant = judgements.n_relevant()[:, None]
    measures = {
        "ndcg": _ratio(_prefix_sums(_discounted(gains), ks), _prefix_sums(_discounted(ideal), ks)),
        "map": _ratio(_prefix_sums(relevant * hits / ranks, ks), n_relevant),
        "recall": _ratio(found, n_relevant),
        "precision": found / np.asarray(ks),
        "mrr": _prefix_sums((relevant & (hits == 1)) / ranks, ks),
    }
    return {
        f"{name}@{k}": values[:, column]
        for name, values in measures.items()
        for column, k in enumerate(ks)
    }


def tie_ranks(doc_ids: Sequence[str]) -> NDArray[np.int64]:
    """Returns the place of each document among documents of equal score.

    trec_eval puts the greater id first, by strcmp (form_res_rels.c, comp_sim_docno). Scores tie as
    float32, which trec_eval up to 9.0.8 and pytrec_eval store (trec_format.h, TEXT_RESULTS);
    trec_eval 10.0 keeps doubles and so breaks fewer ties.

    Returns:
        [n_docs], position of each id in descending order.
    """
    # Python compares code points, and UTF-8 bytes sort as the code points they encode.
    order = sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=True)
    ranks = np.empty(len(doc_ids), np.int64)
    ranks[order] = np.arange(len(doc_ids))
    return ranks


def _rows(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the row of each CSR entry, [n_entries]."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _discounted(gains: NDArray[np.int32]) -> NDArray[np.float64]:
    """Divides gains [n_queries, depth] by log2(rank + 1) (m_ndcg_cut.c)."""
    return gains / np.log2(np.arange(2, gains.shape[1] + 2))


def _prefix_sums(values: NDArray[Any], ks: Sequence[int]) -> NDArray[np.float64]:
    """Sums the first k columns of [n, depth] for each k, [n, len(ks)].

    Cutoffs beyond the depth sum all there is.
    """
    depth = values.shape[1]
    sums = np.zeros((len(values), depth + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums[:, np.minimum(ks, depth)]


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Divides elementwise, 0 where the denominator is 0."""
    ratio = np.zeros(numerator.shape)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def parse(name: str) -> Measure | None:
    """Return the measure a name stands for, e.g. ``ndcg@10``, or None."""
    pattern = rf"({SUBQUERIES})?({'|'.join(RANKING)})@[1-9]\d*"
    return mean_of(name) if re.fullmatch(pattern, name) else None
