"""Bitexts: their layout, readers of local files, and folders as the hub keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalsuite import data
from evalsuite.data import bitext, hub
from evalsuite.data.bitext import Bitext, make_bitext
from evalsuite.errors import DataError
from evalsuite.registry import get_task
from tests.conftest import Ran
from tests.support import task_toml, write_lines

ROWS = [
    ("deu-eng", "Hund", "dog"),
    ("deu-eng", "Katze", "cat"),
    ("fra-eng", "chien", "dog"),
    ("fra-eng", "chat", "cat"),
    ("fra-eng", "chat", "cat"),
]


def jsonl_task(folder: Path, rows: Any = ROWS) -> Path:
    keys = ("lang", "sentence1", "sentence2")
    write_lines(folder / "bitext" / "pairs.jsonl", [dict(zip(keys, r, strict=False)) for r in rows])
    return task_toml(
        folder / "T.toml",
        data='folder = "bitext"\nformat = "jsonl"\nfile = "pairs.jsonl"\n'
        'columns = { subset = "lang" }',
        protocol="bitext_mining",
        main_measure="bitext_f1",
    )


def subsets(found: Bitext) -> dict[str, list[tuple[str, str]]]:
    return {
        s.name: [(text, s.candidates[gold]) for text, gold in zip(s.texts, s.gold, strict=True)]
        for s in found.subsets
    }


def test_pairs_belong_to_their_subset() -> None:
    found = make_bitext(ROWS, "here")
    assert found.counts() == {"subsets": 2, "pairs": 5, "candidates": 5}
    assert subsets(found)["fra-eng"] == [("chien", "dog"), ("chat", "cat"), ("chat", "cat")]
    assert len(set(found.ids)) == 5


def test_row_order_moves_neither_digest_nor_items() -> None:
    one, other = (make_bitext(rows, "here") for rows in (ROWS, ROWS[::-1]))
    assert one.digest() == other.digest()
    assert one.ordered().ids == other.ordered().ids
    assert one.digest() != make_bitext([*ROWS[:4], ("fra-eng", "chat", "hat")], "here").digest()
    assert one.digest() != make_bitext([("x", a, b) for _, a, b in ROWS], "here").digest()


def test_a_limit_keeps_all_candidates() -> None:
    found = make_bitext(ROWS, "here").limited(1)
    assert found.counts()["pairs"] == 1
    assert found.counts()["candidates"] == (2 if found.subsets[0].name == "deu-eng" else 3)


def test_local_readers_agree(tmp_path: Path) -> None:
    path = jsonl_task(tmp_path)
    loaded = data.load(get_task(str(path)), "bitext")
    assert loaded.digest == make_bitext(ROWS, "here").digest()
    lines = ["\t".join(row) for row in ROWS]
    for name, part in (("a.tsv", lines[:2]), ("b.tsv", lines[2:])):
        (tmp_path / name).write_text("\n".join(part) + "\n")
    columns = {"subset": 0, "first": 1, "second": 2}
    options = {"files": ["a.tsv", "b.tsv"], "columns": columns}
    assert bitext.read_delimited(tmp_path, options, "test").digest() == loaded.digest


def mirror(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
    """Write configurations of one split each as the hub keeps them."""
    lines = ["---", "configs:"]
    for name, rows in tables.items():
        write_lines(folder / name / "test.jsonl", rows)
        lines += [f"- config_name: {name}", "  data_files:", "  - split: test"]
        lines += [f"    path: {name}/test.jsonl"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return folder


def test_subsets_of_the_hub_in_a_column_or_in_configurations(tmp_path: Path) -> None:
    keys = ("lang", "sentence1", "sentence2")
    rows = [dict(zip(keys, row, strict=True)) for row in ROWS]
    column = hub.read_bitext(
        mirror(tmp_path / "a", {"default": rows}),
        {"path": "a", "columns": {"subset": "lang"}},
        "test",
    )
    parts = {name: [r for r in rows if r["lang"] == name] for name in ("deu-eng", "fra-eng")}
    configs = hub.read_bitext(
        mirror(tmp_path / "b", parts), {"path": "b", "configs": list(parts)}, "test"
    )
    assert column.digest() == configs.digest() == make_bitext(ROWS, "here").digest()


def bucc(gold: list[list[int]]) -> dict[str, Any]:
    return {"sentence1": ["Hund", "x", "Katze"], "sentence2": ["cat", "y", "dog"], "gold": gold}


def test_lists_with_places_as_bucc_has_them(tmp_path: Path) -> None:
    folder = mirror(tmp_path / "a", {"de-en": [bucc([[1, 3], [3, 1]])]})
    source = {"path": "a", "configs": ["de-en"], "columns": {"gold": "gold"}}
    found = hub.read_bitext(folder, source, "test")
    assert subsets(found) == {"de-en": [("Hund", "dog"), ("Katze", "cat")]}
    assert found.counts()["candidates"] == 3
    mirror(folder, {"de-en": [bucc([[1, 4]])]})
    with pytest.raises(DataError, match="does not list places"):
        hub.read_bitext(folder, source, "test")


def test_a_run_from_the_command_line(tmp_path: Path, run_cli: Callable[..., Ran]) -> None:
    rows = [("x", f"text {n}", f"text {n}") for n in range(9)]
    ran = run_cli(
        *("run", "random", "--task", jsonl_task(tmp_path, rows)),
        *("--results", tmp_path / "r", "--json"),
    )
    assert ran.code == 0
    assert json.loads(ran.out)[0]["main_score"] == 1.0  # equal texts, equal vectors
