"""What a run writes of costs: exact ones always, speed only of texts that were really run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalsuite import Evaluator
from evalsuite.result import Result
from evalsuite.store import read_result
from tests.conftest import Ran
from tests.support import PAIRS, TextModel, beir_task, pairs_task

N_TEXTS = len({text for a, b, _ in PAIRS for text in (a, b)})


def run(model: Any, task: Path, folder: Path, **options: Any) -> Result:
    """Run one task and return its result as it is read back."""
    options.setdefault("cache", None)
    (result,) = Evaluator([str(task)], results=folder / "results", **options).run(model)
    assert result.path is not None
    return read_result(result.path)


def spec(tiny_bert: Path, options: str = "") -> str:
    return f"{tiny_bert}?as=encoder{options}"


@pytest.mark.parametrize(
    ("options", "size"),
    [("", 128), ("&dim=10", 40), ("&quantize=int8", 32), ("&dim=10&quantize=binary", 2)],
)
def test_bytes_are_those_of_the_vectors_after_all_options(
    tiny_bert: Path, tmp_path: Path, options: str, size: int
) -> None:
    result = run(spec(tiny_bert, options), pairs_task(tmp_path), tmp_path)
    assert result.cost["bytes_per_item"] == size
    assert result.spent.flops_per_token == result.cost["flops_per_token"] > 0


def test_a_run_from_the_cache_says_what_it_costs_but_claims_no_speed(
    tiny_bert: Path, tmp_path: Path
) -> None:
    task, options = pairs_task(tmp_path), {"cache": tmp_path / "cache", "force": True}
    first = run(spec(tiny_bert), task, tmp_path, **options)
    again = run(spec(tiny_bert), task, tmp_path, **options)
    assert first.run["speed"]["texts"] == N_TEXTS
    assert first.run["speed"]["tokens"] > N_TEXTS
    assert first.spent.texts_per_second == pytest.approx(
        first.run["speed"]["texts_per_second"], rel=1e-3
    )
    assert again.run["speed"] is None
    assert again.spent.texts_per_second is None
    assert again.cost == first.cost
    assert None not in first.cost.values()


def test_speed_is_of_a_task_alone_whatever_ran_before(tiny_bert: Path, tmp_path: Path) -> None:
    tasks = [str(pairs_task(tmp_path)), str(beir_task(tmp_path)), str(pairs_task(tmp_path))]
    results = Evaluator(tasks, results=tmp_path / "r", cache=None, force=True).run(spec(tiny_bert))
    texts = [result.run["speed"] and result.run["speed"]["texts"] for result in results]
    assert texts == [N_TEXTS, 9, None]  # six documents and three queries


def test_a_grid_costs_what_each_layer_costs_and_claims_no_speed_of_one(
    tiny_bert: Path, tmp_path: Path
) -> None:
    grid = Evaluator([str(pairs_task(tmp_path))], results=tmp_path / "r", cache=None)
    results = grid.run(spec(tiny_bert, "&layer=1,2&dim=8"))
    assert [result.run["speed"] for result in results] == [None, None]
    alone = [run(spec(tiny_bert, f"&layer={i}&dim=8"), pairs_task(tmp_path), tmp_path / "alone")
             for i in (1, 2)]  # fmt: skip
    assert [result.cost for result in results] == [result.cost for result in alone]


def test_an_object_has_a_speed_and_bytes_but_no_invented_parameters(tmp_path: Path) -> None:
    result = run(TextModel(), pairs_task(tmp_path), tmp_path)
    assert result.cost["parameters"] is None
    assert result.cost["bytes_per_item"] > 0
    assert result.run["speed"]["texts"] == N_TEXTS
    assert result.run["speed"]["tokens"] is None  # the engine does not see them


def test_several_vectors_a_text_take_as_many_bytes(tiny_bert: Path, tmp_path: Path) -> None:
    from evalsuite.models import Placement, resolve

    several = f"{tiny_bert}?as=multi-vector"
    result = run(several, beir_task(tmp_path), tmp_path)
    from tests.support import CORPUS

    model = resolve(several).load(Placement())
    rows = model.tokenize(list(CORPUS.values()), "document")
    from evalsuite.engines.shelf import MultiVectorEngine

    vectors = MultiVectorEngine(lambda: model).encode_multi(list(CORPUS.values()), "document")
    assert result.cost["bytes_per_item"] == pytest.approx(4 * sum(v.size for v in vectors) / 6)
    assert result.run["speed"]["tokens"] >= sum(map(len, rows))
    assert result.cost["parameters"] > 0


@pytest.mark.parametrize("model", ["tfidf", "bm25"])
def test_lexical_models_count_what_is_not_zero_in_their_index(model: str, tmp_path: Path) -> None:
    if model == "bm25":
        pytest.importorskip("bm25s")
    result = run(model, beir_task(tmp_path), tmp_path)
    assert (result.cost["parameters"], result.cost["flops_per_token"]) == (0, None)
    non_zeros = result.cost["bytes_per_item"] * 6 / 8
    assert non_zeros == pytest.approx(round(non_zeros), abs=1e-6)
    assert non_zeros > 6


def test_a_file_of_word_vectors_is_counted_without_reading_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{word} 1 2 0.5\n" for word in ("dog", "cat", "man")))
    result = run(str(path), pairs_task(tmp_path), tmp_path)
    assert (result.cost["parameters"], result.cost["embedding_parameters"]) == (9, 9)
    assert (result.cost["flops_per_token"], result.cost["bytes_per_item"]) == (3, 12)


def test_older_results_read_as_unknown(tiny_bert: Path, tmp_path: Path) -> None:
    result = run(spec(tiny_bert), pairs_task(tmp_path), tmp_path)
    assert result.path is not None
    table = json.loads(result.path.read_text())
    del table["cost"], table["run"]["speed"]
    result.path.write_text(json.dumps(table))
    older = read_result(result.path)
    assert older.cost == {}
    assert older.spent.parameters is None


def test_json_and_show_say_the_costs(
    run_cli: Callable[..., Ran], tiny_bert: Path, tmp_path: Path
) -> None:
    task = pairs_task(tmp_path)
    ran = run_cli(
        "run", spec(tiny_bert), "-t", task, "--results", tmp_path / "r", "--no-cache", "--json"
    )
    (summary,) = json.loads(ran.out)
    assert summary["cost"]["speed"]["texts"] == N_TEXTS
    assert summary["cost"]["peak_memory_mib"]["host"] > 0
    shown = run_cli("show", summary["result_path"]).out
    parameters = f"{summary['cost']['parameters']:,}"
    for text in (
        f"{parameters}, of which",
        "FLOPs a token",
        "Bytes an item  128",
        "texts/s",
        "MiB",
    ):
        assert text in shown
    table = json.loads(Path(summary["result_path"]).read_text())
    table.pop("cost")
    table["run"].pop("speed")
    Path(summary["result_path"]).write_text(json.dumps(table))
    older = run_cli("show", summary["result_path"]).out.splitlines()
    assert ["Parameters", "–"] in [line.split() for line in older]
