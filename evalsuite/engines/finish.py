"""What is done to vectors after the cache; a vector's end depends on it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.similarity import unit_rows
from evalsuite.errors import ModelError

Floats = NDArray[np.float32]

_INT8_LARGEST = 127


def binary(vectors: Floats) -> Floats:
    """Return 1 where a number is positive, else -1: sentence-transformers' ``binary`` bits."""
    return np.where(vectors > 0, np.float32(1), np.float32(-1))


def int8(vectors: Floats) -> Floats:
    """Return whole numbers from -127 to 127: rows of unit length, times 127, rounded.

    No range is learnt from texts: codes do not move with the corpus they are in. Inner products of
    codes stay below 2^24, so that float32 holds them exactly.
    """
    codes: Floats = np.rint(unit_rows(vectors) * np.float32(_INT8_LARGEST))
    return codes


QUANTIZERS: Mapping[str, Callable[[Floats], Floats]] = {"binary": binary, "int8": int8}


@dataclass(frozen=True)
class Finish:
    """What is done to vectors after the cache, so that variants of it share one encoding.

    Attributes:
        dim: Leading dimensions kept, or None for all.
        normalize: Whether rows are scaled to unit length.
        quantize: Key of :data:`QUANTIZERS`, or None for floating point.
    """

    dim: int | None = None
    normalize: bool = False
    quantize: str | None = None

    def item_bytes(self, dim: int) -> int:
        """Return what a finished vector takes in an index: floats, bytes or bits."""
        width = {"binary": 1, "int8": 8}.get(self.quantize or "", 32)
        return (dim * width + 7) // 8

    def __call__(self, vectors: Floats) -> Floats:
        """Return finished vectors; zero rows stay zero.

        Raises:
            ModelError: There are fewer dimensions than are to be kept.
        """
        if self.dim is not None:
            if self.dim > vectors.shape[1]:
                raise ModelError(
                    f"dim={self.dim} is more than the {vectors.shape[1]} dimensions there are."
                )
            vectors = np.ascontiguousarray(vectors[:, : self.dim])
        if self.normalize:
            vectors = unit_rows(vectors)
        return QUANTIZERS[self.quantize](vectors) if self.quantize else vectors
