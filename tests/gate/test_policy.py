"""Policies: which table wins, and what cannot be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import UsageError
from evalsuite.gate import Rule, load_policy, policy_from_table
from evalsuite.measures import parse


def load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    return load_policy(path)


def test_two_lines_are_a_policy(tmp_path: Path) -> None:
    policy = load(tmp_path, "[default]\nmax_drop = 0.005\n")
    assert policy.rule("SciFact", "ndcg@10") == Rule(max_drop=0.005)
    assert len(policy.digest) == 64
    assert not policy.same_weights
    assert policy.named_tasks() == []


def test_the_more_particular_table_wins_key_by_key(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        """
        [default]
        max_drop = 0.01
        alpha = 0.1
        inconclusive = "fail"
        [suite.quick]
        max_drop = 0.02
        require = false
        [task.QuickSTS]
        max_drop = 0.03
        floor = -0.5
        [task.QuickSTS.measure."cosine_pearson"]
        max_drop = 0.04
        environment = "same"
        """,
    )
    common: dict[str, Any] = {"alpha": 0.1, "inconclusive": "fail"}
    assert policy.rule("SciFact", "ndcg@10") == Rule(0.01, **common)
    assert policy.rule("QuickRetrieval", "ndcg@10") == Rule(0.02, require=False, **common)
    main = Rule(0.03, -0.5, require=False, **common)
    assert policy.rule("QuickSTS", "cosine_spearman") == main
    extra = Rule(0.04, -0.5, require=False, environment="same", **common)
    assert policy.rule("QuickSTS", "cosine_pearson") == extra
    assert policy.named_tasks() == ["QuickSTS", "QuickRetrieval"]
    assert policy.extra_measures("QuickSTS") == ["cosine_pearson"]


def test_suites_that_disagree_on_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalsuite import registry

    known = {
        name: registry.Suite(name, "", tasks)
        for name, tasks in (("one", ("A", "B")), ("two", ("B", "C")))
    }
    monkeypatch.setattr(registry, "suites", lambda: known)
    monkeypatch.setattr(registry, "get_suite", known.__getitem__)
    table: dict[str, Any] = {"suite": {"one": {"max_drop": 0.1}, "two": {"max_drop": 0.2}}}
    with pytest.raises(UsageError, match=r"\[suite.one\] and \[suite.two\].*`max_drop` for B"):
        policy_from_table(table, "gate.toml")
    table["task"] = {"B": {"max_drop": 0.3}}
    policy = policy_from_table(table, "gate.toml")
    assert [policy.rule(name, "m").max_drop for name in "ABC"] == [0.1, 0.3, 0.2]
    table["suite"]["two"] = {"alpha": 0.1}
    del table["task"]
    assert policy_from_table(table, "gate.toml").rule("B", "m") == Rule(0.1, alpha=0.1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("names no rows", "[default]")),
        ("same_weights = true", ("names no rows",)),
        ("[default", ("not valid TOML",)),
        ("x = " + "9" * 5000, ("not valid TOML",)),
        ("max_drop = 0.1", ("`max_drop` stands outside", "[default]")),
        ("[defualt]", ("Unknown key 'defualt'", "'default'")),
        ("default = 3", ("`default` must be a table",)),
        ("[suite]\nquick = 3", ("`quick` under [suite]", "[suite.NAME]")),
        ("[task]\nmax_drop = 3", ("`max_drop` under [task]",)),
        ("[suite.qick]", ("[suite.qick]", "Unknown suite 'qick'", "'quick'")),
        ("[default]\nmax_dorp = 1", ("[default]", "Unknown key 'max_dorp'", "'max_drop'")),
        ("[default]\nmax_latency = 1", ("[default]", "Unknown key 'max_latency'")),
        ("[task.SciFact]\nmeasures = 1", ("[task.SciFact]", "'measures'")),
        ("[task.SciFact]\nmeasure = 1", ("[task.SciFact]", "`measure` must be a table")),
        ("[task.SciFact.measure]\nx = 1", ("`x` under [measure] is no table",)),
        ("[task.SciFact.measure.'ndgc@10']", ('[task.SciFact.measure."ndgc@10"]', "Unknown")),
        ("[default]\nmax_drop = '1'", ("`max_drop` must be a number",)),
        ("[default]\nmax_drop = true", ("`max_drop` must be a number",)),
        ("[default]\nmax_drop = -0.1", ("`max_drop` is -0.1", "0 or more")),
        ("[default]\nmax_drop = nan", ("`max_drop` is nan", "finite")),
        ("[default]\nmax_drop = 1" + "0" * 400, ("`max_drop` is inf", "finite")),
        ("[task.SciFact]\nfloor = inf", ("[task.SciFact]", "`floor` is inf", "finite")),
        ("[default]\nalpha = 0", ("`alpha` is 0;", "above 0 and at most 0.5")),
        ("[default]\nalpha = 0.51", ("`alpha` is 0.51", "at most 0.5")),
        ("[default]\nalpha = nan", ("`alpha` is nan",)),
        ("[default]\nrequire = 1", ("`require` must be true or false",)),
        ("[default]\ninconclusive = 'ok'", ("'ok'", '"warn", "fail", "pass"')),
        ("[default]\nenvironment = ['any']", ("`environment`", '"any", "same"')),
        ("same_weights = 1\n[default]", ("`same_weights` must be true or false",)),
        ("tolerance = 0.1\n[default]", ("`tolerance`", "same_weights = true")),
        ("same_weights = true\ntolerance = -1\n[default]", ("`tolerance` is -1",)),
        ("same_weights = true\ntolerance = '1'\n[default]", ("`tolerance` must be a number",)),
        ("same_weights = true\n[default]\nalpha = 0.1", ("`alpha` has no effect", "remove")),
    ],
)
def test_policies_that_cannot_be(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as raised:
        load(tmp_path, text)
    for part in ("gate.toml", *parts):
        assert part in str(raised.value)


def test_policy_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No policy file.*\[default\]"):
        load_policy(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="Cannot read the policy"):
        load_policy(tmp_path)
    for content in (b"\xff\xfe", "[default]".encode("utf-16"), b"\xef\xbb\xbf[default]\n", b"\0"):
        (tmp_path / "gate.toml").write_bytes(content)
        with pytest.raises(UsageError, match="not valid TOML"):
            load_policy(tmp_path / "gate.toml")
    with pytest.raises(UsageError, match="Cannot read the policy"):
        load_policy(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("table", "measure", "part"),
    [
        ({"max_drop": 1}, "ndcg@10", "runs from 0 to 1"),
        ({"max_drop": 5}, "cosine_spearman", "5 points of 100 are written 0.05"),
        ({"floor": 65}, "ndcg@10", "`floor` is 65"),
        ({"floor": -0.1}, "ndcg@10", "`floor` is -0.1"),
    ],
)
def test_limits_off_the_measures_scale(table: dict[str, Any], measure: str, part: str) -> None:
    policy = policy_from_table({"default": {}, "task": {"T": table}}, "gate.toml")
    with pytest.raises(UsageError, match=r"gate.toml', \[task.T\]") as raised:
        policy.check_range("T", parse(measure))
    assert part in str(raised.value)
    policy.check_range("Other", parse(measure))


def test_tasks_and_measures_nobody_has() -> None:
    table: dict[str, Any] = {"task": {"SciFcat": {}, "B": {"measure": {"recall@10": {}}}}}
    policy = policy_from_table(table, "gate.toml")
    with pytest.raises(UsageError, match=r"\[task.SciFcat\].*Did you mean 'SciFact'"):
        policy.check_tasks({"SciFact", "B"})
    policy.check_tasks({"SciFcat", "B"})
    with pytest.raises(UsageError, match=r'measure."recall@10"\].*mean .recall@100'):
        policy.check_measure("B", "recall@10", {"ndcg@10", "recall@100"})
