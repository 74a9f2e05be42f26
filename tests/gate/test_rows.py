"""Which rows a gate has, and that it fails closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.errors import UsageError
from evalsuite.gate import Asked, Report, decide
from evalsuite.gate import rows as rows_module
from evalsuite.store import slug
from tests.gate.stores import (
    COSINE,
    GOLD,
    NDCG,
    NDCGS,
    SPEARMAN,
    alter,
    pair_of_models,
    policy,
    shifted,
    sides,
    write,
)


def gate(root: Path, **table: Any) -> Report:
    return decide(*sides(root), policy(**table))


def verdicts(report: Report) -> dict[str, str]:
    return {row.name: row.verdict for row in report.rows}


# ---- which rows there are


def test_with_a_default_table_all_tasks_of_the_baseline_are_rows(tmp_path: Path) -> None:
    for task in ("Alpha", "Beta"):
        pair_of_models(tmp_path, task=task)
    write(tmp_path, "new", "Gamma")
    report = gate(tmp_path)
    assert verdicts(report) == {"Alpha@1 ndcg@10": "pass", "Beta@1 ndcg@10": "pass"}
    assert "outside this gate: Gamma@1" in report.notes
    assert (report.verdict, report.exit_code) == ("pass", 0)
    assert report.headline == "PASS: all 2 rows hold."
    only = gate(tmp_path, default={}, task={"Gamma": {"require": False}})
    assert verdicts(only)["Gamma@1 ndcg@10"] == "skipped"
    assert only.headline == "PASS: all 2 rows hold, 1 skipped."


def test_without_one_only_the_named_are(tmp_path: Path) -> None:
    for task in ("Alpha", "QuickSTS", "QuickRetrieval"):
        pair_of_models(tmp_path, task=task)
    report = gate(tmp_path, suite={"quick": {}})
    assert list(verdicts(report)) == ["QuickSTS@1 ndcg@10", "QuickRetrieval@1 ndcg@10"]
    assert gate(tmp_path, task={"Alpha": {}}).headline == "PASS: the row holds."


def test_measures_with_a_table_are_rows_beside_the_main_one(tmp_path: Path) -> None:
    for model, by in (("old", 0.0), ("new", -0.3)):
        write(tmp_path, model, "Alpha", {NDCG: NDCGS, "recall@10": shifted(by)})
    table: dict[str, Any] = {"Alpha": {"measure": {"recall@10": {"max_drop": 0.1}}}}
    report = gate(tmp_path, task=table)
    assert verdicts(report) == {"Alpha@1 recall@10": "regression", "Alpha@1 ndcg@10": "pass"}
    with pytest.raises(UsageError, match="Unknown measure 'mrr@10'"):
        gate(tmp_path, task={"Alpha": {"measure": {"mrr@10": {}}}})
    absent: dict[str, Any] = {"SciFact": {"measure": {"ndcg@3": {}}}}
    with pytest.raises(UsageError, match=r"Unknown measure 'ndcg@3'.*'ndcg@5'"):
        gate(tmp_path, task=absent)


def test_a_task_nobody_knows(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    with pytest.raises(UsageError, match=r"\[task.Alhpa\]: Unknown task.*'Alpha'"):
        gate(tmp_path, task={"Alhpa": {}})
    with pytest.raises(UsageError, match=r"\[default\]: `max_drop` is 5.*written 0.05"):
        gate(tmp_path, default={"max_drop": 5})


def test_versions_are_rows_of_their_own(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    write(tmp_path, "old", version=2)
    report = gate(tmp_path)
    assert list(verdicts(report)) == ["Alpha@1 ndcg@10"]
    assert "outside this gate: Alpha@2" in report.notes
    alone = tmp_path / "other"
    write(alone, "old", version=9)
    write(alone, "old", version=10)
    write(alone, "new", version=11)
    report = gate(alone)
    assert list(verdicts(report)) == ["Alpha@10 ndcg@10"]
    assert "the candidate has Alpha@11" in report.rows[0].reason
    assert report.exit_code == 4


# ---- the verdict over all rows


def test_a_regression_wins_over_errors_and_they_over_warnings(tmp_path: Path) -> None:
    for task, by, scale in (("Alpha", 0.0, 0.05), ("Beta", -0.1, 0.05), ("Delta", 0.001, 0.2)):
        pair_of_models(tmp_path, by, task, scale)
    write(tmp_path, "old", "Gamma")
    report = gate(tmp_path)
    assert [row.verdict for row in report.rows] == ["regression", "error", "inconclusive", "pass"]
    assert (report.verdict, report.exit_code) == ("regression", 1)
    assert report.headline.startswith("REGRESSION in 1 of 4 rows: Beta@1 ndcg@10: it fell by 0.1")
    assert "1 of 4 rows could not be judged" in report.headline

    report = gate(tmp_path, task={"Alpha": {}, "Gamma": {}, "Delta": {}})
    assert (report.verdict, report.exit_code) == ("error", 3)
    assert report.headline.startswith("ERROR: 1 of 3 rows could not be judged: Gamma@1")

    report = gate(tmp_path, task={"Alpha": {}, "Delta": {}})
    assert (report.verdict, report.exit_code) == ("inconclusive", 0)
    assert report.headline.startswith("INCONCLUSIVE (a warning) in 1 of 2 rows: Delta@1 ndcg@10")
    assert "would be caught with 80 % power" in report.headline

    report = gate(tmp_path, task={"Gamma": {}, "Delta": {"inconclusive": "fail"}})
    assert (report.verdict, report.exit_code) == ("inconclusive", 1)
    assert report.headline.startswith("INCONCLUSIVE (fails by the policy) in 1 of 2 rows")
    assert "could not be judged" in report.headline

    report = gate(tmp_path, task={"Alpha": {}, "Delta": {"inconclusive": "pass"}})
    assert (report.verdict, report.exit_code) == ("pass", 0)
    assert "(1 undecided, which the policy lets pass)" in report.headline


def test_the_worst_regression_comes_first(tmp_path: Path) -> None:
    for task, by in (("Alpha", -0.1), ("Beta", -0.3), ("Gamma", -0.2)):
        pair_of_models(tmp_path, by, task)
    assert [row.task for row in gate(tmp_path).rows] == ["Beta@1", "Gamma@1", "Alpha@1"]


def test_nothing_compared_never_passes(tmp_path: Path) -> None:
    write(tmp_path, "old", "Alpha")
    write(tmp_path, "new", "Beta")
    for table in ({}, {"default": {"require": False}}):
        report = gate(tmp_path, **table)
        assert (report.verdict, report.exit_code) == ("nothing-compared", 4)
        assert report.headline.startswith("NOTHING COMPARED: Alpha@1 ndcg@10: only the baseline")
    assert report.rows[0].verdict == "skipped"


# ---- it fails closed


def test_a_missing_task_is_an_error_or_skipped(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    write(tmp_path, "old", "Beta")
    report = gate(tmp_path)
    assert verdicts(report)["Beta@1 ndcg@10"] == "error"
    assert report.exit_code == 3
    report = gate(tmp_path, default={"require": False})
    assert verdicts(report)["Beta@1 ndcg@10"] == "skipped"
    assert report.exit_code == 0
    report = gate(tmp_path, default={}, suite={"quick": {}})  # on neither side
    assert verdicts(report)["QuickSTS@1 cosine_spearman"] == "error"
    assert "neither side has it" in report.rows[1].reason


def test_every_byte_of_an_item_table_counts(tmp_path: Path) -> None:
    """A table altered anywhere is an error or reads the same; never a pass on other numbers."""
    pair_of_models(tmp_path)
    path = tmp_path / "new" / "v1" / "cpu,fp32" / "Alpha@1.parquet"
    content = path.read_bytes()
    assert gate(tmp_path).verdict == "pass"
    for place in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        (row,) = gate(tmp_path).rows
        assert row.verdict == "error" or row.reason == "all 400 items are equal"


def test_other_items_and_other_exclusions_are_errors(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    write(tmp_path, "new", ids=[f"other{i}" for i in range(400)])
    report = gate(tmp_path)
    assert "item tables hold other items" in report.headline
    assert report.exit_code == 4
    status = ["ok"] * 399 + ["excluded"]
    write(tmp_path, "new", status=status)
    assert "1 item is excluded on one side only" in gate(tmp_path).headline


def test_failed_items_count_at_their_worst(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    write(tmp_path, "new", status=["failed"] * 100 + ["ok"] * 300)
    report = gate(tmp_path)
    assert report.verdict == "regression"
    assert report.rows[0].figures is not None
    assert report.rows[0].figures.n == 400


def test_a_broken_reader_makes_an_error_never_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair_of_models(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    with monkeypatch.context() as patched:
        patched.setattr(rows_module, "pair", broken)
        report = gate(tmp_path)
        assert report.exit_code == 4
        assert "cannot be compared (ZeroDivisionError: oh)" in report.headline
    pair_of_models(tmp_path, task="Beta")
    monkeypatch.setattr(rows_module, "compare_scores", broken)
    assert gate(tmp_path).exit_code == 4


def test_imported_results_are_no_rows_but_missing_where_named(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    origin = {"tool": "mteb", "task": "STS12", "revision": "r", "file": "STS12.json"}
    for model in ("old", "new"):
        path = write(tmp_path, model, "STS12")
        alter(path, origin=origin)
        path.with_suffix(".parquet").unlink()
    report = gate(tmp_path)
    assert list(verdicts(report)) == ["Alpha@1 ndcg@10"]
    assert "imported results have no items and are left out: 2" in report.notes
    report = gate(tmp_path, default={}, task={"STS12": {}})
    assert report.exit_code == 3
    assert "is imported from mteb and has no items" in report.headline
    report = gate(tmp_path, default={}, task={"STS12": {"require": False}})
    assert report.exit_code == 0
    assert "skipped" in verdicts(report).values()


def test_files_that_no_row_needs_are_named_only(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    write(tmp_path, "new", "Beta").write_text("{")
    report = gate(tmp_path)
    assert report.exit_code == 0
    assert any("outside this gate (candidate)" in note for note in report.notes)
    write(tmp_path, "old", "Beta").write_text("{")
    assert gate(tmp_path).exit_code == 3
    assert gate(tmp_path, task={"Alpha": {}}).exit_code == 0


def test_environments_that_differ_are_named_or_refused(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    write(tmp_path, "new", settings={"dtype": "bfloat16"})
    report = gate(tmp_path)
    assert report.rows[0].notes == ("dtype differs: float32 / bfloat16",)
    assert report.exit_code == 0
    report = gate(tmp_path, default={"environment": "same"})
    assert report.rows[0].verdict == "error"
    assert 'environment = "same", but dtype differs' in report.headline
    for run in (
        {"date": "d", "device_name": "Test CPU", "packages": {"numpy": "9"}},
        {"date": "d", "device_name": "Other CPU", "packages": {"numpy": "2.4.6"}},
    ):
        write(tmp_path, "new", run=run)
        assert gate(tmp_path, default={"environment": "same"}).rows[0].verdict == "error"
    pair_of_models(tmp_path)
    assert gate(tmp_path, default={"environment": "same"}).exit_code == 0


def test_a_run_compared_with_itself_is_said(tmp_path: Path) -> None:
    pair_of_models(tmp_path)
    report = decide(*sides(tmp_path, "old", "old"), policy())
    assert report.exit_code == 0
    assert any("1 of 1 rows compare a run with itself" in note for note in report.notes)


def test_same_weights_compares_items(tmp_path: Path) -> None:
    columns = {"gold": GOLD, "cosine": COSINE}
    moved = {"gold": GOLD, "cosine": COSINE + np.where(np.arange(400) == 9, 0.01, 0.0)}
    write(tmp_path, "old", "Alpha", columns, main=SPEARMAN)
    write(tmp_path, "new", "Alpha", moved, main=SPEARMAN)
    report = gate(tmp_path, same_weights=True, default={})
    assert report.exit_code == 1
    assert "1 of 400 items differ by more than 0.0001, most: i0009" in report.headline
    report = gate(tmp_path, same_weights=True, tolerance=0.02, default={})
    assert report.exit_code == 0
    assert "item by item" in report.explanation


def test_hostile_names_of_tasks_are_rows_like_others(tmp_path: Path) -> None:
    for name in ("=1+1|`x`@all", "../../x", "a\nb\x1b[2J", "x" * 300, "\udc80"):
        root = pair_of_models(tmp_path / slug(name), task=name)
        report = gate(root)
        assert report.exit_code == 0
        assert report.rows[0].task == f"{name}@1"


def test_the_seed_moves_draws_and_nothing_else_does(tmp_path: Path) -> None:
    pair_of_models(tmp_path, 0.001)
    first = gate(tmp_path).rows[0].figures
    pair_of_models(tmp_path, task="Beta")
    again = next(row for row in gate(tmp_path).rows if row.task == "Alpha@1").figures
    assert first is not None
    assert again is not None
    assert first.interval == again.interval
    other = decide(*sides(tmp_path), policy(), Asked(seed=1))
    moved = next(row for row in other.rows if row.task == "Alpha@1").figures
    assert moved is not None
    assert moved.interval != first.interval
