"""Hybrids: the fused ranking of a plain loop and of mteb, from what each part found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsuite.engines.hybrid import fuse, minmax
from evalsuite.engines.search import TopK

Ranked = Mapping[int, float]


def made(seed: int, queries: int, n: int, depth: int, ties: NDArray[np.int64]) -> TopK:
    """Return what a model of few distinct scores found; some queries find little or nothing."""
    rng = np.random.default_rng(seed)
    best = TopK(queries, depth, ties)
    for query in range(queries):
        found = rng.permutation(n)[: rng.integers(0, n + 1)]
        scores = rng.integers(-3, 4, len(found)).astype(np.float32)
        best.merge(query, np.array([len(found)]), found, scores)
    return best


def rows(part: TopK, query: int) -> list[tuple[int, float]]:
    found = zip(part.indices[query].tolist(), part.scores[query].tolist(), strict=True)
    return [(document, score) for document, score in found if document >= 0]


def plain_rrf(parts: Sequence[TopK], weights: Sequence[float], query: int) -> Ranked:
    fused: dict[int, float] = {}
    for part, weight in zip(parts, weights, strict=True):
        for rank, (document, _) in enumerate(rows(part, query), start=1):
            fused[document] = fused.get(document, 0) + weight / (60 + rank)
    return fused


def plain_minmax(parts: Sequence[TopK], weights: Sequence[float], query: int) -> Ranked:
    fused: dict[int, float] = {}
    for part, weight in zip(parts, weights, strict=True):
        scores = [score for _, score in rows(part, query)]
        for document, score in rows(part, query):
            spread = max(scores) - min(scores)
            share = (score - min(scores)) / spread if spread else 0.5
            fused[document] = fused.get(document, 0) + weight * share
    return fused


PLAIN = {"rrf": plain_rrf, "minmax": plain_minmax}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 25),
    depth=st.integers(1, 30),
    k=st.integers(1, 30),
    fusion=st.sampled_from(["rrf", "minmax"]),
    weights=st.sampled_from([[0.5, 0.5], [0.2, 0.8], [1.0, 2.0, 0.25]]),
)
def test_equals_a_plain_loop(
    seed: int, n: int, depth: int, k: int, fusion: str, weights: list[float]
) -> None:
    ties = np.random.default_rng(seed).permutation(n)
    parts = [made(seed + i, 4, n, depth, ties) for i in range(len(weights))]
    best = fuse(parts, weights, fusion, k, ties)
    for query in range(4):
        whole = {d: float(np.float32(s)) for d, s in PLAIN[fusion](parts, weights, query).items()}
        expected = sorted(whole, key=lambda d: (-whole[d], ties[d]))[:k]
        assert [d for d, _ in rows(best, query)] == expected
        assert [s for _, s in rows(best, query)] == [whole[d] for d in expected]


@pytest.mark.parametrize("fusion", ["rrf", "minmax"])
def test_scores_equal_mtebs(fusion: str) -> None:
    theirs: Any = pytest.importorskip("mteb.models.hybrid_wrappers")
    function = {"rrf": theirs.fuse_rrf, "minmax": theirs.fuse_relative_score_fusion}[fusion]
    ids = [f"d{i:02}" for i in range(30)]
    ties = np.arange(30)[::-1].copy()  # the larger id first
    parts = [made(seed, 6, 30, 20, ties) for seed in (1, 2, 3)]
    best = fuse(parts, [0.5, 0.3, 0.2], fusion, 30, ties)
    for query in range(6):
        found = [{ids[d]: s for d, s in rows(part, query)} for part in parts]
        expected = function(found, [0.5, 0.3, 0.2])
        mine = {ids[d]: s for d, s in rows(best, query)}
        assert mine == pytest.approx(expected, rel=1e-6)


def test_equal_scores_are_worth_half() -> None:
    scores = np.array([[2.0, 2.0, -np.inf], [3.0, 1.0, 2.0], [-np.inf] * 3])
    assert minmax(scores)[0, :2].tolist() == [0.5, 0.5]
    assert minmax(scores)[1].tolist() == [1.0, 0.0, 0.5]
