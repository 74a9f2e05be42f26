"""Bad input of protocols, as docs/bad-input.md has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalsuite.data.labelled import make_labelled
from evalsuite.errors import DataError, UsageError
from tests.conftest import Ran
from tests.protocols import test_multilabel_classification as multilabel
from tests.protocols import test_regression as regression
from tests.support import pairs_task, task_toml

RunCli = Callable[..., Ran]


def matching_task(folder: Path, golds: Sequence[Any]) -> Path:
    """Write a pair classification task with these golds."""
    rows = [(f"text {n}", f"other {n}", gold) for n, gold in enumerate(golds)]
    return pairs_task(folder, rows, protocol="pair_classification", main_measure="max_ap")


@pytest.mark.parametrize(
    ("golds", "part"),
    [
        ((0, 1, 2), "the gold of pair 'p2' is 2. Pair classification takes 1"),
        ((-1, 1, 1), "the gold of pair 'p0' is -1"),
        ((0, 0.5, 1), "the gold of pair 'p1' is 0.5"),
        ((1, 1, 1), "all 3 pairs have the gold 1, which leaves nothing to tell apart"),
        ((0,), "all 1 pairs have the gold 0"),
        ((0, "yes"), "a score is not a number"),
    ],
)
def test_golds_of_pair_classification(
    run_cli: RunCli, tmp_path: Path, golds: Sequence[Any], part: str
) -> None:
    task = matching_task(tmp_path, golds)
    ran = run_cli("run", "random", "-t", task, "--results", tmp_path / "r", "--no-cache")
    assert (ran.code, ran.err.count("Error: ")) == (3, 1), ran
    assert part in ran.err
    assert "MyPairs@1" in ran.err
    assert not list(tmp_path.rglob("MyPairs@1.json"))


def test_a_limit_that_leaves_one_class(run_cli: RunCli, tmp_path: Path) -> None:
    task = matching_task(tmp_path, (0, 1, 0, 1))
    run = ("run", "random", "-t", task, "--results", tmp_path / "r", "--no-cache")
    ran = run_cli(*run, "--limit", "1")
    assert ran.code == 3
    assert "a larger --limit" in ran.err
    assert run_cli(*run).code == 0


# ---- clustering


def clustering_task(folder: Path, rows: Sequence[Any], extra: str = "", **fields: Any) -> Path:
    """Write a clustering task with its rows: ``(text, label)``, or lines as they are."""
    objects = [dict(zip(("text", "label"), row, strict=False)) for row in rows]
    lines = [
        row if isinstance(row, str) else json.dumps(made)
        for row, made in zip(rows, objects, strict=True)
    ]
    (folder / "texts").mkdir(exist_ok=True)
    (folder / "texts" / "t.jsonl").write_text("\n".join(lines))
    data = f'folder = "texts"\nformat = "jsonl"\nfile = "t.jsonl"\n{fields.pop("options", "")}'
    return task_toml(
        folder / "MyTopics.toml",
        data=data,
        extra=extra,
        protocol="clustering",
        main_measure="v_measure",
        **fields,
    )


GOOD = [(f"text {n}", "abc"[n % 3]) for n in range(30)]
SETS = '[params]\nsampling = "sets"'
FEW = "[params]\nmax_fraction = 0.0\ntexts_per_experiment = 50"


def run_clusters(run_cli: RunCli, task: Path) -> Ran:
    return run_cli("run", "random", "-t", task, "--results", task.parent / "r", "--no-cache")


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([], "t.jsonl holds no texts"),
        (["{"], "t.jsonl:1 is not JSON"),
        (["[1]"], "t.jsonl:1 is not a JSON object"),
        ([GOOD[0], ("b", None)], "text 2 lacks a label"),
        ([GOOD[0], (None, "b")], "text 2 is missing"),
        ([GOOD[0], ("b", ["x", "", "y"])], "text 2 has a label with a gap"),
        ([(["a", "b"], ["x"])], "set 1 has not as many labels as texts"),
        ([("a", "x"), ("b", "x")], "one label only: there is nothing to tell apart"),
    ],
)
def test_malformed_texts_to_cluster(
    run_cli: RunCli, tmp_path: Path, rows: Sequence[Any], part: str
) -> None:
    ran = run_clusters(run_cli, clustering_task(tmp_path, rows, FEW))
    assert (ran.code, ran.err.count("Error: ")) == (3, 1), ran
    assert part in ran.err
    assert "MyTopics@1" in ran.err
    assert not list(tmp_path.rglob("MyTopics@1.json"))


@pytest.mark.parametrize(
    ("extra", "fields", "part"),
    [
        ('[params]\nsampling = "folds"', {}, "`sampling` is 'folds'. Known: 'draws', 'sets'"),
        ("[params]\nmax_fraction = 2.0", {}, "`max_fraction` must be between 0 and 1"),
        ("[params]\nmax_fraction = 1", {}, "`max_fraction` must be of type float"),
        ("[params]\nmax_fraction = 0.1\nmax_texts = 5", {}, "`max_texts` or `max_fraction`"),
        ("[params]\nn_experiments = 1", {}, "`n_experiments` must be at least 2"),
        ("[params]\nmax_texts = 30\ntexts_per_experiment = 2", {}, "3 labels need as many texts"),
        (FEW, {"options": "sample = 1"}, "`sample` keeps at least 2 texts"),
        (FEW, {"options": 'sample = "all"'}, "`data.local.sample` must be of type int"),
        (FEW, {"measures": ["accuracy"]}, "does not compute 'accuracy'"),
    ],
)
def test_clustering_tasks_that_cannot_be(
    run_cli: RunCli, tmp_path: Path, extra: str, fields: dict[str, Any], part: str
) -> None:
    ran = run_clusters(run_cli, clustering_task(tmp_path, GOOD, extra, **fields))
    assert (ran.code, ran.err.count("Error: ")) == (2, 1), ran
    assert part in ran.err


def test_too_few_texts_to_cluster(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_clusters(run_cli, clustering_task(tmp_path, GOOD))
    assert ran.code == 3
    assert "`max_fraction = 0.04` of 30 texts leaves 1 to cluster. Say `max_texts`" in ran.err
    task = clustering_task(tmp_path, [(text, [label, text]) for text, label in GOOD], SETS)
    ran = run_clusters(run_cli, task)
    assert ran.code == 3
    assert "labels of 2 levels; sets take one" in ran.err


def test_a_limit_that_leaves_one_label(run_cli: RunCli, tmp_path: Path) -> None:
    task = clustering_task(tmp_path, GOOD, FEW)
    ran = run_cli("run", "random", "-t", task, "--results", tmp_path / "r", "--limit", "1")
    assert ran.code == 3
    assert "MyTopics@1: The texts have one label only" in ran.err
    assert "a larger --limit" in ran.err


def test_labels_of_unequal_depth(run_cli: RunCli, tmp_path: Path) -> None:
    rows = [
        (text, [label, "xy"[n % 2]] if n % 5 else label) for n, (text, label) in enumerate(GOOD)
    ]
    for missing in ("class", "leave_out"):
        task = clustering_task(tmp_path, rows, f'{FEW}\nmissing_level = "{missing}"')
        assert run_clusters(run_cli, task).code == 0
        (path,) = tmp_path.rglob("MyTopics@1.json")
        evidence = json.loads(path.read_text())["evidence"]
        assert evidence["texts_without_a_label"] == {"level 2": 6}
        path.unlink()


def test_a_set_of_one_label_and_a_set_alone(run_cli: RunCli, tmp_path: Path) -> None:
    rows: list[Any] = [
        (["a", "b", "c"], ["x", "x", "x"]),
        (["a", "b", "c", "d"], ["x", "y", "y", "x"]),
    ]
    for some in (rows, rows[1:]):
        ran = run_clusters(run_cli, clustering_task(tmp_path, some, SETS))
        assert ran.code == 0, ran
        (path,) = tmp_path.rglob("MyTopics@1.json")
        score = json.loads(path.read_text())["scores"]["v_measure"]
        assert 0 <= score["value"] <= 1
        assert (score.get("ci95") is None) == (some is not rows)
        path.unlink()


def test_fewer_distinct_texts_than_clusters(run_cli: RunCli, tmp_path: Path) -> None:
    rows = [(f"text {n % 2}", f"label {n % 5}") for n in range(20)]
    ran = run_clusters(run_cli, clustering_task(tmp_path, rows, FEW))
    assert ran.code == 0, ran
    assert "Warning" not in ran.err


def test_labels_that_are_no_numbers() -> None:
    for label in ("red", "inf", "nan "):
        data = make_labelled([("1", 1), ("2", label), ("3", 2)], [("4", 1)], "here")
        with pytest.raises(DataError, match="is not a number to be predicted"):
            regression.run(data, regression.Fixed())


def test_parameters_and_draws_that_cannot_be() -> None:
    for name in ("n_samples", "n_experiments"):
        with pytest.raises(UsageError, match=f"`{name}` must be at least 1"):
            regression.run(regression.fixed_data(), regression.Fixed(), **{name: 0})
    with pytest.raises(DataError, match="3 of 60 texts cannot be drawn evenly"):
        regression.run(regression.fixed_data(), regression.Fixed(), n_samples=3)


def test_sets_of_labels_that_cannot_be() -> None:
    one = make_labelled([("1", ["a"]), ("2", ["b"])], [("3", ["a"])], "here")
    with pytest.raises(DataError, match="have 1 labels; 2 to 53"):
        multilabel.run(one, multilabel.Fixed())
    many = [(str(n), [f"l{n}"]) for n in range(60)]
    with pytest.raises(DataError, match="have 60 labels"):
        multilabel.run(make_labelled(many, many, "here"), multilabel.Fixed())
    few = make_labelled([("1", ["a"]), ("2", ["b"])], [("3", ["a", "b"])], "here")
    with pytest.raises(DataError, match="fewer than 5 texts"):
        multilabel.run(few, multilabel.Fixed())
    with pytest.raises(UsageError, match="`samples_per_label` must be at least 1"):
        multilabel.run(multilabel.fixed_data(), multilabel.Fixed(), samples_per_label=0)
