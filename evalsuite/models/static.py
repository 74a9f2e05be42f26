"""Static word vectors from a file: GloVe and word2vec text, and word2vec binary."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import ModelError, UsageError
from evalsuite.models import files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

_WORD = re.compile(r"\w+")


class StaticEncoder:
    """Mean of the vectors of a text's words; a text without known words is the zero vector."""

    def __init__(self, path: Path, *, lower: bool, normalize: bool) -> None:
        self._rows, self._vectors = read_vectors(path)
        self._lower, self._normalize = lower, normalize

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return ``[n, dim]``."""
        out = np.zeros((len(texts), self._vectors.shape[1]), np.float32)
        for i, text in enumerate(texts):
            words = _WORD.findall(text.lower() if self._lower else text)
            known = [self._rows[word] for word in words if word in self._rows]
            if known:
                out[i] = self._vectors[known].mean(axis=0)
        if self._normalize:
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out


def read_vectors(path: Path) -> tuple[dict[str, int], NDArray[np.float32]]:
    """Read word vectors; the format is recognised from the content.

    Returns:
        Word to row, and ``[words, dim]``.

    Raises:
        ModelError: The file is neither format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Cannot read '{path}': {error.strerror}.") from error
    header = data[: data.find(b"\n")].split()
    counted = len(header) == 2 and all(part.isdigit() for part in header)
    try:
        if counted and not _is_text(data[data.find(b"\n") + 1 :][:400]):
            pairs = list(_binary_rows(data, *(int(part) for part in header)))
        else:
            pairs = list(_text_rows(data, skip=int(counted)))
        words = {word: row for row, (word, _) in enumerate(pairs)}
        return words, np.stack([vector for _, vector in pairs])
    except (ValueError, IndexError) as error:
        raise ModelError(f"'{path.name}' holds no word vectors: {error}.") from error


def _is_text(sample: bytes) -> bool:
    try:
        sample.rsplit(b" ", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in sample


def _binary_rows(data: bytes, n: int, dim: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    position = data.find(b"\n") + 1
    for _ in range(n):
        end = data.index(b" ", position)
        word = data[position:end].lstrip(b"\n").decode("utf-8", "replace")
        yield word, np.frombuffer(data, np.float32, dim, end + 1)
        position = end + 1 + 4 * dim


def _text_rows(data: bytes, *, skip: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for line in data.decode("utf-8", "replace").split("\n")[skip:]:
        if line.strip():
            word, _, numbers = line.rstrip().partition(" ")
            yield word, np.array(numbers.split(" "), dtype=np.float32)


def resolve(spec: Spec) -> Resolved:
    """Resolve a file of word vectors; options ``lower`` (true) and ``normalize`` (false).

    Raises:
        UsageError: There is no such file.
    """
    path = files.local_path(spec.name)
    if path is None or not path.is_file():
        raise UsageError(f"No vector file at '{spec.name[:200]}'.")
    spec.check_options(("as", "lower", "normalize"))
    spec.choice("as", ("static",))
    lower, normalize = spec.flag("lower"), spec.flag("normalize")
    with path.open("rb") as file:
        identity = hashlib.file_digest(file, "sha256").hexdigest()

    def load(placement: Placement) -> StaticEncoder:
        return StaticEncoder(path, lower=lower is not False, normalize=bool(normalize))

    return Resolved(
        name=path.name,
        identity=identity,
        revision=identity[:12],
        load=load,
        options=spec.options,
        kind="static",
        moved_by=("numpy",),
    )
