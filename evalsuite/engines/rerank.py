"""Scores of candidates, each query's own, by a model of any kind.

Equal texts are run once, and equal pairs of texts score alike to the bit, so that they tie.
Products of vectors are computed in float64 and rounded to float32: the way does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines import maxsim

if TYPE_CHECKING:
    from evalsuite.data.reranking import Reranking

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Scorer = Callable[[Ints, Ints], Floats]
"""``(queries [n], documents [n]) -> scores [n]``, both as positions."""

_FEW_CELLS = 2**24  # a table of products that small is worth it, however few are looked up
_MOST_CELLS = 2**28  # 1 GiB of float32
_CELLS_A_PAIR = 8  # a product in a table costs about an eighth of one by itself
_BLOCK_CELLS = 2**22


def scorer(data: Reranking, model: Any, similarity: str) -> Scorer:
    """Return what scores the candidates of some queries.

    Args:
        data: Queries, documents and which documents are candidates.
        model: Offers ``score_pairs``, ``encode``, ``encode_multi``, or ``fit`` and
            ``encode_sparse``.
        similarity: ``cosine`` or ``dot``, of vectors.
    """
    queries, query_of = _distinct(data.queries)
    wanted = np.unique(data.candidates.docs)
    texts = data.documents.texts
    documents, places = _distinct([texts[i] for i in wanted.tolist()])
    document_of = np.zeros(len(data.documents), np.int64)
    document_of[wanted] = places
    if hasattr(model, "score_pairs"):
        score = _by_pairs(queries, documents, model)
    elif hasattr(model, "encode"):
        q, d = model.encode(queries, role="query"), model.encode(documents, role="document")
        score = _by_vectors(q, d, len(data.candidates), similarity)
    elif hasattr(model, "encode_multi"):
        several = [model.encode_multi(queries, role="query")]
        several.append(model.encode_multi(documents, role="document"))
        score = partial(maxsim.of_pairs, *several)
    else:
        model.fit(texts[:])
        score = _by_terms(queries, documents, model)
    return lambda rows, docs: score(query_of[rows], document_of[docs])


def _distinct(texts: Sequence[str]) -> tuple[list[str], Ints]:
    """Return the distinct texts, and which of them each text is."""
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
    return list(places), codes


def _by_pairs(queries: list[str], documents: list[str], model: Any) -> Scorer:
    def score(i: Ints, j: Ints) -> Floats:
        pairs, back = np.unique(i * len(documents) + j, return_inverse=True)
        left = [queries[at] for at in (pairs // len(documents)).tolist()]
        right = [documents[at] for at in (pairs % len(documents)).tolist()]
        found: Floats = model.score_pairs(left, right)
        return found[back]

    return score


def _by_vectors(q: Floats, d: Floats, pairs: int, similarity: str) -> Scorer:
    """Return products out of a table of all, or one by one where few are looked up."""
    lengths = [np.ones(len(side)) for side in (q, d)]
    if similarity == "cosine":
        lengths = [np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64)) for x in (q, d)]
        lengths = [np.where(norms > 0, norms, 1) for norms in lengths]
    cells = len(q) * len(d)
    if cells <= min(_MOST_CELLS, max(_FEW_CELLS, _CELLS_A_PAIR * pairs)):
        table = _table(q, d, *lengths)
        return lambda i, j: table[i, j]

    def score(i: Ints, j: Ints) -> Floats:
        found = np.empty(len(i), np.float32)
        step = max(1, _BLOCK_CELLS // q.shape[1])
        for start in range(0, len(i), step):
            a, b = i[start : start + step], j[start : start + step]
            products = np.einsum("nd,nd->n", q[a], d[b], dtype=np.float64)
            found[start : start + step] = products / (lengths[0][a] * lengths[1][b])
        return found

    return score


def _table(
    q: Floats, d: Floats, q_lengths: NDArray[np.float64], d_lengths: NDArray[np.float64]
) -> Floats:
    """Return the products of all rows, each divided by its lengths, ``[q, d]``."""
    table = np.empty((len(q), len(d)), np.float32)
    columns = d.astype(np.float64).T
    step = max(1, _BLOCK_CELLS // max(1, len(d)))
    for start in range(0, len(q), step):
        some = slice(start, start + step)
        products = q[some].astype(np.float64) @ columns
        table[some] = products / (q_lengths[some, None] * d_lengths)
    return table


def _by_terms(queries: list[str], documents: list[str], model: Any) -> Scorer:
    q = model.encode_sparse(queries, role="query")
    d = model.encode_sparse(documents, role="document")

    def score(i: Ints, j: Ints) -> Floats:
        products = (q[i] * d[j]).sum(axis=1)
        return np.asarray(products, dtype=np.float32).ravel()

    return score
