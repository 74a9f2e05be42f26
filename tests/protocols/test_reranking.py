"""The reranking protocol: against mteb's own evaluation from the same vectors and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures
from evalsuite.data import Documents, Reranking, Retrieval
from evalsuite.data.local import read_beir
from evalsuite.data.reranking import from_retrieval, lists_of_texts
from evalsuite.engines import rerank
from evalsuite.engines.encode import EncodingEngine
from evalsuite.engines.score import ScoringEngine
from evalsuite.errors import DataError, UsageError
from evalsuite.models.lexical import Bm25
from evalsuite.protocols import reranking as module
from evalsuite.protocols import retrieval
from evalsuite.protocols.reranking import PROTOCOL
from evalsuite.result import Outcome
from evalsuite.task import Task, task_from_table
from tests.support import DATA, text_vector

RAISE = "The same vectors score differently: raise the protocol version."
KS = (1, 3, 5, 10, 20, 100, 1000)
TREC = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}


def make_task(**changes: Any) -> Task:
    table = {
        "name": "T",
        "version": 1,
        "protocol": "reranking",
        "main_measure": "map@1000",
        "title": "x",
        **changes,
    }
    return task_from_table(table, where="here")


class Signs:
    """Vectors of 64 signs: their cosines are exact in any order of sums, so that many tie."""

    name = "signs"

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        return np.stack([np.sign(text_vector(text, 64)) for text in texts])


class PairModel:
    """Scores that depend on the pair alone; a tenth apart, so that many tie."""

    name = "pair-model"

    def score_pairs(self, queries: list[str], documents: list[str]) -> NDArray[np.float32]:
        pairs = zip(queries, documents, strict=True)
        values = [float(text_vector(f"{q}|{d}", 1)[0]) for q, d in pairs]
        return np.round(values, 1).astype(np.float32)


USERS = "max_over_subqueries_"


def run(data: Reranking, model: Any = None, *, users: bool = False, **params: Any) -> Outcome:
    task = make_task(params=params, main_measure=f"{USERS if users else ''}map@1000")
    PROTOCOL.check(task)
    (outcome,) = PROTOCOL.run(task, data, model or EncodingEngine(load=Signs))
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(measure.aggregate(outcome.items.sample(measure).columns, None))


def made_up(queries: int = 30, documents: int = 50, seed: int = 0) -> Reranking:
    """Return lists with ties (equal texts), grades from -1 to 2, judged texts nobody has to rank,
    queries without candidates, without positives and without judgements.
    """
    rng = np.random.default_rng(seed)
    ids = [f"d{n}" for n in range(documents)]
    query_ids = [f"u{n // 3}_{n}" for n in range(queries)]
    corpus = Documents(ids, [f"text {n % 41}" for n in range(documents)])
    lists = {
        query: [ids[i] for i in rng.choice(documents, rng.integers(2, 20), replace=False)]
        for query in query_ids[1:]
    }
    qrels = {
        query: {ids[i]: int(rng.integers(-1, 3)) for i in rng.choice(documents, 9, replace=False)}
        for query in query_ids[:-1]
    }
    qrels[query_ids[4]] = dict.fromkeys(qrels[query_ids[4]], 0)
    qrels[query_ids[5]]["gone"] = 1
    data = Retrieval(corpus, query_ids, [f"query {n % 23}" for n in range(queries)], qrels)
    return from_retrieval(data, lists, "here")


def grouped() -> Reranking:
    """Return ten users with three queries each, judged alike."""
    data = made_up()
    asked, some = data.query_ids, data.documents.ids
    qrels = {
        query: {some[(n // 3 * 7 + k) % 50]: k % 2 for k in range(8)}
        for n, query in enumerate(asked)
    }
    lists = {
        query: [some[(n // 3 * 5 + 3 * k) % 50] for k in range(12 + n % 3)]
        for n, query in enumerate(asked)
    }
    return from_retrieval(Retrieval(data.documents, asked, data.queries, qrels), lists, "here")


def mteb_task(data: Reranking, name: str = "AskUbuntuDupQuestions") -> Any:
    """Return mteb's task with these items in it."""
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset

    task = mteb.get_task(name)
    ids = [*data.documents.ids, "gone"]
    judged = np.split(np.arange(len(data.judgements.docs)), data.judgements.indptr[1:-1])
    lists = np.split(data.candidates.docs, data.candidates.indptr[1:-1])
    relevant = {
        query: {ids[data.judgements.docs[e]]: int(data.judgements.grades[e]) for e in entries}
        for query, entries in zip(data.query_ids, judged, strict=True)
    }
    parts = {
        "corpus": Dataset.from_dict({"id": ids[:-1], "text": data.documents.texts[:]}),
        "queries": Dataset.from_dict({"id": list(data.query_ids), "text": list(data.queries)}),
        "relevant_docs": relevant,
        "top_ranked": {
            query: [ids[d] for d in docs]
            for query, docs in zip(data.query_ids, lists, strict=True)
            if len(docs)
        },
    }
    task.dataset, task.data_loaded = {"default": {"test": parts}}, True
    return task


