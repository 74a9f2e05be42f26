"""``evalsuite run``: JSON fields, exit codes, resume, limits, tags."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalsuite.store import load_results, read_items
from tests.conftest import Ran
from tests.support import DATA, PAIRS, beir_task, canonical, pairs_task, shell

RunCli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_json_holds_the_documented_fields(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("run", "random", "-t", pairs_task(tmp_path), "--json")
    assert ran.code == 0
    assert ran.err == ""
    (row,) = json.loads(ran.out)
    assert row["task"] == "MyPairs"
    assert row["version"] == 1
    assert row["model"] == "random"
    assert row["main_measure"] == "cosine_spearman"
    assert row["n_items"] == len(PAIRS)
    assert row["scores"]["cosine_spearman"] == row["main_score"]
    assert row["ci95"][0] <= row["main_score"] <= row["ci95"][1]
    stored = json.loads(Path(row["result_path"]).read_text())
    assert stored["scores"]["cosine_spearman"]["value"] == pytest.approx(row["main_score"])
    assert len(read_items(Path(row["result_path"]))) == len(PAIRS)


def test_people_get_a_table(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("run", "random", "tfidf", "-t", pairs_task(tmp_path), "-t", beir_task(tmp_path))
    assert ran.code == 0
    header, *rows = [line.split() for line in ran.out.splitlines() if line][:5]
    assert header[:4] == ["Task", "Model", "Device", "Dtype"]
    assert [row[:2] for row in rows] == [
        ["MyPairs@1", "random"], ["MySearch@1", "random"],
        ["MyPairs@1", "tfidf"], ["MySearch@1", "tfidf"],
    ]  # fmt: skip
    assert ran.err.count("done in") == 4
    assert "Results: results" in ran.out


def test_a_finished_run_says_so_and_loads_no_model(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("run", "random", "-t", pairs_task(tmp_path))
    assert run_cli(*args).code == 0
    (path,) = Path("results").rglob("*.json")
    before = path.stat().st_mtime_ns, path.read_bytes()

    def loaded(*args: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("evalsuite.models.random.RandomEncoder.__init__", loaded)
    again = run_cli(*args)
    assert again.code == 0
    assert "already finished" in again.err
    assert "MyPairs@1" in again.out
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    forced = run_cli(*args, "--force")
    assert "done in" in forced.err
    assert len(list(Path("results/superseded").rglob("*.json"))) == 1


def test_a_forced_run_that_fails_keeps_the_old_result(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = pairs_task(tmp_path)
    assert run_cli("run", "random", "-t", task, "--no-cache").code == 0
    monkeypatch.setattr(
        "evalsuite.models.random.RandomEncoder.encode", lambda self, texts: [[float("nan")]]
    )
    assert run_cli("run", "random", "-t", task, "--no-cache", "--force").code == 3
    assert len(load_results("results")) == 1


def test_options_and_limits_are_kept_apart(run_cli: RunCli, tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    runs: list[tuple[str, ...]] = [
        (), ("--limit", "3"), ("--limit", "4"), ("--seed", "1"), ("--max-length", "5"),
    ]  # fmt: skip
    for words in runs:
        assert run_cli("run", "random", "-t", task, *words).code == 0
    assert run_cli("run", "random?seed=3", "-t", task).code == 0
    found = {r.variant: r.counts["items"] for r in load_results("results")}
    assert found == {
        "cpu,fp32": 8,
        "cpu,fp32,limit=3": 3,
        "cpu,fp32,limit=4": 4,
        "cpu,fp32,seed=1": 8,
        "cpu,fp32,max_length=5": 8,
        "cpu,fp32,seed=3": 8,
    }
    fingerprints = {r.task["fingerprint"] for r in load_results("results")}
    assert len(fingerprints) == 3  # a limit makes another task


def test_limit_above_the_size_keeps_everything(run_cli: RunCli, tmp_path: Path) -> None:
    task = beir_task(tmp_path)
    for limit in ("2", "99"):
        assert run_cli("run", "random", "-t", task, "--limit", limit).code == 0
    assert sorted(r.counts["items"] for r in load_results("results")) == [2, 3]


def test_tags_are_kept_and_move_nothing(run_cli: RunCli, tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    run_cli("run", "random", "-t", task, "--tag", "a=1", "--tag", "b=x=y", "--results", "r1")
    run_cli("run", "random", "-t", task, "--results", "r2")
    (one,), (two,) = load_results("r1"), load_results("r2")
    assert one.run["tags"] == {"a": "1", "b": "x=y"}
    assert one.path is not None
    assert two.path is not None
    assert canonical(one.path) == canonical(two.path)


def test_a_suite_and_a_task_named_twice_run_once(run_cli: RunCli, tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    ran = run_cli("run", "random", "-t", task, "-t", task, "--json")
    assert len(json.loads(ran.out)) == 1


def test_the_default_is_the_quick_suite(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalsuite import registry

    quick = registry.Suite("quick", "x", (str(pairs_task(tmp_path)),))
    monkeypatch.setattr(registry, "suites", lambda: {"quick": quick})
    ran = run_cli("run", "random", "--json")
    assert [row["task"] for row in json.loads(ran.out)] == ["MyPairs"]


@pytest.mark.skipif(not (DATA / "stsbenchmark").is_dir(), reason=f"no stsbenchmark in {DATA}")
def test_real_data_by_catalogue_name(run_cli: RunCli) -> None:
    ran = run_cli("run", "tfidf", "-t", "STSBenchmark@1", "--data-dir", DATA, "--json")
    (row,) = json.loads(ran.out)
    assert row["n_items"] == 1379
    assert 0.6 < row["main_score"] < 0.75
    (result,) = load_results("results")
    assert result.run["data_source"] == "local"


STOP = """
import os, signal
import evalsuite.models.random as r
real = r.RandomEncoder.encode
def encode(self, texts):
    if any("STOP" in text for text in texts):
        os.kill(os.getpid(), signal.{signal})
    return real(self, texts)
