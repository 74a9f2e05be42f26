"""Ranked-retrieval measures against pytrec_eval, query by query, and against hand calculation."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import pytrec_eval
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsuite.engines.search import TopK
from evalsuite.measures.ir import DEFAULT_KS, Judgements, evaluate, tie_ranks

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]

CUTOFFS = ",".join(map(str, DEFAULT_KS))
TREC_NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}
TREC_MEASURES = {f"{name}.{CUTOFFS}" for name in TREC_NAMES.values()} | {"recip_rank"}

QUERY_IDS = ("q1", "q2", "q3")
# Includes U+FFFF and U+10000, which UTF-16 would order the other way round.
DOC_IDS = st.text("aAz1 ~é\u0301ß中\uffff\U00010000", min_size=1, max_size=3)
# 0.1 and 1.0 each come with another float64 that is the same float32; 0.0 equals -0.0.
SCORES = st.sampled_from([-2.5, -0.0, 0.0, 0.1, 0.1 + 1e-10, 1.0, 1.0 - 1e-9, 7.0])
GRADES = st.integers(-3, 4)


def trec_eval(qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    """Computes every "measure@k" of every query with pytrec_eval, 0 where it leaves one out."""
    # trec_eval crashes where every grade is below -1; a document judged 0 changes no measure.
    judged = {
        query: row if max(row.values(), default=0) >= 0 else row | {"\x01": 0}
        for query, row in qrels.items()
    }
    results = pytrec_eval.RelevanceEvaluator(judged, TREC_MEASURES).evaluate(run)
    values: dict[str, dict[str, float]] = {}
    for query in QUERY_IDS:
        result = results.get(query, {})
        values[query] = {
            f"{ours}@{k}": result.get(f"{trecs}_{k}", 0.0)
            for ours, trecs in TREC_NAMES.items()
            for k in DEFAULT_KS
        }
        reciprocal = result.get("recip_rank", 0.0)
        values[query] |= {f"mrr@{k}": reciprocal * (reciprocal >= 1 / k) for k in DEFAULT_KS}
    return values


def ranked(scores: NDArray[np.float64], tie_rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranks documents as a search does; -inf marks one that was not found."""
    best = TopK(len(scores), scores.shape[1], tie_rank)
    found = ~np.isneginf(scores)
    documents = np.nonzero(found)[1]
    best.merge(0, found.sum(axis=1), documents, scores[found].astype(np.float32))
    return best.indices


def rank(run: Run, doc_ids: Sequence[str]) -> NDArray[np.int64]:
    """Ranks the run's documents, -1 after the last."""
    scores = np.array(
        [[run.get(query, {}).get(doc, -np.inf) for doc in doc_ids] for query in QUERY_IDS]
    )
    return ranked(scores, tie_ranks(doc_ids))


def assert_equals_trec_eval(doc_ids: Sequence[str], qrels: Qrels, run: Run) -> None:
    """Asserts that every measure of every query equals pytrec_eval's."""
    index = {doc: i for i, doc in enumerate(doc_ids)}
    ours = evaluate(rank(run, doc_ids), Judgements.from_qrels(QUERY_IDS, index, qrels))
    for i, (query, expected) in enumerate(trec_eval(qrels, run).items()):
        actual = {name: values[i] for name, values in ours.items()}
        assert actual == pytest.approx(expected, rel=0, abs=1e-12), query


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[list[str], Qrels, Run]:
    """Draws a corpus, qrels that also name documents outside it, and a run."""
    known = draw(st.lists(DOC_IDS, unique=True, min_size=1, max_size=14))
    corpus = known[draw(st.integers(0, len(known) - 1)) // 2 :]
    judged = st.dictionaries(st.sampled_from(known), GRADES)
    retrieved = st.dictionaries(st.sampled_from(corpus), SCORES)
    queries = st.sampled_from(QUERY_IDS)
    qrels = draw(st.dictionaries(queries, judged, min_size=1))
    return corpus, qrels, draw(st.dictionaries(queries, retrieved))


@settings(derandomize=True, deadline=None, max_examples=400)
@given(small_cases())
@example((["a", "b"], {"q1": {"a": 2, "b": -1}}, {"q1": {"a": 0.1, "b": 0.1 + 1e-10}}))
@example((["a"], {"q1": {"a": 0}, "q2": {"a": -3}}, {"q1": {"a": 1.0}, "q2": {"a": 1.0}}))
@example((["a"], {"q1": {"a": 1}, "q2": {"z": 1}}, {"q1": {}, "q2": {"a": 1.0}}))
def test_small_runs_equal_trec_eval(case: tuple[list[str], Qrels, Run]) -> None:
    """Ties, empty results, negative grades, unknown documents, non-ASCII ids."""
    assert_equals_trec_eval(*case)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1))
def test_deep_runs_equal_trec_eval(seed: int) -> None:
    """Rankings and ideal rankings that reach past the larger cutoffs."""
    rng = np.random.default_rng(seed)
    doc_ids = [f"d{i}" for i in range(1500)]
    corpus = doc_ids[:1400]
    qrels: Qrels = {}
    run: Run = {}
    for query in QUERY_IDS:
        judged = rng.choice(doc_ids, rng.integers(1, 1500), replace=False).tolist()
        retrieved = rng.choice(corpus, rng.integers(1, 1400), replace=False).tolist()
        qrels[query] = {doc: int(rng.integers(-2, 5)) for doc in judged}
        run[query] = {doc: float(rng.integers(9)) for doc in retrieved}
    assert_equals_trec_eval(corpus, qrels, run)


