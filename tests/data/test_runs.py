"""TREC run files: what is written is read back, and trec_eval scores it as we do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.data import runs
from evalsuite.evaluator import Evaluator
from evalsuite.result import Ranking
from tests.conftest import Ran
from tests.support import DATA, QUERIES, TextModel, beir_task, text_vector

RunCli = Callable[..., Ran]

names = st.text(
    st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=8
)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
lists = st.dictionaries(names, st.dictionaries(names, floats, min_size=1), min_size=1)


@given(lists)
def test_what_is_written_is_read_back(found: dict[str, dict[str, float]]) -> None:
    import tempfile

    documents = sorted({document for scores in found.values() for document in scores})
    counts = np.array([len(scores) for scores in found.values()])
    ordered = [
        sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True)
        for scores in found.values()
    ]
    flat = [pair for scores in ordered for pair in scores]
    ranking = Ranking(
        list(found),
        documents,
        counts,
        np.array([documents.index(document) for document, _ in flat]),
        np.array([score for _, score in flat], dtype=np.float32),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.trec"
        runs.write(path, ranking, "tag")
        run = runs.read(path)
    assert run.tag == "tag"
    assert run.scores == found
    assert run.best() == {
        query: [document for document, _ in scores]
        for query, scores in zip(found, ordered, strict=True)
    }


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_ranks_are_read_from_the_scores(tmp_path: Path) -> None:
    lines = ("q Q0 a 1 0.5 t", "q Q0 b 2 0.75 t", "q Q0 c 9 0.50000000001 t", "", "q\tQ0\td 4 1 t")
    run = runs.read(write(tmp_path / "r.trec", *lines))
    assert run.best() == {"q": ["d", "b", "c", "a"]}  # as float32 a and c tie
    assert run.best(2) == {"q": ["d", "b"]}


class Pairs:
    name = "pairs"

    def score_pairs(self, queries: list[str], documents: list[str]) -> Any:
        return [float(text_vector(q + d, 1)[0]) for q, d in zip(queries, documents, strict=True)]


def evaluated(task: Any, model: Any, folder: Path, **options: Any) -> Any:
    plan = Evaluator([str(task)], results=folder / "results", cache=None, **options)
    (result,) = plan.run(model)
    return result


def test_two_stages(tmp_path: Path) -> None:
    task, folder = beir_task(tmp_path), tmp_path / "runs"
    first = evaluated(task, TextModel(), tmp_path, runs=folder)
    (file,) = folder.iterdir()
    assert file.name == "text-model.MySearch.trec"
    second = evaluated(task, Pairs(), tmp_path, rerank=file, top=3, runs=folder)
    assert second.task == first.task
    assert second.variant.startswith("cpu,fp32,rerank=text-model@3@")
    again = folder / f"pairs,rerank={second.model['options']['rerank']}.MySearch.trec"
    ranked, candidates = runs.read(again).best(), runs.read(file).best(3)
    for query, documents in candidates.items():
        assert sorted(ranked[query]) == sorted(documents)
    whole = evaluated(task, TextModel(), tmp_path, rerank=file)  # all six documents
    for name, score in first.scores.items():
        assert whole.scores[name].value == pytest.approx(score.value, abs=1e-12)


def test_a_candidate_file_is_part_of_what_is_resumed(tmp_path: Path) -> None:
    task = beir_task(tmp_path)
    lines = [f"{q} Q0 {d} 1 {score} t" for q in QUERIES for d, score in (("d1", 2), ("d2", 1))]
    file = write(tmp_path / "a.trec", *lines)
    first = evaluated(task, Pairs(), tmp_path, rerank=file)
    write(file, *reversed(lines))  # the same candidates
    assert evaluated(task, Pairs(), tmp_path, rerank=file).path == first.path
    assert len(list(tmp_path.rglob("MySearch@1.json"))) == 1
    assert evaluated(task, Pairs(), tmp_path, rerank=file, top=1).path != first.path
    write(file, *lines, "q1 Q0 d3 1 0.1 t")
    assert evaluated(task, Pairs(), tmp_path, rerank=file).path != first.path


def test_a_finished_result_stays_when_its_run_is_written_later(tmp_path: Path) -> None:
    task = beir_task(tmp_path)
    first = evaluated(task, TextModel(), tmp_path)
    before = first.path.read_bytes()
    evaluated(task, TextModel(), tmp_path, runs=tmp_path / "runs")
    assert first.path.read_bytes() == before
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert not list(tmp_path.rglob("superseded"))


def test_queries_without_candidates_count_zero(tmp_path: Path) -> None:
    file = write(tmp_path / "a.trec", "q1 Q0 d1 1 0.5 t")
    result = evaluated(beir_task(tmp_path), Pairs(), tmp_path, rerank=file)
    assert result.main_score == pytest.approx(1 / 3)
    assert result.evidence["queries_without_candidates"] == 2


@pytest.mark.parametrize("name", ["SciFact", "NFCorpus"])
@pytest.mark.parametrize("limit", [50, None])
def test_trec_eval_scores_the_files_as_we_do(tmp_path: Path, name: str, limit: int | None) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    pytest.importorskip("bm25s")
    if not (DATA / name.lower()).is_dir():
        pytest.skip(f"needs the data of {name}")
    from evalsuite.data.local import read_beir

    folder = tmp_path / "runs"
    options: Any = {"data_dir": DATA, "limit": limit, "runs": folder}
    first = evaluated(name, "bm25", tmp_path, **options)
    file = folder / f"bm25.{name}.trec"
    second = evaluated(name, Pairs(), tmp_path, rerank=file, **options)
    qrels: Any = read_beir(DATA / name.lower(), {}).qrels
    for result, pattern in ((first, f"bm25.{name}.trec"), (second, "pairs,rerank=*.trec")):
        (path,) = folder.glob(pattern)
        with path.open() as lines:
            ranked = pytrec_eval.parse_run(lines)
        names = {"ndcg_cut.10": "ndcg@10", "map_cut.10": "map@10", "recall.100": "recall@100"}
        found = pytrec_eval.RelevanceEvaluator(qrels, set(names)).evaluate(ranked)
        for trec, ours in names.items():
            values = [row[trec.replace(".", "_")] for row in found.values()]
            mean = sum(values) / result.scores[ours].n  # a query that finds nothing counts 0
            assert result.scores[ours].value == pytest.approx(mean, abs=1e-9)
