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
