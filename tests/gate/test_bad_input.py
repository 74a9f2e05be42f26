"""Bad input to ``evalsuite gate``; ``docs/bad-input.md`` has a row for every test."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import Ran
from tests.gate.stores import NDCG, alter, pair_of_models, run_gate, write

RunCli = Callable[..., Ran]
Gate = Callable[..., Ran]
Spoil = Callable[[Path], object]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def gate(run_cli: RunCli, tmp_path: Path) -> Gate:
    """Return a function that runs a gate and checks that every report was written and agrees."""
    return partial(run_gate, run_cli, tmp_path)


@pytest.mark.parametrize(
    ("policy", "part"),
    [
        ("[default]\nmax_dorp = 1", "Did you mean 'max_drop'"),
        ("[task.Alhpa]", "Did you mean 'Alpha'"),
        ("[suite.qick]", "Did you mean 'quick'"),
        ('[task.Alpha.measure."ndgc@10"]', "Unknown measure"),
        ('[task.Alpha.measure."recall@10"]', "Unknown measure 'recall@10'"),
        ("[default]\nmax_drop = nan", "`max_drop` is nan"),
        ("[default]\nmax_drop = -1", "0 or more"),
        ("[default]\nmax_slowdown = -0.1", "0 or more"),
        ("[default]\nmax_slowdown = '10 %'", "must be a number"),
        ("max_slowdown = 0.1", "stands outside a table"),
        ('[task.Alpha.measure."ndcg@10"]\nmax_slowdown = 1', "under `[task.Alpha]`"),
        ("[default]\nmax_drop = 2", "runs from 0 to 1"),
        ("[default]\nalpha = 0.6", "at most 0.5"),
        ("[default]\nrequire = 1", "true or false"),
        ("", "names no rows"),
        ("[", "not valid TOML"),
    ],
)
def test_policies_of_a_gate(gate: Gate, results: Path, policy: str, part: str) -> None:
    pair_of_models(results)
    ran = gate(policy=policy)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: ")
    assert part in ran.err


@pytest.mark.parametrize("bad", ["x", "<script>", [1], -5, True, {}, None])
def test_costs_that_are_no_numbers(gate: Gate, results: Path, bad: object) -> None:
    pair_of_models(results)
    cost = {"flops_per_token": 100, "bytes_per_item": 64}
    for path in results.rglob("*@1.json"):
        stated = cost | ({"flops_per_token": bad} if "new" in str(path) else {})
        alter(path, cost=stated)
    ran = gate(policy="[default]\nmax_slowdown = 0.1")
    assert ran.code == 3
    assert "the file of the candidate does not state it: run both models again" in ran.out


def test_missing_policies(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("gate", "a", "--baseline", "b", "--policy", tmp_path / "absent.toml")
    assert ran.code == 2
    assert "No policy file" in ran.err
    assert "`max_drop = 0.005`" in ran.err


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_sides_of_a_gate(gate: Gate, results: Path, tmp_path: Path, side: str) -> None:
    pair_of_models(results)
    for text in ("odl", "./absent", "--help", "x" * 5000, "a\0b", "", "tag:x", "new?dim=3"):
        ran = gate(**{side: text})
        assert ran.code == 2, text
        assert ran.err.startswith("Error: ")


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_refs_of_a_gate(
    gate: Gate, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    pair_of_models(results)
    assert gate(**{side: "git:main"}).code == 2  # no repository
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    monkeypatch.chdir(tmp_path)
    for ref in ("--help", "--output=pwned", "-x", "", "no-such-ref", "main:../..", "$(pwned)"):
        ran = gate(**{side: f"git:{ref}"})
        assert ran.code == 2
        assert ran.err.startswith("Error: ")
    assert not list(tmp_path.rglob("*pwned*"))


def test_nothing_to_judge(gate: Gate, results: Path, tmp_path: Path) -> None:
    pair_of_models(results)
    (tmp_path / "empty").mkdir()
    for side in ("candidate", "baseline"):
        ran = gate(**{side: str(tmp_path / "empty")})
        assert ran.code == 4
        assert "No results under" in ran.err
    write(results, "lone", "Gamma")
    for policy in ("[default]", "[default]\nrequire = false"):
        ran = gate(candidate="lone", policy=policy)
        assert ran.code == 4
        assert ran.out.startswith("NOTHING COMPARED: Alpha@1 ndcg@10: only the baseline has it")


def test_a_task_one_side_lacks(gate: Gate, results: Path) -> None:
    pair_of_models(results)
    write(results, "old", "Beta")
    ran = gate()
    assert ran.code == 3
    assert "Beta@1 ndcg@10: only the baseline has it" in ran.out
    ran = gate(policy="[default]\nrequire = false")
    assert ran.code == 0
    assert "skipped" in ran.out


def test_two_results_of_a_task(gate: Gate, results: Path) -> None:
    pair_of_models(results)
    path = write(results, "new")
    for file in (path, path.with_suffix(".parquet")):
        file.with_name(f"copy-{file.name}").write_bytes(file.read_bytes())
    ran = gate()
    assert ran.code == 2
    assert "Two results of Alpha@1" in ran.err


def cut(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])


SPOILS: list[tuple[Spoil, str]] = [
    (lambda file: file.with_suffix(".parquet").unlink(), "missing or damaged"),
    (lambda file: cut(file.with_suffix(".parquet"), 0), "missing or damaged"),
    (lambda file: cut(file.with_suffix(".parquet"), 100), "missing or damaged"),
    (lambda file: cut(file.with_suffix(".parquet"), -1), "missing or damaged"),
    (lambda file: file.with_suffix(".parquet").write_bytes(b"\xff" * 999), "missing or damaged"),
    (lambda file: alter(file, items_digest="0" * 64), "is not the item table"),
    (lambda file: alter(file, task__fingerprint="e" * 64), "other fingerprint"),
    (lambda file: alter(file, settings__limit=10), "limit differs"),
    (lambda file: alter(file, schema=99), "update evalsuite"),
    (lambda file: alter(file, schema=0), "run again with --force"),
    (lambda file: file.write_text("{"), "not a result file"),
    (lambda file: file.write_bytes(b""), "not a result file"),
    (lambda file: alter(file, scores=None), "malformed"),
    (lambda file: alter(file, **{f"scores__{NDCG}__value": float("nan")}), "NaN is no number"),
    (lambda file: alter(file, **{f"scores__{NDCG}__value": "nan"}), "no finite number"),
    (lambda file: alter(file, **{f"scores__{NDCG}__value": 0.9}), "file says ndcg@10 0.9"),
]


@pytest.mark.parametrize("model", ["new", "old"])
@pytest.mark.parametrize(("spoil", "part"), SPOILS)
def test_results_a_gate_cannot_use(
    gate: Gate, results: Path, spoil: Spoil, part: str, model: str
) -> None:
    """They are errors even where they may be missing, and never keep a regression quiet."""
    pair_of_models(results)
    pair_of_models(results, task="Beta")
    spoil(results / model / "v1" / "cpu,fp32" / "Beta@1.json")
    ran = gate(policy="[default]\nrequire = false")
    assert ran.code == 3
    first = ran.out.splitlines()[0]
    assert first.startswith("ERROR: 1 of 2 rows could not be judged: Beta@1 ")
    assert part in first
    pair_of_models(results, -0.1)
    ran = gate()
    assert ran.code == 1
    assert "1 of 2 rows could not be judged" in ran.out.splitlines()[0]


def test_hostile_names_in_gates(gate: Gate, results: Path, tmp_path: Path) -> None:
    names = ["<script>x</script>", "../../x", "a|b", "=1+1", "@all", "\x1b[2J", "::error::x", "`x`"]
    for name in names:
        pair_of_models(results, -0.1, name)
    ran = gate("--explain")
    assert ran.code == 1
    assert "\x1b" not in ran.out
    assert not [line for line in ran.out.splitlines() if line.startswith(("::", "="))]
    table = json.loads((tmp_path / "gate.json").read_text())
    assert {row["task"] for row in table["rows"]} == {f"{name}@1" for name in names}
    cases = ET.fromstring((tmp_path / "gate.xml").read_bytes()).findall("testsuite/testcase")
    shown = {name.replace("\x1b", "\ufffd") for name in names}
    assert {case.get("classname") for case in cases} == {f"evalsuite.gate.{s}@1" for s in shown}
    page = (tmp_path / "gate.md").read_text()
    for part in ("<script>", "a|b", "| =1", " @all", "`"):
        assert part not in page


def test_reports_that_cannot_be_written(run_cli: RunCli, tmp_path: Path, results: Path) -> None:
    pair_of_models(results)
    (tmp_path / "gate.toml").write_text("[default]")
    args = ("--baseline", "old", "--policy", tmp_path / "gate.toml", "--results", results)
    blocked = tmp_path / "gate.toml" / "x.xml"
    ran = run_cli("gate", "new", *args, "--junit", blocked, "--summary", tmp_path / "a.md")
    assert ran.code == 3
    assert ran.out.startswith("PASS")
    assert "Name another file with --junit" in ran.err
    assert (tmp_path / "a.md").exists()
    pair_of_models(results, -0.1)
    assert run_cli("gate", "new", *args, "--junit", blocked).code == 1
    ran = run_cli("gate", "new", *args, "--junit", tmp_path / "b", "--json", tmp_path / "b")
    assert ran.code == 2
    assert "both name" in ran.err
    assert not (tmp_path / "b").exists()
