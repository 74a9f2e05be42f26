"""Costs in a comparison: both sides where they are known, speed only where it can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite.compare import Report, Selection, compare
from evalsuite.compare.sections import Table, sections
from evalsuite.compare.tojson import to_json
from tests.compare.stores import ndcg, selection, write

COST = {"parameters": 22_713_216, "flops_per_token": 22_413_312, "bytes_per_item": 1536}


def side(
    root: Path, model: str, *tasks: str, cost: Any = None, speed: Any = None, **run: Any
) -> Selection:
    """Return results of a model that state costs."""
    paths = []
    for task in tasks or ("Alpha",):
        path = write(root, ndcg(1), model=model, task=task, run={"speed": speed, **run})
        table = json.loads(path.read_text())
        table["cost"] = COST if cost is None else cost
        path.write_text(json.dumps(table))
        paths.append(path)
    return selection(*paths)


def timed(texts: int, seconds: float) -> dict[str, Any]:
    return {"texts": texts, "seconds": seconds}


def table(report: Report) -> Table | None:
    found = [part.table for part in sections(report, {}) if part.title == "Costs"]
    return found[0] if found else None


def stated(report: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = to_json(report, {})["comparisons"][0]["costs"]
    return found


def test_exact_costs_of_both_sides_and_their_ratio(tmp_path: Path) -> None:
    cheap = COST | {"flops_per_token": 11_206_656}
    report = compare(side(tmp_path, "old"), [side(tmp_path, "new", cost=cheap)])
    found = table(report)
    assert found is not None
    assert found.rows == (
        ("Parameters", "22.7 M", "22.7 M", "×1"),
        ("FLOPs a token (text of 128)", "22.4 M", "11.2 M", "×0.5"),
        ("Bytes an item", "1.54 k", "1.54 k", "×1"),
    )
    assert [one["ratio"] for one in stated(report)] == [1, 0.5, 1]


def test_costs_nobody_states_are_not_shown(tmp_path: Path) -> None:
    report = compare(side(tmp_path, "old", cost={}), [side(tmp_path, "new", cost={})])
    assert table(report) is None
    assert stated(report) == []


def test_what_one_side_does_not_state_is_a_dash(tmp_path: Path) -> None:
    report = compare(side(tmp_path, "old", cost={"parameters": "<b>"}), [side(tmp_path, "new")])
    found = table(report)
    assert found is not None
    assert found.rows[0] == ("Parameters", "–", "22.7 M", "")
    assert stated(report)[0]["baseline"] == []


def test_a_cost_that_tasks_differ_in_is_a_range_without_a_ratio(tmp_path: Path) -> None:
    old = side(tmp_path, "old", "Alpha", "Beta")
    more = side(tmp_path, "new", "Alpha", cost={"bytes_per_item": 12_000.5})
    most = side(tmp_path, "new", "Beta", cost={"bytes_per_item": 34_000})
    new = Selection("new", {**more.results, **most.results})
    assert stated(compare(old, [new]))[-1] == {
        "cost": "bytes_per_item",
        "baseline": [1536],
        "candidate": [12_000.5, 34_000],
        "ratio": None,
    }


def test_speeds_are_those_of_all_texts_together(tmp_path: Path) -> None:
    old = side(tmp_path, "old", "Alpha", "Beta", speed=timed(100, 1.0))
    new = side(tmp_path, "new", "Alpha", "Beta", speed=timed(100, 0.5))
    report = compare(old, [new])
    found = table(report)
    assert found is not None
    assert found.rows[-1] == ("Texts/s", "100", "200", "×2")
    (lines,) = (part.lines for part in sections(report, {}) if part.title == "Costs")
    assert "without an interval" in lines[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"speed": None},
        {"speed": timed(99, 0.5)},
        {"speed": timed(100, 0.5), "device_name": "Other CPU"},
        {"speed": timed(100, 0.5), "cores": 64},
        {"speed": timed(100, 0.5), "packages": {"numpy": "1"}},
    ],
)
def test_speeds_that_cannot_be_compared_are_left_out(tmp_path: Path, changes: Any) -> None:
    old = side(tmp_path, "old", speed=timed(100, 1.0))
    report = compare(old, [side(tmp_path, "new", **changes)])
    assert [one["cost"] for one in stated(report)] == list(COST)
