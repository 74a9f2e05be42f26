"""Items and results as values: every item is accounted for."""

from __future__ import annotations

import numpy as np
import pytest

from evalsuite import measures
from evalsuite.result import EXCLUDED, FAILED, OK, Items


def make(**changes: object) -> Items:
    fields: dict[str, object] = {
        "ids": ["a", "b", "c", "d"],
        "columns": {
            "gold": np.array([1.0, 2.0, 3.0, 4.0]),
            "cosine": np.array([0.1, np.nan, np.nan, 0.4]),
            "ndcg@10": np.array([1.0, np.nan, np.nan, 0.5]),
        },
        "status": np.array([OK, FAILED, EXCLUDED, OK]),
        **changes,
    }
    return Items(**fields)  # type: ignore[arg-type]


def test_a_failed_item_counts_its_worst_and_an_excluded_one_is_counted() -> None:
    items = make()
    assert items.counts() == {"items": 4, "ok": 2, "failed": 1, "excluded": 1}
    ranking = measures.parse("ndcg@10")
    assert items.sample(ranking).columns["ndcg@10"].tolist() == [1.0, 0.0, 0.5]
    assert ranking.aggregate(items.sample(ranking).columns, None) == 0.5
    similarity = items.sample(measures.parse("cosine_spearman")).columns
    assert similarity["cosine"].tolist() == [0.1, -1.0, 0.4]
    assert similarity["gold"].tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": ["a", "b", "c"]},
        {"ids": ["a", "b", "c", "c"]},
        {"status": np.array([OK, OK])},
        {"columns": {"gold": np.zeros(3)}},
    ],
)
def test_a_table_that_loses_or_doubles_items_cannot_be(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="item"):
        make(**changes)


def test_replicates_repeat_ids() -> None:
    assert make(ids=["a", "a", "b", "b"], replicate=np.array([0, 1, 0, 1])).counts()["items"] == 4
