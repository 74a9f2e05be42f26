"""Draws kept for several samples: the same intervals, drawn once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evalsuite import measures, stats
from evalsuite.stats import draws


def sample(seed: int, n: int = 200, *, groups: bool = False) -> stats.Sample:
    rng = np.random.default_rng(seed)
    gold = np.random.default_rng(0).random(n)
    columns = {"gold": gold, "cosine": gold + rng.random(n)}
    return stats.Sample(columns, group=np.arange(n) % 3 if groups else None)


@pytest.mark.parametrize("groups", [False, True])
def test_kept_draws_are_the_draws_there_were(monkeypatch: pytest.MonkeyPatch, groups: bool) -> None:
    measure, kept = measures.parse("cosine_spearman"), stats.KeptDraws()
    made: list[int] = []
    real = draws.counts

    def counted(rng: np.random.Generator, rows: int, n: int) -> Any:
        made.append(n)
        return real(rng, rows, n)

    monkeypatch.setattr(draws, "counts", counted)
    asked = [(1, 5, 200), (2, 5, 200), (3, 6, 200), (1, 5, 200), (1, 5, 90)]
    for number, seed, n in asked:
        mine = sample(number, n, groups=groups)
        found = stats.bootstrap_interval(measure, mine, seed=seed, kept=kept)
        assert found == stats.bootstrap_interval(measure, mine, seed=seed)
    alone = len(asked) * (3 if groups else 1)
    assert len(made) == alone + (alone if groups else 4)  # all but the second sample's are new


def test_what_is_kept_is_bounded_and_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, kept = measures.parse("cosine_spearman"), stats.KeptDraws()
    monkeypatch.setattr(draws, "_CELLS_A_CHUNK", 2_000)
    monkeypatch.setattr(stats.KeptDraws, "_MOST_CELLS", 6_000)
    mine = sample(1)
    found = stats.bootstrap_interval(measure, mine, seed=1, n_resamples=100, kept=kept)
    assert found == stats.bootstrap_interval(measure, mine, seed=1, n_resamples=100)
    assert len(kept._draws) == 3
    times = next(iter(kept._draws.values())).units
    assert times is not None
    with pytest.raises(ValueError, match="read-only"):
        times[0, 0] = 1
