"""Bad input of frozen transfer, isotropy and alignment, as docs/bad-input.md has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.errors import ModelError
from tests.conftest import Ran
from tests.protocols import test_isotropy as isotropy
from tests.support import pairs_task, task_toml, write_lines

RunCli = Callable[..., Ran]
GOOD = [(f"text {n}", "ab"[n % 2]) for n in range(60)]
FEW = "[params]\nfolds = 3"


def transfer_task(
    folder: Path, rows: Sequence[Any], extra: str = FEW, options: str = "", **fields: Any
) -> Path:
    """Write a transfer task of one split with its rows: ``(text, label)``."""
    objects = [{"text": text, "label": label} for text, label in rows]
    write_lines(folder / "texts" / "t.jsonl", objects)
    return task_toml(
        folder / "MyTransfer.toml",
        data=f'folder = "texts"\nformat = "jsonl"\ntrain = "t.jsonl"\n{options}',
        extra=extra,
        **{
            "protocol": "transfer",
            "main_measure": "accuracy",
            "split": "train",
            **fields,
        },
    )


def run(run_cli: RunCli, task: Path, *options: str) -> Ran:
    folder = task.parent / "r"
    return run_cli("run", "random", "-t", task, "--results", folder, "--no-cache", *options)


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([], "training split: it holds no texts"),
        ([GOOD[0], ("b", None)], "training split: row 2 lacks a label"),
        ([GOOD[0], (None, "b")], "training split: row 2 lacks a text"),
        ([("a", "x"), ("b", "x")], "one label only"),
        (GOOD[:4], "4 training texts are too few for 3 folds"),
        ([*GOOD[:12:2], GOOD[1]], "learns from texts of one label"),
    ],
)
def test_examples_that_cannot_be_learnt_from(
    run_cli: RunCli, tmp_path: Path, rows: Sequence[Any], part: str
) -> None:
    ran = run(run_cli, transfer_task(tmp_path, rows))
    assert (ran.code, ran.err.count("Error: ")) == (3, 1), ran
    assert part in ran.err
    assert "MyTransfer@1" in ran.err
    assert not list(tmp_path.rglob("MyTransfer@1.json"))


@pytest.mark.parametrize(
    ("extra", "fields", "part"),
    [
        ("[params]\nfolds = 1", {}, "`folds` must be at least 2"),
        ("[params]\nshots = 2", {}, "no parameter `shots`"),
        (FEW, {"measures": ["ndcg@10"]}, "does not compute 'ndcg@10'"),
        (FEW, {"options": 'columns = { text = "text" }'}, "`columns` of examples are"),
        (FEW, {"options": "dev = 3"}, "`data.local.dev` must be of type str"),
        (FEW, {"options": 'dev = "t.jsonl"'}, "leave out `dev`, or name a test split"),
        (FEW, {"split": "test"}, "lacks the key 'test'"),
    ],
)
def test_transfer_tasks_that_cannot_be(
    run_cli: RunCli, tmp_path: Path, extra: str, fields: dict[str, Any], part: str
) -> None:
    ran = run(run_cli, transfer_task(tmp_path, GOOD, extra, **fields))
    assert (ran.code, ran.err.count("Error: ")) == (2, 1), ran
    assert part in ran.err


def test_binary_f1_of_three_labels(run_cli: RunCli, tmp_path: Path) -> None:
    rows = [(text, "abc"[n % 3]) for n, (text, _) in enumerate(GOOD)]
    ran = run(run_cli, transfer_task(tmp_path, rows, measures=["f1_binary"]))
    assert ran.code == 2
    assert "`f1_binary` needs two labels, not 3" in ran.err


def test_labels_rarer_than_the_folds(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run(run_cli, transfer_task(tmp_path, [*GOOD, ("rare", "c")]))
    assert ran.code == 0, ran
    assert "Warning" not in ran.err
    (path,) = tmp_path.rglob("MyTransfer@1.json")
    assert json.loads(path.read_text())["counts"]["ok"] == 61


def test_a_limit_that_leaves_too_few_texts_for_the_folds(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run(run_cli, transfer_task(tmp_path, GOOD), "--limit", "5")
    assert ran.code == 3
    assert "5 training texts are too few for 3 folds" in ran.err


def test_pairs_none_of_which_mean_the_same(run_cli: RunCli, tmp_path: Path) -> None:
    task = pairs_task(tmp_path, protocol="alignment", main_measure="alignment")
    assert run(run_cli, task).code == 0
    task = pairs_task(
        tmp_path,
        protocol="alignment",
        main_measure="alignment",
        name="Far",
        extra="[params]\nleast_gold = 6.0",
    )
    ran = run(run_cli, task)
    assert ran.code == 3
    assert "Far@1: no pair has a gold of at least `least_gold`, 6; the largest is 5" in ran.err


def test_too_little_for_isotropy(run_cli: RunCli, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"protocol": "isotropy", "main_measure": "isoscore"}
    ran = run(run_cli, pairs_task(tmp_path, [("a", "a", 1)], **fields))
    assert ran.code == 3
    assert "isotropy needs two or more distinct texts, not 1" in ran.err
    ran = run_cli("run", "bm25", "-t", pairs_task(tmp_path, **fields), "--results", tmp_path / "r")
    assert ran.code == 3
    assert "needs a model with encode" in ran.err

    class Flat:
        def encode(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 1), dtype=np.float32)

    with pytest.raises(ModelError, match="vectors of two or more dimensions"):
        isotropy.run(isotropy.numbered(), Flat())
