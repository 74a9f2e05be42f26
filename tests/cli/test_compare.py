"""``evalsuite compare``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evalsuite.cli.texts import item_texts
from evalsuite.store import read_result
from tests.compare.stores import ndcg, sts, write
from tests.conftest import Ran
from tests.support import REPOSITORY

RunCli = Callable[..., Ran]
HEAVY = "torch|transformers|sentence_transformers|datasets|mteb"
RESULTS = REPOSITORY / "results"
needs_results = pytest.mark.skipif(not RESULTS.is_dir(), reason="a checkout holds results")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the results folder of an empty working folder: two tasks, three models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALSUITE_DATA", raising=False)
    for model, seed, shift in (("old", 1, 0.0), ("new", 2, -0.1), ("other", 3, 0.0)):
        write(tmp_path / "results", ndcg(seed, shift=shift), model=model)
        write(tmp_path / "results", sts(1), model=model, task="Beta")
    return tmp_path / "results"


@pytest.mark.usefixtures("root")
def test_text(run_cli: RunCli) -> None:
    ran = run_cli("compare", "old", "new")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("new (cpu,fp32) against the baseline old (cpu,fp32)\n\nTask ")
    assert re.search(r"^Alpha@1 .* - worse +80 +80$", ran.out, re.MULTILINE)
    assert re.search(r"^Beta@1 .* = equal +60 +0$", ran.out, re.MULTILINE)
    assert "Ranks" not in ran.out
    assert not ran.out.endswith("\n\n")


@pytest.mark.usefixtures("root")
def test_more_than_two_models_are_ranked(run_cli: RunCli) -> None:
    ran = run_cli("compare", "old", "new", "other", "-t", "Alpha")
    assert re.search(r"^new \(cpu,fp32\) +3 of 3 \(", ran.out, re.MULTILINE)
    assert ran.out.count("against the baseline old (cpu,fp32), ndcg@10") == 2


@pytest.mark.usefixtures("root")
def test_json_and_markdown(run_cli: RunCli) -> None:
    ran = run_cli("compare", "old", "new", "--json", "--slice", "gold", "--items")
    table = json.loads(ran.out)
    assert ran.code == 0
    assert table["comparisons"][0]["rows"][0]["mark"] == "worse"
    assert len(table["comparisons"][0]["items"][0]["items"]) == 10
    assert "catalogue does not have the task" in table["texts_left_out"]["Alpha@1"]
    ran = run_cli("compare", "old", "new", "--markdown")
    assert ran.out.startswith("### new (cpu,fp32) against")
    assert "| Alpha@1 | ndcg@10 |" in ran.out
    ran = run_cli("compare", "old", "new", "--markdown", "--json")
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.usefixtures("root")
def test_items_and_slices(run_cli: RunCli) -> None:
    ran = run_cli("compare", "old", "new", "--items=3", "--slice", "ndcg@10")
    part = ran.out.partition("Items of Alpha@1 that changed most, ndcg@10")[2]
    assert len(re.findall(r"^i\d{3} ", part, re.MULTILINE)) == 3
    assert "Alpha@1: the catalogue does not have the task." in part
    assert "regression to the mean" in ran.out
    assert "ndcg@10 <= " in ran.out


@pytest.mark.usefixtures("root")
def test_plot(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("compare", "old", "new", "--plot", "p.svg", "--json")
    assert ran.code == 0
    json.loads(ran.out)
    assert ran.err == "Plot: p.svg\n"
    assert (tmp_path / "p.svg").read_bytes().startswith(b"<?xml")
    ran = run_cli("compare", "old", "new", "--plot", "p.jpg")
    assert (ran.code, ran.out) == (2, "")
    assert ".png or .svg" in ran.err


def test_one_that_stands_for_several_is_like_the_others(run_cli: RunCli, root: Path) -> None:
    write(root, ndcg(4), model="old", variant="cpu,bf16", settings={"dtype": "bfloat16"})
    assert run_cli("compare", "old", "old").code == 2
    ran = run_cli("compare", "old", "new")
    assert "against the baseline old (cpu,fp32)" in ran.out
    ran = run_cli("compare", "old?dtype=bf16", "old?dtype=fp32")
    assert "dtype differs: bfloat16 / float32 (all tasks)" in ran.out
    assert "only the candidate has it" in ran.out


def test_equal_labels_are_told_apart_by_what_was_typed(run_cli: RunCli, root: Path) -> None:
    write(root.with_name("nightly"), ndcg(2), model="old")
    ran = run_cli("compare", "old", "nightly")
    assert "old (cpu,fp32) [nightly] against the baseline old (cpu,fp32) [old]" in ran.out


@pytest.mark.usefixtures("root")
def test_tasks_and_suites(run_cli: RunCli) -> None:
    ran = run_cli("compare", "old", "new", "-t", "Alpha@1")
    assert "Beta" not in ran.out
    ran = run_cli("compare", "old", "new", "-t", "Alhpa")
    assert ran.code == 2
    assert "Did you mean 'Alpha'" in ran.err
    assert run_cli("compare", "old", "new", "-s", "quik").code == 2
    ran = run_cli("compare", "old", "new", "-s", "quick")
    assert ran.code == 4
    assert "QuickSTS" in ran.out
    assert "neither side has it" in ran.out
    assert "nothing is comparable" in ran.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["old"], "MODEL"),
        (["old", "absent"], "Unknown path or model"),
        (["old", "new", "--results", "absent"], "No results folder at 'absent'"),
        (["old", "new", "--measure", "bleu"], "Unknown measure 'bleu'"),
        (["old", "new", "--slice", "length"], "Unknown column 'length'"),
        (["old", "new", "--slice", "group"], "No task here has groups"),
        (["old", "new", "--items=0"], "--items"),
        (["old", "new", "--items=many"], "--items"),
        (["old", "new", "--resamples", "5"], "100"),
        (["old", "new", "--data-dir", "absent"], "No data folder at 'absent'"),
        (["old", "git:--output=x"], "names no git ref"),
    ],
)
@pytest.mark.usefixtures("root")
def test_wrong_usage(run_cli: RunCli, words: list[str], part: str) -> None:
    ran = run_cli("compare", *words)
    assert (ran.code, ran.out) == (2, "")
    assert part in ran.err


def test_a_damaged_table_leaves_3_and_the_rest(run_cli: RunCli, root: Path) -> None:
    (root / "new" / "r1" / "cpu,fp32" / "Beta@1.parquet").unlink()
    ran = run_cli("compare", "old", "new")
    assert ran.code == 3
    assert "- worse" in ran.out
    assert "the item table of the candidate is missing or damaged" in ran.out
    (root / "new" / "r1" / "cpu,fp32" / "Alpha@1.parquet").unlink()
    assert run_cli("compare", "old", "new").code == 4


def test_an_unreadable_result_leaves_3_and_the_rest(run_cli: RunCli, root: Path) -> None:
    (root / "new" / "r1" / "cpu,fp32" / "Beta@1.json").write_text("{")
    ran = run_cli("compare", "old", "new")
    assert ran.code == 3
    assert "only the baseline has it" in ran.out
    assert ran.err.startswith("Left out: '")
    for i in range(30):
        (root / "new" / "r1" / "cpu,fp32" / f"Bad{i}@1.json").write_text("{")
    ran = run_cli("compare", "old", "new")
    assert ran.err.count("is not a result file") == 20
    assert "Left out: 31 files in all; see --json." in ran.err


def test_a_difference_is_no_failure(run_cli: RunCli, root: Path) -> None:
    write(root, {"ndcg@10": np.zeros(80)}, model="broken")
    assert run_cli("compare", "old", "broken").code == 0


# ---- texts


@needs_results
def test_texts_of_redistributable_tasks_are_shown(run_cli: RunCli) -> None:
    words = ("all-MiniLM-L6-v2?dtype=fp32", "bm25", "--results", str(RESULTS), "--items=2")
    ran = run_cli("compare", *words, "-s", "quick")
    part = ran.out.partition("Items of QuickSTS@1")[2]
    assert re.search(r"Change  Text\n", part)
    assert re.search(r"\w+\. \| \w+", part)
    assert "Texts left out" not in ran.out
    table = json.loads(run_cli("compare", *words, "-t", "QuickRetrieval", "--json").out)
    item = table["comparisons"][0]["items"][0]["items"][0]
    assert item["text"]


@needs_results
def test_texts_of_other_tasks_need_a_folder_of_the_users(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVALSUITE_DATA", str(REPOSITORY))
    words = ("all-MiniLM-L6-v2?dtype=fp32", "bm25", "--results", str(RESULTS), "--items=1")
    ran = run_cli("compare", *words, "-t", "STSBenchmark")
    assert "may not be redistributed" in ran.out
    assert not re.search(r"  Text\n", ran.out)
    ran = run_cli("compare", *words, "-t", "STSBenchmark", "--data-dir", tmp_path)
    assert ran.code == 0
    assert "no local copy" in ran.out


def test_texts_of_other_data_are_not_shown(root: Path) -> None:
    path = write(root, sts(1), model="x", task="QuickSTS")
    assert item_texts(read_result(path), ["a056"], None) == (
        "the data here are not those the results were made from"
    )


# ---- the invariants


@needs_results
def test_no_model_library_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.stderr))\n"
        "from evalsuite.cli import main\nmain()"
    )
    words = ["all-MiniLM-L6-v2?dtype=fp32", "bm25", "random", "--suite", "quick", "--items=3"]
    more = ["--slice", "gold", "--plot", str(tmp_path / "p.png"), "--results", str(RESULTS)]
    done = subprocess.run(
        [sys.executable, "-c", script, "compare", *words, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert "evalsuite.compare" in done.stderr.splitlines()
    assert " | " in done.stdout  # texts were read, too
    assert not re.findall(rf"^(?:{HEAVY})$", done.stderr, re.MULTILINE)


def test_help_has_examples(run_cli: RunCli) -> None:
    ran = run_cli("compare", "--help")
    assert ran.code == 0
    assert "The first argument is the baseline" in ran.out
    assert "git:main" in ran.out
    assert "compare" in run_cli("--help").out
