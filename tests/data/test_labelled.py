"""Texts with labels: content, order, and readers of local files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.data import hub, labelled
from evalsuite.data.labelled import Labelled, make_labelled
from evalsuite.errors import DataError, UsageError
from tests.support import write_lines

TRAIN: Sequence[tuple[Any, Any]] = (("a", "x"), ("b", "y"), ("c", "x"))
TEST: Sequence[tuple[Any, Any]] = (("d", "x"), ("e", "y"), ("d", "x"))


def rows(data: Labelled, split: str) -> list[tuple[str, str]]:
    part = getattr(data, split)
    return [(text, data.names[label]) for text, label in zip(part.texts, part.labels, strict=True)]


def test_the_digest_sees_content_and_the_order_of_training_texts_only() -> None:
    base = make_labelled(TRAIN, TEST, "here").digest()
    assert make_labelled(TRAIN, TEST[::-1], "here").digest() == base
    assert make_labelled(TRAIN, TEST, "there").digest() == base
    changed = [
        make_labelled(TRAIN[::-1], TEST, "here"),
        make_labelled((*TRAIN, ("f", "x")), TEST, "here"),
        make_labelled((("a.", "x"), *TRAIN[1:]), TEST, "here"),
        make_labelled((("a", "y"), *TRAIN[1:]), TEST, "here"),
        make_labelled(TRAIN, TEST[:2], "here"),
        make_labelled(TRAIN, (("d", "y"), *TEST[1:]), "here"),
        make_labelled(TRAIN, None, "here"),
    ]
    assert len({base, *(data.digest() for data in changed)}) == 8


def test_ordered_sorts_items_and_leaves_training_texts() -> None:
    data = make_labelled(TRAIN, TEST, "here")
    found, again = data.ordered(), make_labelled(TRAIN, TEST[::-1], "here").ordered()
    assert list(found.test.ids) == sorted(data.test.ids) == list(again.test.ids)
    assert rows(found, "test") == rows(again, "test")
    assert sorted(rows(found, "test")) == sorted(TEST)
    assert rows(found, "train") == list(TRAIN)
    assert found.counts() == {"train": 3, "test": 3, "labels": 2}


def test_limits_cut_the_items_and_nest() -> None:
    test = [(f"t{i}", i % 2) for i in range(30)]
    data = make_labelled(TRAIN, test, "here")
    kept = set(data.limited(10).test.ids)
    assert len(kept) == 10
    assert set(make_labelled(TRAIN, test[::-1], "here").limited(10).test.ids) == kept
    assert set(data.limited(5).test.ids) < kept
    assert data.limited(10).train is data.train
    one = make_labelled(test, None, "here")
    assert one.is_one_split
    assert not data.is_one_split
    cut = one.limited(10)
    assert len(cut.train) == len(cut.test) == 10
    assert cut.is_one_split
    texts = [text for text, _ in rows(cut, "train")]
    assert texts == sorted(texts, key=lambda text: int(text[1:]))  # in the source's order


def test_labels_are_ordered_by_value_or_alphabet_and_spelt_once() -> None:
    numbers = [("a", 10), ("b", "2"), ("c", 1.0), ("d", np.int64(-1))]
    assert make_labelled(numbers, None, "here").names == ["-1", "1", "2", "10"]
    words = [("a", "b"), ("b", " B2 "), ("c", "a"), ("d", True)]
    assert make_labelled(words, None, "here").names == ["a", "b", "B2", "True"]
    data = make_labelled([("a", 0), ("b", 1)], [("c", "7")], "here")
    assert data.names == ["0", "1", "7"]
    assert data.test.labels.tolist() == [2]


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_rows_that_lack_something(missing: Any) -> None:
    with pytest.raises(DataError, match="here, training split: row 2 lacks a label"):
        make_labelled([TRAIN[0], ("b", missing)], TEST, "here")
    with pytest.raises(DataError, match="here, test split: row 1 lacks a label"):
        make_labelled(TRAIN, [("b", missing)], "here")


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="row 1 lacks a text"):
        make_labelled([(None, "x")], TEST, "here")
    for train, test in (([], TEST), (TRAIN, [])):
        with pytest.raises(DataError, match="holds no texts"):
            make_labelled(train, test, "here")
    with pytest.raises(DataError, match="one label only"):
        make_labelled(TRAIN[::2], TEST, "here")


FILES = {"train": "train", "test": "test"}
NAMED = {"columns": {"text": "t", "label": "l"}, **FILES}
PLACED = {"columns": {"text": 1, "label": 0}, **FILES}


@pytest.mark.parametrize(
    ("reader", "options", "train", "test"),
    [
        ("delimited", NAMED, "l\tt\nx\ta\ny\tb\n\nx\tc\n", "t\tl\nd\tx\n"),
        ("delimited", PLACED, "x\ta\ny\tb\nx\tc\n", "x\td\n"),
        (
            "delimited",
            {**NAMED, "delimiter": ",", "quoted": True},
            't,l\n"a",x\nb,"y"\nc,x\n',
            "t,l\nd,x\n",
        ),
        ("jsonl", FILES, "".join(json.dumps({"text": t, "label": c}) + "\n" for t, c in TRAIN), ""),
        (
            "jsonl",
            NAMED,
            "".join(json.dumps({"t": t, "l": c}) + "\n" for t, c in TRAIN),
            '{"t": "d", "l": "x"}',
        ),
        ("trec", FILES, "x:1 a\ny:2 b\n\nx:1 c\n", "x:3 d\n"),
    ],
)
def test_readers(
    tmp_path: Path, reader: str, options: dict[str, Any], train: str, test: str
) -> None:
    (tmp_path / "train").write_text(train)
    (tmp_path / "test").write_text(test or '{"text": "d", "label": "x"}')
    read = labelled.READERS[reader]
    data = read(tmp_path, options, "test")
    assert rows(data, "train") == list(TRAIN)
    assert rows(data, "test") == [("d", "x")]
    (tmp_path / "test").unlink()
    assert read(tmp_path, options, "train").is_one_split
    with pytest.raises(DataError, match="test' is missing"):
        read(tmp_path, options, "test")


def test_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes("x:1 caf\xe9\ny:2 b\n".encode("latin-1"))
    options = {"train": "train", "encoding": "latin-1"}
    assert labelled.read_trec(tmp_path, options, "train").train.texts[0] == "caf\xe9"
    with pytest.raises(DataError, match="is not UTF-8"):
        labelled.read_trec(tmp_path, {"train": "train"}, "train")
    with pytest.raises(UsageError, match="Unknown `encoding` 'klingon'"):
        labelled.read_trec(tmp_path, {**options, "encoding": "klingon"}, "train")


def test_malformed_files(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("no colon\n")
    with pytest.raises(DataError, match="train:1 is not 'COARSE:fine question'"):
        labelled.read_trec(tmp_path, FILES, "train")
    with pytest.raises(DataError, match="row 1 lacks one of the columns"):
        labelled.read_delimited(tmp_path, PLACED, "train")
    with pytest.raises(UsageError, match="`columns` of labelled texts"):
        labelled.read_delimited(tmp_path, {**FILES, "columns": {"text": 0}}, "train")


def test_hub(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    source = {"path": str(folder), "revision": "0" * 40}
    for name, split in (("train", TRAIN), ("test", TEST)):
        table = [{"text": t, "label": i % 2, "label_text": c} for i, (t, c) in enumerate(split)]
        write_lines(folder / f"{name}.jsonl", table)
    data = hub.read_labelled(folder, source, "test")
    assert rows(data, "train") == [("a", "0"), ("b", "1"), ("c", "0")]
    named = {**source, "columns": {"label": "label_text"}}
    data = hub.read_labelled(folder, named, "test")
    assert data.digest() == make_labelled(TRAIN, TEST, "here").digest()
    assert hub.read_labelled(folder, named, "train").is_one_split
    with pytest.raises(DataError, match="has no column 'topic'"):
        hub.read_labelled(folder, {**source, "columns": {"label": "topic"}}, "test")
    (folder / "train.jsonl").unlink()
    with pytest.raises(DataError, match="no split 'train', only test"):
        hub.read_labelled(folder, source, "test")


def test_a_list_of_labels_is_one_name_whatever_its_order() -> None:
    rows = [("a", ["x", "ü", 3.0]), ("b", ["ü", "x", 3]), ("c", []), ("d", "[x")]
    found = labelled.make_labelled(rows, None, "here")
    assert found.names[found.train.labels[0]] == found.names[found.train.labels[1]]
    assert [labelled.labels_of(found.names[label]) for label in found.train.labels] == [
        ["3", "x", "ü"], ["3", "x", "ü"], [], ["[x"],
    ]  # fmt: skip
