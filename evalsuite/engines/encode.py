"""The encoding engine: each distinct string of a run is tokenised and encoded once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.local import clean
from evalsuite.engines import streamed
from evalsuite.engines.batching import ShapeRule, plan
from evalsuite.engines.cache import Asked, Keys, VectorCache, text_keys
from evalsuite.engines.chunking import TEXTS_A_BLOCK, Chunking
from evalsuite.engines.finish import Finish
from evalsuite.engines.meter import Meter
from evalsuite.engines.streamed import StreamEncoder
from evalsuite.engines.vectors import merged
from evalsuite.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

    from evalsuite.engines.search import TopK

log = logging.getLogger(__name__)

Role = Literal["query", "document"] | None
Vectors = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (texts done, texts in all) of the current call."""

DEFAULT_BATCH_TOKENS = 4096
_CHUNK_TEXTS = 1024  # texts a plain encoder gets at once


class PlainEncoder(Protocol):
    """Any object that turns strings into vectors.

    One that itself treats roles apart has ``takes_role = True``, and ``encode`` gets the ``role``.
    """

    def encode(self, texts: list[str]) -> NDArray[np.floating]:
        """Return one vector a text, ``[n, dim]``."""
        ...


class TokenEncoder(Protocol):
    """A model whose batches the engine composes.

    One that needs no padding also has ``needs_padding = False`` and
    ``forward_unpadded(rows of token ids, role)``, which takes texts of any lengths.
    """

    @property
    def pad_id(self) -> int:
        """Token that fills up a row."""
        ...

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        ...

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Return token ids, special tokens included, cut at the model's maximum length."""
        ...

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64], role: Role) -> torch.Tensor:
        """Return vectors ``[rows, dim]`` in fp32 for padded ids and mask ``[rows, length]``."""
        ...


