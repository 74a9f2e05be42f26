"""The retrieval protocol: against trec_eval from end to end, and a golden run on fixed vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures
from evalsuite.data import Documents, Retrieval
from evalsuite.engines import find as module
from evalsuite.engines.encode import EncodingEngine, Role
from evalsuite.errors import UsageError
from evalsuite.protocols.retrieval import PROTOCOL
from evalsuite.result import Outcome
from evalsuite.task import Task, task_from_table

RAISE = "The same vectors score differently: raise the protocol version."


def make_task(**changes: Any) -> Task:
    table = {
        "name": "T",
        "version": 1,
        "protocol": "retrieval",
        "main_measure": "ndcg@10",
        "title": "x",
        **changes,
    }
    return task_from_table(table, where="here")


class Fixed:
    """A model whose vectors follow a formula of the number a text is."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 7)[None, :]
        return np.asarray(np.sin(n * k) * (1 + n % 3), dtype=np.float32)


def fixed_data() -> Retrieval:
    documents = Documents([f"d{n}" for n in range(40)], [str(n % 37) for n in range(40)])
    queries = [f"q{n}" for n in range(9)]
    qrels = {
        f"q{n}": {
            f"d{(11 * n + 5) % 40}": 1,
            f"d{(7 * n + 2) % 40}": 0,
            f"d{3 * n + 1}": 1,
            f"d{3 * n}": 1 + n % 2,
        }
        for n in range(8)
    }
    qrels["q3"]["gone"] = 2
    return Retrieval(documents, queries, [f"{3 * n + n % 4}.07" for n in range(9)], qrels)


def run(task: Task | None = None, data: Retrieval | None = None, model: Any = None) -> Outcome:
    engine = model or EncodingEngine(load=Fixed)
    (outcome,) = PROTOCOL.run(task or make_task(), data or fixed_data(), engine)
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(measure.aggregate(outcome.items.sample(measure).columns, None))


GOLDEN = {
    "ndcg@10": 0.18825783458741738,
    "map@10": 0.14583333333333331,
    "recall@10": 0.20833333333333331,
    "precision@10": 0.0625,
    "mrr@10": 0.375,
    "ndcg@3": 0.15386896355141605,
    "recall@100": 0.96875,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-12), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_equals_trec_eval_from_end_to_end(similarity: str) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    data = fixed_data()
    outcome = run(make_task(params={"similarity": similarity}))
    q = Fixed().encode(list(data.queries)).astype(np.float64)
    d = Fixed().encode(list(data.documents.texts)).astype(np.float64)
    if similarity == "cosine":
        q /= np.linalg.norm(q, axis=1, keepdims=True)
        d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-30)
    # rounded, so that documents of equal text tie as they do in float32
    scores = np.round(q @ d.T, 5)
    found = {
        query: dict(zip(data.documents.ids, row.tolist(), strict=True))
        for query, row in zip(data.query_ids, scores, strict=True)
    }
    names = {"ndcg_cut.10": "ndcg@10", "map_cut.10": "map@10", "recall.10": "recall@10"}
    theirs = pytrec_eval.RelevanceEvaluator(data.qrels, set(names)).evaluate(found)
    for trec, ours in names.items():
        column = dict(zip(data.query_ids, outcome.items.columns[ours], strict=True))
        for query, row in theirs.items():
            assert column[query] == pytest.approx(row[trec.replace(".", "_")], abs=1e-9), query


def test_the_shard_size_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run().items.columns
    for size in (1, 7, 39):
        monkeypatch.setattr(module, "SHARD_DOCUMENTS", size)
        for name, values in run().items.columns.items():
            assert values.tobytes() == whole[name].tobytes(), (size, name)


def test_queries_and_documents_are_encoded_in_their_roles() -> None:
    roles: dict[str | None, int] = {}

    class Spy(EncodingEngine):
        def encode(self, texts: Sequence[str], role: Role = None) -> NDArray[np.float32]:
            roles[role] = roles.get(role, 0) + len(texts)
            return super().encode(texts, role)

    run(model=Spy(load=Fixed))
    assert roles == {"query": 9, "document": 40}


def test_a_query_without_judgements_is_excluded_and_counted() -> None:
    outcome = run()
    assert outcome.items.counts() == {"items": 9, "ok": 8, "failed": 0, "excluded": 1}
    assert outcome.items.status[8] == "excluded"
    assert np.isnan(outcome.items.columns["ndcg@10"][8])
    assert outcome.evidence == {"judged_documents_not_in_corpus": 1}


def identical() -> Retrieval:
    """Return queries that are documents themselves, each with one relevant neighbour."""
    ids = [f"x{n}" for n in range(6)]
    qrels = {f"x{n}": {f"x{(n + 1) % 6}": 1} for n in range(6)}
    texts = [str(n) for n in range(6)]
    return Retrieval(Documents(ids, texts), ids, texts, qrels)


def test_a_querys_own_document_can_be_left_out() -> None:
    kept = run(make_task(), identical())
    dropped = run(make_task(params={"ignore_identical_ids": True}), identical())
    assert scored(kept, "precision@1") == 0.0  # each query finds itself first
    assert scored(dropped, "recall@5") == 1.0
    assert scored(dropped, "mrr@10") > scored(kept, "mrr@10")


def test_cutoffs_beside_the_usual_ones() -> None:
    outcome = run(make_task(main_measure="recall@7", measures=["ndcg@2000"]))
    recalls = [scored(outcome, f"recall@{k}") for k in (5, 7, 10)]
    assert recalls == sorted(recalls)
    assert scored(outcome, "ndcg@2000") == scored(outcome, "ndcg@100")  # 40 documents


def test_measures_and_parameters_are_checked_before_anything_runs() -> None:
    PROTOCOL.check(make_task(params={"similarity": "dot", "ignore_identical_ids": True}))
    for changes, message in (
        ({"main_measure": "cosine_spearman"}, "does not compute 'cosine_spearman'"),
        ({"params": {"similarity": "l2"}}, "'cosine', 'dot'"),
        ({"params": {"similarity": 1}}, "of type str"),
        ({"params": {"depth": 1}}, "no parameter `depth`"),
    ):
        with pytest.raises(UsageError, match=message):
            PROTOCOL.check(make_task(**changes))
