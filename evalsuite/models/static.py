"""Static word vectors from a file: GloVe and word2vec text, word2vec binary, gzipped or not."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsuite.cost import Cost
from evalsuite.engines.finish import QUANTIZERS, Finish
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import counting, files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

_WORD = re.compile(r"\w+")
_GZIP = b"\x1f\x8b"


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
    data = _content(path)
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


def _content(path: Path) -> bytes:
    """Return a file's bytes, unpacked.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"Cannot read '{path.name}': {reason}.") from error


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
    lines = data.decode("utf-8", "replace").split("\n")[skip:]
    dim = len(lines[0].rstrip().split(" ")) - 1
    for line in lines:
        if line.strip():
            word, *numbers = line.rstrip().rsplit(" ", dim)  # words of GloVe 840B hold spaces
            yield word, np.array(numbers, dtype=np.float32)


def resolve(spec: Spec) -> Resolved:
    """Resolve a file of word vectors.

    Options are ``lower`` (true), ``normalize`` (false) and ``quantize``.

    Raises:
        UsageError: There is no such file.
    """
    path = files.local_path(spec.name)
    if path is None or not path.is_file():
        raise UsageError(f"No vector file at '{spec.name[:200]}'.")
    spec.check_options(("as", "lower", "normalize", "quantize"))
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
        encoder_options={k: v for k, v in spec.options.items() if k != "quantize"},
        finish=Finish(quantize=spec.choice("quantize", QUANTIZERS)),
        kind="static",
        moved_by=("numpy",),
        count=cache(partial(_count, path)),
    )


def _count(path: Path, layer: int | None) -> Cost:
    """Count a file's numbers by its header, or by its lines and the length of the first."""
    data = _content(path)
    head, _, rest = data.partition(b"\n")
    sizes = head.split()
    if len(sizes) == 2 and all(size.isdigit() for size in sizes):
        n, dim = int(sizes[0]), int(sizes[1])
    else:
        n, dim = 1 + sum(bool(line.strip()) for line in rest.split(b"\n")), len(sizes) - 1
    return counting.of_vectors([(n, dim)], dim, weighted=False)
