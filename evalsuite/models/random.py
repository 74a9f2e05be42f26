"""A random vector for every text: the floor any model must clear."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.finish import QUANTIZERS, Finish
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

VERSION = 1
_DIM = 64


class RandomEncoder:
    """Draws each text's vector from a generator seeded by the text, so equal texts agree."""

    def __init__(self, seed: int) -> None:
        self._seed = seed.to_bytes(8, "little")

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return normal vectors, ``[n, 64]``."""
        rows = []
        for text in texts:
            key = hashlib.blake2b(text.encode("utf-8"), digest_size=16, key=self._seed).digest()
            generator = np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))
            rows.append(generator.standard_normal(_DIM, dtype=np.float32))
        return np.stack(rows)


def resolve(spec: Spec) -> Resolved:
    """Resolve the random encoder; ``seed`` draws another one, ``quantize`` makes codes of it."""
    spec.check_options(("seed", "quantize"))
    seed = spec.integer("seed") or 0

    def load(placement: Placement) -> RandomEncoder:
        return RandomEncoder(seed)

    return Resolved(
        name="random",
        identity=f"evalsuite:random@{VERSION}",
        revision=f"v{VERSION}",
        load=load,
        options=spec.options,
        encoder_options={k: v for k, v in spec.options.items() if k != "quantize"},
        finish=Finish(quantize=spec.choice("quantize", QUANTIZERS)),
        kind="random",
        moved_by=("numpy",),
    )
