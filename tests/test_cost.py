"""Costs as values: how they read, and what a result file may hold."""

from __future__ import annotations

from typing import Any

import pytest

from evalsuite.cost import LENGTH, MISSING, Cost, Spent, short


def test_flops_grow_with_the_length_of_the_text() -> None:
    cost = Cost(10, 4, 100, 3)
    assert (cost.flops_per_token(1), cost.flops_per_token(10)) == (103, 130)
    assert cost.stored(64.0) == {
        "parameters": 10,
        "embedding_parameters": 4,
        "flops_per_token": 100 + 3 * LENGTH,
        "attention_flops_per_token": 3 * LENGTH,
        "bytes_per_item": 64.0,
    }


def test_a_sum_knows_only_what_both_know() -> None:
    assert Cost(1, 1, 2, 3) + Cost(4, 0, 0, 0) == Cost(5, 1, 2, 3)
    assert Cost(1, 1, 2, 3) + Cost(4, 0) == Cost(5, 1)
    assert set(Cost().stored(None).values()) == {None}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, MISSING), (0, "0"), (8, "8"), (192.25, "192"), (1536, "1.54 k"), (999.6, "1 k"),
        (22_713_216, "22.7 M"), (99_960_000, "100 M"), (999_600, "1 M"), (7e9, "7 G"),
        (1.2e15, "1200 T"),
    ],
)  # fmt: skip
def test_numbers_read_in_three_digits(value: float | None, text: str) -> None:
    assert short(value) == text


def test_a_result_without_costs_knows_none() -> None:
    spent = Spent.of({}, {})
    assert spent == Spent(None, None, None, None, None, None, None, "not stated")
    assert spent.texts_per_second is None


@pytest.mark.parametrize("bad", ["x", True, -1, float("nan"), float("inf"), [], {}, None, 10**400])
def test_what_is_no_number_is_unknown(bad: Any) -> None:
    cost = dict.fromkeys(Cost().stored(None), bad)
    spent = Spent.of(cost, {"speed": {"texts": bad, "seconds": bad}, "peak_memory_mib": bad})
    assert spent == Spent.of({}, {})
    assert Spent.of(bad, {"speed": bad}) == Spent.of({}, {})


def test_speed_is_of_the_texts_really_run() -> None:
    run = {
        "speed": {"texts": 200, "seconds": 0.5},
        "peak_memory_mib": {"host": 900, "device": 300},
        "device_name": "Test GPU",
    }
    spent = Spent.of({}, run)
    assert (spent.texts_per_second, spent.peak_memory_mib, spent.hardware) == (400, 300, "Test GPU")
    assert Spent.of({}, run | {"speed": None}).texts_per_second is None
    assert Spent.of({}, run | {"speed": {"texts": 0, "seconds": 0.0}}).texts_per_second is None