@settings(derandomize=True, deadline=None)
@given(st.lists(DOC_IDS, unique=True))
def test_tie_ranks_order_ids_by_bytes(doc_ids: list[str]) -> None:
    """Equal scores rank the greatest UTF-8 id first."""
    by_rank = [doc_ids[i] for i in np.argsort(tie_ranks(doc_ids))]
    assert by_rank == sorted(doc_ids, key=str.encode, reverse=True)


def scores_of(
    ranking: Sequence[int], qrels: Mapping[str, int], ks: Sequence[int]
) -> dict[str, float]:
    """Evaluates one query over the documents a, b, c and d."""
    doc_index = {"a": 0, "b": 1, "c": 2, "d": 3}
    judgements = Judgements.from_qrels(["q"], doc_index, {"q": qrels})
    values = evaluate(np.array([ranking], np.int64), judgements, ks)
    return {name: float(value.item()) for name, value in values.items()}


def test_measures_by_hand() -> None:
    """Relevant at ranks 2 and 3 of 3 retrieved, three relevant documents judged."""
    actual = scores_of([1, 0, 2], {"a": 2, "b": 0, "c": 1, "d": 3}, ks=(1, 2, 5))
    log3 = np.log2(3)
    assert actual == pytest.approx(
        {
            "ndcg@1": 0.0,
            "ndcg@2": (2 / log3) / (3 + 2 / log3),
            "ndcg@5": (2 / log3 + 1 / 2) / (3 + 2 / log3 + 1 / 2),
            "map@1": 0.0,
            "map@2": (1 / 2) / 3,
            "map@5": (1 / 2 + 2 / 3) / 3,
            "recall@1": 0.0,
            "recall@2": 1 / 3,
            "recall@5": 2 / 3,
            "precision@1": 0.0,
            "precision@2": 1 / 2,
            "precision@5": 2 / 5,
            "mrr@1": 0.0,
            "mrr@2": 1 / 2,
            "mrr@5": 1 / 2,
        },
        abs=1e-15,
    )


def test_negative_grade_counts_as_zero() -> None:
    """A negative grade neither costs gain where retrieved nor enters the ideal ranking."""
    negative = scores_of([0, 1], {"a": -2, "b": 1}, ks=(2,))
    assert negative == scores_of([0, 1], {"a": 0, "b": 1}, ks=(2,))
    assert negative["ndcg@2"] == pytest.approx(1 / np.log2(3))


def test_unretrievable_document_counts_as_relevant() -> None:
    """A relevant document outside the corpus lowers recall and ndcg."""
    actual = scores_of([0], {"a": 1, "nowhere": 1}, ks=(2,))
    assert actual["recall@2"] == actual["map@2"] == 1 / 2
    assert actual["ndcg@2"] == pytest.approx(1 / (1 + 1 / np.log2(3)))


@pytest.mark.parametrize("ranking", [[], [-1, -1]])
def test_nothing_retrieved_scores_zero(ranking: list[int]) -> None:
    """An empty ranking scores 0 on every measure."""
    assert set(scores_of(ranking, {"a": 1}, DEFAULT_KS).values()) == {0.0}


@pytest.mark.parametrize("qrels", [{}, {"a": 0}, {"a": -1}])
def test_nothing_relevant_scores_zero(qrels: dict[str, int]) -> None:
    """A query without relevant documents scores 0 on every measure."""
    assert set(scores_of([0, 1], qrels, DEFAULT_KS).values()) == {0.0}


def test_lookup() -> None:
    """Grades come back as judged, 0 where unjudged or nothing was retrieved."""
    qrels = {"q1": {"a": 3, "gone": 5}, "q2": {"b": -1}}
    judgements = Judgements.from_qrels(["q1", "q2", "q3"], {"a": 0, "b": 1}, qrels)
    ranking = np.array([[-1, 1, 0], [-1, 1, 0], [-1, 1, 0]])
    assert judgements.lookup(ranking).tolist() == [[0, 0, 3], [0, -1, 0], [0, 0, 0]]
    assert judgements.lookup(ranking).dtype == np.int32


def test_lookup_refuses_other_queries() -> None:
    """A ranking of another number of queries is an error, not a broadcast."""
    with pytest.raises(ValueError, match="1 rows for 2"):
        Judgements.from_qrels(["q1", "q2"], {"a": 0}, {}).lookup(np.array([[0]]))


def test_cutoffs_start_at_one() -> None:
    """A cutoff of 0 is an error."""
    with pytest.raises(ValueError, match="at least 1"):
        scores_of([0], {"a": 1}, ks=(0, 1))


def test_rankings_compare_float32() -> None:
    """Scores that differ only in float64 tie; ties go to the lower tie rank."""
    scores = np.array([[1.0 - 1e-9, 1.0, 2.0], [0.0, -0.0, -1.0]])
    assert ranked(scores, np.array([0, 1, 2])).tolist() == [[2, 0, 1], [0, 1, 2]]
    assert ranked(scores, np.array([1, 0, 2])).tolist() == [[2, 1, 0], [1, 0, 2]]
