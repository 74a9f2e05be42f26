"""Costs on the pages: columns, the section of a model's page, the picture of score over size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalsuite import leaderboard
from evalsuite.registry import Suite
from tests.leaderboard.synthetic import SUITE_TASKS, write_result
from tests.leaderboard.test_leaderboard import EVIL, Page, assert_links_resolve

COST = {
    "parameters": 22_713_216,
    "embedding_parameters": 11_917_824,
    "flops_per_token": 22_413_312,
    "attention_flops_per_token": 1_179_648,
    "bytes_per_item": 1536,
}


@pytest.fixture(autouse=True)
def _suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        leaderboard, "suites", lambda: {"pair": Suite("pair", "Two tasks", SUITE_TASKS)}
    )


def costly(
    root: Path, model: str = "model", task: str = "Alpha", *, run: Any = None, **cost: Any
) -> None:
    """Store a result that states costs, with changes."""
    path = write_result(root, model, task)
    table = json.loads(path.read_text())
    table["cost"] = COST | cost
    table["run"] |= {"peak_memory_mib": {"host": 1234}} | (run or {})
    path.write_text(json.dumps(table))


def timed(texts: int, seconds: float) -> dict[str, Any]:
    return {"speed": {"texts": texts, "seconds": seconds}}


def build(root: Path, out: Path) -> Page:
    page = Page(leaderboard.build([root], out))
    assert_links_resolve(out)
    return page


def test_tables_show_costs_with_the_hardware_of_the_speed(tmp_path: Path) -> None:
    costly(tmp_path / "r", task="Alpha", run=timed(100, 1.0))
    costly(tmp_path / "r", task="Beta", run=timed(300, 1.0))
    words = build(tmp_path / "r", tmp_path / "site").words
    assert "22.7 M11.9 M in tables" in words
    assert "1.54 k" in words
    assert "200Test CPU" in words  # 400 texts in two seconds
    model = Page(tmp_path / "site" / "models" / "model@v1.html").words
    for shown in ("Costs", "22.7 M", "22.4 M", "1.54 k", "200Test CPU", "1,234"):
        assert shown in model


def test_without_costs_there_are_no_columns(tmp_path: Path) -> None:
    write_result(tmp_path / "r", "old")
    page = build(tmp_path / "r", tmp_path / "site")
    assert "Parameters" not in page.words
    assert "Costs" not in Page(tmp_path / "site" / "models" / "old@v1.html").words


def test_what_one_row_does_not_know_is_a_dash(tmp_path: Path) -> None:
    costly(tmp_path / "r", "new", parameters=None)
    write_result(tmp_path / "r", "old", score=0.4)
    page = build(tmp_path / "r", tmp_path / "site")
    cells = [a for tag, a in page.tags if tag == "td" and a.get("class") == "num cost"]
    assert len(cells) == 8
    assert [bool(cell["data-value"]) for cell in cells] == [False, True, True] + [False] * 5


def test_speeds_of_several_machines_are_not_joined(tmp_path: Path) -> None:
    costly(tmp_path / "r", task="Alpha", run=timed(100, 1.0))
    costly(tmp_path / "r", task="Beta", run=timed(300, 1.0) | {"device_name": "Other CPU"})
    assert "–on several machines" in build(tmp_path / "r", tmp_path / "site").words


def test_bytes_that_differ_between_tasks_are_a_range(tmp_path: Path) -> None:
    costly(tmp_path / "r", task="Alpha", bytes_per_item=12_000.5)
    costly(tmp_path / "r", task="Beta", bytes_per_item=34_000)
    assert "12 k to 34 k" in build(tmp_path / "r", tmp_path / "site").words


@pytest.mark.parametrize("bad", [EVIL, [1], -3, True, 1e400, None])
def test_costs_of_any_kind_make_no_page_fail(tmp_path: Path, bad: Any) -> None:
    costly(tmp_path / "r", "one", run={"speed": bad, "peak_memory_mib": bad}, parameters=bad)
    costly(tmp_path / "r", "two", run=timed(1, 1.0) | {"device_name": EVIL})
    site = tmp_path / "site"
    build(tmp_path / "r", site)
    for path in site.rglob("*.html"):
        assert EVIL not in path.read_text()


def test_the_picture_needs_three_models_with_a_size(tmp_path: Path) -> None:
    for i, model in enumerate(("a", EVIL, "$x$ \x00")):
        for task in SUITE_TASKS:
            costly(tmp_path / "r", model, task, parameters=10**i * 1000)
        site = tmp_path / f"site{i}"
        build(tmp_path / "r", site)
        assert (site / "plots" / "sizes" / "pair.svg").is_file() == (i == 2)
    for name in ("pair.svg", "pair-dark.svg"):
        content = (site / "plots" / "sizes" / name).read_bytes()
        text = "".join(ElementTree.fromstring(content).itertext())
        assert "parameters" in text
        assert EVIL in text  # as text
        assert "mathdefault" not in text
        assert "10 k" in text  # a tick
        assert b"<script" not in content


def test_the_picture_is_the_same_every_time_and_leaves_out_unknown_sizes(tmp_path: Path) -> None:
    for i, model in enumerate(("a", "b", "c", "none", "zero")):
        for task in SUITE_TASKS:
            costly(tmp_path / "r", model, task, parameters=[1000, 2000, 3000, None, 0][i])
    first = build(tmp_path / "r", tmp_path / "one")
    assert "Shown: 3 of 5 rows" in first.words
    build(tmp_path / "r", tmp_path / "two")
    names = ("plots/sizes/pair.svg", "plots/sizes/pair-dark.svg", "index.html")
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
