"""Readers of local files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite import data, get_task
from evalsuite.data import local
from evalsuite.errors import DataError, UsageError
from tests.support import CORPUS, DATA, QUERIES, beir_folder, pairs_task, write_lines


def test_semeval(tmp_path: Path) -> None:
    (tmp_path / "STS.input.a.txt").write_text("one ' s\ttwo\tignored\nx\ty\nthree\tfour\n")
    (tmp_path / "STS.gs.a.txt").write_text("4.5\n\n0\n")
    (tmp_path / "STS.input.b.txt").write_text("five\tsix\r\n")
    (tmp_path / "STS.gs.b.txt").write_text("1.25\r\n")
    found = local.read_semeval(tmp_path, {})
    rows = sorted(zip(found.first, found.second, found.gold.tolist(), strict=True))
    assert rows == [("five", "six", 1.25), ("one ' s", "two", 4.5), ("three", "four", 0.0)]
    joined = local.read_semeval(tmp_path, {"join_clitics": True})
    assert "one 's" in joined.first
    (tmp_path / "STS.input.c.txt").write_text("no tab\n")
    (tmp_path / "STS.gs.c.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"STS.input.c.txt:1 has no tab"):
        local.read_semeval(tmp_path, {})
    (tmp_path / "STS.gs.c.txt").unlink()
    with pytest.raises(DataError, match=r"STS.gs.c.txt' is missing"):
        local.read_semeval(tmp_path, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"No '\*.input"):
        local.read_semeval(tmp_path / "empty", {})


NAMED = {"first": "a", "second": "b", "gold": "s"}


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        ("a\tb\ts\nx\ty\t1\n\nz\tw\t2\n", {"columns": NAMED}, [("x", "y", 1.0), ("z", "w", 2.0)]),
        ('"x\t"y\t1\n', {"columns": {"first": 0, "second": 1, "gold": 2}}, [('"x', '"y', 1.0)]),
        (
            's,b,a\n1,"y, ""q""","x\nnew line"\n',
            {"columns": NAMED, "delimiter": ",", "quoted": True},
            [("x\nnew line", 'y, "q"', 1.0)],
        ),
    ],
)
def test_delimited(
    tmp_path: Path, content: str, options: dict[str, Any], rows: list[tuple[str, str, float]]
) -> None:
    (tmp_path / "f").write_text(content)
    found = local.read_delimited(tmp_path, {"files": ["f"], **options})
    assert list(zip(found.first, found.second, found.gold.tolist(), strict=True)) == rows


def test_delimited_texts_can_be_lower_cased(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("Jerusalem\tIsrael\t8.46\r\n")
    options = {"files": ["f"], "columns": {"first": 0, "second": 1, "gold": 2}}
    as_written = local.read_delimited(tmp_path, options)
    lowered = local.read_delimited(tmp_path, {**options, "lower": True})
    assert (as_written.first, as_written.second) == (["Jerusalem"], ["Israel"])
    assert (lowered.first, lowered.second) == (["jerusalem"], ["israel"])
    assert lowered.gold.tolist() == [8.46]


def test_delimited_ids_and_several_files(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("i1\tx\ty\t1\n")
    (tmp_path / "g").write_text("i2\tx\ty\t1\n")
    (tmp_path / "h").write_text("a\tb\ts\nx\ty\t1\n")
    columns = {"id": 0, "first": 1, "second": 2, "gold": 3}
    found = local.read_delimited(tmp_path, {"files": ["f", "g"], "columns": columns})
    assert found.ids == ["i1", "i2"]
    with pytest.raises(DataError, match="row 1 lacks one of the columns"):
        local.read_delimited(tmp_path, {"files": ["f"], "columns": {**columns, "gold": 9}})
    with pytest.raises(DataError, match="row 1 lacks one of the columns"):
        local.read_delimited(tmp_path, {"files": ["h"], "columns": {**NAMED, "gold": "absent"}})
    with pytest.raises(UsageError, match="one character"):
        local.read_delimited(tmp_path, {"files": ["f"], "columns": columns, "delimiter": ""})


def test_jsonl_pairs(tmp_path: Path) -> None:
    write_lines(tmp_path / "f", [{"u": "x", "v": "y", "w": "2.5", "n": 7}])
    columns = {"first": "u", "second": "v", "gold": "w", "id": "n"}
    found = local.read_jsonl_pairs(tmp_path, {"file": "f", "columns": columns})
    assert (found.ids, found.first, found.second) == (["7"], ["x"], ["y"])
    assert found.gold.tolist() == [2.5]


def test_beir(tmp_path: Path) -> None:
    found = local.read_beir(beir_folder(tmp_path), {})
    assert dict(zip(found.documents.ids, found.documents.texts, strict=True)) == CORPUS
    assert dict(zip(found.query_ids, found.queries, strict=True)) == QUERIES
    assert found.qrels["q1"] == {"d1": 2, "d6": 0}
    (tmp_path / "other.tsv").write_text("q3\td5\t1\n")
    other = local.read_beir(tmp_path, {"qrels": "other.tsv"})
    assert other.query_ids == ["q3"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"title": "T", "text": "x"}, "T x"),
        ({"title": "", "text": " x "}, "x"),
        ({"title": None, "text": "x"}, "x"),
        ({"title": "T", "text": ""}, "T"),
        ({"text": None}, ""),
        ({"text": "a\udc80"}, "a\ufffd"),
    ],
)
def test_titles_are_joined_as_beir_does(row: dict[str, Any], text: str) -> None:
    assert local.document_text(row) == text


