"""Tasks cut by a column or by group."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from evalsuite.compare import Pair, Question, Report, compare, pair
from evalsuite.compare.slices import slices
from evalsuite.errors import UsageError
from evalsuite.result import EXCLUDED, FAILED, OK
from tests.compare.stores import ndcg, selection, sts, write


def report(tmp_path: Path, column: str, new: dict[str, object], old: dict[str, object]) -> Report:
    sides = [
        selection(write(tmp_path, fields.pop("columns"), model=name, **fields))  # type: ignore[arg-type]
        for name, fields in (("old", old), ("new", new))
    ]
    return compare(sides[0], [sides[1]], Question(slice_by=column))


def one_pair(tmp_path: Path, **fields: object) -> Pair:
    side = selection(write(tmp_path, fields.pop("columns"), **fields))  # type: ignore[arg-type]
    return pair(side, side)[0][0]


def test_quartiles_of_gold_are_scored_anew(tmp_path: Path) -> None:
    found = report(tmp_path, "gold", {"columns": sts(2)}, {"columns": sts(1)})
    (comparison,) = found.comparisons
    assert [row.measured.difference.n for row in comparison.slices] == [15] * 4
    gold, cosine = sts(1)["gold"], sts(2)["cosine"]
    first = gold <= np.quantile(gold, 0.25)
    expected = spearmanr(gold[first], cosine[first]).statistic
    assert comparison.slices[0].measured.candidate == pytest.approx(expected)
    names = [row.measured.name for row in comparison.slices]
    assert names[0].startswith("gold <= ")
    assert " < gold <= " in names[1]
    assert names[3].startswith("gold > ")
    assert {row.measured.task for row in comparison.slices} == {"Alpha@1"}


def test_few_values_are_cut_by_value(tmp_path: Path) -> None:
    columns = {**ndcg(1), "hops": np.arange(80) % 3}
    found = report(tmp_path, "hops", {"columns": columns}, {"columns": columns})
    rows = found.comparisons[0].slices
    assert [(row.measured.name, row.measured.difference.n) for row in rows] == [
        ("hops = 0", 27),
        ("hops = 1", 27),
        ("hops = 2", 26),
    ]
    assert {row.mark for row in rows} == {"equal"}


def test_groups(tmp_path: Path) -> None:
    group = np.array(["b", "a"] * 40)
    found = report(
        tmp_path,
        "group",
        {"columns": ndcg(2, shift=0.1), "group": group},
        {"columns": ndcg(1), "group": group},
    )
    rows = found.comparisons[0].slices
    assert [row.measured.name for row in rows] == ["a", "b"]
    assert {row.mark for row in rows} == {"better"}
    values = ndcg(1)["ndcg@10"]
    assert rows[0].measured.baseline == pytest.approx(values[1::2].mean())


def test_slices_are_corrected_among_themselves(tmp_path: Path) -> None:
    found = report(tmp_path, "gold", {"columns": sts(2)}, {"columns": sts(1)})
    (comparison,) = found.comparisons
    p = [row.measured.difference.p for row in comparison.slices]
    assert min(row.p_holm for row in comparison.slices) == pytest.approx(min(1, 4 * min(p)))
    (row,) = comparison.rows
    assert row.p_holm == row.measured.difference.p


def test_too_little_to_compare_says_so(tmp_path: Path) -> None:
    gold = np.array([1.0] * 30 + [2.0] * 29 + [3.0])
    columns = {"gold": gold, "cosine": sts(1)["cosine"]}
    found = report(tmp_path, "gold", {"columns": columns}, {"columns": columns})
    (comparison,) = found.comparisons
    assert not comparison.slices
    assert [(one.name, one.n) for one in comparison.empty] == [
        ("gold = 1", 30),
        ("gold = 2", 29),
        ("gold = 3", 1),
    ]
    assert comparison.empty[2].reason == "fewer than 2 items"
    assert "cosine_spearman is not defined" in comparison.empty[0].reason


def test_items_of_one_cluster_are_one_unit(tmp_path: Path) -> None:
    cluster = np.array(["c"] * 40 + [f"d{i}" for i in range(40)])
    part = {"part": np.repeat([0.0, 1.0], 40)}
    fields = {"columns": {**ndcg(1), **part}, "cluster": cluster}
    found = report(tmp_path, "part", dict(fields), dict(fields))
    (comparison,) = found.comparisons
    assert [(one.name, one.n, one.reason) for one in comparison.empty] == [
        ("part = 0", 40, "fewer than 2 items")
    ]
    assert [row.measured.name for row in comparison.slices] == ["part = 1"]


def test_every_item_is_in_one_slice(tmp_path: Path) -> None:
    values = np.concatenate([np.zeros(60), np.arange(1, 21)])
    status = np.array([OK] * 78 + [FAILED, EXCLUDED])
    columns = {**ndcg(1), "length": np.where(status == OK, values, np.nan)}
    one = one_pair(tmp_path, columns=columns, status=status)
    parts = slices(one, "length")
    assert parts is not None
    taken = np.sum([part.baseline for part in parts], axis=0)
    assert Counter(taken.tolist()) == {1: 79, 0: 1}
    assert parts[-1].name == "length missing"
    assert [int(part.baseline.sum()) for part in parts] == [60, 18, 1]
    assert slices(one, "absent") is None
    assert slices(one, "group") is None


def test_nearly_all_values_equal(tmp_path: Path) -> None:
    values = np.concatenate([np.arange(12), np.full(68, 100.0)])
    parts = slices(one_pair(tmp_path, columns={**ndcg(1), "length": values}), "length")
    assert parts is not None
    assert [(part.name, int(part.baseline.sum())) for part in parts] == [
        ("length <= 11", 12),
        ("length > 11", 68),
    ]


def test_close_edges_are_told_apart(tmp_path: Path) -> None:
    values = 1000 + np.arange(80) / 1e4
    parts = slices(one_pair(tmp_path, columns={**ndcg(1), "length": values}), "length")
    assert parts is not None
    assert len({part.name for part in parts}) == 4


def test_unknown_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'cosine'"):
        report(tmp_path, "cosin", {"columns": sts(2)}, {"columns": sts(1)})
    with pytest.raises(UsageError, match="No task here has groups"):
        report(tmp_path / "g", "group", {"columns": sts(2)}, {"columns": sts(1)})


def test_tasks_without_the_column_are_passed_over(tmp_path: Path) -> None:
    sides = [
        selection(
            write(tmp_path, sts(seed), model=name, task="A"),
            write(tmp_path, ndcg(seed), model=name, task="B"),
        )
        for seed, name in ((1, "old"), (2, "new"))
    ]
    (comparison,) = compare(sides[0], [sides[1]], Question(slice_by="gold")).comparisons
    assert {row.measured.task for row in comparison.slices} == {"A@1"}
    assert len(comparison.rows) == 2
