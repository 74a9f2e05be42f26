"""The invariants of the design that no single module holds alone."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from evalsuite import Evaluator
from evalsuite.engines.batching import ShapeRule
from evalsuite.errors import EvalsuiteError, NothingToReadError
from evalsuite.result import Result
from evalsuite.store import load_results, read_items, read_result
from tests.conftest import Ran
from tests.support import (
    CORPUS,
    PAIRS,
    QUERIES,
    TextModel,
    beir_task,
    canonical,
    pairs_task,
    shell,
    text_vector,
    write_lines,
)


@pytest.fixture
def tasks(tmp_path: Path) -> list[str]:
    """Return the files of an STS and of a retrieval task."""
    return [str(pairs_task(tmp_path / "tasks")), str(beir_task(tmp_path / "tasks"))]


def run(tasks: list[str], model: Any, results: Path, **options: Any) -> dict[str, str]:
    """Run and return the canonical part of each result by task."""
    done = Evaluator(tasks, results=results, **{"cache": None, **options}).run(model)
    return {result.task_key: canonical(result.path) for result in done if result.path}


# 1. a missing item never shrinks a mean


def test_1_every_item_is_in_the_table(tasks: list[str], tmp_path: Path) -> None:
    for result in Evaluator(tasks, results=tmp_path / "r", cache=None).run(TextModel()):
        assert result.path is not None
        items = read_items(result.path)
        counts = result.counts
        assert len(items) == counts["items"] == len(set(items["item"]))
        assert counts["ok"] + counts["failed"] + counts["excluded"] == counts["items"]
        assert result.scores[result.main_measure].n == counts["items"] - counts["excluded"]


def test_1_a_query_that_finds_nothing_counts_zero(tmp_path: Path) -> None:
    queries = {**QUERIES, "q1": "zzzz"}
    task = beir_task(tmp_path, queries=queries)
    (result,) = Evaluator([str(task)], results=tmp_path / "r", cache=None).run("tfidf")
    assert result.path is not None
    scores = read_items(result.path).set_index("item")["ndcg@10"]
    assert scores["q1"] == 0.0
    assert result.main_score == pytest.approx(scores.sum() / 3)


# 2. same fingerprint, model, device and dtype: same bytes


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_2_results_do_not_depend_on_order_batches_or_cache(
    tasks: list[str], tmp_path: Path, tiny_bert: Path, dtype: str
) -> None:
    model = str(tiny_bert)
    reference = run(tasks, model, tmp_path / "a", dtype=dtype)
    assert len(reference) == 2
    other: dict[str, dict[str, Any]] = {
        "other order": {},
        "one text a batch": {"batch_tokens": 1},
        "large batches": {"batch_tokens": 10**5},
        "filling the cache": {"cache": tmp_path / "cache"},
        "from the cache": {"cache": tmp_path / "cache"},
    }
    for name, options in other.items():
        order = tasks[::-1] if name == "other order" else tasks
        again = run(order, model, tmp_path / name, dtype=dtype, **options)
        assert again == reference, name


def test_2_the_order_of_lines_moves_nothing(tmp_path: Path) -> None:
    pairs = [(f"{a} {i}", b, round(gold + i / 7, 2)) for i in range(9) for a, b, gold in PAIRS]
    ids = [f"id{i}" for i in range(len(pairs))]
    order = np.random.default_rng(0).permutation(len(pairs))
    corpus, queries = (dict(reversed(list(part.items()))) for part in (CORPUS, QUERIES))
    for model in (TextModel(), "tfidf"):
        first = run(
            [str(pairs_task(tmp_path / "a", pairs, ids=ids)), str(beir_task(tmp_path / "a"))],
            model,
            tmp_path / "ra",
        )
        shuffled = pairs_task(
            tmp_path / "b", [pairs[i] for i in order], ids=[ids[i] for i in order]
        )
        second = run(
            [str(shuffled), str(beir_task(tmp_path / "b", corpus=corpus, queries=queries))],
            model,
            tmp_path / "rb",
        )
        assert first == second


def test_2_global_random_state_moves_nothing(tasks: list[str], tmp_path: Path) -> None:
    import random

    first = run(tasks, "random", tmp_path / "a")
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert run(tasks, "random", tmp_path / "b") == first


KILL = """
import os, signal
import evalsuite.models.transformer as t
real = t.TorchEncoder.forward_unpadded
def forward(self, rows, role):
    if role == "document":  # the second task has begun, its queries are encoded
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, rows, role)
t.TorchEncoder.forward_unpadded = forward
"""


def test_2_killed_and_resumed(tasks: list[str], tmp_path: Path, tiny_bert: Path) -> None:
    args = ["run", str(tiny_bert), "-t", tasks[0], "-t", tasks[1], "--results", str(tmp_path / "k")]
    killed = shell(*args, code=KILL, EVALSUITE_CACHE=str(tmp_path / "cache"))
    assert killed.returncode == -9
    left = sorted(path.name for path in (tmp_path / "k").rglob("*.json"))
    assert left == ["MyPairs@1.json"]
    resumed = run(tasks, str(tiny_bert), tmp_path / "k", cache=tmp_path / "cache")
    assert resumed == run(tasks, str(tiny_bert), tmp_path / "whole")


def test_2_a_score_altered_by_a_thousandth_is_seen(tasks: list[str], tmp_path: Path) -> None:
    """The comparisons above would not pass if a score moved: the canonical part holds them."""
    reference = run(tasks, TextModel(), tmp_path / "a")
    for path in (tmp_path / "a").rglob("*.json"):
        table = json.loads(path.read_text())
        table["scores"][table["main_measure"]]["value"] += 1e-3
        path.write_text(json.dumps(table))
        assert canonical(path) != reference[path.stem]


def test_2_padding_rule_is_what_makes_it_hold() -> None:
    lengths = np.arange(0, 40)
    assert (ShapeRule().padded(lengths) % 4 == 0).all()
    assert (ShapeRule().padded(lengths) >= np.maximum(lengths, 1)).all()
    assert (ShapeRule().padded(lengths) - np.maximum(lengths, 1) < 4).all()
    assert ShapeRule().unpadded().padded(lengths[1:]).tolist() == lengths[1:].tolist()


# 4. a reader that finds nothing fails


def test_4_readers_of_nothing_fail(tmp_path: Path, run_cli: Callable[..., Ran]) -> None:
    with pytest.raises(NothingToReadError):
        load_results(tmp_path)
    assert NothingToReadError.exit_code == 4
    out = str(tmp_path / "site")
    assert run_cli("leaderboard", "--results", tmp_path, "--out", out).code == 4
    assert run_cli("leaderboard", "--results", tmp_path / "absent", "--out", out).code == 2
    assert not Path(out).exists()


# 5. no number without its n and its interval


def test_5_scores_carry_n_and_interval(
    tasks: list[str], tmp_path: Path, run_cli: Callable[..., Ran]
) -> None:
    words = [word for task in tasks for word in ("-t", task)]
    ran = run_cli("run", "random", *words, "--results", tmp_path / "r", "--json")
    for row in json.loads(ran.out):
        low, high = row["ci95"]
        assert low <= row["main_score"] <= high
        assert row["n_items"] > 0
        assert row["device"] == "cpu"
        assert row["dtype"] == "float32"
    ran = run_cli("run", "random", *words, "--results", tmp_path / "r")
    assert "95 % interval" in ran.out
    for result in load_results(tmp_path / "r"):
        assert all(score.n > 0 for score in result.scores.values())
        assert f"{result.main_score:.4f}" in ran.out
        assert str(result.scores[result.main_measure].n) in ran.out


# 6. nothing a model or data file contains is executed


def test_6_code_of_a_checkpoint_does_not_run(
    tmp_path: Path, tiny_bert: Path, run_cli: Callable[..., Ran]
) -> None:
    folder = tmp_path / "remote"
    folder.mkdir()
    for path in tiny_bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    marker = tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(marker)!r}, 'w')\n")
    task = pairs_task(tmp_path)
    for spec in (f"{folder}", f"{folder}?trust_remote_code=true"):
        ran = run_cli("run", spec, "-t", task, "--results", tmp_path / "r")
        assert ran.code in (2, 3)
        assert not marker.exists()


# 7. errors are one message with an exit code


def test_7_every_error_of_ours_has_a_documented_exit_code() -> None:
    kinds: list[type[EvalsuiteError]] = [EvalsuiteError, *EvalsuiteError.__subclasses__()]
    assert {kind.__name__: kind.exit_code for kind in kinds} == {
        "EvalsuiteError": 3,
        "UsageError": 2,
        "DataError": 3,
        "ModelError": 3,
        "StoreError": 3,
        "NothingToReadError": 4,
    }


# 8. what needs no model imports no model library

HEAVY = "torch|transformers|datasets|mteb|sentence_transformers"


@pytest.mark.parametrize(
    "args",
    [
        ["--help"], ["run", "--help"], ["list", "tasks"], ["list", "models", "--json"],
        ["show", "STSBenchmark"], ["show", "RESULT"],
        ["leaderboard", "--results", "RESULTS", "--out", "OUT"],
    ],
)  # fmt: skip
def test_8_readers_import_no_model_library(args: list[str], tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    (result,) = Evaluator([str(task)], results=tmp_path / "r", cache=None).run(TextModel())
    places = {"RESULT": str(result.path), "RESULTS": f"{tmp_path}/r", "OUT": f"{tmp_path}/site"}
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.stderr))\n"
        "from evalsuite.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *(places.get(arg, arg) for arg in args)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert "evalsuite.cli" in done.stderr.splitlines()
    assert not re.findall(rf"^(?:{HEAVY})$", done.stderr, re.MULTILINE)


def test_8_a_finished_run_imports_no_torch(tmp_path: Path, tiny_bert: Path) -> None:
    task = str(pairs_task(tmp_path))
    Evaluator([task], results=tmp_path / "r", cache=None).run(str(tiny_bert))
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('TORCH' if 'torch' in sys.modules else 'light'))\n"
    )
    args = ("run", str(tiny_bert), "-t", task, "--results", str(tmp_path / "r"), "--device", "cpu")
    done = shell(*args, code=code)
    assert "already finished" in done.stderr
    assert done.stdout.splitlines()[-1] == "light"


# 9. item tables hold ids and numbers


def test_9_tables_hold_no_texts(tasks: list[str], tmp_path: Path) -> None:
    secret = "Xylophone marmalade."
    write_lines(
        tmp_path / "tasks" / "MyPairs-data" / "pairs.jsonl",
        [{"sentence1": secret, "sentence2": b, "score": gold} for _, b, gold in PAIRS],
    )
    for result in Evaluator(tasks, results=tmp_path / "r", cache=None).run(TextModel()):
        assert result.path is not None
        table = pq.read_table(result.path.with_suffix(".parquet"))
        texts = {str(f.name) for f in table.schema if str(f.type) in ("string", "large_string")}
        assert texts == {"item", "status"}
        for path in (result.path, result.path.with_suffix(".parquet")):
            content = path.read_bytes()
            assert b"Xylophone" not in content
            assert not any(text.encode() in content for text in (*CORPUS.values(), PAIRS[1][1]))
        assert not any(secret in str(item) for item in table["item"].to_pylist())


# 10. provenance holds no path, user, host or secret


def test_10_results_name_no_path_user_or_host(tmp_path: Path, tiny_bert: Path) -> None:
    home = tmp_path / "someuser" / "deep"
    home.mkdir(parents=True)
    model = home / "my-model"
    model.symlink_to(tiny_bert)
    task = pairs_task(home / "own")
    (home / "data").mkdir()
    environment = {"USER": "someuser", "HF_TOKEN": "hf_verysecret", "EVALSUITE_CACHE": f"{home}/c"}
    variants: list[tuple[str, ...]] = [
        ("--task", str(task), "--results", f"{home}/r1", "--data-dir", f"{home}/data"),
        (f"--task={task}", f"--results={home}/r2", f"--data-dir={home}/data"),
        (f"-t{task}", "--results", f"{home}/r3"),
        ("-t", os.path.relpath(task, home / "data"), "--results", "../r4"),
    ]
    for words in variants:
        done = shell("run", f"{model}?pooling=cls", *words, cwd=home / "data", **environment)
        assert done.returncode == 0, done.stderr
    paths = sorted(home.glob("r?/**/*.json"))
    assert len(paths) == 4
    hidden = ["someuser", str(tmp_path), "verysecret", socket.gethostname()]
    hidden += [getpass.getuser()] if getpass.getuser() != "root" else []
    for path in paths:
        text = path.read_text()
        assert not [word for word in hidden if word in text], text
        assert not re.findall(r'"[^"\s]*(?:^|[="])(?:/|~|\.\./)[^"]*"', text)
        command = read_result(path).run["command"]
        assert "tiny-bert?pooling=cls" in command or "my-model?pooling=cls" in command
        assert not any("/" in word for word in command)


def test_10_the_identity_holds_where_the_model_lies(tmp_path: Path, tiny_bert: Path) -> None:
    copy = tmp_path / "elsewhere" / "tiny-bert"
    copy.mkdir(parents=True)
    for path in tiny_bert.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    task = [str(pairs_task(tmp_path))]
    first = run(task, str(tiny_bert), tmp_path / "a")
    assert run(task, str(copy), tmp_path / "b") == first


def test_a_result_is_a_function_of_vectors_alone(tmp_path: Path) -> None:
    """Two objects that give the same vectors are one model, whatever they are called in memory."""

    class Other:
        name = "text-model"

        def encode(self, texts: list[str]) -> list[list[float]]:
            return [text_vector(text).tolist() for text in texts]

    task = [str(pairs_task(tmp_path))]
    results: list[Result] = []
    for model in (TextModel(), Other()):
        results += Evaluator(task, results=tmp_path / "r", cache=None).run(model)
    assert results[0].path == results[1].path
    assert len(list((tmp_path / "r").rglob("*.json"))) == 1
