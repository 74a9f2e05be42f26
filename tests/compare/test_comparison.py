"""Rows, suites, marks and what stands apart."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import measures, stats
from evalsuite.compare import Question, Selection, compare, select
from evalsuite.compare.drawn import Differences, Entrant
from evalsuite.compare.rows import combined, resamples, suite_row, task_row, too_few, weights
from evalsuite.registry import Suite, get_suite
from evalsuite.stats import Sample
from tests.compare.stores import ndcg, selection, sts, write
from tests.support import REPOSITORY

NDCG = measures.parse("ndcg@10")
RESULTS = REPOSITORY / "results"


def models(tmp_path: Path, **columns: dict[str, Any]) -> list[Selection]:
    """Store a model a keyword on the task Alpha."""
    return [selection(write(tmp_path, given, model=name)) for name, given in columns.items()]


def quick(tmp_path: Path, model: str, seed: int, shift: float = 0.0) -> Selection:
    """Store a model on both tasks of the quick suite, and on one more."""
    return selection(
        write(tmp_path, ndcg(seed, shift=shift), model=model, task="QuickRetrieval"),
        write(tmp_path, sts(seed, noise=0.1 - shift), model=model, task="QuickSTS"),
        write(tmp_path, ndcg(seed), model=model, task="Other"),
    )


def test_marks(tmp_path: Path) -> None:
    old, same, lower, higher, near = models(
        tmp_path,
        old=ndcg(1),
        same=ndcg(1),
        lower=ndcg(2, shift=-0.1),
        higher=ndcg(3, shift=0.1),
        near=ndcg(4),
    )
    report = compare(old, [same, lower, higher, near])
    rows = [comparison.rows[0] for comparison in report.comparisons]
    assert [row.mark for row in rows] == ["equal", "worse", "better", "unclear"]
    assert rows[0].interval == (0.0, 0.0)
    assert rows[0].p_holm == 1.0
    assert rows[0].measured.difference.n_changed == 0
    low, high = rows[1].interval
    assert low < rows[1].measured.difference.value < high < 0
    for row in rows:
        one = row.measured
        assert one.difference.value == pytest.approx(one.candidate - one.baseline, abs=1e-12)
        assert one.difference.n == 80


def test_rows_are_those_of_stats(tmp_path: Path) -> None:
    old, new = models(tmp_path, old=ndcg(1), new=ndcg(2, shift=0.02))
    (row,) = compare(old, [new]).comparisons[0].rows
    samples = [Sample(columns) for columns in (ndcg(2, shift=0.02), ndcg(1))]
    seed = stats.derived_seed(0, "Alpha@1", "ndcg@10", "compare")
    expected = stats.difference(NDCG, *samples, seed=seed)
    assert row.measured.difference.p == expected.p
    assert row.interval == expected.interval()
    assert row.p_holm == expected.p


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", ["cosine_spearman", "cosine_pearson", "ndcg@10"])
def test_shared_draws_give_what_stats_gives(name: str, grouped: bool) -> None:
    measure = replace(measures.parse(name), across_groups="macro" if grouped else "pooled")
    groups = np.arange(60) % 3
    units = np.unique(np.repeat(np.arange(30), 2) * 3 + groups, return_inverse=True)[1]
    group, unit = (groups, units) if grouped else (None, None)
    columns = [{**sts(seed), "ndcg@10": ndcg(seed, 60)["ndcg@10"]} for seed in (1, 2, 2)]
    samples = [Sample(given, unit, group) for given in columns]
    draws = Differences(5, (300, 400))
    seed = stats.derived_seed(5, "T@1", name, "compare")
    for one, other in ((0, 1), (1, 2), (2, 0)):
        entrants = [Entrant(str(i), samples[i]) for i in (one, other)]
        found = draws.of("T@1", measure, *entrants)
        expected = stats.difference(
            measure,
            samples[one],
            samples[other],
            seed=seed,
            n_resamples=300 if measure.decomposes else 400,
        )
        assert found.interval() == expected.interval()
        for field in fields(found):
            if field.name != "distribution":
                assert getattr(found, field.name) == getattr(expected, field.name)
        np.testing.assert_array_equal(found.distribution.draws, expected.distribution.draws)


def test_the_seed_decides_every_draw(tmp_path: Path) -> None:
    old, new = models(tmp_path, old=sts(1), new=sts(2))
    rows = [
        compare(old, [new], Question(seed=seed)).comparisons[0].rows[0].interval
        for seed in (0, 0, 1)
    ]
    assert rows[0] == rows[1] != rows[2]


def test_holm_counts_every_row_of_a_table(tmp_path: Path) -> None:
    old, new = quick(tmp_path, "old", 1), quick(tmp_path, "new", 2)
    rows = compare(old, [new]).comparisons[0].rows
    assert [(row.measured.kind, row.measured.name) for row in rows] == [
        ("task", "Other@1"),
        ("task", "QuickRetrieval@1"),
        ("task", "QuickSTS@1"),
        ("suite", "mean of quick"),
    ]
    adjusted = stats.holm([row.measured.difference.p for row in rows])
    assert [row.p_holm for row in rows] == adjusted


# ---- suites


def test_a_suites_row_is_the_mean_of_its_tasks(tmp_path: Path) -> None:
    old, new = quick(tmp_path, "old", 1), quick(tmp_path, "new", 2, shift=0.05)
    rows = {row.measured.name: row for row in compare(old, [new]).comparisons[0].rows}
    mean, parts = rows["mean of quick"], [rows["QuickRetrieval@1"], rows["QuickSTS@1"]]
    value = np.mean([part.measured.difference.value for part in parts])
    assert mean.measured.difference.value == pytest.approx(value)
    assert mean.measured.candidate - mean.measured.baseline == pytest.approx(value)
    errors = np.array([part.measured.difference.standard_error for part in parts])
    together = np.sqrt((errors**2).sum()) / 2  # independent errors
    assert mean.measured.difference.standard_error == pytest.approx(together, rel=0.05)
    low, high = mean.interval
    assert low < value < high
    assert mean.measured.difference.n == 140
    assert mean.measured.measure == "several"


def test_shares_of_a_suite_are_those_of_its_mean() -> None:
    beir = get_suite("beir")
    shares = weights(beir)
    assert set(shares) == set(beir.all_tasks())
    assert sum(shares.values()) == pytest.approx(1)
    scores = {name: float(i) for i, name in enumerate(shares)}
    expected = beir.mean(scores)
    assert sum(shares[name] * scores[name] for name in shares) == pytest.approx(expected)
    assert weights(Suite("empty", "", ())) == {}


def test_a_suite_needs_all_its_tasks_and_one_direction(tmp_path: Path) -> None:
    old, new = quick(tmp_path, "old", 1), quick(tmp_path, "new", 2)
    del new.results["QuickSTS@1"]  # type: ignore[attr-defined]
    report = compare(old, [new], Question(suites=(get_suite("quick"),)))
    (comparison,) = report.comparisons
    assert [row.measured.name for row in comparison.rows] == ["QuickRetrieval@1"]
    assert [one.task for one in comparison.apart] == ["QuickSTS@1"]
    suite = Suite("s", "", ("A",))
    assert suite_row(suite, {}, seed=0) is None


def test_a_suites_test_holds_its_level() -> None:
    """On data without any difference, about 5 % of the means of three tasks seem to differ."""
    rng = np.random.default_rng(0)
    rejected = 0
    for number in range(400):
        parts = []
        for _ in range(3):
            new, old = (Sample({"ndcg@10": rng.normal(size=60)}) for _ in range(2))
            parts.append((1 / 3, stats.difference(NDCG, new, old, seed=number, n_resamples=400)))
        rejected += combined(parts, seed=number).p < 0.05
    assert 8 <= rejected <= 36  # 2 % to 9 %


def test_equal_suites_are_equal(tmp_path: Path) -> None:
    old, new = quick(tmp_path, "old", 1), quick(tmp_path, "new", 1)
    row = compare(old, [new]).comparisons[0].rows[-1]
    assert (row.mark, row.p_holm, row.interval) == ("equal", 1.0, (0.0, 0.0))


# ---- what is asked


def test_tasks_and_suites_asked_for(tmp_path: Path) -> None:
    old, new = quick(tmp_path, "old", 1), quick(tmp_path, "new", 2)

    def names(**asked: Any) -> list[str]:
        rows = compare(old, [new], Question(**asked)).comparisons[0].rows
        return [row.measured.name for row in rows]

    assert names(tasks=("Other",)) == ["Other@1"]
    assert names(tasks=("Other@1",)) == ["Other@1"]
    assert names(tasks=("Other@2",)) == []
    assert names(suites=(get_suite("quick"),)) == [
        "QuickRetrieval@1",
        "QuickSTS@1",
        "mean of quick",
    ]
    report = compare(old, [new], Question(tasks=("Other@2", "Absent")))
    apart = report.comparisons[0].apart
    assert [(one.task, one.kind) for one in apart] == [
        ("Absent", "missing-both"),
        ("Other@2", "missing-both"),
    ]
    assert report.empty


def test_another_measure(tmp_path: Path) -> None:
    columns = {**ndcg(1), "map@10": np.linspace(0, 1, 80)}
    old, new = models(tmp_path, old=columns, new={**columns, "map@10": np.linspace(0.1, 1, 80)})
    (row,) = compare(old, [new], Question(measure=measures.parse("map@10"))).comparisons[0].rows
    assert (row.measured.measure, row.mark) == ("map@10", "better")
    report = compare(old, [new], Question(measure=measures.parse("recall@5")))
    assert report.empty
    (one,) = report.comparisons[0].apart
    assert (one.kind, one.reason) == ("measure", "its items do not hold what recall@5 reads")


def test_notes_are_told_once(tmp_path: Path) -> None:
    old = quick(tmp_path, "old", 1)
    settings = {"dtype": "bfloat16"}
    new = selection(
        write(tmp_path, ndcg(2), model="new", task="QuickRetrieval", settings=settings),
        write(tmp_path, ndcg(2), model="new", task="Other"),
    )
    (comparison,) = compare(old, [new]).comparisons
    assert comparison.notes == {"dtype differs: float32 / bfloat16": ("QuickRetrieval@1",)}


def test_equal_labels_are_numbered(tmp_path: Path) -> None:
    (old,) = models(tmp_path, old=ndcg(1))
    report = compare(old, [old, old])
    assert [one.candidate for one in report.comparisons] == [
        "old (cpu,fp32) #2",
        "old (cpu,fp32) #3",
    ]
    assert [rank.model for rank in report.ranks["Alpha@1"]] == [
        "old (cpu,fp32)",
        "old (cpu,fp32) #2",
        "old (cpu,fp32) #3",
    ]
    assert {(rank.first, rank.last) for rank in report.ranks["Alpha@1"]} == {(1, 3)}


def test_long_tables_get_the_draws_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalsuite.compare.rows.RESAMPLES_OF_OTHERS", 100)
    gold = np.linspace(0, 5, 10)
    columns = {"old": {"gold": gold, "cosine": gold}, "new": {"gold": gold, "cosine": -gold}}
    old, new = (
        selection(*(write(tmp_path, given, model=name, task=f"T{i}") for i in range(6)))
        for name, given in columns.items()
    )
    report = compare(old, [new])
    assert [row.mark for row in report.comparisons[0].rows] == ["worse"] * 6
    assert not report.too_few_draws
    few = compare(old, [new], Question(n_resamples=100))
    assert few.too_few_draws
    assert [row.mark for row in few.comparisons[0].rows] == ["unclear"] * 6
    assert resamples(6, None) == (10_000, 480)
    assert resamples(6, 300) == (300, 300)
    assert too_few(1, 38)
    assert not too_few(1, 40)


# ---- ranks


def test_ranks_are_not_chained(tmp_path: Path) -> None:
    a, b, c = models(
        tmp_path, a=ndcg(1, shift=0.0105), b=ndcg(2, shift=0.0), c=ndcg(3, shift=-0.0105)
    )
    ranks = compare(a, [b, c]).ranks["Alpha@1"]
    assert [(rank.model[0], rank.first, rank.last) for rank in ranks] == [
        ("a", 1, 2),
        ("b", 1, 3),
        ("c", 2, 3),
    ]
    assert [(rank.better, rank.worse) for rank in ranks] == [(0, 1), (0, 0), (1, 0)]


def test_ranks_agree_with_tests_of_pairs(tmp_path: Path) -> None:
    chosen = [quick(tmp_path, name, i, 0.03 * i) for i, name in enumerate("abcd")]
    report = compare(chosen[0], chosen[1:])
    (name,) = report.ranks
    assert name == "mean of quick"
    for rank in report.ranks[name]:
        (me,) = [one for one in chosen if one.label == rank.model]
        others = [one for one in chosen if one is not me]
        p_values = []
        for other in others:
            rows = compare(other, [me]).comparisons[0].rows
            p_values.append(rows[-1].measured.difference)
        sure_worse = sum(d.p < 0.001 and d.value < 0 for d in p_values)
        perhaps_worse = sum(d.p < 0.05 and d.value < 0 for d in p_values)
        assert sure_worse <= rank.better <= perhaps_worse
        assert 1 <= rank.first <= rank.last <= 4


def test_ranks_by_correlation(tmp_path: Path) -> None:
    a, b, c = models(tmp_path, a=sts(1, 200, 0.05), b=sts(2, 200, 0.06), c=sts(3, 200, 1.0))
    ranks = compare(b, [a, c]).ranks["Alpha@1"]
    assert [(rank.model[0], rank.first, rank.last) for rank in ranks][2] == ("c", 3, 3)
    assert {rank.last for rank in ranks[:2]} <= {1, 2}
    same = compare(b, [b, c]).ranks["Alpha@1"]
    assert [(rank.first, rank.last) for rank in same] == [(1, 2), (1, 2), (3, 3)]


def test_models_that_cannot_be_compared_are_not_ranked(tmp_path: Path) -> None:
    a, b = models(tmp_path, a=ndcg(1), b=ndcg(2))
    c = selection(write(tmp_path, ndcg(3), model="c", fingerprint="0" * 64))
    report = compare(a, [b, c])
    assert [rank.model[0] for rank in report.ranks["Alpha@1"]] in (["a", "b"], ["b", "a"])
    assert {rank.n for rank in report.ranks["Alpha@1"]} == {2}
    assert not report.empty
    assert not compare(a, [b]).ranks


# ---- the repository's results


@pytest.mark.skipif(not RESULTS.is_dir(), reason="a checkout holds results")
def test_bf16_and_fewer_layers() -> None:
    question = Question(suites=(get_suite("quick"),))
    full = select("all-MiniLM-L6-v2?dtype=fp32", RESULTS)
    others = [
        select(f"all-MiniLM-L6-v2?{text}", RESULTS) for text in ("dtype=bf16", "dim=128", "layer=3")
    ]
    report = compare(full, others, question)
    marks = [[row.mark for row in one.rows] for one in report.comparisons]
    assert marks[0] == ["unclear"] * 3
    assert marks[2] == ["worse"] * 3
    for one in report.comparisons:
        assert list(one.notes) == ["dtype differs: float32 / bfloat16"]
        for row in one.rows:
            assert row.measured.baseline == pytest.approx(stored(full, row.measured.name), abs=1e-8)
    ranks = report.ranks["mean of quick"]
    assert [(rank.first, rank.last) for rank in ranks] == [(1, 2), (1, 2), (3, 3), (4, 4)]


def stored(one: Selection, name: str) -> float:
    scores = {key.rpartition("@")[0]: result.main_score for key, result in one.results.items()}
    if name == "mean of quick":
        return float(get_suite("quick").mean(scores) or 0)
    return scores[name.rpartition("@")[0]]


@pytest.mark.skipif(not RESULTS.is_dir(), reason="a checkout holds results")
def test_a_row_can_be_computed_alone() -> None:
    question = Question(tasks=("STSBenchmark",), n_resamples=200)
    full = select("all-MiniLM-L6-v2?dtype=fp32", RESULTS)
    layer = select("all-MiniLM-L6-v2?layer=3", RESULTS)
    report = compare(full, [layer], question)
    (row,) = report.comparisons[0].rows
    spearman = measures.parse("cosine_spearman")
    models = (layer.label, full.label)
    alone = task_row(report.pairs[0][0], spearman, models, Differences(0, (200, 200)))
    assert alone.difference.value == row.measured.difference.value < -0.2
    assert row.mark == "worse"