def mteb_encoder(model: Any) -> Any:
    """Return a model of ours as one of mteb's encoders."""
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta

    class Encoder(AbsEncoder):
        def __init__(self) -> None:
            self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "test/own"})

        def encode(self, inputs: Any, **options: Any) -> Any:
            return model.encode([text for batch in inputs for text in batch["text"]])

    return Encoder()


def mteb_cross_encoder(model: Any) -> Any:
    """Return a model of ours as one of mteb's cross-encoders."""
    from mteb.models.model_meta import ModelMeta

    class CrossEncoder:
        mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "test/own"})

        def predict(self, inputs1: Any, inputs2: Any, **options: Any) -> Any:
            sides = ([t for batch in side for t in batch["text"]] for side in (inputs1, inputs2))
            return model.score_pairs(*sides)

    return CrossEncoder()


def mteb_scores(
    task: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[Mapping[str, float], Mapping[str, Mapping[str, float]]]:
    """Return mteb's scores, which it rounds, and those of each query, which it does not."""
    from mteb._evaluators import retrieval_metrics

    seen: list[Mapping[str, Any]] = []
    theirs = retrieval_metrics.parse_metrics_from_scores

    def parse(scores: Any, ks: Any) -> Any:
        seen.append(scores)
        return theirs(scores, ks)

    monkeypatch.setattr(retrieval_metrics, "parse_metrics_from_scores", parse)
    found = task.evaluate(model, "test", encode_kwargs={"show_progress_bar": False})
    return found["default"], seen[-1]


def check_against_mteb(outcome: Outcome, scores: Any, queries: Any, prefix: str = "") -> None:
    """Every measure of every query, and mteb's own means as it rounds them."""
    kept = outcome.items.status == "ok"
    ids = np.asarray(outcome.items.ids, dtype=object)[kept]
    assert set(ids) == set(queries)
    for name, trec in TREC.items():
        for k in KS:
            ours = outcome.items.columns[f"{prefix}{name}@{k}"][kept]
            theirs = np.array([queries[query][f"{trec}_{k}"] for query in ids])
            assert np.abs(ours - theirs).max() < 1e-6, (name, k)
            assert scores[f"{prefix}{name}_at_{k}"] == pytest.approx(ours.mean(), abs=6e-6)
    for k in KS:
        ours = outcome.items.columns[f"{prefix}mrr@{k}"][kept].mean()
        assert scores[f"{prefix}mrr_at_{k}"] == pytest.approx(ours, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_vectors_score_as_in_mteb(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_up(seed=seed)
    scores, queries = mteb_scores(mteb_task(data), mteb_encoder(Signs()), monkeypatch)
    check_against_mteb(run(data), scores, queries)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_score_as_in_mteb_ties_and_all(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = made_up(seed=seed), PairModel()
    scores, queries = mteb_scores(mteb_task(data), mteb_cross_encoder(model), monkeypatch)
    check_against_mteb(run(data, ScoringEngine(load=lambda: model)), scores, queries)


def test_users_score_as_in_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = grouped(), PairModel()
    task = mteb_task(data, "MindSmallReranking")
    scores, queries = mteb_scores(task, mteb_cross_encoder(model), monkeypatch)
    outcome = run(data, ScoringEngine(load=lambda: model), users=True)
    assert len(outcome.items.ids) == 10
    check_against_mteb(outcome, scores, queries, prefix=USERS)


@pytest.mark.parametrize("name", ["scifact", "nfcorpus"])
def test_real_lists_score_as_in_mteb(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the data of {name}")
    pytest.importorskip("bm25s")
    data: Any = read_beir(folder, {}).ordered().limited(60)
    task = make_task(protocol="retrieval", main_measure="ndcg@10")
    (first,) = retrieval.PROTOCOL.run(task, data, Bm25())
    assert first.ranking is not None
    ends = np.cumsum(first.ranking.counts)
    lists = {
        query: [data.documents.ids[d] for d in first.ranking.docs[end - n : end][:100]]
        for query, end, n in zip(data.query_ids, ends, first.ranking.counts, strict=True)
    }
    listed = from_retrieval(data, lists, "here")
    for model, theirs in (
        (EncodingEngine(load=Signs), mteb_encoder(Signs())),
        (ScoringEngine(load=PairModel), mteb_cross_encoder(PairModel())),
    ):
        scores, queries = mteb_scores(mteb_task(listed), theirs, monkeypatch)
        check_against_mteb(run(listed, model), scores, queries)


ROWS: Any = [
    {
        "query": f"query {n % 7}",
        "positive": [f"text {(n * k) % 19}" for k in range(1, 1 + n % 4)],
        "negative": [f"text {(n + 3 * k) % 19}" for k in range(1, 1 + (n * 5) % 11)],
    }
    for n in range(40)
]


def test_rows_of_positives_and_negatives_score_as_in_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mteb")
    import mteb.abstasks.text.reranking as theirs
    from datasets import Dataset, DatasetDict

    name = "AskUbuntuDupQuestions"
    monkeypatch.setattr(theirs, "OLD_FORMAT_RERANKING_TASKS", [name])
    task = mteb_task(made_up())
    old: Any = type("Old", (theirs.AbsTaskReranking,), {"metadata": task.metadata})()
    old.transform_old_dataset_format(DatasetDict({"test": Dataset.from_list(ROWS)}))
    scores, _ = mteb_scores(old, mteb_cross_encoder(PairModel()), monkeypatch)
    data = lists_of_texts(ROWS, {}, "here")
    outcome = run(data.ordered(), ScoringEngine(load=PairModel))
    both = sum(bool(row["positive"] and row["negative"]) for row in ROWS)
    assert outcome.items.counts()["ok"] == both
    assert outcome.items.counts()["excluded"] == 40 - both > 0
    for k in KS:
        for measure in ("map", "ndcg", "recall", "precision", "mrr"):
            ours = scored(outcome, f"{measure}@{k}")
            assert scores[f"{measure}_at_{k}"] == pytest.approx(ours, abs=6e-6), (measure, k)


GOLDEN = {
    "map@1000": 0.047037808934360666,
    "map@10": 0.043659003831417624,
    "ndcg@10": 0.08421136801176131,
    "mrr@10": 0.12848932676518884,
    "recall@5": 0.08825944170771757,
}


class Fixed:
    """A model whose vectors follow a formula of the number a text ends with."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text.split()[1]) for text in texts])[:, None]
        k = np.arange(1, 7)[None, :]
        return np.asarray(np.sin(n * k) * (1 + n % 3), dtype=np.float32)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(made_up(), EncodingEngine(load=Fixed)), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-12), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


@pytest.mark.parametrize("grouping", [False, True])
def test_blocks_and_tables_move_nothing(grouping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = grouped()
    whole = run(data, users=grouping)
    monkeypatch.setattr(module, "_BLOCK_CANDIDATES", 7)
    monkeypatch.setattr(rerank, "_FEW_CELLS", 0)
    monkeypatch.setattr(rerank, "_CELLS_A_PAIR", 0)
    monkeypatch.setattr(rerank, "_BLOCK_CELLS", 50)
    small = run(data, users=grouping)
    for name, values in whole.items.columns.items():
        assert np.array_equal(values, small.items.columns[name], equal_nan=True), name
    assert whole.ranking is not None
    assert small.ranking is not None
    assert np.array_equal(whole.ranking.scores, small.ranking.scores)
    assert np.array_equal(whole.ranking.docs, small.ranking.docs)


def test_dot_products_and_a_querys_own_document() -> None:
    ids = [f"x{n}" for n in range(6)]
    qrels = {f"x{n}": {f"x{(n + 1) % 6}": 1} for n in range(6)}
    corpus = Documents(ids, [f"text {n}" for n in range(6)])
    lists = dict.fromkeys(ids, ids)
    data = from_retrieval(Retrieval(corpus, ids, corpus.texts, qrels), lists, "here")
    engine = EncodingEngine(load=Fixed)
    assert scored(run(data, engine), "precision@1") == 0.0  # each query finds itself first
    left = run(data, engine, ignore_identical_ids=True)
    assert left.ranking is not None
    assert left.ranking.counts.tolist() == [5] * 6
    assert scored(left, "recall@5") == 1.0
    dots = run(data, engine, similarity="dot").ranking
    vectors = Fixed().encode(list(corpus.texts)).astype(np.float64)
    assert dots is not None
    assert dots.scores[:6] == pytest.approx(np.sort(vectors @ vectors[0])[::-1], abs=1e-5)


def test_what_is_no_candidate_is_counted() -> None:
    outcome = run(made_up())
    assert outcome.items.counts() == {"items": 30, "ok": 29, "failed": 0, "excluded": 1}
    assert outcome.evidence == {
        "queries_without_candidates": 1,
        "judgements_of_documents_not_in_corpus": 1,
    }
    assert outcome.items.columns["map@1000"][0] == 0.0
    assert outcome.items.columns["map@1000"][4] == 0.0  # judged, nothing relevant


def test_bm25_ranks_candidates() -> None:
    pytest.importorskip("bm25s")
    data = lists_of_texts(
        [{"query": "guitar strings", "positive": ["a guitar has strings"], "negative": ["a dog"]}],
        {},
        "here",
    )
    assert scored(run(data, Bm25()), "map@10") == 1.0


def test_users_need_ids_and_equal_judgements() -> None:
    mixed = make_task(measures=[f"{USERS}map@10"])
    with pytest.raises(UsageError, match="means over users or over queries"):
        PROTOCOL.run(mixed, grouped(), EncodingEngine(load=Signs))
    with pytest.raises(DataError, match="judged differently"):
        run(made_up(), users=True)
    plain = lists_of_texts(ROWS, {}, "here")
    with pytest.raises(DataError, match="is not USER_NUMBER"):
        run(plain, users=True)
