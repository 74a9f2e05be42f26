"""The quick suite's own data: sizes, spread of grades, valid judgements, no near-duplicates."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import registry

FOLDER = registry.data_folder("tasks") / "quick" / "data"
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "the a an of to in on at for and or but is are was were be been it its this that these "
        "those with by from as his her their he she they i you we my your our do does did not "
        "no has have had will would can could should may there what how which who when where if "
        "than then so into out up about",
    )
)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


PAIRS = rows(FOLDER / "sts.jsonl")
DOCUMENTS = rows(FOLDER / "retrieval" / "corpus.jsonl")
QUERIES = rows(FOLDER / "retrieval" / "queries.jsonl")
QRELS = [
    tuple(line.split("\t"))
    for line in (FOLDER / "retrieval" / "qrels" / "test.tsv").read_text("utf-8").splitlines()
]


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.lower())) - FUNCTION_WORDS


def overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / min(len(a), len(b))


def test_sizes() -> None:
    assert len(PAIRS) >= 300
    assert len(DOCUMENTS) >= 300
    assert len(QUERIES) >= 80


def test_no_two_texts_share_more_than_half_their_words() -> None:
    """But the sides of a pair that says on which words it turns."""
    texts = [(pair["id"], pair[side]) for pair in PAIRS for side in ("sentence1", "sentence2")]
    texts += [
        (document["_id"], f"{document['title']} {document['text']}") for document in DOCUMENTS
    ]
    texts += [(query["_id"], query["text"]) for query in QUERIES]
    turning = {pair["id"] for pair in PAIRS if "turns_on" in pair}
    sets = [(identifier, words(text)) for identifier, text in texts]
    assert all(found for _, found in sets)
    close = [
        (i, j, sorted(a & b))
        for (i, a), (j, b) in itertools.combinations(sets, 2)
        if overlap(a, b) > 0.5 and not (i == j and i in turning)
    ]
    assert not close


def test_pairs_are_whole() -> None:
    assert len({pair["id"] for pair in PAIRS}) == len(PAIRS)
    for pair in PAIRS:
        assert set(pair) <= {"id", "sentence1", "sentence2", "score", "turns_on"}
        assert pair["sentence1"] != pair["sentence2"]
        assert pair.get("turns_on", "-").strip()
    sides = [pair[side] for pair in PAIRS for side in ("sentence1", "sentence2")]
    assert len(set(sides)) == len(sides)


def test_grades_are_spread() -> None:
    scores = np.array([pair["score"] for pair in PAIRS])
    assert scores.min() >= 0
    assert scores.max() <= 5
    counts, _ = np.histogram(scores, bins=[0, 1, 2, 3, 4, 5.001])
    assert counts.min() >= 0.1 * len(scores)
    assert counts.max() <= 0.35 * len(scores)


def test_function_words_do_not_give_the_grade_away() -> None:
    """As in SemEval's pairs, the frame of a sentence says next to nothing about the grade."""
    from scipy.stats import spearmanr

    shared = []
    for pair in PAIRS:
        a, b = (
            Counter(w for w in re.findall(r"[a-z']+", pair[side].lower()) if w in FUNCTION_WORDS)
            for side in ("sentence1", "sentence2")
        )
        shared.append(2 * (a & b).total() / max(1, a.total() + b.total()))
    assert abs(spearmanr(shared, [pair["score"] for pair in PAIRS]).statistic) < 0.2


def test_documents_and_queries_are_whole() -> None:
    for table in (DOCUMENTS, QUERIES):
        assert len({row["_id"] for row in table}) == len(table)
        assert len({row["text"] for row in table}) == len(table)
        assert all(row["text"].strip() == row["text"] != "" for row in table)
    assert len({document["title"] for document in DOCUMENTS}) == len(DOCUMENTS)


def test_judgements_are_valid() -> None:
    documents = {document["_id"] for document in DOCUMENTS}
    assert QRELS[0] == ("query-id", "corpus-id", "score")
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for query, document, grade in QRELS[1:]:
        assert document in documents
        assert document not in grades[query], "judged twice"
        grades[query][document] = int(grade)
    assert set(grades) == {query["_id"] for query in QUERIES}
    for judged in grades.values():
        assert set(judged.values()) <= {1, 2}
        assert 2 in judged.values()


@pytest.mark.parametrize("name", ["QuickSTS", "QuickRetrieval"])
def test_data_are_free(name: str) -> None:
    task = registry.get_task(name)
    assert task.licence == "CC0-1.0"
    assert task.redistributable
