"""Retrieval by codes and other vectors: trec_eval over brute-force scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite.data import Documents, Retrieval
from evalsuite.engines import maxsim
from evalsuite.engines.encode import EncodingEngine
from evalsuite.engines.find import find
from evalsuite.engines.finish import Finish
from evalsuite.engines.hybrid import HybridEngine
from evalsuite.measures import ir
from evalsuite.protocols.retrieval import PROTOCOL
from evalsuite.result import Outcome
from evalsuite.task import task_from_table
from tests.support import TextModel, text_vector

Floats = NDArray[np.float64]
TASK = task_from_table(
    {"name": "T", "version": 1, "protocol": "retrieval", "main_measure": "ndcg@10", "title": "x"},
    where="here",
)
MEASURES = {"ndcg_cut.10": "ndcg@10", "map_cut.100": "map@100", "recall.20": "recall@20"}


def made_data(documents: int = 60, queries: int = 12) -> Retrieval:
    rng = np.random.default_rng(3)
    ids = [f"d{n:03}" for n in rng.permutation(documents)]
    texts = [f"text {n % (documents - 7)}" for n in range(documents)]  # some are equal
    qrels = {
        f"q{n}": {ids[int(d)]: int(grade) for grade, d in enumerate(rng.integers(0, documents, 6))}
        for n in range(queries)
    }
    return Retrieval(
        Documents(ids, texts), list(qrels), [f"query {n}" for n in range(queries)], qrels
    )


def check(outcome: Outcome, data: Retrieval, scores: Floats) -> None:
    """Compare with trec_eval given the whole table of scores, ``[q, d]``; NaN is not retrieved."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    run = {
        query: {d: float(s) for d, s in zip(data.documents.ids, row, strict=True) if s == s}
        for query, row in zip(data.query_ids, scores, strict=True)
    }
    theirs = pytrec_eval.RelevanceEvaluator(data.qrels, set(MEASURES)).evaluate(run)
    for trec, ours in MEASURES.items():
        expected = [theirs[query][trec.replace(".", "_")] for query in data.query_ids]
        assert expected == pytest.approx(outcome.items.columns[ours].tolist(), abs=1e-9), ours


def bits(texts: Any, dim: int) -> NDArray[np.bool_]:
    return np.stack([text_vector(text, dim) for text in texts]) > 0


@pytest.mark.parametrize("dim", [6, 16, 64])
def test_binary_codes_rank_by_hamming_distance_and_id(dim: int) -> None:
    data = made_data()
    engine = EncodingEngine(load=lambda: TextModel(dim=dim), finish=Finish(quantize="binary"))
    (outcome,) = PROTOCOL.run(TASK, data, engine)
    queries, documents = (bits(texts, dim) for texts in (data.queries, data.documents.texts))
    distances = (queries[:, None] != documents[None]).sum(axis=2)
    check(outcome, data, -distances.astype(np.float64))


def test_int8_codes_rank_by_their_cosine() -> None:
    data = made_data()
    engine = EncodingEngine(load=lambda: TextModel(dim=32), finish=Finish(quantize="int8"))
    (outcome,) = PROTOCOL.run(TASK, data, engine)

    def codes(texts: Any) -> Floats:
        vectors = np.stack([text_vector(text, 32) for text in texts])
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        whole = np.rint(unit * np.float32(127)).astype(np.float64)
        return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True))

    scores = np.round(codes(data.queries) @ codes(data.documents.texts).T, 6)
    check(outcome, data, scores)


class Words:
    """A model with one vector a word."""

    device = "cpu"

    def encode_multi(self, texts: Any, role: str | None = None) -> list[NDArray[np.float32]]:
        return [np.stack([text_vector(word, 4) for word in text.split()]) for text in texts]


@pytest.mark.parametrize("shard", [2048, 11])
def test_several_vectors_rank_by_maxsim(monkeypatch: pytest.MonkeyPatch, shard: int) -> None:
    monkeypatch.setattr(maxsim, "SHARD_DOCUMENTS", shard)
    data = made_data()
    (outcome,) = PROTOCOL.run(TASK, data, Words())
    queries, documents = (Words().encode_multi(t) for t in (data.queries, data.documents.texts))
    scores = [[(q @ d.T).max(axis=1).sum() for d in documents] for q in queries]
    check(outcome, data, np.round(np.array(scores), 4).astype(np.float64))


@pytest.mark.parametrize("fusion", ["rrf", "minmax"])
def test_a_hybrid_ranks_by_the_fused_scores(fusion: str) -> None:
    data, n = made_data(), 60
    codes = EncodingEngine(load=lambda: TextModel(dim=9), finish=Finish(quantize="binary"))
    parts = [Words(), codes]
    hybrid = HybridEngine(parts, weights=[0.7, 0.3], fusion=fusion, depth=25)
    (outcome,) = PROTOCOL.run(TASK, data, hybrid)
    ties = ir.tie_ranks(data.documents.ids)
    scores = np.full((len(data.queries), n), np.nan)
    for part, weight in zip(parts, [0.7, 0.3], strict=True):
        found = find(data.queries, data.documents, part, "cosine", 25, ties)
        for row, (docs, values) in enumerate(zip(found.indices, found.scores, strict=True)):
            spread = (values - values.min()) / (values.max() - values.min())
            worth = 1 / (61 + np.arange(25)) if fusion == "rrf" else spread.astype(np.float64)
            scores[row, docs] = np.nan_to_num(scores[row, docs]) + weight * worth
    check(outcome, data, scores)
