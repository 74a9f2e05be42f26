"""Search: the ranking of a brute-force sort, however the corpus is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evalsuite.engines import search as module
from evalsuite.engines.search import TopK, search, search_faiss, search_sparse

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def tied(seed: int, n: int, dim: int = 3) -> Floats:
    """Return vectors of few distinct values, so that many inner products are equal."""
    return np.random.default_rng(seed).integers(-1, 2, (n, dim)).astype(np.float32)


def brute_force(queries: Floats, documents: Floats, k: int, tie_rank: Ints) -> list[list[int]]:
    scores = queries @ documents.T
    return [
        sorted(range(len(documents)), key=lambda d: (-row[d], tie_rank[d]))[:k] for row in scores
    ]


def found(indices: Ints) -> list[list[int]]:
    return [[int(d) for d in row if d >= 0] for row in indices]


def shards(documents: Floats, size: int) -> list[Floats]:
    return [documents[i : i + size] for i in range(0, len(documents), size)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 40),
    k=st.integers(1, 50),
    size=st.integers(1, 41),
)
def test_equals_brute_force_with_heavy_ties(seed: int, n: int, k: int, size: int) -> None:
    queries, documents = tied(seed, 5), tied(seed + 1, n)
    tie_rank = np.random.default_rng(seed).permutation(n)
    best = search(queries, shards(documents, size), k, tie_rank)
    assert found(best.indices) == brute_force(queries, documents, k, tie_rank)
    assert (best.scores[:, n:] == -np.inf).all()
    assert (best.indices[:, n:] == -1).all()


@pytest.mark.parametrize("dim", [6, 33, 384])
@pytest.mark.parametrize("n_queries", [1, 7, 20])
def test_shard_sizes_do_not_move_ranking_or_scores(dim: int, n_queries: int) -> None:
    """Bit for bit: else equal documents in two shards would be ranked by rounding, not by id."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((n_queries, dim)).astype(np.float32)
    documents = rng.standard_normal((57, dim)).astype(np.float32)
    documents[20:40] = documents[:20]  # duplicates: ties that only the ids decide
    tie_rank = rng.permutation(57)
    whole = search(queries, [documents], 10, tie_rank)
    for size in range(1, 58):
        cut = search(queries, shards(documents, size), 10, tie_rank)
        assert cut.indices.tolist() == whole.indices.tolist()
        assert cut.scores.tobytes() == whole.scores.tobytes()


def test_queries_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents, tie_rank = tied(1, 11), tied(2, 30), np.arange(30)
    whole = search(queries, [documents], 5, tie_rank)
    sparse = search_sparse(csr_array(queries), csr_array(documents), 5, tie_rank)
    monkeypatch.setattr(module, "_BLOCK_CELLS", 64)
    assert (search(queries, [documents], 5, tie_rank).indices == whole.indices).all()
    again = search_sparse(csr_array(queries), csr_array(documents), 5, tie_rank)
    assert (again.indices == sparse.indices).all()


def test_duplicate_documents_rank_by_tie_order() -> None:
    documents = np.ones((6, 2), np.float32)
    tie_rank = np.array([3, 1, 5, 0, 2, 4])
    best = search(documents[:1], [documents], 4, tie_rank)
    assert best.indices.tolist() == [[3, 1, 4, 0]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30), k=st.integers(1, 40))
def test_sparse_equals_dense_where_scores_are_positive(seed: int, n: int, k: int) -> None:
    queries, documents = tied(seed, 4), tied(seed + 1, n)
    tie_rank = np.random.default_rng(seed).permutation(n)
    scores = queries @ documents.T
    best = search_sparse(csr_array(queries), csr_array(documents), k, tie_rank)
    expected = [
        [d for d in row if scores[q, d] > 0]
        for q, row in enumerate(brute_force(queries, documents, k, tie_rank))
    ]
    assert found(best.indices) == expected


def test_the_cut_takes_ties_in_order() -> None:
    queries = np.ones((1, 1), np.float32)
    documents = np.array([[1], [2], [2], [2], [0]], np.float32)
    best = search(queries, [documents], 2, np.array([0, 4, 3, 2, 1]))
    assert best.indices.tolist() == [[3, 2]]
    assert best.scores.tolist() == [[2.0, 2.0]]


def test_negative_and_signed_zero_scores_keep_their_order() -> None:
    queries = np.ones((1, 1), np.float32)
    documents = np.array([[-1.5], [-0.0], [0.0], [3.0], [-2.0]], np.float32)
    best = search(queries, [documents[:2], documents[2:]], 4, np.arange(5))
    assert best.indices.tolist() == [[3, 1, 2, 0]]
    assert best.scores.tolist() == [[3.0, 0.0, 0.0, -1.5]]


def test_the_best_are_kept_exactly_whatever_their_sign_or_size() -> None:
    scores = np.array([-1e-45, 0.0, -0.0, 1e-45, -3.4e38, 3.4e38, -1.0, 1.0], np.float32)
    best = TopK(1, 8, np.arange(8)[::-1])
    assert best.floor(slice(0, 1)).tolist() == [-np.inf]
    for start in (0, 3, 6):
        some = np.arange(start, min(start + 3, 8))
        best.merge(0, np.array([len(some)]), some, scores[some])
    assert best.indices.tolist() == [[5, 7, 3, 2, 1, 0, 6, 4]]  # 0.0 equals -0.0: ties
    assert best.scores[0].tolist() == sorted(scores.tolist(), reverse=True)
    assert best.floor(slice(0, 1)).tolist() == [scores[4]]


def test_no_queries_or_no_documents() -> None:
    assert search(np.empty((0, 2), np.float32), [tied(0, 3, 2)], 2, np.arange(3)).indices.shape == (
        0,
        2,
    )
    assert (search(tied(0, 3, 2), [], 2, np.arange(0)).indices == -1).all()


def test_faiss_finds_the_same_documents() -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(5)
    queries = rng.standard_normal((9, 16)).astype(np.float32)
    documents = rng.standard_normal((50, 16)).astype(np.float32)
    for k in (5, 80):
        exact = search(queries, shards(documents, 20), k, np.arange(50))
        approx = search_faiss(queries, shards(documents, 20), k, np.arange(50))
        assert approx.indices.tolist() == exact.indices.tolist()
        np.testing.assert_allclose(
            approx.scores[:, : min(k, 50)], exact.scores[:, : min(k, 50)], atol=1e-5
        )
