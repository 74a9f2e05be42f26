"""Summaries: their layout, the reader of local files, and folders as the hub keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalsuite import data
from evalsuite.data import hub
from evalsuite.data.summaries import COLUMNS, Summaries, make_summaries
from evalsuite.registry import get_task
from tests.support import task_toml, write_lines

Row = tuple[Any, Any, Any, Any]
ROWS: list[Row] = [
    ("one", ["a", "b"], ["c", "d", "e"], [1, 2.5, 3]),
    ("two", ["a"], ["f", "g", "h", "i"], [1, 1, 2, 4]),
    ("two", ["a"], ["f", "g", "h", "i"], [1, 1, 2, 4]),
]


def jsonl_task(folder: Path, rows: list[Row]) -> Path:
    table = [dict(zip(COLUMNS.values(), row, strict=True)) for row in rows]
    write_lines(folder / "summaries" / "rows.jsonl", table)
    return task_toml(
        folder / "T.toml",
        data='folder = "summaries"\nformat = "jsonl"\nfile = "rows.jsonl"',
        protocol="summarization",
        main_measure="mean_cosine_spearman",
    )


def test_local_and_hub_copies_agree_whatever_their_order(tmp_path: Path) -> None:
    made = make_summaries(ROWS, "here")
    loaded = data.load(get_task(str(jsonl_task(tmp_path, ROWS[::-1]))), "summaries")
    table = [dict(zip(COLUMNS.values(), row, strict=True)) for row in ROWS]
    write_lines(tmp_path / "mirror" / "test.jsonl", table)
    mirrored = hub.read_summaries(tmp_path / "mirror", {"path": "mirror"}, "test")
    assert made.digest() == loaded.digest == mirrored.digest()
    assert isinstance(loaded.data, Summaries)
    assert made.ordered().ids == loaded.data.ids
    assert made.counts() == {"texts": 3, "human_summaries": 4, "machine_summaries": 11}
    other: list[Row] = [*ROWS[:2], ("two", ["a"], ["f", "g", "h", "i"], [1, 1, 2, 5])]
    assert make_summaries(other, "here").digest() != made.digest()
    assert made.limited(2).counts()["texts"] == 2