def test_a_large_corpus_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"_id": f"d{i}", "title": f"t{i}", "text": f"é {i}"} for i in range(50)]
    path = write_lines(tmp_path / "corpus.jsonl", rows)
    path.write_text(path.read_text().replace("\n", "\n\n", 3))  # blank lines are skipped
    small = local.read_documents(path)
    monkeypatch.setattr(local, "_LARGE_BYTES", 1)
    large = local.read_documents(path)
    assert isinstance(large.texts, local.JsonlTexts)
    assert large.ids == small.ids
    assert len(large.texts) == 50
    assert large.texts[:] == small.texts
    assert large.texts[7:3:-1] == small.texts[7:3:-1]
    assert large.texts[-1] == small.texts[-1]
    assert [t for shard in large.shards(7) for t in shard] == small.texts


def test_load_prefers_the_folder_beside_the_task(tmp_path: Path) -> None:
    task = get_task(str(pairs_task(tmp_path / "own")))
    pairs_task(tmp_path / "shared", [("other", "other", 1.0)])
    loaded = data.load(task, "pairs", data_dir=tmp_path / "shared")
    assert loaded.source == "local"
    assert loaded.data.counts() == {"pairs": 8}
    assert loaded.data.ids == sorted(loaded.data.ids)  # type: ignore[union-attr]


def test_load_from_the_data_folder_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pairs_task(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "MyPairs-data").rename(tmp_path / "elsewhere" / "MyPairs-data")
    task = get_task(str(path))
    monkeypatch.delenv("EVALSUITE_DATA", raising=False)
    with pytest.raises(DataError, match="EVALSUITE_DATA"):
        data.load(task, "pairs")
    by_option = data.load(task, "pairs", data_dir=tmp_path / "elsewhere")
    monkeypatch.setenv("EVALSUITE_DATA", str(tmp_path / "elsewhere"))
    assert data.load(task, "pairs").digest == by_option.digest
    monkeypatch.setenv("EVALSUITE_DATA", str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="No data folder"):
        data.load(task, "pairs")


def test_a_limited_digest_is_its_own(tmp_path: Path) -> None:
    task = get_task(str(pairs_task(tmp_path)))
    digests = {data.load(task, "pairs", limit=limit).digest for limit in (None, 3, 4, 8)}
    assert len(digests) == 3  # 8 are all


@pytest.mark.skipif(not (DATA / "scifact").is_dir(), reason=f"no scifact in {DATA}")
def test_real_scifact_is_unaltered() -> None:
    task = get_task("SciFact")
    loaded = data.load(task, "retrieval", data_dir=DATA)
    assert loaded.digest == task.expect["digest"]
    assert loaded.data.counts()["judgements"] == 339
    rows = (DATA / "scifact" / "corpus.jsonl").read_text().splitlines()
    first = json.loads(rows[0])
    index = list(loaded.data.documents.ids).index(str(first["_id"]))  # type: ignore[union-attr]
    assert loaded.data.documents.texts[index].startswith(first["title"])  # type: ignore[union-attr]
