"""The shelf: outputs of any kind through the encoding engine, by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite.engines import shelf as module
from evalsuite.engines.batching import ShapeRule
from evalsuite.engines.encode import Role
from evalsuite.engines.shelf import MultiVectorEngine, SparseEngine, sparse_rows
from evalsuite.errors import ModelError

TEXTS = ["dog", "a", "cat and dog", "", "dog", "a longer text of many letters"]


class Letters:
    """One vector a letter, its code and the role's length; it counts and can run out of memory."""

    pad_id, pad_left, terms = 0, False, 2

    def __init__(self, limit: int = 10**6) -> None:
        self.limit = limit
        self.rows: list[str] = []

    def tokenize(self, texts: list[str], role: Role) -> list[list[int]]:
        return [[ord(letter) for letter in text] for text in texts]

    def outputs(self, ids: Any, mask: Any, role: Role) -> list[NDArray[np.float32]]:
        if ids.size > self.limit:
            raise MemoryError
        self.rows += [
            "".join(map(chr, row[kept == 1])) for row, kept in zip(ids, mask, strict=True)
        ]
        return [expected("".join(map(chr, row[kept == 1])), role)
                for row, kept in zip(ids, mask, strict=True)]  # fmt: skip


def expected(text: str, role: Role) -> NDArray[np.float32]:
    letters = [np.nan if letter == "!" else ord(letter) for letter in text]
    return np.array([letters, [len(role or "")] * len(text)], np.float32).T.reshape(-1, 2)


@pytest.mark.parametrize("half", [2, 2**20])
@pytest.mark.parametrize("rule", [ShapeRule(), ShapeRule(multiple=8, fixed_tokens=64)])
def test_outputs_come_back_in_order(
    monkeypatch: pytest.MonkeyPatch, half: int, rule: ShapeRule
) -> None:
    monkeypatch.setattr(module, "_HALF", half)
    engine = MultiVectorEngine(load=Letters, rule=rule)
    for role in (None, "query", "document"):
        found = engine.encode_multi(TEXTS, role=role)
        for text, vectors in zip(TEXTS, found, strict=True):
            assert vectors.tolist() == expected(text, role).tolist()
    assert engine.texts_encoded == 3 * len(set(TEXTS))


def test_out_of_memory_halves_the_budget() -> None:
    engine = MultiVectorEngine(load=lambda: Letters(limit=40), batch_tokens=4096)
    texts = [f"text {number}" for number in range(40)]
    found = engine.encode_multi(texts)
    assert [len(vectors) for vectors in found] == [len(text) for text in texts]
    assert engine.backoffs >= 1
    assert engine.batch_tokens <= 40


def test_an_output_that_is_not_finite_names_its_text() -> None:
    with pytest.raises(ModelError, match=r"NaN or infinity.*'bad!'"):
        MultiVectorEngine(load=Letters).encode_multi(["fine", "bad!"])


def test_sparse_rows_are_kept_for_later_calls() -> None:
    class Counts(Letters):
        terms = 128

        def outputs(self, ids: Any, mask: Any, role: Role) -> list[NDArray[np.float32]]:
            super().outputs(ids, mask, role)
            import torch

            dense = np.zeros((len(ids), self.terms), np.float32)
            np.add.at(dense, (np.arange(len(ids))[:, None], ids), mask)
            return sparse_rows(torch.from_numpy(dense))

    model = Counts()
    engine = SparseEngine(load=lambda: model)
    first = engine.encode_sparse(TEXTS).toarray()
    assert first.shape == (6, 128)
    for text, row in zip(TEXTS, first, strict=True):
        assert row.tolist() == np.bincount([ord(c) for c in text], minlength=128).tolist()
    assert (engine.encode_sparse(["new", *TEXTS]).toarray()[1:] == first).all()
    assert sorted(model.rows) == sorted({*TEXTS, "new"})
