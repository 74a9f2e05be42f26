"""The same vectors for us and for mteb, and real texts to take them of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import DATA, text_vector


class Words:
    """A model that adds up a vector a word: texts that share words are similar."""

    def __init__(self, dim: int = 48) -> None:
        self._dim = dim
        self._known: dict[str, NDArray[np.float32]] = {}

    def _word(self, word: str) -> NDArray[np.float32]:
        if word not in self._known:
            self._known[word] = text_vector(word, self._dim)
        return self._known[word]

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        words = [re.findall(r"\w+", text.lower()) or [""] for text in texts]
        return np.stack([np.sum([self._word(word) for word in row], axis=0) for row in words])


def mteb_model(encoder: Any) -> Any:
    """Return an encoder as mteb takes one."""
    pytest.importorskip("mteb")
    from datasets import disable_progress_bars
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta

    disable_progress_bars()

    class Model(AbsEncoder):
        def __init__(self) -> None:
            self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "org/words"})

        def encode(self, inputs: Any, **options: Any) -> Any:
            return encoder.encode([text for batch in inputs for text in batch["text"]])

    return Model()


def sts_benchmark(split: str) -> Iterator[tuple[str, str, str, float]]:
    """Yield kind, both texts and gold of each pair; skip the test where the data are not here."""
    path = DATA / "stsbenchmark" / f"sts-{split}.csv"
    if not path.is_file():
        pytest.skip(f"no real data at {path}")
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = line.split("\t")
        yield cells[0], cells[5], cells[6], float(cells[4])