r.RandomEncoder.encode = encode
"""


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGKILL", -9)])
def test_what_an_interrupted_run_left_is_finished_by_the_same_command(
    tmp_path: Path, signal: str, code: int
) -> None:
    tasks = [
        pairs_task(tmp_path, name="First"),
        pairs_task(tmp_path, [("STOP here.", "x", 1.0), *PAIRS], name="Second"),
        pairs_task(tmp_path, PAIRS[1:], name="Third"),
    ]
    words = ["run", "random", "--no-cache", *(w for task in tasks for w in ("-t", str(task)))]
    stopped = shell(*words, code=STOP.format(signal=signal), cwd=tmp_path)
    assert stopped.returncode == code
    assert "Traceback" not in stopped.stderr
    if signal == "SIGINT":
        assert "the same command goes on from there" in stopped.stderr
    assert [r.task["name"] for r in load_results(tmp_path / "results")] == ["First"]
    resumed = shell(*words, cwd=tmp_path)
    assert resumed.returncode == 0
    lines = [line.split(None, 2) for line in resumed.stderr.splitlines() if "random" in line]
    assert [(task, state[:7]) for task, _, state in lines] == [
        ("First@1", "already"),
        ("Second@1", "done in"),
        ("Third@1", "done in"),
    ]
    assert len(load_results(tmp_path / "results")) == 3
    assert not list((tmp_path / "results").rglob(".writing-*"))


def test_a_run_finished_in_part_continues_from_its_vectors(tmp_path: Path, tiny_bert: Path) -> None:
    """The vectors of a killed run are not computed again."""
    kill = """
import os, signal
import evalsuite.models.transformer as t
real, calls = t.TorchEncoder.forward_unpadded, []
def forward(self, *args):
    calls.append(1)
    if len(calls) == 6:
        os.kill(os.getpid(), signal.SIGINT)
    return real(self, *args)
t.TorchEncoder.forward_unpadded = forward
"""
    count = """
import atexit
import evalsuite.models.transformer as t
real, rows = t.TorchEncoder.forward_unpadded, []
def forward(self, ids, *args):
    rows.append(1)  # one text a batch, and copies of it
    return real(self, ids, *args)
t.TorchEncoder.forward_unpadded = forward
atexit.register(lambda: print("ROWS", sum(rows)))
"""
    words = ["run", str(tiny_bert), "-t", str(pairs_task(tmp_path)), "--batch-tokens", "1"]
    cache = {"EVALSUITE_CACHE": str(tmp_path / "cache")}
    assert shell(*words, code=kill, cwd=tmp_path, **cache).returncode == 130
    done = shell(*words, code=count, cwd=tmp_path, **cache)
    distinct = len({text for a, b, _ in PAIRS for text in (a, b)})
    assert int(done.stdout.rpartition("ROWS ")[2]) == distinct - 5
