"""``evalsuite export`` and ``evalsuite import``: what they print and how they end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.exchange.trees import entry, lm_eval_table, mteb_table, mteb_tree, own_result, write

RunCli = Callable[..., Ran]
HEAVY = "torch|transformers|datasets|mteb|sentence_transformers"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.mark.parametrize(
    "words",
    [["export", "mteb"], ["export", "model-card"], ["import", "mteb"], ["import", "lm-eval"]],
)
def test_every_command_has_help_with_examples(run_cli: RunCli, words: list[str]) -> None:
    ran = run_cli(*words, "--help")
    assert ran.code == 0
    assert "Examples:" in ran.out
    assert f"evalsuite {' '.join(words)} " in ran.out
    assert "--json" in ran.out
    assert run_cli(words[0], words[1] + "x").code == 2
    assert run_cli(*words).code == 2


def test_import_says_what_came_of_it(run_cli: RunCli, tree: Path, root: Path) -> None:
    nan = mteb_table("Nan", scores={"test": [entry(float("nan"))]})
    place = mteb_tree(tree, mteb_table(), mteb_table("Other"), nan)
    ran = run_cli("import", "mteb", tree, "--results", root)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"Imported: 2 results to {root}",
        "Skipped: 1, main score is NaN or no number",
    ]
    write(place / "Bad.json", "{")
    ran = run_cli("import", "mteb", tree, "--results", root)
    assert ran.code == 3
    assert "Unchanged: 2, imported before" in ran.out
    assert "Error: 'org__model/r1/Bad.json' is malformed: no JSON" in ran.err
    ran = run_cli("import", "mteb", tree, "--results", root, "--json")
    assert ran.code == 3
    table = json.loads(ran.out)
    assert table["imported"] == 0
    assert table["unchanged"] == 2
    assert table["skipped"] == {"main score is NaN or no number": 1}
    assert table["malformed"][0]["file"] == "org__model/r1/Bad.json"
    assert table["results"] == str(root)


def test_many_malformed_files_are_counted(run_cli: RunCli, tree: Path, root: Path) -> None:
    place = mteb_tree(tree)
    for number in range(30):
        write(place / f"Bad{number}.json", "{")
    ran = run_cli("import", "mteb", tree, "--results", root)
    assert ran.err.count("is malformed") == 20
    assert "30 files are malformed; see --json" in ran.err


def test_import_of_nothing(run_cli: RunCli, tree: Path, root: Path) -> None:
    assert run_cli("import", "mteb", tree, "--results", root).code == 2
    tree.mkdir()
    ran = run_cli("import", "mteb", tree, "--results", root)
    assert ran.code == 4
    assert "No result of mteb under" in ran.err
    assert run_cli("import", "lm-eval", tree, "--results", root).code == 4
    mteb_tree(tree)
    ran = run_cli("import", "mteb", tree, "--results", root, "--task", "Nothing")
    assert ran.code == 4
    assert not root.exists()


def test_lm_eval(run_cli: RunCli, tree: Path, root: Path) -> None:
    file = write(tree / "results.json", lm_eval_table())
    ran = run_cli("import", "lm-eval", file, "--results", root, "--name", "my/model")
    assert (ran.code, ran.out) == (0, f"Imported: 1 result to {root}\n")
    (path,) = root.rglob("*@*.json")
    assert path.parts[-4] == "my__model"


def test_show_says_that_it_is_imported(run_cli: RunCli, tree: Path, root: Path) -> None:
    file = write(tree / "results.json", lm_eval_table())
    run_cli("import", "lm-eval", file, "--results", root)
    (path,) = root.rglob("*@*.json")
    ran = run_cli("show", path)
    assert ran.code == 0
    assert "imported from lm-eval, not run here" in ran.out
    assert "acc 0.011" in ran.out
    assert json.loads(run_cli("show", path, "--json").out)["origin"]["tool"] == "lm-eval"
    mteb_tree(tree)
    run_cli("import", "mteb", tree, "--results", root)
    (path,) = root.rglob("STSBenchmark@1.json")
    ran = run_cli("show", path)
    assert "not stated" in ran.out
    assert "outside ranks, tests and gates" in ran.out


def test_show_a_task_names_what_is_the_same(run_cli: RunCli) -> None:
    assert "mteb:STS12@a0d554a64d88156834ff5ae9920b964011b16384" in run_cli("show", "STS12").out


def test_export(run_cli: RunCli, root: Path, tmp_path: Path) -> None:
    own_result(root)
    own_result(root, "STS12-raw")
    out = tmp_path / "cache"
    ran = run_cli("export", "mteb", root, out)
    assert (ran.code, ran.out) == (
        0,
        f"Exported: 1 result to {out}\nLeft out: 1 on a task mteb does not have\n",
    )
    table = json.loads(run_cli("export", "mteb", root, out, "--json").out)
    assert table["results"] == 1
    card = tmp_path / "README.md"
    assert run_cli("export", "model-card", root, card, "--model", "org/own").code == 0
    assert card.read_text().startswith("---\nmodel-index:\n")
    assert run_cli("export", "model-card", root, tmp_path / "x.txt").code == 2
    assert run_cli("export", "mteb", root, out, "--model", "none").code == 4
    (root / "a" / "b" / "c").mkdir(parents=True)
    write(root / "a" / "b" / "c" / "Bad@1.json", "{")
    ran = run_cli("export", "mteb", root, out)
    assert ran.code == 3
    assert "Bad@1.json" in ran.err


def test_control_characters_are_not_printed(run_cli: RunCli, tree: Path, root: Path) -> None:
    place = mteb_tree(tree)
    write(place / "a\x1b[2J.json", "{")
    ran = run_cli("import", "mteb", tree, "--results", root)
    assert "\x1b[2J" not in ran.err
    assert ran.code == 3


@pytest.mark.parametrize(
    "words",
    [
        ["import", "mteb", "TREE", "--results", "OUT"],
        ["export", "mteb", "RESULTS", "OUT"],
        ["export", "model-card", "RESULTS", "CARD"],
    ],
)
def test_no_model_library_is_imported(
    tree: Path, root: Path, tmp_path: Path, words: list[str]
) -> None:
    mteb_tree(tree)
    own_result(root)
    places = {"TREE": tree, "RESULTS": root, "OUT": tmp_path / "out", "CARD": tmp_path / "c.md"}
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.stderr))\n"
        "from evalsuite.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *(str(places.get(word, word)) for word in words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert "evalsuite.exchange" in done.stderr.splitlines()
    assert not re.findall(rf"^(?:{HEAVY})$", done.stderr, re.MULTILINE)


def test_a_bar_on_a_terminal_only(
    run_cli: RunCli, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mteb_tree(tree)
    assert "files" not in run_cli("import", "mteb", tree, "--results", root).err
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "files" in run_cli("import", "mteb", tree, "--results", root / "b").err
