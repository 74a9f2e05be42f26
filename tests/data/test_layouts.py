"""Items and the digest of their content."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.data.layouts import Documents, Pairs, Retrieval, content_ids, hash_fields
from evalsuite.errors import DataError

TEXTS = st.text(max_size=8)


def pairs(*rows: tuple[str, str, str, float]) -> Pairs:
    ids, first, second, gold = zip(*rows, strict=True)
    return Pairs(ids, first, second, np.array(gold))


def retrieval(
    corpus: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
) -> Retrieval:
    documents = Documents(list(corpus), list(corpus.values()))
    return Retrieval(documents, list(queries), list(queries.values()), qrels)


BASE = (("a", "x", "y", 1.0), ("b", "z", "w", 2.0))
CORPUS, QUERIES, QRELS = {"d1": "x", "d2": "y"}, {"q1": "a", "q2": "b"}, {"q1": {"d1": 1}}


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_no_two_lists_of_fields_share_a_hash(one: list[str], other: list[str]) -> None:
    assert (hash_fields(*one) == hash_fields(*other)) == (one == other)


def test_the_digest_of_pairs_sees_content_not_order() -> None:
    base = pairs(*BASE).digest()
    assert pairs(*BASE[::-1]).digest() == base
    changed = [
        (("c", "x", "y", 1.0), BASE[1]),
        (("a", "x.", "y", 1.0), BASE[1]),
        (("a", "x", "y.", 1.0), BASE[1]),
        (("a", "y", "x", 1.0), BASE[1]),
        (("a", "x", "y", 1.0000001), BASE[1]),
        (BASE[0],),
    ]
    assert len({base, *(pairs(*rows).digest() for rows in changed)}) == 7


def test_the_digest_of_retrieval_sees_content_not_order() -> None:
    base = retrieval(CORPUS, QUERIES, QRELS).digest()
    flipped = retrieval(
        dict(reversed(CORPUS.items())), dict(reversed(QUERIES.items())), QRELS
    ).digest()
    assert flipped == base
    changed = [
        retrieval({**CORPUS, "d2": "z"}, QUERIES, QRELS),
        retrieval({"d1": "x", "d3": "y"}, QUERIES, QRELS),
        retrieval(CORPUS, {**QUERIES, "q1": "c"}, QRELS),
        retrieval(CORPUS, QUERIES, {"q1": {"d1": 2}}),
        retrieval(CORPUS, QUERIES, {"q1": {"d2": 1}}),
        retrieval(CORPUS, QUERIES, {"q1": {"d1": 1, "d2": 0}}),
    ]
    assert len({base, *(data.digest() for data in changed)}) == 7


def test_ordered_sorts_by_id_and_keeps_rows_together() -> None:
    data = pairs(*BASE[::-1]).ordered()
    assert (data.ids, data.first, data.second) == (["a", "b"], ["x", "z"], ["y", "w"])
    assert data.gold.tolist() == [1.0, 2.0]
    queries = retrieval(CORPUS, dict(reversed(QUERIES.items())), QRELS).ordered()
    assert (queries.query_ids, queries.queries) == (["q1", "q2"], ["a", "b"])


def test_limits_choose_the_same_items_in_any_order_and_nest() -> None:
    rows = [(f"i{n}", f"x{n}", f"y{n}", float(n)) for n in range(30)]
    kept = set(pairs(*rows).limited(10).ids)
    assert len(kept) == 10
    assert set(pairs(*rows[::-1]).limited(10).ids) == kept
    assert set(pairs(*rows).limited(5).ids) < kept
    assert kept != {f"i{n}" for n in range(10)}
    limited = pairs(*rows).limited(10)
    assert [f"x{gold:.0f}" for gold in limited.gold] == limited.first
    assert limited.digest() != pairs(*rows).digest()


def test_limited_retrieval_keeps_the_corpus_and_judged_queries_only() -> None:
    qrels = {"q1": {"d1": 1}, "q3": {"d2": 1}}
    data = retrieval(CORPUS, {**QUERIES, "q3": "c"}, qrels).limited(1)
    assert data.counts() == {
        "documents": 2, "queries": 1, "judged_queries": 1, "judgements": 1,
    }  # fmt: skip
    assert list(data.qrels) == list(data.query_ids)


def test_ids_from_content_do_not_depend_on_order() -> None:
    rows = [("a", "b"), ("c", "d"), ("a", "b")]
    ids = content_ids(rows)
    assert len(set(ids)) == 3
    assert sorted(content_ids(rows[::-1])) == sorted(ids)
    assert content_ids([("a", "b")]) != content_ids([("a", "c")])


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="Duplicate pair ids: 'a'"):
        pairs(BASE[0], BASE[0])
    with pytest.raises(DataError, match="not a finite number"):
        pairs(("a", "x", "y", float("nan")))
    with pytest.raises(DataError, match="Duplicate document ids"):
        Retrieval(Documents(["d", "d"], ["x", "y"]), ["q"], ["a"], {"q": {"d": 1}})
    with pytest.raises(DataError, match="Duplicate query ids"):
        Retrieval(Documents(["d"], ["x"]), ["q", "q"], ["a", "a"], {"q": {"d": 1}})
    with pytest.raises(DataError, match="No query has a judgement"):
        retrieval(CORPUS, QUERIES, {"other": {"d1": 1}})
    with pytest.raises(DataError, match="holds no documents"):
        retrieval({}, QUERIES, QRELS)


def test_shards_cover_the_corpus_in_order() -> None:
    documents = Documents([str(i) for i in range(7)], [f"t{i}" for i in range(7)])
    for size in range(1, 9):
        assert [t for shard in documents.shards(size) for t in shard] == documents.texts
