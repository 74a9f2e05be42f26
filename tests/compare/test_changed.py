"""The items whose contribution changed most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import measures
from evalsuite.compare import Pair, pair
from evalsuite.compare.changed import changed_most, explained
from evalsuite.result import EXCLUDED, FAILED, OK
from tests.compare.stores import selection, write

NDCG = measures.parse("ndcg@10")
SPEARMAN = measures.parse("cosine_spearman")


def one_pair(tmp_path: Path, new: dict[str, Any], old: dict[str, Any], **fields: Any) -> Pair:
    sides = [
        selection(write(tmp_path, columns, model=name, **fields))
        for name, columns in (("new", new), ("old", old))
    ]
    (found,), _ = pair(*sides)
    return found


def test_means_by_their_column(tmp_path: Path) -> None:
    old = np.array([0.5, 0.5, 0.5, 0.5, 0.5])
    new = np.array([0.5, 0.9, 0.2, 0.6, 0.1])
    items = changed_most(one_pair(tmp_path, {"ndcg@10": new}, {"ndcg@10": old}), NDCG, 3)
    assert [(item.item, round(item.change, 6)) for item in items] == [
        ("i001", 0.4),
        ("i004", -0.4),
        ("i002", -0.3),
    ]
    assert (items[0].baseline.value, items[0].candidate.value) == (0.5, 0.9)
    assert items[0].gold is None
    assert items[0].baseline.off is None


def test_correlations_by_the_distance_of_ranks(tmp_path: Path) -> None:
    gold = np.arange(5.0)
    right, swapped = np.arange(5.0), np.array([4.0, 1.0, 2.0, 3.0, 0.0])
    columns = [{"gold": gold, "cosine": values} for values in (swapped, right)]
    items = changed_most(one_pair(tmp_path, *columns), SPEARMAN, 10)
    assert [(item.item, item.change) for item in items] == [("i000", -1.0), ("i004", -1.0)]
    assert (items[0].baseline.off, items[0].candidate.off) == (0.0, 1.0)
    assert (items[1].gold, items[1].baseline.value, items[1].candidate.value) == (4.0, 4.0, 0.0)


def test_another_direction(tmp_path: Path) -> None:
    columns = [{"ndcg@10": np.array(values)} for values in ([1.0, 2.0], [2.0, 2.0])]
    lower_is_better = replace(NDCG, higher_is_better=False)
    (item,) = changed_most(one_pair(tmp_path, *columns), lower_is_better, 10)
    assert (item.item, item.change) == ("i000", 1.0)


def test_failed_items_count_at_their_worst_and_excluded_ones_not(tmp_path: Path) -> None:
    status = {"new": [EXCLUDED, FAILED, OK], "old": [EXCLUDED, OK, OK]}
    sides = [
        selection(
            write(
                tmp_path,
                {"ndcg@10": np.where(np.array(status[name]) == OK, 0.5, np.nan)},
                model=name,
                status=status[name],
            )
        )
        for name in ("new", "old")
    ]
    (found,), _ = pair(*sides)
    (item,) = changed_most(found, NDCG, 10)
    assert (item.item, item.change) == ("i001", -0.5)


def test_groups_and_replicates(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "ids": ["a", "b"] * 2,
        "replicate": np.repeat([0, 1], 2),
        "group": np.array(["x", "y"] * 2),
        "status": [OK] * 4,
    }
    columns = [{"ndcg@10": np.array(values)} for values in ([1, 0, 0.5, 0], [0, 0, 0.5, 0])]
    (item,) = changed_most(one_pair(tmp_path, *columns, **fields), NDCG, 10)
    assert (item.item, item.group, item.change) == ("a", "x", 0.5)


def test_measures_without_contributions(tmp_path: Path) -> None:
    columns = {"ndcg@10": np.array([0.1, 0.2])}
    other = replace(NDCG, decomposes=False)
    assert explained(other) is None
    assert changed_most(one_pair(tmp_path, columns, columns), other, 10) == []
    assert changed_most(one_pair(tmp_path, columns, columns), NDCG, 10) == []


@pytest.mark.parametrize("measure", [NDCG, SPEARMAN])
def test_what_is_meant_is_said(measure: measures.Measure) -> None:
    assert explained(measure)
