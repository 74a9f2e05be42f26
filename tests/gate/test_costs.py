"""Costs in a gate: exact ones fail, one timing can only warn, unknown ones never pass silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from evalsuite.gate import Report, Rule, decide
from evalsuite.gate.files import json_bytes
from evalsuite.gate.junit import junit
from evalsuite.gate.markdown import markdown
from evalsuite.gate.verdict import ERROR, INCONCLUSIVE, PASS, REGRESSION, SKIPPED
from tests.conftest import Ran
from tests.gate.stores import NDCG, NDCGS, policy, run_gate, sides, write

POLICY = {"default": {"max_slowdown": 0.1}}


def costly(
    root: Path, model: str, flops: Any = 100, size: Any = 1536, speed: Any = None, **run: Any
) -> None:
    """Store a result that states its costs; both models have the same items."""
    machine = {"date": model, "device_name": "Test CPU", "packages": {"numpy": "2.4.6"}}
    timed = None if speed is None else {"texts": 1000, "seconds": 1000 / speed}
    write(
        root, model, "Alpha", {NDCG: NDCGS},
        cost={"flops_per_token": flops, "bytes_per_item": size, "parameters": 7},
        run={**machine, "speed": timed, **run},
    )  # fmt: skip


def judged(root: Path, **table: Any) -> Report:
    return decide(*sides(root), policy(**(table or POLICY)))


def verdicts(report: Report) -> dict[str, str]:
    return {row.measure: row.verdict for row in report.rows if row.measure != NDCG}


@pytest.mark.parametrize(
    ("flops", "verdict"),
    [(50, PASS), (100, PASS), (110, PASS), (111, REGRESSION), (200, REGRESSION)],
)
def test_an_exact_cost_needs_no_test(tmp_path: Path, flops: int, verdict: str) -> None:
    costly(tmp_path, "old")
    costly(tmp_path, "new", flops)
    report = judged(tmp_path)
    assert verdicts(report) == {"flops_per_token": verdict, "bytes_per_item": PASS}
    assert report.verdict == verdict
    assert report.exit_code == (verdict == REGRESSION)


def test_without_the_key_costs_are_no_rows(tmp_path: Path) -> None:
    costly(tmp_path, "old")
    costly(tmp_path, "new", 1000)
    assert verdicts(judged(tmp_path, default={"max_drop": 0.01})) == {}


def test_equal_costs_pass_at_no_slowdown_and_any_more_fails(tmp_path: Path) -> None:
    costly(tmp_path, "old", size=1536.12345678)
    costly(tmp_path, "new", size=1536.12345678)
    assert judged(tmp_path, default={"max_slowdown": 0}).verdict == PASS
    costly(tmp_path, "new", size=1537)
    assert judged(tmp_path, default={"max_slowdown": 0}).verdict == REGRESSION


def test_a_baseline_that_costs_nothing_has_no_quotient(tmp_path: Path) -> None:
    costly(tmp_path, "old", 0)
    costly(tmp_path, "new", 8)
    report = judged(tmp_path)
    assert verdicts(report)["flops_per_token"] == REGRESSION
    (row,) = (row for row in json.loads(json_bytes(report))["rows"] if row["verdict"] == REGRESSION)
    assert row["cost"] == {"candidate": 8, "baseline": 0, "ratio": None}


@pytest.mark.parametrize(
    ("side", "require", "verdict"),
    [("new", True, ERROR), ("old", True, ERROR), ("new", False, SKIPPED)],
)
def test_a_cost_that_one_side_does_not_state(
    tmp_path: Path, side: str, require: bool, verdict: str
) -> None:
    for model in ("old", "new"):
        costly(tmp_path, model, None if model == side else 100)
    report = judged(tmp_path, default={"max_slowdown": 0.1, "require": require})
    assert verdicts(report) == {"flops_per_token": verdict, "bytes_per_item": PASS}
    named = {"new": "candidate", "old": "baseline"}[side]
    assert any(f"the file of the {named} does not state it" in row.reason for row in report.rows)


def test_a_cost_neither_side_has_is_no_row_but_no_cost_at_all_is_an_error(tmp_path: Path) -> None:
    for model in ("old", "new"):
        costly(tmp_path, model, None)
    assert verdicts(judged(tmp_path)) == {"bytes_per_item": PASS}
    for model in ("old", "new"):
        costly(tmp_path, model, None, None)
    report = judged(tmp_path)
    assert verdicts(report) == {"cost": ERROR}
    assert report.exit_code == 3


@pytest.mark.parametrize(("inconclusive", "code"), [("warn", 0), ("pass", 0), ("fail", 1)])
def test_one_timing_warns_and_fails_only_where_the_policy_says_so(
    tmp_path: Path, inconclusive: str, code: int
) -> None:
    costly(tmp_path, "old", speed=800.0)
    costly(tmp_path, "new", speed=400.0)
    report = judged(tmp_path, default={"max_slowdown": 0.1, "inconclusive": inconclusive})
    assert verdicts(report)["texts_per_second"] == INCONCLUSIVE
    assert report.exit_code == code
    if inconclusive != "pass":
        assert "one timing a side" in report.headline
    fast = judged(tmp_path, default={"max_slowdown": 1.0})
    assert verdicts(fast)["texts_per_second"] == PASS


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device_name": "Other CPU"}, "the processor differs"),
        ({"cores": 2}, "the number of cores differs"),
        ({"packages": {"numpy": "1"}}, "the packages differs"),
        ({"speed": None}, "the candidate has no timing"),
        (
            {"speed": {"texts": 10, "seconds": 1.0}},
            "the candidate ran 10 texts, the baseline 1,000",
        ),
    ],
)
def test_seconds_are_compared_only_where_they_can_be(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    costly(tmp_path, "old", speed=800.0)
    costly(tmp_path, "new", **({"speed": 1.0} if "speed" not in changes else {}))
    machine = {"date": "n", "device_name": "Test CPU", "packages": {"numpy": "2.4.6"}}
    speed = {"texts": 1000, "seconds": 1000.0}
    write(
        tmp_path, "new", "Alpha", {NDCG: NDCGS},
        cost={"flops_per_token": 100}, run={**machine, "speed": speed, **changes},
    )  # fmt: skip
    report = judged(tmp_path)
    assert "texts_per_second" not in verdicts(report)
    assert any(f"speed is not judged: {why}" in note for row in report.rows for note in row.notes)


def test_costs_do_not_make_the_tests_stricter(tmp_path: Path) -> None:
    costly(tmp_path, "old")
    costly(tmp_path, "new")
    with_costs, without = judged(tmp_path), judged(tmp_path, default={})
    score = next(row for row in with_costs.rows if row.measure == NDCG)
    assert score.figures == without.rows[0].figures


def test_costs_are_judged_where_items_are_compared_one_by_one(tmp_path: Path) -> None:
    costly(tmp_path, "old")
    costly(tmp_path, "new", 200)
    report = judged(tmp_path, same_weights=True, default={"max_slowdown": 0.1})
    assert verdicts(report)["flops_per_token"] == REGRESSION


def test_a_missing_result_has_no_rows_of_costs_beside_its_error(tmp_path: Path) -> None:
    costly(tmp_path, "old")
    write(tmp_path, "new", "Beta", {NDCG: NDCGS})
    report = judged(tmp_path)
    assert [row.measure for row in report.rows] == [NDCG]
    assert report.exit_code == 4


def test_every_report_says_the_costs(tmp_path: Path) -> None:
    costly(tmp_path, "old", 10_900_000, speed=800.0)
    costly(tmp_path, "new", 21_900_000, speed=400.0)
    report = judged(tmp_path)
    said = "it needs 21.9 M FLOPs a token, the baseline 10.9 M (2.009 times); 1.1 times is allowed"
    assert said in report.headline
    (row,) = (row for row in json.loads(json_bytes(report))["rows"] if row["verdict"] == REGRESSION)
    assert row["cost"]["candidate"] == 21_900_000
    assert row["rule"]["max_slowdown"] == 0.1
    summary = markdown(report).decode()
    assert "| 21.9 M | 10.9 M | ×2.009 |" in summary
    assert "max\\_slowdown = 0.1" in summary or "max_slowdown = 0.1" in summary
    cases = {case.get("name"): case for case in ET.fromstring(junit(report)).iter("testcase")}
    assert cases["flops_per_token"].find("failure") is not None
    assert cases["texts_per_second"].find("skipped") is not None
    assert "candidate: 2.19e+07" in (cases["flops_per_token"].findtext("system-out") or "")


def test_the_command_prints_rows_of_costs(run_cli: Callable[..., Ran], tmp_path: Path) -> None:
    costly(tmp_path / "results", "old")
    costly(tmp_path / "results", "new", 200)
    ran = run_gate(run_cli, tmp_path, "--explain", policy="[default]\nmax_slowdown = 0.1")
    assert ran.code == 1
    assert "×2" in ran.out


def test_the_more_particular_table_wins() -> None:
    checked = policy(default={"max_slowdown": 0.1}, task={"STS12": {"max_slowdown": 0.5}})
    assert checked.rule_of_costs("STS12") == Rule(max_slowdown=0.5)
    assert checked.rule_of_costs("STS13") == Rule(max_slowdown=0.1)
