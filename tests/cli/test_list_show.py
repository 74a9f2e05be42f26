"""``evalsuite list``, ``show``, ``data``, ``leaderboard`` and help."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalsuite import Evaluator, registry
from evalsuite.cli import COMMANDS
from tests.conftest import Ran
from tests.support import DATA, PAIRS, TextModel, pairs_task

RunCli = Callable[..., Ran]


def test_help_names_every_command_and_each_has_its_own(run_cli: RunCli) -> None:
    ran = run_cli("--help")
    assert ran.code == 0
    for name, (_, text) in COMMANDS.items():
        assert text in ran.out
        own = run_cli(name, "--help")
        assert own.code == 0
        assert "Usage: " in own.out
        assert "Examples:" in own.out


def test_version(run_cli: RunCli) -> None:
    from importlib.metadata import version

    assert version("evalsuite") in run_cli("--version").out


def test_list_tasks_equals_the_catalogue(run_cli: RunCli) -> None:
    rows = json.loads(run_cli("list", "tasks", "--json").out)
    assert [row["task"] for row in rows if row["from"] == "evalsuite"] == [
        str(registry.get_task(name)) for name in registry.task_files()
    ]
    assert set(rows[0]) == {"task", "type", "language", "measure", "from", "title"}
    text = run_cli("list", "tasks").out
    assert len(text.splitlines()) == len(rows) + 1


def test_list_filters(run_cli: RunCli) -> None:
    rows = json.loads(run_cli("list", "tasks", "--type", "sts", "--json").out)
    assert rows
    assert {row["type"] for row in rows} == {"STS"}
    assert "STSBenchmark@1" in {row["task"] for row in rows}
    assert json.loads(run_cli("list", "tasks", "--language", "xxx", "--json").out) == []
    assert "Nothing matches" in run_cli("list", "tasks", "--language", "xxx").err
    suite = json.loads(run_cli("list", "tasks", "--suite", "quick", "--json").out)
    assert [row["task"].partition("@")[0] for row in suite] == list(
        registry.get_suite("quick").all_tasks()
    )


def test_list_suites_and_models(run_cli: RunCli) -> None:
    suites = {
        row["suite"]: row["tasks"] for row in json.loads(run_cli("list", "suites", "--json").out)
    }
    assert suites["quick"] == len(registry.get_suite("quick").all_tasks())
    models = json.loads(run_cli("list", "models", "--json").out)
    assert {row["model"] for row in models} >= {"all-MiniLM-L6-v2", "bm25", "tfidf", "random"}


def test_show_a_task(run_cli: RunCli, tmp_path: Path) -> None:
    shown = json.loads(run_cli("show", "STSBenchmark", "--json").out)
    assert shown["task"] == "STSBenchmark@1"
    assert shown["main_measure"] == "cosine_spearman"
    assert shown["data"]["expect"]["pairs"] == 1379
    own = run_cli("show", pairs_task(tmp_path, licence="mine"))
    assert "MyPairs@1" in own.out
    assert "mine" in own.out
    assert "pairs.jsonl" in own.out


def test_show_a_result(run_cli: RunCli, tmp_path: Path) -> None:
    task = str(pairs_task(tmp_path))
    (result,) = Evaluator([task], results=tmp_path, cache=None, tags={"k": "v"}).run(TextModel())
    assert result.path is not None
    text = run_cli("show", result.path).out
    for part in ("MyPairs@1", "text-model", "k=v", f"{result.main_score:.4f}", "8 ok", "numpy"):
        assert part in text
    assert json.loads(run_cli("show", result.path, "--json").out) == json.loads(
        result.path.read_text()
    )


def small_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *tasks: Path) -> None:
    suite = registry.Suite("small", "x", tuple(map(str, tasks)))
    monkeypatch.setattr(registry, "suites", lambda: {"small": suite})


def test_data_verify(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = pairs_task(tmp_path, name="Good")
    small_suite(monkeypatch, tmp_path, good)
    ran = run_cli("data", "verify", "small", "--json")
    assert ran.code == 0
    (row,) = json.loads(ran.out)
    assert (row["task"], row["state"], row["source"]) == ("Good@1", "ok", "local")
    assert row["detail"] == f"{len(PAIRS)} pairs"
    altered = pairs_task(tmp_path, name="Bad", extra=f'[data.expect]\ndigest = "{"0" * 64}"')
    small_suite(monkeypatch, tmp_path, good, altered)
    ran = run_cli("data", "verify", "small")
    assert ran.code == 3
    assert "Good@1  ok" in ran.out
    assert "altered" in ran.out


@pytest.mark.skipif(not (DATA / "stsbenchmark").is_dir(), reason=f"no stsbenchmark in {DATA}")
def test_data_verify_real(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    suite = registry.Suite("small", "x", ("STSBenchmark",))
    monkeypatch.setattr(registry, "suites", lambda: {"small": suite})
    ran = run_cli("data", "verify", "small", "--data-dir", DATA, "--json")
    assert ran.code == 0
    expected = registry.get_task("STSBenchmark").expect
    assert json.loads(ran.out)[0]["digest"] == expected["digest"]


def test_data_fetch_offline(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = '[data.hub]\npath = "nobody/absent"\nrevision = "0123456789abcdef"'
    task = pairs_task(tmp_path, extra=hub)
    (tmp_path / "MyPairs-data").rename(tmp_path / "gone")
    small_suite(monkeypatch, tmp_path, task)
    ran = run_cli("data", "fetch", "small")
    assert ran.code == 3
    assert "nobody/absent" in ran.out


def test_leaderboard_of_one_result(run_cli: RunCli, tmp_path: Path) -> None:
    task = str(pairs_task(tmp_path))
    Evaluator([task], results=tmp_path / "r", cache=None).run(TextModel(name="<b>x</b>"))
    ran = run_cli("leaderboard", "--results", tmp_path / "r", "--out", tmp_path / "s", "--json")
    assert ran.code == 0
    index = Path(json.loads(ran.out)["index"])
    assert index.is_file()
    page = "".join(path.read_text() for path in index.parent.rglob("*.html"))
    assert "MyPairs" in page
    assert "<b>x</b>" not in page


def test_exit_codes_stand_in_the_help_of_run(run_cli: RunCli) -> None:
    assert "0 done, 2 wrong usage, 3 a task failed" in run_cli("run", "--help").out