def ignore_progress(done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Prompts:
    """What is put before every text of a role.

    Attributes:
        texts: Role to prompt; ``""`` is the role of texts that have none.
        pooled: Whether pooling sees the prompt's tokens.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    pooled: bool = True

    def text(self, role: Role) -> str:
        """Return the prompt of a role."""
        return self.texts.get(role or "", "")

    def salt(self, role: Role) -> str:
        """Return what beside the encoded string changes the vectors of a role."""
        return "" if self.pooled else f"prompt={self.text(role)}"


@dataclass
class EncodingEngine:
    """Wraps an encoder: dedupes, caches, batches, backs off when memory runs out, checks vectors.

    Attributes:
        load: Returns a :class:`TokenEncoder`, or any object with ``encode(list[str])``; called
            once, and only if a vector is not cached.
        prompts: What is put before texts.
        finish: What is done to vectors after the cache.
        cache: Where vectors are kept; in memory by default.
        rule: Shapes texts are run in.
        batch_tokens: Token budget of a batch; halves when memory runs out.
        progress: Told of every batch.
        device: Where the encoder runs; searches over its vectors run there too.
        searcher: ``torch``, or ``faiss`` for its exact index.
        texts_encoded: Texts run through the model so far.
        backoffs: How often memory ran out.
        chunking: How long texts are cut into windows, or None to let the model cut them off.
        meter: What was really run for a task, and how large what came of it is.
    """

    load: Callable[[], TokenEncoder | PlainEncoder | StreamEncoder]
    prompts: Prompts = field(default_factory=Prompts)
    finish: Finish = field(default_factory=Finish)
    cache: VectorCache = field(default_factory=VectorCache)
    rule: ShapeRule = field(default_factory=ShapeRule)
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    progress: Progress = ignore_progress
    device: str = "cpu"
    searcher: str = "torch"
    texts_encoded: int = 0
    backoffs: int = 0
    chunking: Chunking | None = None
    meter: Meter = field(default_factory=Meter)

    @property
    def layers(self) -> int:
        """How many layers' vectors the encoder gives side by side."""
        return 1

    def encode(self, texts: Sequence[str], role: Role = None) -> Vectors:
        """Return one fp32 vector a text, ``[n, dim]``, in the order given.

        Raises:
            ModelError: The model fails, or returns vectors that are not finite or not one a text.
        """
        if not texts:
            return np.empty((0, 0), np.float32)
        asked = self.asked(texts, role)
        found, cached = self.cache.lookup(asked.keys)
        missing = np.flatnonzero(~found)
        self.progress(len(found) - len(missing), len(found))
        fresh: Vectors | None = None
        if len(missing):
            strings = [asked.strings[i] for i in asked.first[missing]]
            try:
                fresh = self.run(strings, asked.keys[missing], role)
            finally:
                self.cache.flush()
        vectors = self.finish(merged(found, cached, fresh))
        size = len(texts) * self.finish.item_bytes(vectors.shape[1])
        self.meter.returned(len(texts), size, documents=role == "document")
        return vectors[asked.back]

    def asked(self, texts: Sequence[str], role: Role) -> Asked:
        """Return the distinct strings of a call."""
        prompt = self.prompts.text(role)
        strings = [clean(prompt + text) for text in texts]
        keys = text_keys(strings, self.prompts.salt(role))
        distinct, first, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return Asked(strings, distinct, first, back.reshape(-1))

    def search(
        self, queries: Vectors, shards: Iterable[Vectors], k: int, tie_rank: NDArray[np.int64]
    ) -> TopK:
        """Return the k documents with the largest inner product of each query.

        Binary codes are searched as packed bits, by Hamming distance.

        Args:
            queries: ``[q, dim]``.
            shards: Consecutive parts of the corpus, each ``[m, dim]``.
            k: Documents a query.
            tie_rank: ``[documents]`` order among equal scores, smallest first.

        Raises:
            UsageError: faiss is asked for, but missing or not for these vectors.
        """
        from evalsuite.engines import hamming, search

        if self.finish.quantize == "binary":
            if self.searcher == "faiss":
                raise UsageError("--search faiss is not for quantize=binary: leave it out.")
            return hamming.search(queries, shards, k, tie_rank)
        if self.searcher == "faiss":
            gpu = self.device.startswith("cuda")
            return search.search_faiss(queries, shards, k, tie_rank, gpu=gpu)
        return search.search(queries, shards, k, tie_rank, device=self.device)

    @cached_property
    def encoder(self) -> TokenEncoder | PlainEncoder | StreamEncoder:
        """The loaded model."""
        encoder = self.load()
        if hasattr(encoder, "encode_stream"):
            streamed.check_unchanged(cast("StreamEncoder", encoder), self.cache)
        return encoder

    @property
    def usage(self) -> Mapping[str, int] | None:
        """What the encoder's requests came to, where it is loaded and counts any."""
        return getattr(self.__dict__.get("encoder"), "usage", None)

    def run(self, texts: list[str], keys: Keys, role: Role) -> Vectors:
        """Encode texts no cache knows."""
        encoder = self.encoder  # loaded before the clock starts
        with self.meter.clock():
            if self.chunking is not None:
                return self._run_chunks(self.chunking, texts, keys, role)
            if hasattr(encoder, "pad_id"):
                return self._run_tokens(cast("TokenEncoder", encoder), texts, keys, role)
            if hasattr(encoder, "encode_stream"):
                stream = cast("StreamEncoder", encoder)
                return streamed.run(stream, texts, keys, self.cache, self._advance)
            return self._run_plain(encoder, texts, keys, role)

    def _run_chunks(self, chunking: Chunking, texts: list[str], keys: Keys, role: Role) -> Vectors:
        """Encode the windows of texts, and pool them."""
        encoder: Any = self.encoder
        if not hasattr(encoder, "tokenizer") or not hasattr(encoder, "pad_id"):
            raise ModelError("chunk= is for models that read tokens: leave it out.")
        prompt = clean(self.prompts.text(role))
        blocks: list[Vectors] = []
        for start in range(0, len(texts), TEXTS_A_BLOCK):
            block = texts[start : start + TEXTS_A_BLOCK]
            windows = chunking.cut(encoder, block, prompt)
            vectors = self._run_tokens(encoder, windows.strings, None, role)
            blocks.append(chunking.pooled(vectors, windows, self.layers))
            self.cache.put(keys[start : start + TEXTS_A_BLOCK], blocks[-1])
            self._advance(len(block), start + len(block), len(texts))
        return np.concatenate(blocks)

    def _run_plain(
        self, encoder: PlainEncoder, texts: list[str], keys: Keys, role: Role
    ) -> Vectors:
        named: dict[str, Any] = {"role": role} if getattr(encoder, "takes_role", False) else {}
        chunks: list[Vectors] = []
        for start in range(0, len(texts), _CHUNK_TEXTS):
            chunk = texts[start : start + _CHUNK_TEXTS]
            vectors = checked(encoder.encode(chunk, **named), chunk)
            if chunks and vectors.shape[1] != chunks[0].shape[1]:
                raise ModelError("The model changed the size of its vectors between calls.")
            chunks.append(vectors)
            self.cache.put(keys[start : start + _CHUNK_TEXTS], vectors)
            self._advance(len(chunk), start + len(chunk), len(texts))
        return np.concatenate(chunks)

    def _run_tokens(
        self, encoder: TokenEncoder, texts: list[str], keys: Keys | None, role: Role
    ) -> Vectors:
        """Encode texts; without keys they are parts of texts, neither cached nor counted."""
        ids, members = _distinct(encoder.tokenize(texts))
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        rule = self._shapes(encoder)
        left = np.arange(len(ids))
        parts: list[tuple[NDArray[np.int64], Vectors]] = []
        done = 0
        while len(left):
            run = np.zeros(len(ids), dtype=bool)
            for length, batch in plan(lengths[left], rule, self.batch_tokens):
                rows = left[batch]
                vectors = self._try_batch(encoder, [ids[i] for i in rows], length, role)
                if vectors is None:
                    break  # memory ran out: plan what is left again, in smaller batches
                sharing = [members[i] for i in rows]
                vectors = checked(vectors, [texts[i[0]] for i in sharing])
                where = np.concatenate(sharing)
                self.meter.tokens += int(lengths[rows].sum())
                parts.append((where, vectors.repeat([len(i) for i in sharing], axis=0)))
                run[rows] = True
                if keys is not None:
                    self.cache.put(keys[where], parts[-1][1])
                    done += len(where)
                    self._advance(len(where), done, len(texts))
            left = left[~run[left]]
        out = np.empty((len(texts), parts[0][1].shape[1]), np.float32)
        for where, vectors in parts:
            out[where] = vectors
        return out

    def _shapes(self, encoder: TokenEncoder) -> ShapeRule:
        """Return the shapes this encoder's texts are run in."""
        return self.rule if getattr(encoder, "needs_padding", True) else self.rule.unpadded()

    def _try_batch(
        self, encoder: TokenEncoder, rows: list[list[int]], length: int, role: Role
    ) -> Vectors | None:
        """Run a batch, or halve the token budget and return None if memory runs out.

        Raises:
            ModelError: Memory runs out on the smallest batch there is.
        """
        rule = self._shapes(encoder)
        n = len(rows) if rule.mixed else rule.rows(len(rows), length, self.batch_tokens)
        try:
            if rule.mixed:
                return self._run_unpadded(encoder, rows, rule, role)
            return self._run_batch(encoder, rows, n, length, role)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            least = max(length, rule.least_tokens)
            if n == 1 or self.batch_tokens <= least:
                raise ModelError(
                    f"Out of memory on the smallest batch, {n} x {length} tokens. Lower "
                    "--max-length."
                ) from error
        self.batch_tokens = max(least, min(self.batch_tokens, n * length) // 2)
        self.backoffs += 1
        log.warning("Out of memory: batches now hold %d tokens.", self.batch_tokens)
        _release_memory()
        return None

    def _run_batch(
        self, encoder: TokenEncoder, rows: list[list[int]], n: int, length: int, role: Role
    ) -> Vectors:
        """Pad rows to a length, fill up to n rows, run, and drop those added."""
        ids = np.full((n, length), encoder.pad_id, dtype=np.int64)
        mask = np.zeros((n, length), dtype=np.int64)
        for i, row in enumerate(rows):
            where = slice(length - len(row), length) if encoder.pad_left else slice(len(row))
            ids[i, where], mask[i, where] = row, 1
        # copies of the last text fill up: rows of nothing but padding are NaN in some models
        ids[len(rows) :], mask[len(rows) :] = ids[len(rows) - 1], mask[len(rows) - 1]
        vectors = encoder.forward(ids, mask, role)[: len(rows)]
        return cast("Vectors", vectors.float().cpu().numpy())

    def _run_unpadded(
        self, encoder: Any, rows: list[list[int]], rule: ShapeRule, role: Role
    ) -> Vectors:
        """Fill up with copies of the last text, run, and drop those added."""
        filled = rows + rows[-1:] * rule.copies(np.array([len(row) for row in rows]))
        vectors = encoder.forward_unpadded(filled, role)[: len(rows)]
        return cast("Vectors", vectors.numpy())

    def _advance(self, n: int, done: int, total: int) -> None:
        self.texts_encoded += n
        self.meter.texts += n
        self.progress(done, total)


def _distinct(ids: list[list[int]]) -> tuple[list[list[int]], list[NDArray[np.int64]]]:
    """Return distinct token sequences, and the texts that share each (case, accents, spaces)."""
    members: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(ids):
        members.setdefault(tuple(row), []).append(i)
    return [list(row) for row in members], [np.array(texts) for texts in members.values()]


def _release_memory() -> None:
    """Give memory torch holds in reserve back to the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


def checked(vectors: object, texts: Sequence[str]) -> Vectors:
    """Return vectors as fp32 after checking shape and finiteness.

    Raises:
        ModelError: They are not one finite vector a text; the message says which text.
    """
    try:
        array = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The model returned no array of numbers: {error}.") from error
    if array.ndim != 2 or len(array) != len(texts) or array.shape[1] == 0:
        raise ModelError(
            f"The model returned an array of shape {array.shape} for {len(texts)} texts; "
            f"({len(texts)}, dim) is needed."
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ModelError(
            f"The model returned NaN or infinity for {len(bad)} of {len(texts)} texts, first for "
            f"{texts[bad[0]][:60]!r}. In fp16, try --dtype bf16 or fp32."
        )
    return array
