"""Bad input of protocols, as docs/bad-input.md has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran
from tests.support import pairs_task

RunCli = Callable[..., Ran]


def matching_task(folder: Path, golds: Sequence[Any]) -> Path:
    """Write a pair classification task with these golds."""
    rows = [(f"text {n}", f"other {n}", gold) for n, gold in enumerate(golds)]
    return pairs_task(folder, rows, protocol="pair_classification", main_measure="max_ap")


@pytest.mark.parametrize(
    ("golds", "part"),
    [
        ((0, 1, 2), "the gold of pair 'p2' is 2. Pair classification takes 1"),
        ((-1, 1, 1), "the gold of pair 'p0' is -1"),
        ((0, 0.5, 1), "the gold of pair 'p1' is 0.5"),
        ((1, 1, 1), "all 3 pairs have the gold 1, which leaves nothing to tell apart"),
        ((0,), "all 1 pairs have the gold 0"),
        ((0, "yes"), "a score is not a number"),
    ],
)
def test_golds_of_pair_classification(
    run_cli: RunCli, tmp_path: Path, golds: Sequence[Any], part: str
) -> None:
    task = matching_task(tmp_path, golds)
    ran = run_cli("run", "random", "-t", task, "--results", tmp_path / "r", "--no-cache")
    assert (ran.code, ran.err.count("Error: ")) == (3, 1), ran
    assert part in ran.err
    assert "MyPairs@1" in ran.err
    assert not list(tmp_path.rglob("MyPairs@1.json"))


def test_a_limit_that_leaves_one_class(run_cli: RunCli, tmp_path: Path) -> None:
    task = matching_task(tmp_path, (0, 1, 0, 1))
    run = ("run", "random", "-t", task, "--results", tmp_path / "r", "--no-cache")
    ran = run_cli(*run, "--limit", "1")
    assert ran.code == 3
    assert "a larger --limit" in ran.err
    assert run_cli(*run).code == 0
