"""The best documents of every query, by a model of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines import maxsim
from evalsuite.engines.search import SHARD_DOCUMENTS, TopK, search_sparse
from evalsuite.engines.similarity import unit_rows

if TYPE_CHECKING:
    from evalsuite.data import Documents


def find(
    queries: Sequence[str],
    documents: Documents,
    model: Any,
    similarity: str,
    k: int,
    tie_rank: NDArray[np.int64],
) -> TopK:
    """Return the k best documents of each query.

    Args:
        queries: ``[q]`` texts.
        documents: The corpus.
        model: Offers ``encode`` and ``search``, or ``encode_multi``, or ``fit`` and
            ``encode_sparse``, or ``find``, which then does all of this itself.
        similarity: ``cosine`` or ``dot``, of dense vectors. Sparse ones are compared by their inner
            product, several ones by MaxSim, as their models were trained.
        k: Documents a query.
        tie_rank: ``[documents]`` order among equal scores, smallest first.
    """
    if hasattr(model, "find"):
        found: TopK = model.find(queries, documents, similarity, k, tie_rank)
        return found
    if hasattr(model, "encode"):
        asked = model.encode(queries, role="query")
        asked = unit_rows(asked) if similarity == "cosine" else asked
        best: TopK = model.search(asked, _shards(documents, model, similarity), k, tie_rank)
        return best
    if hasattr(model, "encode_multi"):
        parts = documents.shards(maxsim.SHARD_DOCUMENTS)
        shards = (model.encode_multi(texts, role="document") for texts in parts)
        asked = model.encode_multi(queries, role="query")
        return maxsim.search(asked, shards, k, tie_rank, device=model.device)
    corpus = documents.texts[:]
    model.fit(corpus)
    rows = model.encode_sparse(corpus, role="document")
    return search_sparse(model.encode_sparse(queries, role="query"), rows, k, tie_rank)


def _shards(documents: Documents, model: Any, similarity: str) -> Iterator[NDArray[np.float32]]:
    """Encode the corpus part by part, so that memory holds one part."""
    for texts in documents.shards(SHARD_DOCUMENTS):
        vectors = model.encode(texts, role="document")
        yield unit_rows(vectors) if similarity == "cosine" else vectors
