"""The scoring engine: each distinct pair of a query and a document is scored once.

A pair is run as a text of two parts whose vector has one number: deduplication, batches by shape,
the token budget with its retreat when memory runs out, and the cache are the encoding engine's.
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
from evalsuite.errors import ModelError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

_CHUNK_PAIRS = 16384  # whose tokens are held at once


class PlainScorer(Protocol):
    """Any object that scores pairs of strings."""

    def score_pairs(self, queries: list[str], documents: list[str]) -> NDArray[np.floating]:
        """Return one score a pair, ``[n]``; more is more relevant."""
        ...


class TokenScorer(Protocol):
    """A model of pairs whose batches the engine composes."""

    @property
    def pad_id(self) -> int:
        """Token that fills up a row."""
        ...

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        ...

    def tokenize_pairs(self, queries: list[str], documents: list[str]) -> list[list[int]]:
        """Return one row of token ids a pair, flags and all, cut at the maximum length."""
        ...

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> torch.Tensor:
        """Return scores ``[rows]`` in fp32 for padded ids and mask ``[rows, length]``."""
        ...


@dataclass
class ScoringEngine:
    """Wraps a model of pairs: dedupes, caches, batches, backs off, checks scores.

    Attributes:
        load: Returns a :class:`TokenScorer`, or any object with ``score_pairs``; called once, and
            only if a score is not cached.
        cache: Where scores are kept; in memory by default.
        rule: Shapes pairs are run in.
        batch_tokens: Token budget of a batch at the start.
        progress: Told of every batch.
    """

    load: Callable[[], TokenScorer | PlainScorer]
    cache: VectorCache = field(default_factory=VectorCache)
    rule: ShapeRule = field(default_factory=ShapeRule)
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    progress: Progress = ignore_progress

    def __post_init__(self) -> None:
        self._done, self._total = 0, 0
        self._engine = EncodingEngine(
            load=lambda: _as_encoder(self.load()),
            cache=self.cache,
            rule=self.rule,
            batch_tokens=self.batch_tokens,
            progress=self._advance,
        )

    @property
    def texts_encoded(self) -> int:
        """Pairs run through the model so far."""
        return self._engine.texts_encoded

    @property
    def backoffs(self) -> int:
        """How often memory ran out."""
        return self._engine.backoffs

    def score_pairs(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        """Return one score a pair, ``[n]``, in the order given.

        Raises:
            ValueError: There are not as many queries as documents.
            ModelError: The model fails, or its scores are not one finite number a pair.
        """
        pairs = [_joined(q, d) for q, d in zip(queries, documents, strict=True)]
        found = np.empty(len(pairs), np.float32)
        self._total = len(pairs)
        for start in range(0, len(pairs), _CHUNK_PAIRS):
            self._done = start
            part = slice(start, start + _CHUNK_PAIRS)
            found[part] = self._engine.encode(pairs[part])[:, 0]
        return found

    def _advance(self, done: int, total: int) -> None:
        self.progress(self._done + done, max(self._total, self._done + total))


def _joined(query: str, document: str) -> str:
    """Return a pair as one string; no two pairs share theirs."""
    return f"{len(query)}:{query}{document}"


def _parted(pairs: list[str]) -> tuple[list[str], list[str]]:
    """Return the queries and the documents of joined pairs."""
    queries, documents = [], []
    for pair in pairs:
        length, _, both = pair.partition(":")
        queries.append(both[: int(length)])
        documents.append(both[int(length) :])
    return queries, documents


def checked_scores(scores: object, queries: Sequence[str], documents: Sequence[str]) -> Floats:
    """Return scores as fp32 after checking shape and finiteness.

    Raises:
        ModelError: They are not one finite number a pair; the message says which pair.
    """
    n = len(queries)
    try:
        array = np.asarray(scores, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The model returned no array of numbers: {error}.") from error
    if array.shape not in ((n,), (n, 1)):
        raise ModelError(
            f"The model returned an array of shape {array.shape} for {n} pairs; ({n},) is needed."
        )
    array = array.reshape(n)
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        first = f"{queries[bad[0]][:60]!r} with {documents[bad[0]][:60]!r}"
        raise ModelError(
            f"The model returned NaN or infinity for {len(bad)} of {n} pairs, first for {first}. "
            "In fp16, try --dtype bf16 or fp32."
        )
    return array


def _as_encoder(model: Any) -> Any:
    """Return a model of pairs as an encoder of joined pairs."""
    return _Tokens(model) if hasattr(model, "tokenize_pairs") else _Plain(model)


@dataclass
class _Plain:
    """A plain model of pairs as an encoder."""

    model: PlainScorer

    def encode(self, pairs: list[str]) -> Floats:
        """Return scores, ``[n, 1]``."""
        queries, documents = _parted(pairs)
        scores = self.model.score_pairs(queries, documents)
        return checked_scores(scores, queries, documents)[:, None]


@dataclass
class _Tokens:
    """A model of rows of tokens as an encoder."""

    model: TokenScorer

    @property
    def pad_id(self) -> int:
        return self.model.pad_id

    @property
    def pad_left(self) -> bool:
        return self.model.pad_left

    def tokenize(self, pairs: list[str]) -> list[list[int]]:
        return self.model.tokenize_pairs(*_parted(pairs))

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64], role: Role) -> torch.Tensor:
        return self.model.forward(ids, mask)[:, None]
