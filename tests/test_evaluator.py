"""The evaluator from Python: plain objects, failures, resume, provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import evalsuite
from evalsuite import Evaluator, get_task
from evalsuite.errors import DataError, UsageError
from evalsuite.evaluator import Event
from evalsuite.store import load_results
from evalsuite.task import Task
from tests.support import CORPUS, PAIRS, QUERIES, TextModel, beir_task, pairs_task, text_vector


def test_public_names() -> None:
    assert set(evalsuite.__all__) == {
        "Evaluator",
        "as_mteb",
        "get_suite",
        "get_task",
        "load_results",
    }
    for name in evalsuite.__all__:
        assert getattr(evalsuite, name).__module__.startswith("evalsuite.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = evalsuite.nothing


def test_a_plain_object_on_both_protocols(tmp_path: Path) -> None:
    model = TextModel()
    tasks = [str(pairs_task(tmp_path)), str(beir_task(tmp_path))]
    results = Evaluator(tasks, results=tmp_path / "r", cache=None).run(model)
    assert [result.task_key for result in results] == ["MyPairs@1", "MySearch@1"]
    assert {result.model["kind"] for result in results} == {"object"}
    texts = {text for a, b, _ in PAIRS for text in (a, b)}
    texts |= {*CORPUS.values(), *QUERIES.values()}
    asked = [text for text in model.seen if text in texts]
    assert sorted(asked) == sorted(texts)  # each once


def test_a_finished_object_is_probed_but_not_run(tmp_path: Path) -> None:
    task = str(pairs_task(tmp_path))
    Evaluator([task], results=tmp_path / "r", cache=None).run(TextModel())
    model = TextModel()
    events = list(Evaluator([task], results=tmp_path / "r", cache=None).events(model))
    assert [event.resumed for event in events] == [True]
    assert not any(text in model.seen for text, _, _ in PAIRS)


def test_an_object_with_other_vectors_is_another_model(tmp_path: Path) -> None:
    class Other(TextModel):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            return -2 * super().encode(texts)[:, ::-1] + 1

    task = str(pairs_task(tmp_path))
    for model in (TextModel(), Other()):
        Evaluator([task], results=tmp_path / "r", cache=None).run(model)
    first, second = load_results(tmp_path / "r")
    assert first.model["identity"] != second.model["identity"]
    assert first.path != second.path


def test_a_model_that_answers_differently_each_time_is_never_resumed(tmp_path: Path) -> None:
    class Restless:
        def __init__(self) -> None:
            self.calls = 0

        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            self.calls += 1
            return np.stack([text_vector(f"{self.calls} {text}") for text in texts])

    model = Restless()
    evaluator = Evaluator([str(pairs_task(tmp_path))], results=tmp_path / "r", cache=tmp_path / "c")
    for _ in range(2):
        (event,) = evaluator.events(model)
        assert not event.resumed
    assert not (tmp_path / "c").exists()


def test_other_tasks_run_after_a_failure_and_the_error_is_raised(tmp_path: Path) -> None:
    bad = pairs_task(tmp_path, name="Bad")
    (tmp_path / "Bad-data" / "pairs.jsonl").write_text("")
    tasks = [str(bad), str(pairs_task(tmp_path, name="Good"))]
    with pytest.raises(DataError, match="Bad@1"):
        Evaluator(tasks, results=tmp_path / "r", cache=None).run(TextModel())
    assert [result.task_key for result in load_results(tmp_path / "r")] == ["Good@1"]


def test_a_bug_in_a_model_keeps_its_traceback(tmp_path: Path) -> None:
    class Buggy(TextModel):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            if PAIRS[0][0] in texts:
                raise ZeroDivisionError("a bug of the user's")
            return super().encode(texts)

    with pytest.raises(ZeroDivisionError):
        Evaluator([str(pairs_task(tmp_path))], results=tmp_path / "r", cache=None).run(Buggy())


def test_results_are_written_the_moment_a_task_ends(tmp_path: Path) -> None:
    tasks = [str(pairs_task(tmp_path, name=name)) for name in ("A", "B")]
    events = Evaluator(tasks, results=tmp_path / "r", cache=None).events(TextModel())
    first: Event = next(events)
    assert first.result is not None
    assert first.result.path is not None
    assert first.result.path.is_file()
    assert len(load_results(tmp_path / "r")) == 1


def test_tasks_as_values_and_callbacks(tmp_path: Path) -> None:
    task = get_task(str(pairs_task(tmp_path)))
    started: list[Task] = []
    counted: list[tuple[int, int]] = []
    Evaluator(
        [task],
        results=tmp_path / "r",
        cache=None,
        on_task=started.append,
        progress=lambda done, total: counted.append((done, total)),
    ).run(TextModel())
    assert started == [task]
    distinct = len({text for a, b, _ in PAIRS for text in (a, b)})
    assert counted[-1] == (distinct, distinct)


@pytest.mark.parametrize(
    "options",
    [{"limit": 0}, {"batch_tokens": 0}, {"dtype": "fp64"}, {"device": "tpu"}, {"search": "x"}],
)
def test_options_are_checked_before_anything_runs(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Evaluator([str(pairs_task(tmp_path))], **options)


def test_the_interval_depends_on_seed_and_task_only(tmp_path: Path) -> None:
    many = [(f"{a} {i}", b, gold + i) for i in range(6) for a, b, gold in PAIRS]

    def interval(name: str, seed: int) -> Any:
        task = str(pairs_task(tmp_path, many, name=name))
        root = tmp_path / f"r{seed}"
        (result,) = Evaluator([task], results=root, cache=None, seed=seed, force=True).run(
            TextModel()
        )
        return result.ci95

    assert interval("A", 0) == interval("A", 0)
    assert interval("A", 0) != interval("A", 1)
    assert interval("A", 0) != interval("B", 0)


def test_provenance(tmp_path: Path) -> None:
    task = str(pairs_task(tmp_path))
    (result,) = Evaluator([task], results=tmp_path / "r", cache=None, tags={"a": "b"}).run(
        TextModel()
    )
    run = result.run
    assert run["tags"] == {"a": "b"}
    assert run["packages"]["numpy"] == np.__version__
    assert [phase["name"] for phase in run["phases"]] == ["encode", "interval"]
    assert run["data_source"] == "local"
    assert run["date"].endswith("+00:00")
    assert run["cores"] >= 1
    assert set(run["git"]) == {"commit", "dirty"}


def test_faiss_finds_the_same_and_is_kept_apart(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    task = str(beir_task(tmp_path))
    scores = {}
    for search in ("torch", "faiss"):
        (result,) = Evaluator([task], results=tmp_path / "r", cache=None, search=search).run(
            TextModel()
        )
        scores[result.variant] = {name: score.value for name, score in result.scores.items()}
    assert scores["cpu,fp32"] == scores["cpu,fp32,search=faiss"]


def test_a_cache_serves_other_tasks_and_dimensions(tmp_path: Path, tiny_bert: Path) -> None:
    """A second run over the same texts, in another task or dimension, encodes nothing."""
    counted: list[tuple[int, int]] = []
    options: dict[str, Any] = {"results": tmp_path / "r", "cache": tmp_path / "c"}
    Evaluator([str(pairs_task(tmp_path))], **options).run(str(tiny_bert))
    for spec, encoded in (("?dim=8", False), ("?normalize=true", False), ("?layer=1", True)):
        counted.clear()
        Evaluator(
            [str(pairs_task(tmp_path, name="Again"))],
            **options,
            progress=lambda done, total: counted.append((done, total)),
        ).run(f"{tiny_bert}{spec}")
        assert (counted[0][0] < counted[0][1]) is encoded, spec
