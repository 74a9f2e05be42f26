"""Bad input to reranking; ``docs/bad-input.md`` has a row for every test."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import data
from evalsuite.data import hub, runs
from evalsuite.errors import DataError, ModelError
from evalsuite.result import Ranking
from tests.conftest import Ran
from tests.data.test_reranking import ROWS, hub_folder, make_task
from tests.data.test_runs import Pairs, evaluated, write
from tests.support import beir_task, pairs_task, write_lines

RunCli = Callable[..., Ran]


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([], "holds no queries"),
        ([{"positive": ["a"], "negative": ["b"]}], "row 1 has no text under 'query'"),
        ([{"query": ["a"], "positive": ["a"], "negative": ["b"]}], "row 1 has no text under"),
        ([ROWS[0], {"query": "q", "positive": ["a"]}], "row 2 has no list of texts under 'neg"),
        ([{"query": "q", "positive": "a", "negative": []}], "row 1 has no list of texts under"),
        ([{"query": "q", "positive": [1], "negative": []}], "row 1 has no list of texts under"),
        ([ROWS[2]], "no query has both positive and negative texts"),
    ],
)
def test_malformed_lists(tmp_path: Path, rows: Any, part: str) -> None:
    write_lines(tmp_path / "lists.jsonl", rows)
    with pytest.raises(DataError) as raised:
        data.load(make_task(tmp_path, format="jsonl", file="lists.jsonl"), "reranking")
    assert part in str(raised.value)


def test_hub_sets_that_cannot_be_reranked(tmp_path: Path) -> None:
    source = {"path": "some/set"}
    with pytest.raises(DataError, match="has no configuration 'top_ranked'"):
        hub.read_reranking(hub_folder(tmp_path / "a", top_ranked=False), source, "test")
    with pytest.raises(DataError, match="a candidate is no document of the corpus"):
        hub.read_reranking(hub_folder(tmp_path / "b", unknown=True), source, "test")


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ((), "holds no ranking"),
        (("q Q0 d 1 0.5",), ":1 has 5 columns"),
        (("q Q0 d 1 0.5 my tag",), ":1 has 7 columns"),
        (("q Q0 d 1 high t",), "has the score 'high'"),
        (("q Q0 d 1 nan t",), "has the score 'nan'"),
        (("q Q0 d 1 1e300 t",), "has the score '1e300'"),
        (("q Q0 d 1 0.5 t", "q Q0 d 2 0.4 t"), ":2 names 'd' a second time"),
        (("q Q0 d 1 0.5 t", "q Q0 e 2 0.4 u"), ":2 has the tag 'u'"),
    ],
)
def test_malformed_run_files(tmp_path: Path, lines: tuple[str, ...], part: str) -> None:
    with pytest.raises(DataError) as raised:
        runs.read(write(tmp_path / "r.trec", *lines))
    assert part in str(raised.value)


@pytest.mark.parametrize("identifier", ["a b", "", "a\u00a0b", "a\n"])
def test_ids_that_no_run_file_can_hold(tmp_path: Path, identifier: str) -> None:
    ranking = Ranking(["q"], [identifier], np.array([1]), np.array([0]), np.zeros(1, np.float32))
    with pytest.raises(DataError, match="is empty or holds blanks"):
        runs.write(tmp_path / "r.trec", ranking, "t")
    assert not list(tmp_path.iterdir())


def ran(run_cli: RunCli, folder: Path, *words: Any) -> Ran:
    return run_cli("run", *words, "--results", folder / "results", "--no-cache")


def test_runs_that_cannot_be_reranked(run_cli: RunCli, tmp_path: Path) -> None:
    task, pairs = beir_task(tmp_path), pairs_task(tmp_path)
    good = write(tmp_path / "good.trec", "q1 Q0 d1 1 0.5 t")
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a", "b"):
        write(two / f"{name}.MySearch.trec", "q1 Q0 d1 1 0.5 t")
    unknown_query = write(tmp_path / "q.trec", "q99 Q0 d1 1 0.5 t")
    unknown_document = write(tmp_path / "d.trec", "q1 Q0 d99 1 0.5 t")
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, code, part in (
        (("-t", task, "--rerank", tmp_path / "nowhere"), 2, "no file or folder"),
        (("-t", task, "--rerank", empty), 2, "holds no run of MySearch"),
        (("-t", task, "--rerank", two), 2, "holds 2 runs of MySearch"),
        (("-t", pairs, "--rerank", good), 2, "MyPairs@1 is no retrieval task"),
        (("-t", pairs, "--runs", tmp_path / "r"), 2, "MyPairs@1 ranks no documents"),
        (("-t", task, "--top", "5"), 2, "name a run file"),
        (("-t", task, "--rerank", good, "--top", "0"), 2, "--top must be at least 1"),
        (("-t", task, "--rerank", unknown_query), 3, "'q99'"),
        (("-t", task, "--rerank", unknown_document), 3, "'d99', which is not in the corpus"),
    ):
        found = ran(run_cli, tmp_path, "random", *words)
        assert found.code == code, (words, found)
        assert part in found.err
        assert found.err.count("Error: ") == 1
    assert not (tmp_path / "results").exists()


def test_hostile_tags_of_runs(run_cli: RunCli, tmp_path: Path) -> None:
    task = beir_task(tmp_path)
    for tag in ("../../x", "<script>", "a,b=c", "x" * 300, "\x1b[31m"):
        file = write(tmp_path / "a.trec", f"q1 Q0 d1 1 0.5 {tag}")
        found = ran(run_cli, tmp_path, "random", "-t", task, "--rerank", file, "--json")
        assert found.code == 0, found
        (summary,) = json.loads(found.out)
        path = Path(summary["result_path"])
        assert path.is_relative_to(tmp_path / "results")
        assert len(path.parts) == len(tmp_path.parts) + 5
        assert "\x1b" not in summary["variant"]


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (lambda n: [float("nan")] * n, "NaN or infinity"),
        (lambda n: [1.0] * (n + 1), "returned an array of shape"),
        (lambda n: np.ones((n, 2)), "returned an array of shape"),
        (lambda n: ["high"] * n, "no array of numbers"),
    ],
)
def test_unusable_scores(tmp_path: Path, answer: Any, part: str) -> None:
    @dataclasses.dataclass
    class Bad:
        asked: int = 0

        def score_pairs(self, queries: list[str], documents: list[str]) -> Any:
            self.asked += 1
            return [0.5] * len(queries) if self.asked <= 2 else answer(len(queries))

    file = write(tmp_path / "a.trec", "q1 Q0 d1 1 0.5 t", "q1 Q0 d2 2 0.4 t")
    with pytest.raises(ModelError, match=part):
        evaluated(beir_task(tmp_path), Bad(), tmp_path, rerank=file)
    assert not list(tmp_path.rglob("*@1.json"))


def test_a_reranker_without_candidates_is_told_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--rerank RUNFILE"):
        evaluated(beir_task(tmp_path), Pairs(), tmp_path)
