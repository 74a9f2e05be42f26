"""Encoders that answer in parts, at a price: each part is on disk before the next is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.cache import Keys, VectorCache, text_keys
from evalsuite.errors import ModelError

Vectors = NDArray[np.float32]

_MOST_DRIFT = 0.05  # of a probe's length; batches and bf16 move less, other weights far more
_SALT = "probe"  # no role has it: probes never meet the vectors of texts


class StreamEncoder(Protocol):
    """An encoder whose weights may change unseen, and whose answers come in any order."""

    @property
    def probes(self) -> Sequence[str]:
        """Texts by whose vectors a later run knows the weights again."""
        ...

    def encode_stream(
        self, texts: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        """Yield positions ``[k]`` of texts and their vectors ``[k, dim]``."""
        ...


def run(
    encoder: StreamEncoder,
    texts: Sequence[str],
    keys: Keys,
    cache: VectorCache,
    advance: Callable[[int, int, int], None],
) -> Vectors:
    """Encode texts, ``[n, dim]``, and cache each part the moment it is there.

    Args:
        encoder: Encodes them.
        texts: ``[n]``.
        keys: ``[n, 2]``.
        cache: Takes the vectors.
        advance: Told (texts of the part, texts done, texts in all).

    Raises:
        ModelError: Vectors are unusable, missing, or change their size.
    """
    from evalsuite.engines.encode import checked  # which imports this module

    out: Vectors | None = None
    done = 0
    for places, part in encoder.encode_stream(texts):
        vectors = checked(part, [texts[i] for i in places])
        if out is None:
            out = np.empty((len(texts), vectors.shape[1]), np.float32)
        elif vectors.shape[1] != out.shape[1]:
            raise ModelError("The model changed the size of its vectors between calls.")
        out[places] = vectors
        cache.put(keys[places], vectors)
        cache.flush()
        done += len(places)
        advance(len(places), done, len(texts))
    if out is None or done != len(texts):
        raise ModelError(f"The model answered {done} of {len(texts)} texts.")
    return out


def check_unchanged(encoder: StreamEncoder, cache: VectorCache) -> None:
    """Check that an encoder gives probe texts the vectors it gave before; or remember them.

    Raises:
        ModelError: It does not: its weights are others than those of the cached vectors.
    """
    keys = text_keys(encoder.probes, _SALT)
    found, before = cache.lookup(keys)
    if found.all() and before is not None:
        now = run(encoder, encoder.probes, keys, VectorCache(), lambda *_: None)
        if not _alike(before, now):
            raise ModelError(
                "The model answers probe texts otherwise than when its cached vectors were made: "
                "its weights have changed. Name the new ones by any word, as @REVISION in the spec."
            )
    elif cache.on_disk:
        run(encoder, encoder.probes, keys, cache, lambda *_: None)


def _alike(before: Vectors, now: Vectors) -> bool:
    """Whether vectors are the same but for what arithmetic moves."""
    if before.shape != now.shape:
        return False
    drift = np.linalg.norm(now - before, axis=1)
    return bool((drift <= _MOST_DRIFT * np.linalg.norm(before, axis=1)).all())
