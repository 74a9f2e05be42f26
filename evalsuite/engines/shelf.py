"""Engines of texts that become more than one vector, or a sparse one.

What a model gives for a text is put on a shelf, and the encoding engine is told the place: one
number a text. So deduplication, batches by shape and the retreat when memory runs out are the
encoding engine's. The shelf is in memory; nothing of it reaches the vector cache on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.batching import ShapeRule
from evalsuite.engines.cache import VectorCache
from evalsuite.engines.encode import (
    DEFAULT_BATCH_TOKENS,
    EncodingEngine,
    Progress,
    Role,
    ignore_progress,
)
from evalsuite.engines.meter import Meter

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_HALF = 2**20  # a place is two numbers, each exact in float32


class TokenModel(Protocol):
    """A model whose batches the engine composes, with an output of its own kind a row."""

    @property
    def pad_id(self) -> int:
        """Token that fills up a row."""
        ...

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        ...

    def tokenize(self, texts: list[str], role: Role) -> list[list[int]]:
        """Return rows of token ids, flags and all, cut at the model's maximum length."""
        ...

    def outputs(self, ids: Ints, mask: Ints, role: Role) -> list[Floats]:
        """Return each row's output: a sparse row ``[2, terms]`` or vectors ``[tokens, dim]``."""
        ...


@dataclass
class _Shelf:
    """A token encoder whose vectors are places on the shelf."""

    model: TokenModel
    role: Role
    outputs: list[Floats] = field(default_factory=list)

    @property
    def pad_id(self) -> int:
        return self.model.pad_id

    @property
    def pad_left(self) -> bool:
        return self.model.pad_left

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        return self.model.tokenize(texts, self.role)

    def forward(self, ids: Ints, mask: Ints, role: Role) -> torch.Tensor:
        """Return where each row's output lies, ``[rows, 2]``; NaN if it is not finite."""
        import torch

        places = np.arange(len(ids)) + len(self.outputs)
        found = self.model.outputs(ids, mask, self.role)
        self.outputs += found
        numbers = np.stack(np.divmod(places, _HALF), axis=1).astype(np.float32)
        numbers[[not np.isfinite(row).all() for row in found]] = np.nan
        return torch.from_numpy(numbers)


@dataclass
class ShelfEngine:
    """What the engines of sparse and of several vectors share.

    Attributes:
        load: Returns a :class:`TokenModel`; called once.
        rule: Shapes texts are run in.
        batch_tokens: Token budget of a batch at the start.
        progress: Told of every batch.
        device: Where the model runs; searches run there too.
        texts_encoded: Texts run through the model so far.
        backoffs: How often memory ran out.
        meter: What was really run for a task, and how large what came of it is.
    """

    load: Callable[[], TokenModel]
    rule: ShapeRule = field(default_factory=ShapeRule)
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    progress: Progress = ignore_progress
    device: str = "cpu"
    texts_encoded: int = 0
    backoffs: int = 0
    meter: Meter = field(default_factory=Meter)
    _model: TokenModel | None = None
    _kept: dict[Role, tuple[_Shelf, VectorCache]] = field(default_factory=dict)

    def _outputs(self, texts: Sequence[str], role: Role, *, keep: bool) -> list[Floats]:
        """Return the output of each text, in the order given.

        Args:
            texts: ``[n]``.
            role: Their role.
            keep: Whether later calls may ask for the same texts.
        """
        if self._model is None:
            self._model = self.load()
        shelf, cache = self._kept.get(role) or (_Shelf(self._model, role), VectorCache())
        if keep:
            self._kept[role] = shelf, cache
        engine = EncodingEngine(
            load=lambda: shelf,
            cache=cache,
            rule=self.rule,
            batch_tokens=self.batch_tokens,
            progress=self.progress,
        )
        places = engine.encode(texts, role).astype(np.int64)
        self.batch_tokens = engine.batch_tokens
        self.texts_encoded += engine.texts_encoded
        self.backoffs += engine.backoffs
        self.meter.ran(engine.meter)
        found = [shelf.outputs[high * _HALF + low] for high, low in places.tolist()]
        size = sum(row.nbytes for row in found)  # of a sparse row, its terms and their weights
        self.meter.returned(len(found), size, documents=role == "document")
        return found


class SparseEngine(ShelfEngine):
    """Wraps a model of sparse vectors: dedupes, batches, keeps rows in memory for later calls."""

    def fit(self, corpus: Sequence[str]) -> None:
        """Learn nothing: the model was trained before."""

    def encode_sparse(self, texts: Sequence[str], role: Role = None) -> csr_array:
        """Return one fp32 row a text, ``[n, terms]``, in the order given.

        Raises:
            ModelError: A row is not finite.
        """
        from scipy.sparse import csr_array

        rows = self._outputs(texts, role, keep=True)
        bounds = np.cumsum([0, *(row.shape[1] for row in rows)])
        terms, weights = np.concatenate(rows, axis=1) if rows else np.empty((2, 0), np.float32)
        model: Any = self._model
        shape = (len(rows), model.terms if model else 0)
        return csr_array((weights, terms.astype(np.int32), bounds), shape=shape)


class MultiVectorEngine(ShelfEngine):
    """Wraps a model of several vectors a text: dedupes and batches; keeps nothing between calls."""

    def encode_multi(self, texts: Sequence[str], role: Role = None) -> list[Floats]:
        """Return the fp32 vectors of each text, ``[tokens, dim]``, in the order given.

        Raises:
            ModelError: A vector is not finite.
        """
        return self._outputs(texts, role, keep=False)


def sparse_rows(vectors: Any) -> list[Floats]:
    """Return the numbers of each row that are not zero, below their columns, ``[2, terms]``.

    Columns are whole numbers below 2^24, exact in float32.

    Args:
        vectors: ``[rows, terms]`` on any device.
    """
    rows, columns = vectors.nonzero(as_tuple=True)
    values = vectors[rows, columns]
    counts = np.bincount(rows.cpu().numpy(), minlength=len(vectors))
    both = np.stack([columns.cpu().numpy().astype(np.float32), values.float().cpu().numpy()])
    return [part.copy() for part in np.split(both, np.cumsum(counts)[:-1], axis=1)]
