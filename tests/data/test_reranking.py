"""Lists to rerank: readers, digests, and what is wrong with data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import data
from evalsuite.data import Documents, Reranking, reranking
from evalsuite.data.local import read_beir
from evalsuite.data.reranking import from_retrieval, lists_of_texts, make_reranking
from evalsuite.errors import DataError, UsageError
from evalsuite.task import Task, task_from_table
from tests.support import CORPUS, QRELS, QUERIES, beir_folder, write_lines

ROWS: Any = [
    {"query": "one", "positive": ["a", "b"], "negative": ["c"]},
    {"query": "two", "positive": ["c"], "negative": ["a", "d", "d"]},
    {"query": "three", "positive": [], "negative": ["a"]},
    {"query": "one", "positive": ["a", "b"], "negative": ["c"]},
]
LISTS = {"q1": ["d1", "d2", "d6"], "q2": ["d4", "d5"], "q3": ["d1"]}


def as_lists(found: Reranking) -> dict[str, list[str]]:
    """Return query id to candidates' ids."""
    parts = np.split(found.candidates.docs, found.candidates.indptr[1:-1])
    return {
        query: [found.documents.ids[i] for i in docs]
        for query, docs in zip(found.query_ids, parts, strict=True)
    }


def make_task(folder: Path, **local: Any) -> Task:
    table = {
        "name": "T",
        "version": 1,
        "protocol": "reranking",
        "main_measure": "map@1000",
        "title": "x",
        "data": {"local": {"folder": ".", **local}},
    }
    return task_from_table(table, where="here", folder=folder)


def test_rows_of_texts(tmp_path: Path) -> None:
    write_lines(tmp_path / "lists.jsonl", ROWS)
    task = make_task(tmp_path, format="jsonl", file="lists.jsonl")
    loaded = data.load(task, "reranking")
    found = loaded.data
    assert isinstance(found, Reranking)
    assert found.counts() == {
        "documents": 10,
        "queries": 4,
        "judged_queries": 3,
        "candidates": 10,
        "relevant": 5,
    }
    assert sorted(found.queries) == ["one", "one", "three", "two"]
    assert list(found.query_ids) == sorted(found.query_ids)
    for docs in as_lists(found).values():
        # negatives have the greater ids: they come first among equal scores
        assert docs == sorted(docs)


def test_other_names_of_keys(tmp_path: Path) -> None:
    renamed = [{"q": r["query"], "good": r["positive"], "bad": r["negative"]} for r in ROWS]
    write_lines(tmp_path / "lists.jsonl", renamed)
    columns = {"query": "q", "positive": "good", "negative": "bad"}
    options = {"file": "lists.jsonl", "columns": columns}
    found = reranking.read_jsonl(tmp_path, options, "test")
    assert found.digest() == lists_of_texts(ROWS, {}, "here").digest()


def test_the_digest_is_free_of_order_and_sees_content() -> None:
    whole = lists_of_texts(ROWS, {}, "here")
    assert lists_of_texts(ROWS[::-1], {}, "here").digest() == whole.digest()
    assert whole.ordered().digest() == whole.digest()
    seen = {whole.digest()}
    for change in (
        {"query": "other"},
        {"positive": ["a", "x"]},
        {"positive": ["a"]},
        {"negative": ["c", "c"]},
    ):
        seen.add(lists_of_texts([ROWS[0] | change, *ROWS[1:]], {}, "here").digest())
    assert len(seen) == 5


def test_a_folder_with_a_run(tmp_path: Path) -> None:
    beir_folder(tmp_path)
    lines = [f"{q} Q0 {d} 1 {-n} t\n" for q, docs in LISTS.items() for n, d in enumerate(docs)]
    (tmp_path / "bm25.trec").write_text("".join(lines))
    found = data.load(make_task(tmp_path, format="beir", run="bm25.trec"), "reranking").data
    assert isinstance(found, Reranking)
    assert as_lists(found) == LISTS
    assert found.counts()["relevant"] == 4
    two = make_task(tmp_path, format="beir", run="bm25.trec", top=2)
    found = data.load(two, "reranking").data
    assert isinstance(found, Reranking)
    assert as_lists(found) == LISTS | {"q1": ["d1", "d2"]}
    with pytest.raises(UsageError, match="`top` is a number of documents"):
        data.load(make_task(tmp_path, format="beir", run="bm25.trec", top=0), "reranking")


def test_candidates_count_once_and_limits_cut_queries(tmp_path: Path) -> None:
    beir = read_beir(beir_folder(tmp_path), {})
    whole = from_retrieval(beir, LISTS, "here")
    twice = from_retrieval(beir, {q: [*docs, *docs] for q, docs in LISTS.items()}, "here")
    assert twice.digest() == whole.digest()
    some = whole.limited(2)
    assert len(some.query_ids) == 2
    assert as_lists(some) == {query: LISTS[query] for query in some.query_ids}
    assert some.digest() != whole.digest()
    with pytest.raises(DataError, match="'d9', which is not in the corpus"):
        from_retrieval(beir, {"q1": ["d9"]}, "here")
    with pytest.raises(DataError, match="No query has a candidate"):
        from_retrieval(beir, {}, "here")


def hub_folder(folder: Path, *, top_ranked: bool = True, unknown: bool = False) -> Path:
    """Write a data set as mteb's on the hub are: one configuration a part."""
    lists = LISTS | ({"q1": ["d1", "nowhere"]} if unknown else {}) | {"other": ["d1"]}
    parts: dict[str, list[Any]] = {
        "corpus": [{"_id": i, "title": "", "text": text} for i, text in CORPUS.items()],
        "queries": [{"_id": i, "text": t} for i, t in [*QUERIES.items(), ("other", "?")]],
        "qrels": [
            {"query-id": q, "corpus-id": d, "score": grade}
            for q, grades in QRELS.items()
            for d, grade in grades.items()
        ],
    }
    if top_ranked:
        parts["top_ranked"] = [{"query-id": q, "corpus-ids": d} for q, d in lists.items()]
    for name, rows in parts.items():
        write_lines(folder / name / "test.jsonl", rows)
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/test.jsonl\n"
        for name in parts
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder


def test_the_last_judgement_of_a_document_counts() -> None:
    documents = Documents(["d0", "d1"], ["a", "b"])
    rows, docs = np.array([0, 0, 0, 0, 0]), np.array([1, 2, 1, 2, 0])
    judged = rows, docs, np.array([2, 1, 0, 1, 1], dtype=np.int32)
    found = make_reranking(documents, ["q"], ["?"], (rows[:2], docs[[0, 4]]), judged)
    assert found.judgements.docs.tolist() == [0, 1, 2, 2]  # 2 is any document elsewhere
    assert found.judgements.grades.tolist() == [1, 0, 1, 1]


def test_the_hubs_current_format(tmp_path: Path) -> None:
    from evalsuite.data import hub

    folder = hub_folder(tmp_path / "hub")
    found = hub.read_reranking(folder, {"path": "some/set"}, "test")
    local = from_retrieval(read_beir(beir_folder(tmp_path), {}), LISTS, "here")
    assert as_lists(found) == LISTS
    assert found.digest() == local.digest()
    assert json.dumps(found.counts()) == json.dumps(local.counts())
