"""A content-addressed store of vectors on disk.

One folder holds the vectors of one model in one arithmetic; a vector's key is the hash of the exact
string encoded. Vectors arrive in immutable segments that appear whole or not at all, so a killed
run loses at most its last few seconds, two runs at once never disturb each other, and a damaged
segment is recognised by its checksums, dropped and computed again. What comes back is bit for bit
what was put in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Keys = NDArray[np.uint64]
Vectors = NDArray[np.float32]

_MAGIC = b"EVSEG001"
_HEADER = struct.Struct("<8sQQ32s32s")  # magic, rows, dim, sha256 of keys, sha256 of vectors
_FLUSH_ROWS = 8192
_FLUSH_SECONDS = 10.0


def default_cache_dir() -> Path:
    """Return ``EVALSUITE_CACHE``, else ``evalsuite`` in the user's cache folder."""
    if os.environ.get("EVALSUITE_CACHE"):
        return Path(os.environ["EVALSUITE_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "evalsuite"


def text_keys(texts: Sequence[str], salt: str = "") -> Keys:
    """Return the 128-bit keys of strings, ``[n, 2]``.

    Args:
        texts: The exact strings, prompt included.
        salt: Whatever else of a call changes the vectors, e.g. a prompt kept out of the pooling.
    """
    prefix = hashlib.blake2b(salt.encode("utf-8"), digest_size=16)
    digests = bytearray()
    for text in texts:
        one = prefix.copy()
        one.update(text.encode("utf-8"))
        digests += one.digest()
    return np.frombuffer(bytes(digests), dtype=np.uint64).reshape(-1, 2)


@dataclass(frozen=True)
class Asked:
    """The texts of one call: distinct strings by key, and the way back to the order given.

    Attributes:
        strings: What is encoded, prompt included, ``[n]``.
        keys: Keys of the distinct strings, ``[d, 2]``.
        first: Where each distinct string stands first, ``[d]``.
        back: Which of the distinct strings each text is, ``[n]``.
    """

    strings: list[str]
    keys: Keys
    first: NDArray[np.int64]
    back: NDArray[np.int64]


@dataclass
class _Segment:
    """Vectors with their keys: in memory, or in a file whose vectors are checked on first use."""

    keys: Keys
    vectors: Vectors | None = None
    path: Path | None = None
    checksum: bytes = b""
    dim: int = 0

    def load(self) -> Vectors | None:
        """Return ``[rows, dim]``, or None if the file is damaged."""
        if self.vectors is None and self.path is not None:
            offset = _HEADER.size + self.keys.nbytes
            try:
                vectors = np.memmap(
                    self.path, np.float32, "r", offset, shape=(len(self.keys), self.dim)
                )
            except (OSError, ValueError):
                return None
            if hashlib.sha256(vectors.data).digest() != self.checksum:
                return None
            self.vectors = vectors
        return self.vectors


def _read_header(path: Path) -> _Segment | None:
    """Read a segment's keys, or None if the file is damaged."""
    try:
        with path.open("rb") as file:
            magic, rows, dim, keys_sum, vectors_sum = _HEADER.unpack(file.read(_HEADER.size))
            size = _HEADER.size + rows * (16 + 4 * dim)
            if magic != _MAGIC or path.stat().st_size != size:
                return None
            data = file.read(16 * rows)
    except (OSError, struct.error):
        return None
    if hashlib.sha256(data).digest() != keys_sum:
        return None
    keys = np.frombuffer(data, np.uint64).reshape(-1, 2)
    return _Segment(keys, path=path, checksum=vectors_sum, dim=dim)


@dataclass
class VectorCache:
    """Vectors of one model in one arithmetic.

    Attributes:
        folder: Where segments live; None keeps them in memory for the length of a run.
    """

    folder: Path | None = None
    _segments: list[_Segment] = field(default_factory=list)
    _index: tuple[Keys, NDArray[np.int64], NDArray[np.int64]] | None = None
    _buffer: list[tuple[Keys, Vectors]] = field(default_factory=list)
    _flushed: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Read the keys of every sound segment."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.seg")):
            segment = _read_header(path)
            if segment is None:
                self._drop(path)
            else:
                self._segments.append(segment)

    @property
    def on_disk(self) -> bool:
        """Whether vectors outlive the run."""
        return self.folder is not None

    def lookup(self, keys: Keys) -> tuple[NDArray[np.bool_], Vectors | None]:
        """Find vectors by key.

        Args:
            keys: ``[n, 2]``.

        Returns:
            Which keys were found, ``[n]``, and their vectors in order, ``[found, dim]``.
        """
        found = np.zeros(len(keys), dtype=bool)
        if not self._segments or not len(keys):
            return found, None
        sorted_keys, segment_of, row_of = self._sorted_index()
        position = np.searchsorted(sorted_keys[:, 0], keys[:, 0])
        position = np.minimum(position, len(sorted_keys) - 1)
        found = (sorted_keys[position] == keys).all(axis=1)
        hits = position[found]
        wanted = np.unique(segment_of[hits])
        loaded = {int(s): self._segments[s].load() for s in wanted}
        damaged = [s for s, vectors in loaded.items() if vectors is None]
        if damaged:
            for s in sorted(damaged, reverse=True):
                self._drop(self._segments.pop(s).path)
            self._index = None
            return self.lookup(keys)
        if not len(hits):
            return found, None
        dim = next(v.shape[1] for v in loaded.values() if v is not None)
        out = np.empty((len(hits), dim), np.float32)
        for s, vectors in loaded.items():
            mine = segment_of[hits] == s
            assert vectors is not None  # damaged segments were dropped above
            out[mine] = vectors[row_of[hits][mine]]
        return found, out

    def put(self, keys: Keys, vectors: Vectors) -> None:
        """Add vectors; they reach the disk within seconds, see :meth:`flush`."""
        self._buffer.append((keys, vectors))
        rows = sum(len(k) for k, _ in self._buffer)
        if rows >= _FLUSH_ROWS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered as one segment."""
        self._flushed = time.monotonic()
        if not self._buffer:
            return
        keys = np.concatenate([k for k, _ in self._buffer])
        vectors = np.ascontiguousarray(np.concatenate([v for _, v in self._buffer]), np.float32)
        self._buffer.clear()
        self._index = None
        segment = _Segment(keys, vectors)
        if self.folder is not None:
            segment = self._write(self.folder, keys, vectors) or segment
        self._segments.append(segment)

    def _write(self, folder: Path, keys: Keys, vectors: Vectors) -> _Segment | None:
        """Write a segment; a disk that is full or read-only costs the cache, never the run."""
        checksum = hashlib.sha256(vectors.data).digest()
        header = _HEADER.pack(
            _MAGIC, len(keys), vectors.shape[1], hashlib.sha256(keys.data).digest(), checksum
        )
        name = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=".writing-")
            with os.fdopen(handle, "wb") as file:
                for part in (header, keys.data, vectors.data):
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            path = folder / f"{Path(name).name.removeprefix('.writing-')}.seg"
            Path(name).replace(path)
        except OSError as error:
            if name:
                Path(name).unlink(missing_ok=True)
            log.warning("The vector cache '%s' cannot be written: %s.", folder, error.strerror)
            self.folder = None
            return None
        return _Segment(keys, path=path, checksum=checksum, dim=vectors.shape[1])

    def _sorted_index(self) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64]]:
        """Return all keys sorted by their first half, with segment and row of each."""
        if self._index is None:
            keys = np.concatenate([segment.keys for segment in self._segments])
            sizes = [len(segment.keys) for segment in self._segments]
            segment_of = np.repeat(np.arange(len(sizes)), sizes)
            row_of = np.concatenate([np.arange(size) for size in sizes])
            order = np.argsort(keys[:, 0], kind="stable")
            self._index = keys[order], segment_of[order], row_of[order]
        return self._index

    @staticmethod
    def _drop(path: Path | None) -> None:
        if path is not None:
            log.warning("Dropped the damaged cache segment '%s'; it is computed again.", path.name)
            with contextlib.suppress(OSError):  # in a read-only folder it stays, unused
                path.unlink(missing_ok=True)


def cache_folder(root: Path, identity: dict[str, Any]) -> Path:
    """Return the folder of one model in one arithmetic, named by the hash of what defines both."""
    text = json.dumps(identity, sort_keys=True)
    return root / "vectors" / hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]
