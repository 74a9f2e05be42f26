"""Bad input to tasks with labels; ``docs/bad-input.md`` has a row for every test."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalsuite import Evaluator
from tests.conftest import Ran
from tests.data.test_bitext import jsonl_task as bitext_task
from tests.data.test_summaries import ROWS as SUMMARIES
from tests.data.test_summaries import jsonl_task as summaries_task
from tests.support import task_toml, write_lines
from tests.test_bad_input import assert_one_error

RunCli = Callable[..., Ran]

TRAIN = [(f"train {n}", "ab"[n % 2]) for n in range(20)]
TEST = [(f"test {n}", "ab"[n % 2]) for n in range(6)]


def labelled_task(
    folder: Path,
    train: Sequence[tuple[Any, Any]] = TRAIN,
    test: Sequence[tuple[Any, Any]] = TEST,
    *,
    extra: str = "",
    **fields: Any,
) -> Path:
    """Write a classification task with its texts beside it."""
    for name, rows in (("train", train), ("test", test)):
        table = [{"text": text, "label": label} for text, label in rows]
        write_lines(folder / "labelled" / f"{name}.jsonl", table)
    data = 'folder = "labelled"\nformat = "jsonl"\ntrain = "train.jsonl"\ntest = "test.jsonl"'
    chosen = {"protocol": "classification", "main_measure": "accuracy", **fields}
    return task_toml(folder / "MyLabels.toml", data=data, extra=extra, **chosen)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.parametrize(
    ("split", "content", "part"),
    [
        ("train", "", "training split: it holds no texts"),
        ("test", "", "test split: it holds no texts"),
        ("train", "not json", "train.jsonl:1 is not JSON"),
        ("test", '{"text": "a"}', "test split: row 1 lacks a label"),
        ("test", '{"text": "a", "label": null}', "row 1 lacks a label"),
        ("test", '{"text": "a", "label": NaN}', "row 1 lacks a label"),
        ("test", '{"label": "a"}', "row 1 lacks a text"),
        ("train", '{"text": "a", "label": "a"}', "one label only"),
        ("train", None, "train.jsonl' is missing"),
        ("test", None, "test.jsonl' is missing"),
    ],
)
def test_malformed_labels(
    run_cli: RunCli, tmp_path: Path, split: str, content: str | None, part: str
) -> None:
    path = labelled_task(tmp_path)
    file = tmp_path / "labelled" / f"{split}.jsonl"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert_one_error(run_cli("run", "random", "-t", path), 3, part, "MyLabels@1")
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"extra": "[params]\nsamples_per_label = 0"}, "must be at least 1"),
        ({"extra": "[params]\ncross_validation = true"}, 'say `split = "train"`'),
        ({"extra": '[params]\nsamples_per_label = "8"'}, "of type int"),
        ({"main_measure": "cosine_spearman"}, "does not compute 'cosine_spearman'"),
    ],
)
def test_classification_tasks_that_cannot_be(
    run_cli: RunCli, tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    path = labelled_task(tmp_path, **changes)
    assert_one_error(run_cli("run", "random", "-t", path), 2, part)


def test_labels_with_few_texts(run_cli: RunCli, tmp_path: Path) -> None:
    few = [*TRAIN, ("once", "c")]
    path = labelled_task(tmp_path, few, [*TEST, ("never", "d")])
    (result,) = Evaluator([str(path)], results="results", cache=None).run("random")
    assert result.evidence["labels_with_fewer_samples"] == 1
    assert result.evidence["labels_without_training_texts"] == 1
    assert result.counts["failed"] == 0
    assert result.scores["accuracy"].n == 7
    done = run_cli("run", "random", "-t", path, "--json")
    assert done.code == 0
    assert json.loads(done.out)


def test_too_few_texts_for_the_folds(run_cli: RunCli, tmp_path: Path) -> None:
    params = "[params]\ncross_validation = true"
    path = labelled_task(tmp_path, TRAIN[:4], extra=params, split="train")
    assert_one_error(run_cli("run", "random", "-t", path), 3, "4 texts are too few for 5 folds")


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([], "holds no pairs"),
        ([("a", "b")], "pair 1 lacks a text or the name of its subset"),
        ([("a", "b", "c"), (None, "b", "c")], "pair 2 lacks"),
        ([("a", "b", "c")], "'a' has one candidate only"),
    ],
)
def test_malformed_bitexts(
    tmp_path: Path, run_cli: Callable[..., Ran], rows: list[Any], part: str
) -> None:
    path = bitext_task(tmp_path, rows)
    ran = run_cli("run", "random", "--task", path, "--results", tmp_path / "r")
    assert_one_error(ran, 3, part)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([], "holds no texts"),
        ([(None, ["a"], ["b", "c", "d"], [1, 2, 3])], "text 1 lacks its text"),
        ([("t", "a", ["b", "c", "d"], [1, 2, 3])], "text 1 lacks its text, or a list"),
        ([("t", ["a"], ["b", None, "d"], [1, 2, 3])], "text 1 lacks its text, or a list"),
        ([("t", [], ["b", "c", "d"], [1, 2, 3])], "0 summaries by people and 3 by machines"),
        ([("t", ["a"], ["b", "c"], [1, 2])], "1 summaries by people and 2 by machines"),
        ([SUMMARIES[0], ("t", ["a"], ["b", "c", "d"], [1, 2])], "text 2 does not have one finite"),
        ([("t", ["a"], ["b", "c", "d"], [1, 2, "x"])], "text 1 does not have one finite"),
    ],
)
def test_malformed_summaries(
    tmp_path: Path, run_cli: Callable[..., Ran], rows: list[Any], part: str
) -> None:
    ran = run_cli("run", "random", "--task", summaries_task(tmp_path, rows), "--results", tmp_path)
    assert_one_error(ran, 3, part)


def test_texts_that_are_all_excluded(tmp_path: Path, run_cli: Callable[..., Ran]) -> None:
    path = summaries_task(tmp_path, [("t", ["a"], ["b", "c", "d"], [1, 1, 1])])
    ran = run_cli("run", "random", "--task", path, "--results", tmp_path / "r")
    assert_one_error(ran, 3, "every item was excluded")
