"""The STS protocol: similarities by hand, and a golden run on fixed vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import distance

from evalsuite import measures
from evalsuite.data import Pairs
from evalsuite.engines.similarity import dense_similarities, sparse_similarities
from evalsuite.models.static import StaticEncoder
from evalsuite.protocols.sts import PROTOCOL
from evalsuite.task import task_from_table

TASK = task_from_table(
    {
        "name": "T",
        "version": 1,
        "protocol": "sts",
        "main_measure": "cosine_spearman",
        "title": "x",
    },
    where="here",
)
RAISE = "The same vectors score differently: raise the protocol version."


class Fixed:
    """A model whose vectors follow a formula in whole numbers: the same on every machine."""

    def encode(self, texts: list[str], role: str | None = None) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 9)[None, :]
        return np.asarray((n * k * k + 3 * n + k) % 13 - 5, dtype=np.float32)


def fixed_pairs() -> Pairs:
    numbers = range(24)
    return Pairs(
        [f"i{n:02}" for n in numbers],
        [str(n) for n in numbers],
        [str((7 * n + 3) % 24) for n in numbers],
        np.array([(5 * n) % 11 / 2 for n in numbers]),
    )


GOLDEN = {
    "cosine_spearman": -0.0035003302498612505,
    "cosine_pearson": -0.05681848682713228,
    "euclidean_spearman": 0.002191541126733157,
    "euclidean_pearson": -0.02230322937552518,
    "manhattan_spearman": 0.004821390478812946,
    "manhattan_pearson": 0.012570221873397706,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    (outcome,) = PROTOCOL.run(TASK, fixed_pairs(), Fixed())
    measure = measures.parse(name)
    score = float(measure.aggregate(outcome.items.sample(measure).columns, None))
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-12), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


def test_dense_similarities_equal_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((20, 7)).astype(np.float32) for _ in range(2))
    found = dense_similarities(a, b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    for name, metric, sign in (
        ("cosine", lambda u, v: 1 - distance.cosine(u, v), 1),
        ("dot", np.dot, 1),
        ("euclidean", distance.euclidean, -1),
        ("manhattan", distance.cityblock, -1),
    ):
        expected = [sign * metric(u, v) for u, v in zip(x, y, strict=True)]
        np.testing.assert_allclose(found[name], expected, rtol=1e-12, atol=1e-14)


def test_sparse_similarities_equal_dense_ones() -> None:
    rng = np.random.default_rng(1)
    a, b = ((rng.random((15, 9)) * (rng.random((15, 9)) < 0.3)).astype(np.float32) for _ in "ab")
    a[0] = 0
    dense, sparse = dense_similarities(a, b), sparse_similarities(csr_array(a), csr_array(b))
    for name, values in dense.items():
        np.testing.assert_allclose(sparse[name], values, atol=1e-6)
        assert sparse[name].shape == (15,)


def test_the_cosine_with_a_zero_vector_is_zero() -> None:
    zero, one = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    for a, b in ((zero, one), (one, zero), (zero, zero)):
        assert dense_similarities(a, b)["cosine"].tolist() == [0.0]


def test_both_sides_are_encoded_in_one_call_without_a_role() -> None:
    calls: list[Any] = []

    class Spy(Fixed):
        def encode(self, texts: list[str], role: str | None = None) -> NDArray[np.float32]:
            calls.append((len(texts), role))
            return super().encode(texts)

    (outcome,) = PROTOCOL.run(TASK, fixed_pairs(), Spy())
    assert calls == [(48, None)]
    assert outcome.items.ids == fixed_pairs().ids
    assert outcome.items.counts() == {"items": 24, "ok": 24, "failed": 0, "excluded": 0}


def test_a_pair_with_a_word_without_vector_counts_with_cosine_zero(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("car 1 0 1\nautomobile 1 0 0.9\ngem 0 1 0\n")
    model = StaticEncoder(tmp_path / "words.txt", lower=True, normalize=False)
    second = ["automobile", "jewel", "car"]
    words = Pairs(["a", "b", "c"], ["car", "gem", "gem"], second, np.ones(3))
    (outcome,) = PROTOCOL.run(TASK, words, model)
    assert outcome.items.counts()["ok"] == 3
    cosines = outcome.items.columns["cosine"]
    assert cosines[0] > 0.99
    assert cosines[1:].tolist() == [0.0, 0.0]
