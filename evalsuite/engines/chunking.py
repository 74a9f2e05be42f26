"""Long texts in windows of tokens: a text's vector is pooled from those of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import ModelError

POOLINGS = ("mean", "max", "first")
TEXTS_A_BLOCK = 256  # whose windows run together; their vectors are then safe in the cache
_UNIT = 1e-3  # how near to 1 a length has to be to count as 1

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Windows:
    """The windows of some texts, in order.

    Attributes:
        strings: What is encoded, prompt included, ``[w]``.
        tokens: A window's own tokens, neither special ones nor the prompt's, at least 1; ``[w]``.
        first: Each text's first window, ``[n]``.
    """

    strings: list[str]
    tokens: NDArray[np.float64]
    first: NDArray[np.int64]


@dataclass(frozen=True)
class Chunking:
    """How texts are cut and their windows pooled.

    Attributes:
        tokens: Longest window, its special tokens and prompt included.
        overlap: Tokens a window repeats of the one before it.
        pooling: ``mean`` (a window weighs as many as its tokens), ``max`` or ``first``.
    """

    tokens: int
    overlap: int = 0
    pooling: str = "mean"

    def cut(self, encoder: Any, texts: Sequence[str], prompt: str) -> Windows:
        """Cut texts into windows of whole words; the prompt stands before each.

        Args:
            encoder: Has ``tokenizer``, ``tokenize`` and ``max_length``.
            texts: Each begins with the prompt.
            prompt: What stands before every text.

        Raises:
            ModelError: Windows are longer than the model takes, or hold no token of a text.
        """
        room = self._room(encoder, prompt)
        bodies = [text.removeprefix(prompt) for text in texts]
        encoded = encoder.tokenizer(
            bodies,
            add_special_tokens=False,
            padding=False,
            truncation=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        strings: list[str] = []
        tokens: list[int] = []
        first: list[int] = []
        for i, body in enumerate(bodies):
            first.append(len(strings))
            offsets = encoded["offset_mapping"][i]
            for start, end in self._spans(encoded.word_ids(i), room):
                begin = offsets[start - 1][1] if start else 0
                until = offsets[end - 1][1] if end < len(offsets) else len(body)
                strings.append(prompt + body[begin:until])
                tokens.append(max(1, end - start))
        return Windows(strings, np.array(tokens, np.float64), np.array(first, np.int64))

    def pooled(self, vectors: Vectors, windows: Windows, layers: int = 1) -> Vectors:
        """Return a vector a text, ``[n, dim]``; that of a single window is the window's own.

        Where all windows of a text have vectors of unit length, the text's is scaled to it too.

        Args:
            vectors: Of every window, ``[w, dim]``.
            windows: The windows.
            layers: How many layers' vectors stand side by side.
        """
        each = vectors.reshape(len(vectors), layers, -1).astype(np.float64)
        first, weights = windows.first, windows.tokens[:, None, None]
        out = each[first]
        if self.pooling == "mean":
            out = np.add.reduceat(each * weights, first) / np.add.reduceat(weights, first)
        elif self.pooling == "max":
            out = np.maximum.reduceat(each, first)
        unit = np.abs(np.linalg.norm(each, axis=2, keepdims=True) - 1) < _UNIT
        norms = np.linalg.norm(out, axis=2, keepdims=True)
        scaled = np.logical_and.reduceat(unit, first) & (norms > 0)
        out = np.divide(out, norms, out=out, where=scaled)
        single = np.diff(np.append(first, len(vectors))) == 1
        out[single] = each[first[single]]
        return np.asarray(out.reshape(len(first), -1), np.float32)

    def _room(self, encoder: Any, prompt: str) -> int:
        """Return how many tokens of a text a window holds."""
        if self.tokens > encoder.max_length:
            raise ModelError(
                f"chunk={self.tokens} is longer than the {encoder.max_length} tokens the model "
                "takes."
            )
        frame = len(encoder.tokenize([prompt])[0])
        room = self.tokens - frame
        if room <= self.overlap:
            raise ModelError(
                f"chunk={self.tokens} leaves {max(0, room)} tokens beside the {frame} of special "
                f"tokens, prompt and template, with overlap={self.overlap}: raise chunk."
            )
        return room

    def _spans(self, words: Sequence[int | None], room: int) -> list[tuple[int, int]]:
        """Return windows as spans of tokens; they begin with a word where one is short enough."""
        n = len(words)
        spans: list[tuple[int, int]] = []
        start = 0
        while True:
            if n - start <= room:
                return [*spans, (start, n)]
            end = _word_start(words, start, start + room) or start + room
            spans.append((start, end))
            start = self._again(words, start, end)

    def _again(self, words: Sequence[int | None], start: int, end: int) -> int:
        """Return where the window after one begins: a word that leaves the overlap, or nearly."""
        if not self.overlap:
            return end
        wanted = end - self.overlap
        first = max(start, wanted) + 1
        after = (i for i in range(first, end) if words[i] != words[i - 1])
        return _word_start(words, start, wanted) or next(after, end)


def _word_start(words: Sequence[int | None], after: int, place: int) -> int | None:
    """Return the last place up to one, and after another, where a word begins, or None."""
    return next((i for i in range(place, after, -1) if words[i] != words[i - 1]), None)
