"""Examples in splits: content, order, and readers of local and hub files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evalsuite.data import hub
from evalsuite.data.examples import READERS, Examples, Split, make_examples
from evalsuite.errors import DataError, UsageError
from tests.support import write_lines

TRAIN: Sequence[tuple[Any, ...]] = (("a", "x"), ("b", "y"), ("c", "x"))
DEV: Sequence[tuple[Any, ...]] = (("f", "x"), ("g", "y"))
TEST: Sequence[tuple[Any, ...]] = (("d", "x"), ("e", "y"), ("d", "x"))


def rows(data: Examples, split: Split | None) -> list[tuple[Any, ...]]:
    assert split is not None
    found = zip(split.texts, split.labels, strict=True)
    return [(*texts, data.names[label]) for texts, label in found]


def test_the_digest_sees_content_and_the_order_of_training_texts_only() -> None:
    base = make_examples(TRAIN, DEV, TEST, "here").digest()
    assert make_examples(TRAIN, DEV[::-1], TEST[::-1], "there").digest() == base
    changed = [
        make_examples(TRAIN[::-1], DEV, TEST, "here"),
        make_examples(TRAIN, None, TEST, "here"),
        make_examples(TRAIN, TEST, DEV, "here"),
        make_examples(TRAIN, DEV, None, "here"),
        make_examples(TRAIN, (*DEV, ("h", "x")), TEST, "here"),
        make_examples(TRAIN, DEV, (("d", "y"), *TEST[1:]), "here"),
        make_examples((("a.", "x"), *TRAIN[1:]), DEV, TEST, "here"),
    ]
    assert len({base, *(data.digest() for data in changed)}) == 8


def test_pairs_differ_from_their_texts_joined() -> None:
    pairs = [("a", "bc", "x"), ("d", "e", "y")]
    moved = [("ab", "c", "x"), ("d", "e", "y")]
    found = {make_examples(one, None, None, "here").digest() for one in (pairs, moved)}
    assert len(found) == 2


def test_ordered_sorts_items_and_limits_cut_them() -> None:
    data = make_examples(TRAIN, DEV, TEST, "here").ordered()
    assert list(data.test.ids) == sorted(data.test.ids)
    assert rows(data, data.train) == list(TRAIN)
    assert data.counts() == {"train": 3, "dev": 2, "test": 3, "labels": 2}
    assert make_examples(TRAIN, None, None, "here").counts() == {"train": 3, "test": 3, "labels": 2}
    cut = data.limited(1)
    assert (len(cut.train), len(cut.test)) == (3, 1)
    one = make_examples([(f"t{i}", i % 2) for i in range(30)], None, None, "here")
    cut = one.limited(10)
    assert cut.is_one_split
    texts = [text for text, _ in rows(cut, cut.train)]
    assert texts == sorted(texts, key=lambda text: int(text[1:]))
    assert len(texts) == 10


def test_files_of_single_texts_and_of_pairs(tmp_path: Path) -> None:
    for name, part in (("one", TRAIN[:2]), ("two", TRAIN[2:]), ("dev", DEV), ("test", TEST)):
        write_lines(tmp_path / name, [{"text": t, "label": c} for t, c in part])
        (tmp_path / f"{name}.tsv").write_text(
            "l\ts\tt\n" + "".join(f"{c}\tand {t}\t{t}\n" for t, c in part)
        )
    files = {"files": ["one", "two"], "dev": "dev", "test": "test"}
    data = READERS["jsonl"](tmp_path, files, "test")
    assert data.digest() == make_examples(TRAIN, DEV, TEST, "here").digest()
    pairs = {
        "files": ["one.tsv", "two.tsv"],
        "test": "test.tsv",
        "columns": {"label": "l", "first": "t", "second": "s"},
    }
    data = READERS["delimited"](tmp_path, pairs, "test")
    assert data.dev is None
    assert rows(data, data.train) == [(t, f"and {t}", c) for t, c in TRAIN]
    data = READERS["delimited"](tmp_path, {**pairs, "train": "one.tsv"}, "train")
    assert data.is_one_split


def test_questions_of_trec(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("A:b what is it ?\n\nC:d who\n")
    data = READERS["trec"](tmp_path, {"train": "t"}, "train")
    assert rows(data, data.train) == [("what is it ?", "A"), ("who", "C")]


def test_splits_of_a_hub_copy(tmp_path: Path) -> None:
    for name, part in (("train", TRAIN), ("validation", DEV), ("test", TEST)):
        write_lines(tmp_path / f"{name}.jsonl", [{"text": t, "label": c} for t, c in part])
    source = {"path": str(tmp_path), "revision": "0", "dev": "validation"}
    data = hub.read_examples(tmp_path, source, "test")
    assert data.digest() == make_examples(TRAIN, DEV, TEST, "here").digest()
    assert hub.read_examples(tmp_path, {"path": str(tmp_path)}, "train").is_one_split
    with pytest.raises(DataError, match="no split 'nowhere'"):
        hub.read_examples(tmp_path, {**source, "dev": "nowhere"}, "test")


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="here, training split: row 1 lacks a text"):
        make_examples([(None, "b", "x")], None, None, "here")
    with pytest.raises(DataError, match="here, development split: row 2 lacks a label"):
        make_examples(TRAIN, [DEV[0], ("b", " ")], TEST, "here")
    with pytest.raises(DataError, match="here, test split: it holds no texts"):
        make_examples(TRAIN, None, [], "here")
    with pytest.raises(DataError, match="one label only"):
        make_examples(TRAIN[::2], DEV, TEST, "here")
    with pytest.raises(UsageError, match="second = "):
        READERS["jsonl"](Path(), {"train": "x", "columns": {"text": "a", "second": "b"}}, "train")
