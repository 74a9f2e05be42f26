"""Several layers of one encoder from one forward pass, each with a cache of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.cache import Asked, Keys, VectorCache
from evalsuite.engines.encode import EncodingEngine, Role, Vectors


@dataclass
class LayerCaches(VectorCache):
    """Takes the vectors of all layers side by side; each layer's go where a run of it keeps them.

    Attributes:
        parts: The cache of each layer.
    """

    parts: Sequence[VectorCache] = ()

    @property
    def on_disk(self) -> bool:
        """Whether vectors outlive the run."""
        return any(cache.on_disk for cache in self.parts)

    def lookup(self, keys: Keys) -> tuple[NDArray[np.bool_], Vectors | None]:
        """Find the vectors all layers have, ``[found, layers x dim]``."""
        found = np.logical_and.reduce([cache.lookup(keys)[0] for cache in self.parts])
        if not found.any():
            return found, None
        each = [cache.lookup(keys[found])[1] for cache in self.parts]
        return found, np.concatenate([one for one in each if one is not None], axis=1)

    def put(self, keys: Keys, vectors: Vectors) -> None:
        """Add the vectors of every layer."""
        for cache, part in zip(self.parts, np.split(vectors, len(self.parts), axis=1), strict=True):
            cache.put(keys, part)

    def flush(self) -> None:
        """Write what is buffered."""
        for cache in self.parts:
            cache.flush()


@dataclass
class AllLayers(EncodingEngine):
    """The engine of an encoder that gives all layers' vectors side by side.

    What was asked last is kept: the variants of a grid ask one after the other for the same texts.
    """

    _last: tuple[list[str], Role, Asked] | None = None

    @property
    def layers(self) -> int:
        """How many layers' vectors the encoder gives side by side."""
        assert isinstance(self.cache, LayerCaches)
        return len(self.cache.parts)

    def asked(self, texts: Sequence[str], role: Role) -> Asked:
        """Return the distinct strings of a call."""
        if self._last is None or self._last[1] != role or self._last[0] != texts:
            self._last = list(texts), role, super().asked(texts, role)
        return self._last[2]


def _no_layers() -> AllLayers:
    raise TypeError("a layer's engine is built with the engine of all layers")


@dataclass
class OneLayer(EncodingEngine):
    """The engine of one layer; a text it lacks is run for all of them.

    Attributes:
        every: The engine of all layers.
        place: Which of them this is, from 0.
    """

    every: AllLayers = field(default_factory=_no_layers)
    place: int = 0

    @property
    def usage(self) -> Mapping[str, int] | None:
        """What the requests of all layers' encoder came to."""
        return self.every.usage

    def asked(self, texts: Sequence[str], role: Role) -> Asked:
        """Return the distinct strings of a call."""
        return self.every.asked(texts, role)

    def run(self, texts: list[str], keys: Keys, role: Role) -> Vectors:
        """Encode texts this layer's cache lacks."""
        before = self.every.texts_encoded, self.every.backoffs
        try:
            vectors = self.every.run(texts, keys, role)
        finally:
            self.every.cache.flush()
        self.texts_encoded += self.every.texts_encoded - before[0]
        self.backoffs += self.every.backoffs - before[1]
        self.batch_tokens = self.every.batch_tokens
        return np.split(vectors, self.every.layers, axis=1)[self.place]
