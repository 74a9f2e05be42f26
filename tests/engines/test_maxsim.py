"""MaxSim search: a plain loop, sentence-transformers' scores, and no difference by the cut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsuite.data import Documents
from evalsuite.data.reranking import Candidates
from evalsuite.engines import maxsim
from evalsuite.engines.rerank import scorer

Floats = NDArray[np.float32]


def made(seed: int, n: int, *, least: int = 1, dim: int = 5, whole: bool = False) -> list[Floats]:
    """Return texts of 1 to 6 vectors each; of few whole numbers, so that scores tie."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(least, 7, n)
    if whole:
        return [rng.integers(-1, 2, (length, dim)).astype(np.float32) for length in lengths]
    return [rng.standard_normal((length, dim)).astype(np.float32) for length in lengths]


def plain(query: Floats, document: Floats) -> float:
    return sum(max(float(q @ d) for d in document) for q in query)


def shards(documents: list[Floats], size: int) -> list[list[Floats]]:
    return [documents[i : i + size] for i in range(0, len(documents), size)]


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 30),
    k=st.integers(1, 40),
    size=st.integers(1, 31),
)
def test_equals_a_plain_loop_with_ties_and_empty_texts(
    seed: int, n: int, k: int, size: int
) -> None:
    queries = made(seed, 5, least=0, whole=True)
    documents = made(seed + 1, n, least=0, whole=True)
    ties = np.random.default_rng(seed).permutation(n)
    best = maxsim.search(queries, shards(documents, size), k, ties)
    for query, row, scores in zip(queries, best.indices, best.scores, strict=True):
        whole = {
            d: plain(query, document)
            for d, document in enumerate(documents)
            if len(query) and len(document)
        }
        expected = sorted(whole, key=lambda d: (-whole[d], ties[d]))[:k]
        assert row[row >= 0].tolist() == expected
        assert scores[: len(expected)].tolist() == [whole[d] for d in expected]


def test_equals_sentence_transformers() -> None:
    import torch
    from sentence_transformers.util.similarity import maxsim as library

    queries, documents = made(1, 9, dim=32), made(2, 60, dim=32)
    tensors = [[torch.from_numpy(x) for x in side] for side in (queries, documents)]
    theirs = library(tensors[0], tensors[1])
    best = maxsim.search(queries, shards(documents, 17), 60, np.arange(60))
    found = np.take_along_axis(theirs.numpy(), best.indices, axis=1)
    np.testing.assert_allclose(best.scores, found, rtol=1e-5, atol=1e-5)
    assert (np.diff(best.scores, axis=1) <= 0).all()


@pytest.mark.parametrize("vectors", [(16, 64), (48, 7)])
def test_cuts_do_not_move_ranking_or_scores(
    monkeypatch: pytest.MonkeyPatch, vectors: tuple[int, int]
) -> None:
    queries, documents = made(3, 20, dim=24), made(4, 57, dim=24)
    documents[20:40] = documents[:20]  # duplicates: ties that only the ids decide
    ties = np.random.default_rng(0).permutation(57)
    whole = maxsim.search(queries, [documents], 12, ties)
    monkeypatch.setattr(maxsim, "_BLOCK_QUERY_VECTORS", vectors[0])
    monkeypatch.setattr(maxsim, "_BLOCK_DOCUMENT_VECTORS", vectors[1])
    for size in (1, 2, 13, 40, 57):
        cut = maxsim.search(queries, shards(documents, size), 12, ties)
        assert cut.indices.tolist() == whole.indices.tolist()
        assert cut.scores.tobytes() == whole.scores.tobytes()


def test_candidates_are_scored_one_by_one() -> None:
    """Through the reranker's own look-up, with texts of several vectors that occur twice."""
    queries, documents = made(5, 4), made(6, 9, least=0)

    class Fixed:
        def encode_multi(self, texts: list[str], role: str) -> list[Floats]:
            return [(queries if role == "query" else documents)[int(text)] for text in texts]

    asked, corpus = ["0", "1", "2", "3", "1"], [str(i) for i in range(9)] + ["4"]
    rows, columns = (x.ravel() for x in np.indices((5, 10)))
    data = SimpleNamespace(
        queries=asked,
        documents=Documents([f"d{i}" for i in range(10)], corpus),
        candidates=Candidates(np.arange(6) * 10, columns),
    )
    found = scorer(cast("Any", data), Fixed(), "cosine")(rows, columns).reshape(5, 10)
    for row, query in zip(found, asked, strict=True):
        for score, text in zip(row, corpus, strict=True):
            mine = (queries[int(query)], documents[int(text)])
            least = np.finfo(np.float32).min
            assert score == pytest.approx(plain(*mine) if len(mine[1]) else least, rel=1e-5)
    assert (found[1] == found[4]).all()
    assert (found[:, 4] == found[:, 9]).all()


def test_no_queries_or_no_documents() -> None:
    assert maxsim.search([], [made(0, 3)], 2, np.arange(3)).indices.shape == (0, 2)
    assert (maxsim.search(made(0, 3), [], 2, np.arange(0)).indices == -1).all()
