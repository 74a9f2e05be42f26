"""Batches: every text once, in a shape that depends on that text alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engines.batching import ShapeRule, plan, shape_rule

LENGTHS = st.lists(st.integers(0, 300), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 2000), st.sampled_from([1, 4, 8]))
def test_every_text_once_padded_by_its_own_length(
    lengths: list[int], budget: int, multiple: int
) -> None:
    rule = ShapeRule(multiple=multiple)
    array = np.array(lengths, dtype=np.int64)
    batches = list(plan(array, rule, budget))
    assert sorted(i for _, rows in batches for i in rows.tolist()) == list(range(len(lengths)))
    for length, rows in batches:
        assert length % multiple == 0
        assert len(rows) == 1 or length * len(rows) <= budget
        for i in rows:
            assert length == max(multiple, -(-lengths[i] // multiple) * multiple)


@given(LENGTHS)
def test_longest_batches_come_first(lengths: list[int]) -> None:
    padded = [length for length, _ in plan(np.array(lengths, dtype=np.int64), ShapeRule(), 512)]
    assert padded == sorted(padded, reverse=True)


def test_rules_of_devices() -> None:
    cpu, low, cuda = (
        shape_rule(*p) for p in (("cpu", "float32"), ("cpu", "bfloat16"), ("cuda", "float32"))
    )
    assert (cpu.multiple, low.multiple, cuda.multiple) == (4, 4, 8)
    assert cpu.rows(3, 8, 2048) == 3
    assert low.rows(3, 8, 2048) == 64  # 512 tokens at least
    assert cuda.rows(3, 8, 2048) == cuda.rows(256, 8, 2048) == 256  # the same in every batch


@given(LENGTHS, st.integers(1, 2000))
def test_unpadded_batches_mix_lengths_up_to_the_budget(lengths: list[int], budget: int) -> None:
    array = np.maximum(1, np.array(lengths, dtype=np.int64))
    batches = list(plan(array, ShapeRule().unpadded(), budget))
    assert sorted(i for _, rows in batches for i in rows.tolist()) == list(range(len(lengths)))
    for number, (longest, rows) in enumerate(batches):
        tokens = array[rows]
        assert longest == tokens[0] == tokens.max()
        assert len(rows) == 1 or tokens.sum() <= budget
        if number + 1 < len(batches):  # full: the next text would not have fitted
            assert tokens.sum() + array[batches[number + 1][1][0]] > budget


def test_unpadded_batches_are_filled_up_with_copies() -> None:
    low = shape_rule("cpu", "bfloat16").unpadded()
    assert low.copies(np.array([300, 100])) == 2  # 600 tokens: at least 512
    assert low.copies(np.array([300, 300])) == 0
    assert shape_rule("cpu", "float32").unpadded().copies(np.array([3])) == 5
