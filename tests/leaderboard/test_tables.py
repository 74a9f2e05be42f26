"""The values of tables, before any page is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsuite.leaderboard import entries, tables, text
from evalsuite.registry import Suite
from tests.leaderboard.synthetic import SUITE_TASKS, write_result

SUITE = Suite("pair", "Two tasks", SUITE_TASKS)


def section(root: Path) -> tables.Section:
    read, problems = entries.load([root])
    assert problems == []
    return tables.sections(read, [SUITE])[0]


def names(table: tables.Table) -> list[str]:
    return [row.entry.result.model["name"] for row in table.rows]


def test_means_are_over_complete_rows_only(tmp_path: Path) -> None:
    write_result(tmp_path, "complete", "Alpha", 0.2)
    write_result(tmp_path, "complete", "Beta", 0.4)
    write_result(tmp_path, "partial", "Alpha", 0.9)
    (table,) = section(tmp_path).tables
    assert names(table) == ["complete", "partial"]
    assert table.rows[0].mean == pytest.approx(0.3)
    assert table.rows[1].mean is None
    assert table.best_mean is None  # nothing to compare with


def test_rows_by_mean_then_number_of_tasks_then_name(tmp_path: Path) -> None:
    for model, scores in {"low": (0.1, 0.1), "high": (0.9, 0.7), "b": (0.5,), "A": (0.4,)}.items():
        for task, score in zip(SUITE_TASKS, scores, strict=False):
            write_result(tmp_path, model, task, score)
    (table,) = section(tmp_path).tables
    assert names(table) == ["high", "low", "A", "b"]
    assert table.best_mean == pytest.approx(0.8)
    assert [column.best for column in table.columns] == [0.9, 0.7]


def test_limited_and_full_runs_share_no_table(tmp_path: Path) -> None:
    write_result(tmp_path, score=0.1)
    for limit in (100, 20):
        write_result(tmp_path, score=0.9, limit=limit)
    found = section(tmp_path).tables
    assert [table.limit for table in found] == [None, 20, 100]
    assert all(len(table.rows) == 1 for table in found)


def test_fingerprints_and_versions_share_no_column_and_only_one_counts(tmp_path: Path) -> None:
    write_result(tmp_path, "one", "Alpha", 0.1, fingerprint="a" * 64)
    write_result(tmp_path, "two", "Alpha", 0.2, fingerprint="b" * 64)
    write_result(tmp_path, "three", "Alpha", 0.3, fingerprint="b" * 64)
    write_result(tmp_path, "two", "Alpha", 0.9, version=2, fingerprint="c" * 64)
    write_result(tmp_path, "two", "Beta", 0.5)
    (table,) = section(tmp_path).tables
    columns = [(c.label, c.fingerprint, c.in_mean) for c in table.columns]
    assert columns == [
        ("Alpha@2", "c" * 8, True),
        ("Alpha@1", "b" * 8, False),
        ("Alpha@1", "a" * 8, False),
        ("Beta@1", None, True),
    ]
    assert [row.mean for row in table.rows] == [pytest.approx(0.7), None, None]


def test_equal_results_of_two_roots_are_one_row(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in "ab"]
    for root in roots:
        write_result(root, score=0.5)
    read, _ = entries.load(roots)
    (table,) = tables.sections(read, [SUITE])[0].tables
    assert len(read) == 2
    assert len(table.rows) == 1


def test_unknown_measures_have_no_direction_and_no_best(tmp_path: Path) -> None:
    for model, score in (("one", 0.1), ("two", 0.2)):
        write_result(tmp_path, model, score=score, measure="mystery")
    (table,) = section(tmp_path).tables
    assert table.columns[0].higher is None
    assert table.columns[0].best is None


@pytest.mark.parametrize(
    ("value", "shown"), [(0.82034, "0.8203"), (-0.00001, "0.0000"), (-0.5, "-0.5000"), (None, "–")]
)
def test_numbers(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


@pytest.mark.parametrize(
    "reference", ["http://a.b", "javascript:x", "https://", "https://[", "https://a b", None, 3]
)
def test_only_https_is_a_link(reference: object) -> None:
    assert text.https(reference) is None
    assert text.https("https://example.org/a?b=c") == "https://example.org/a?b=c"
