"""Model2Vec checkpoints: a vector a token; a text is the mean of its tokens' vectors.

The files and what is computed from them are those of the model2vec package, which is not needed.
"""

from __future__ import annotations

import json
import statistics
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.cost import Cost
from evalsuite.errors import ModelError
from evalsuite.models import counting, files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WEIGHTS, _TOKENIZER = "model.safetensors", "tokenizer.json"
_MAX_LENGTH = 512  # where the configuration names none


class Model2Vec:
    """Mean of the vectors of a text's known tokens; a text without any is the zero vector.

    Args:
        folder: The checkpoint.
        normalize: Whether vectors are scaled to unit length.
        max_length: Tokens a text is cut to, or None for all of it.
    """

    def __init__(self, folder: Path, *, normalize: bool, max_length: int | None) -> None:
        self._vectors, self._row_of, self._weights = _tensors(folder)
        self._tokenizer = _tokenizer(folder)
        self._normalize, self._max_length = normalize, max_length
        vocabulary = self._tokenizer.get_vocab()
        self._characters = int(statistics.median(map(len, vocabulary)))
        last = max(vocabulary.values(), default=-1)
        known = len(self._vectors if self._row_of is None else self._row_of)
        if known <= last or (self._row_of is not None and self._row_of.max() >= len(self._vectors)):
            raise ModelError(f"'{folder.name}' has {known} vectors for {last + 1} tokens.")
        self._unknown = _unknown(self._tokenizer)
        if max_length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return ``[n, dim]``."""
        if self._max_length is not None:  # as model2vec cuts, before it counts tokens
            texts = [text[: self._max_length * self._characters] for text in texts]
        out = np.zeros((len(texts), self._vectors.shape[1]), np.float32)
        for row, encoded in zip(
            out, self._tokenizer.encode_batch(texts, add_special_tokens=False), strict=True
        ):
            ids = np.array([token for token in encoded.ids if token != self._unknown], np.int64)
            if len(ids):
                row[:] = self._of_tokens(ids).mean(axis=0)
        if self._normalize:
            out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-32
        return out

    def _of_tokens(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the weighted vectors of tokens, ``[tokens, dim]``."""
        vectors = self._vectors[ids if self._row_of is None else self._row_of[ids]]
        return vectors if self._weights is None else vectors * self._weights[ids, None]


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a Model2Vec checkpoint: token vectors under that package's name."""
    weights = folder / _WEIGHTS
    if not weights.is_file() or not (folder / _TOKENIZER).is_file():
        return False
    return "embeddings" in files.safetensors_header(weights)


def resolve_folder(spec: Spec, folder: Path, name: str) -> Resolved:
    """Resolve a checkpoint; options are ``dim``, ``normalize`` and ``quantize``.

    Raises:
        UsageError: An option cannot be.
    """
    from evalsuite.models.checkpoint import encoder_options, finish

    spec.check_options(("as", "dim", "normalize", "quantize"))
    spec.choice("as", ("static",))
    finished = finish(spec)
    identity = files.content_identity(folder)
    return Resolved(
        name=name,
        identity=identity,
        revision=identity[:12],
        load=partial(_load, folder, spec.flag("normalize")),
        options=spec.options,
        encoder_options=encoder_options(spec),
        finish=finished,
        kind="static",
        moved_by=("numpy", "tokenizers"),
        count=partial(_count, folder),
    )


def _count(folder: Path, layer: int | None) -> Cost:
    header = files.safetensors_header(folder / _WEIGHTS)
    shapes = [header[key]["shape"] for key in ("embeddings", "weights") if key in header]
    return counting.of_vectors(shapes, shapes[0][1], weighted="weights" in header)


def _load(folder: Path, normalize: bool | None, placement: Placement) -> Model2Vec:
    config = files.read_json(folder / "config.json")
    own: int | None = config.get("max_length", _MAX_LENGTH)
    limits = [limit for limit in (own, placement.max_length) if limit is not None]
    return Model2Vec(
        folder,
        normalize=bool(config.get("normalize")) if normalize is None else normalize,
        max_length=min(limits, default=None),
    )


def _tensors(
    folder: Path,
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None, NDArray[np.float32] | None]:
    """Return vectors ``[rows, dim]``, the row of each token and its weight ``[tokens]``."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, Any] = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"Cannot read the vectors of '{folder.name}': {error}") from error
    vectors, rows, weights = (tensors.get(key) for key in ("embeddings", "mapping", "weights"))
    if vectors is None or vectors.ndim != 2:
        raise ModelError(f"'{folder.name}': `embeddings` is no matrix of a vector a token.")
    return (
        vectors.astype(np.float32),
        None if rows is None else rows.astype(np.int64),
        None if weights is None else weights.astype(np.float32),
    )


def _tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    except Exception as error:  # the package raises nothing narrower
        raise ModelError(f"Cannot read the tokenizer of '{folder.name}': {error}") from error
    tokenizer.no_padding()
    return tokenizer


def _unknown(tokenizer: Tokenizer) -> int | None:
    """Return the id of the token that stands for what is unknown; it has no part in a mean."""
    model = json.loads(tokenizer.to_str())["model"]
    if "unk_token" in model:
        token = model["unk_token"]
        return None if token is None else tokenizer.token_to_id(token)
    unknown: int | None = model.get("unk_id")
    return unknown
