"""Bad input to ``evalsuite compare``; ``docs/bad-input.md`` has a row for every test."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compare.stores import ndcg, sts, write
from tests.conftest import Ran
from tests.test_bad_input import assert_one_error

RunCli = Callable[..., Ran]
BETA = "cpu,fp32/Beta@1"


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the results of two models on two tasks, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for model, seed in (("old", 1), ("new", 2)):
        write(tmp_path / "results", ndcg(seed), model=model)
        write(tmp_path / "results", sts(seed), model=model, task="Beta")
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("./absent", "No file or folder at './absent'"),
        ("odl", "Did you mean 'old'?"),
        ("old?dmi=1", "Unknown model option 'dmi'"),
        ("old?dtype=bf16", "Type one of: 'old?variant=cpu,fp32'"),
        ("tag:x", "tag:KEY=VALUE"),
        ("", "Unknown path or model"),
        ("<script>", "Unknown path or model"),
        ("x" * 5000, "Unknown path or model"),
    ],
)
def test_models_nobody_has_results_of(run_cli: RunCli, text: str, part: str) -> None:
    assert_one_error(run_cli("compare", "old", text), 2, part)


def test_models_that_stand_for_several(run_cli: RunCli) -> None:
    assert_one_error(
        run_cli("compare", "results", "results"), 2, "Type one of: results/new/r1/cpu,fp32"
    )


@pytest.mark.parametrize("ref", ["--output=x", "-h", "", "absent", "HEAD;id", "HEAD:../../etc"])
def test_refs_that_cannot_be(run_cli: RunCli, results: Path, ref: str) -> None:
    author = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",)}
    author |= {f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")}
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run(
            ["git", *words], check=True, cwd=results.parent, env={**os.environ, **author}
        )
    before = sorted(results.parent.iterdir())
    assert_one_error(run_cli("compare", "old", f"git:{ref}"), 2, "git")
    assert sorted(results.parent.iterdir()) == before
    assert run_cli("compare", "old", "git:HEAD").code == 0


def test_folders_without_results(run_cli: RunCli, results: Path) -> None:
    (results.parent / "empty").mkdir()
    assert_one_error(run_cli("compare", "old", "empty"), 4, "No results under 'empty'")


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "text"])
def test_damaged_item_tables(run_cli: RunCli, results: Path, damage: str) -> None:
    table = results / "new" / "r1" / f"{BETA}.parquet"
    content = table.read_bytes()
    other = (results / "old" / "r1" / f"{BETA}.parquet").read_bytes()
    table.unlink()
    if damage != "missing":
        table.write_bytes({"truncated": content[:-9], "altered": other, "text": b"a,b\n"}[damage])
    ran = run_cli("compare", "old", "new")
    assert ran.code == 3
    assert re.search(r"^Alpha@1 ", ran.out, re.MULTILINE)
    assert "the item table of the candidate is missing or damaged" in ran.out
    assert run_cli("compare", "old", "new", "-t", "Beta").code == 4


@pytest.mark.parametrize(
    "part",
    [
        {"schema": 2},
        {"schema": "1"},
        {"scores": {"cosine_spearman": {"value": "nan", "n": 3}}},
        {"scores": {"cosine_spearman": {"value": 1e999, "n": 3}}},
        {"scores": {}},
        {"model": {"name": 3, "identity": "i", "revision": "r"}},
        {"run": []},
    ],
)
def test_results_that_cannot_be_read(
    run_cli: RunCli, results: Path, part: dict[str, object]
) -> None:
    path = results / "new" / "r1" / f"{BETA}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **part}))
    ran = run_cli("compare", "old", "new")
    assert ran.code == 3
    assert "Beta@1  only the baseline has it" in ran.out
    assert re.fullmatch(r"Left out: .*Beta@1\.json.*\n", ran.err)
    assert_one_error(run_cli("compare", "old", path), 3, "Beta@1.json")


def test_two_results_of_one_task(run_cli: RunCli, results: Path) -> None:
    folder = results / "new" / "r1"
    (folder / "copy").mkdir()
    (folder / "copy" / "Beta@1.json").write_bytes((folder / f"{BETA}.json").read_bytes())
    assert_one_error(run_cli("compare", "old", "new"), 2, "Two results of Beta@1", "copy/Beta@1")


def test_results_that_are_not_comparable(run_cli: RunCli, results: Path) -> None:
    write(results, ndcg(3), model="other", fingerprint="0" * 64)
    write(results, sts(3, n=50), model="other", task="Beta")
    ran = run_cli("compare", "old", "other")
    assert_one_error(ran, 4, "nothing is comparable")
    assert "Alpha@1  other fingerprint: the data" in ran.out
    assert "Beta@1   item tables hold other items: 10 only in the baseline" in ran.out


@pytest.mark.parametrize("form", ["text", "--markdown", "--json"])
@pytest.mark.parametrize(
    "name", ["<script>x</script>", "../../x", "a|b`c`", "a\x1b[2J\nb", "=1+1", "@all"]
)
def test_hostile_names_in_comparisons(run_cli: RunCli, results: Path, form: str, name: str) -> None:
    write(results, ndcg(3), model=name, task="Alpha", ids=[f"{name}{i}" for i in range(80)])
    write(results, ndcg(4), model="same", task="Alpha", ids=[f"{name}{i}" for i in range(80)])
    words = ["--items=2", *([] if form == "text" else [form])]
    ran = run_cli("compare", "same", name, *words)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    if form == "--markdown":
        assert "<script" not in ran.out
        lines = [re.sub(r"\\.", "", line) for line in ran.out.splitlines()]
        assert {line.count("|") for line in lines if line.startswith("|")} == {10, 5}
    if form == "--json":
        assert json.loads(ran.out)["comparisons"][0]["candidate"].startswith(name)


def test_plots_that_cannot_be_written(run_cli: RunCli, results: Path) -> None:
    (results.parent / "file").write_text("")
    assert_one_error(run_cli("compare", "old", "new", "--plot", "x.exe"), 2, ".png or .svg")
    ran = run_cli("compare", "old", "new", "--plot", "file/x.png")
    assert_one_error(ran, 2, "Cannot write the plot")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--measure", "bleu"], "Unknown measure"),
        (["--slice", "length"], "Unknown column"),
        (["--suite", "stss"], "Unknown suite"),
        (["--task", "Alhpa"], "Did you mean 'Alpha'"),
        (["--items=0"], "--items"),
        (["--data-dir", "absent"], "No data folder"),
        (["--json", "--markdown"], "exclude each other"),
    ],
)
def test_options_of_compare(run_cli: RunCli, words: list[str], part: str) -> None:
    assert_one_error(run_cli("compare", "old", "new", *words), 2, part)
