"""Sets of labelled texts: content, order, readers of local files, and how mteb cuts them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import registry
from evalsuite.data import hub, labelled_sets
from evalsuite.data.labelled_sets import LabelledSets, make_labelled_sets
from evalsuite.errors import DataError, UsageError
from tests.support import write_lines

Rows = Sequence[tuple[Any, Any, Any]]
FLAT: Rows = (("a", "x", None), ("b", "y", None), ("c", "x", None), ("a", "x", None))
SETS: Rows = ((["a", "b"], ["x", "y"], None), (["a", "c", "d"], ["x", "x", "z"], None))


def make(rows: Rows, **options: Any) -> LabelledSets:
    return make_labelled_sets(rows, options, "here")


def test_rows_of_lists_are_sets() -> None:
    data = make(SETS)
    assert list(data.texts) == ["a", "b", "a", "c", "d"]
    assert list(data.labels) == [("x",), ("y",), ("x",), ("x",), ("z",)]
    assert data.sets.tolist() == [0, 0, 1, 1, 1]
    assert data.counts() == {"texts": 5, "labels": 3, "levels": 1, "sets": 2}
    assert len(set(data.ids)) == 5
    named = [
        ("a", "x", "s2"),
        ("b", "y", "s2"),
        ("a", "x", "s1"),
        ("c", "x", "s1"),
        ("d", "z", "s1"),
    ]
    assert make(named).digest() == data.digest()


def test_the_digest_sees_content_sets_and_order() -> None:
    base = make(FLAT).digest()
    assert make_labelled_sets(FLAT, {}, "there").digest() == base
    changed = [
        make(FLAT[::-1]),
        make(FLAT[:3]),
        make((("a.", "x", None), *FLAT[1:])),
        make((("a", "y", None), *FLAT[1:])),
        make((("a", ["x", "x2"], None), *FLAT[1:])),
        make([(text, label, i // 2) for i, (text, label, _) in enumerate(FLAT)]),
    ]
    assert len({base, *(data.digest() for data in changed)}) == 7
    assert make(FLAT).ordered().digest() == base


def test_labels_have_levels() -> None:
    rows = [("a", "cs.LG", None), ("b", "math", None), ("c", "cs.AI.", None), ("d", 3.0, None)]
    data = make(rows, separator=".")
    assert list(data.labels) == [("cs", "LG"), ("math",), ("cs", "AI"), ("3",)]
    assert data.counts() == {"texts": 4, "labels": 5, "levels": 2, "sets": 1}
    listed = make([("a", ["cs", "LG"], None), ("b", ["math", None], None)])
    assert list(listed.labels) == [("cs", "LG"), ("math",)]
    assert make(rows).levels == 1


def test_limits_keep_the_order_and_nest() -> None:
    data = make([(f"t{i}", i % 3, i // 10) for i in range(30)])
    kept = data.limited(12)
    places = [int(text[1:]) for text in kept.texts]
    assert places == sorted(places)
    assert len(places) == 12
    assert kept.sets.tolist() == [place // 10 for place in places]
    assert set(data.limited(6).ids) < set(kept.ids)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "here holds no texts"),
        ([("a", "x", None), (None, "y", None)], "here: text 2 is missing"),
        ([("a", "x", None), ("b", None, None)], "here: text 2 lacks a label"),
        ([("a", "x", None), ("b", [], None)], "here: text 2 lacks a label"),
        ([("a", ["x", "", "z"], None)], "here: text 1 has a label with a gap"),
        ([("a", "x", None), ("b", "x", None)], "one label only"),
        ([(["a", "b"], ["x"], None)], "set 1 has not as many labels as texts"),
        ([(["a", "b"], "xy", None)], "set 1 has not as many labels as texts"),
    ],
)
def test_what_cannot_be(rows: Rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(rows)


NAMED = {"file": "f", "columns": {"text": "t", "label": "l"}}


@pytest.mark.parametrize(
    ("reader", "options", "content", "expected"),
    [
        ("delimited", {"file": "f", "columns": {"text": 1, "label": 0}}, "x\ta\ny\tb\n", FLAT[:2]),
        ("delimited", NAMED, "l\tt\nx\ta\n\ny\tb\n", FLAT[:2]),
        (
            "delimited",
            {**NAMED, "columns": {"text": "t", "label": ["l", "m"], "set": "s"}, "delimiter": ","},
            "t,l,m,s\na,x,x1,1\nb,y,,2\n",
            [("a", ["x", "x1"], 1), ("b", "y", 2)],
        ),
        ("delimited", {**NAMED, "separator": "."}, "l\tt\nx.1\ta\ny\tb\n",
         [("a", ["x", "1"], None), ("b", "y", None)]),
        ("jsonl", NAMED, '{"t": "a", "l": "x"}\n{"t": "b", "l": ["y", "z"]}\n',
         [("a", "x", None), ("b", ["y", "z"], None)]),
        ("jsonl", {"file": "f"},
         "".join(json.dumps({"text": t, "label": c}) + "\n" for t, c, _ in SETS), SETS),
        ("trec", {"file": "f"}, "A:x what ?\n\nB:y who is it ?\n",
         [("what ?", ["A", "A:x"], None), ("who is it ?", ["B", "B:y"], None)]),
    ],
)  # fmt: skip
def test_readers(
    tmp_path: Path, reader: str, options: dict[str, Any], content: str, expected: Rows
) -> None:
    (tmp_path / "f").write_text(content)
    read = labelled_sets.READERS[reader]
    assert read(tmp_path, options, "test").digest() == make(expected).digest()
    (tmp_path / "f").unlink()
    with pytest.raises(DataError, match="f' is missing"):
        read(tmp_path, options, "test")


def test_malformed_files(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for line in ("no colon\n", "A: text\n", "A:x\n"):
        path.write_text(line)
        with pytest.raises(DataError, match="f:1 is not 'COARSE:fine question'"):
            labelled_sets.read_trec(tmp_path, {"file": "f"}, "test")
    with pytest.raises(UsageError, match="`columns` of texts to cluster"):
        labelled_sets.read_delimited(tmp_path, {"file": "f", "columns": {"text": 0}}, "test")
    columns = {"text": 0, "label": [1, 2]}
    with pytest.raises(DataError, match="row 1 lacks one of the columns"):
        labelled_sets.read_delimited(tmp_path, {"file": "f", "columns": columns}, "test")


# ---- as mteb cuts the sets of the hub


def shuffled_sets(n: int) -> list[dict[str, Any]]:
    """Return two sets of texts with labels such as ``a.7`` or ``c``, a few of them met once."""
    rng = random.Random(n)
    labels = [f"{rng.choice('abc')}.{rng.randrange(9)}" for _ in range(n - 3)] + ["c", "q.1", "r"]
    rng.shuffle(labels)
    texts = [f"text {i}" for i in range(n)]
    cut = n // 3
    return [
        {"sentences": texts[:cut], "labels": labels[:cut]},
        {"sentences": texts[cut:], "labels": labels[cut:]},
    ]


@pytest.mark.parametrize(
    "name",
    [
        "ArXivHierarchicalClusteringP2P",
        "ArXivHierarchicalClusteringS2S",
        "MedrxivClusteringP2P.v2",
        "StackExchangeClustering.v2",
        "StackExchangeClusteringP2P.v2",
        "TwentyNewsgroupsClustering.v2",
        "RedditClustering",
    ],
)
def test_a_mirror_is_cut_as_mteb_cuts_it(tmp_path: Path, name: str) -> None:
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    sets = shuffled_sets(3000)
    if name == "StackExchangeClustering.v2":  # no stratified sample has a label met once
        for row in sets:
            row["labels"] = [
                label.replace("q.1", "a.1").replace("r", "a.1") for label in row["labels"]
            ]
            row["labels"] = ["a.1" if label == "c" else label for label in row["labels"]]
    theirs = type(mteb.get_task(name))()
    theirs.dataset = DatasetDict({"test": Dataset.from_list(sets)})
    theirs.dataset_transform()
    expected = theirs.dataset["test"]
    write_lines(tmp_path / "set" / "test.jsonl", sets)
    source = {**registry.get_task(name).data["hub"], "path": "a mirror"}
    found = hub.read_labelled_sets(tmp_path / "set", source, "test")
    if name == "RedditClustering":
        assert found.sets.tolist() == np.repeat([0, 1], [1000, 2000]).tolist()
        assert list(found.texts) == [text for row in expected["sentences"] for text in row]
        return
    fraction = registry.get_task(name).params.get("max_fraction", 0.04)
    assert fraction == (theirs.max_fraction_of_documents_to_embed or 0.0)
    assert list(found.texts) == expected["sentences"][:]
    labels = expected["labels"][:]
    feature = expected.features["labels"]
    if hasattr(feature, "names"):
        labels = feature.int2str(labels)
    assert list(found.labels) == [
        tuple(label) if isinstance(label, list) else (label,) for label in labels
    ]


def test_samples_that_cannot_be_stratified() -> None:
    rows = [(f"t{i}", i % 3, None) for i in range(30)]
    assert make(rows, sample=6, stratified=True).counts() | {"sets": 1} == {
        "texts": 6, "labels": 3, "levels": 1, "sets": 1,
    }  # fmt: skip
    with pytest.raises(DataError, match="No stratified sample of 2 texts"):
        make(rows, sample=2, stratified=True)
    with pytest.raises(DataError, match="No stratified sample of 6 texts"):
        make([*rows, ("lone", "z", None)], sample=6, stratified=True)
    assert len(make([*rows, ("lone", "z", None)], drop_lone_labels=True)) == 30
    assert len(make(rows, sample=99)) == 30
    with pytest.raises(UsageError, match="`sample` keeps at least 2 texts, not 0"):
        make(rows, sample=0)


def test_hub(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_lines(folder / "test.jsonl", [{"sentences": t, "labels": c} for t, c, _ in FLAT])
    source = {"path": str(folder), "revision": "0" * 40}
    assert hub.read_labelled_sets(folder, source, "test").digest() == make(FLAT).digest()
    with pytest.raises(DataError, match="has no column 'topic'"):
        hub.read_labelled_sets(folder, {**source, "columns": {"label": "topic"}}, "test")
    with pytest.raises(DataError, match="no split 'train', only test"):
        hub.read_labelled_sets(folder, source, "train")
