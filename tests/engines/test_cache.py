"""The vector cache: what comes back is what was put in, whatever happened in between."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engines.cache import VectorCache, cache_folder, default_cache_dir, text_keys
from tests.support import text_vector

TEXTS = [f"text {i}" for i in range(300)]


def vectors_of(texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.stack([text_vector(text) for text in texts])


def filled(folder: Path, texts: list[str] = TEXTS) -> VectorCache:
    cache = VectorCache(folder)
    cache.put(text_keys(texts), vectors_of(texts))
    cache.flush()
    return cache


def assert_only_right_vectors(folder: Path, texts: list[str]) -> int:
    """Check every vector that is found; return how many there are."""
    found, vectors = VectorCache(folder).lookup(text_keys(texts))
    if vectors is not None:
        right = vectors_of([text for text, there in zip(texts, found, strict=True) if there])
        assert vectors.tobytes() == right.tobytes()
    return int(found.sum())


def test_vectors_come_back_bit_for_bit(tmp_path: Path) -> None:
    odd = np.array([[-0.0, 1e-45, 3.4e38, np.float32(0.1)]], np.float32)
    cache = VectorCache(tmp_path)
    cache.put(text_keys(["x"]), odd)
    cache.flush()
    assert [path.suffix for path in tmp_path.iterdir()] == [".seg"]  # renamed, not copied
    for reader in (cache, VectorCache(tmp_path)):
        found, vectors = reader.lookup(text_keys(["y", "x", "z"]))
        assert found.tolist() == [False, True, False]
        assert vectors is not None
        assert vectors.tobytes() == odd.tobytes()


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 7))
def test_lookup_keeps_order_over_segments(asked: list[int], segments: int) -> None:
    cache = VectorCache()
    for part in range(segments):
        some = TEXTS[part:30:segments]
        cache.put(text_keys(some), vectors_of(some))
        cache.flush()
    texts = [TEXTS[i] for i in asked]
    found, vectors = cache.lookup(text_keys(texts))
    assert found.tolist() == [i < 30 for i in asked]
    right = [text_vector(TEXTS[i]) for i in asked if i < 30]
    if right:
        assert vectors is not None
        assert vectors.tobytes() == np.stack(right).tobytes()


def test_keys_tell_texts_and_salts_apart() -> None:
    texts = ["", " ", "a", "A", "a ", "é", "e\u0301", "a\0", "a\0b"]
    keys = np.concatenate([text_keys(texts), text_keys(texts, "salt")])
    assert len(np.unique(keys, axis=0)) == 2 * len(texts)
    assert (text_keys(["b", "a"])[1] == text_keys(["a"])[0]).all()


def test_folder_depends_on_every_part_of_the_identity(tmp_path: Path) -> None:
    base: dict[str, Any] = {
        "model": "m",
        "options": {"layer": "1"},
        "dtype": "float32",
        "max_length": None,
    }
    changed = [
        {**base, "model": "n"},
        {**base, "options": {"layer": "2"}},
        {**base, "dtype": "bfloat16"},
        {**base, "max_length": 12},
        {**base, "options": {}, "option": "layer=1"},
    ]
    assert len({cache_folder(tmp_path, identity) for identity in (base, *changed)}) == 6
    assert cache_folder(tmp_path, dict(reversed(base.items()))) == cache_folder(tmp_path, base)


@pytest.mark.parametrize("place", ["magic", "rows", "dim", "keys sum", "vectors sum", "key", "end"])
def test_a_flipped_byte_is_found_and_the_segment_dropped(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    (segment,) = tmp_path.glob("*.seg")
    offset = {
        "magic": 0, "rows": 8, "dim": 16, "keys sum": 30, "vectors sum": 60, "key": 100, "end": -1,
    }[place]  # fmt: skip
    data = bytearray(segment.read_bytes())
    data[offset] ^= 1
    segment.write_bytes(data)
    cache = VectorCache(tmp_path)
    found, vectors = cache.lookup(text_keys(TEXTS))
    assert not found.any()
    assert vectors is None
    assert not segment.exists()
    assert "damaged" in caplog.text
    cache.put(text_keys(TEXTS), vectors_of(TEXTS))
    cache.flush()
    assert assert_only_right_vectors(tmp_path, TEXTS) == len(TEXTS)


@pytest.mark.parametrize("size", [0, 3, 87, 88, 500, -1])
def test_a_truncated_segment_is_dropped(tmp_path: Path, size: int) -> None:
    filled(tmp_path, TEXTS[:50])
    (segment,) = tmp_path.glob("*.seg")
    filled(tmp_path, TEXTS[50:])
    segment.write_bytes(segment.read_bytes()[:size])
    assert assert_only_right_vectors(tmp_path, TEXTS) == len(TEXTS) - 50
    assert not segment.exists()


def test_a_damaged_segment_does_not_hide_a_sound_copy(tmp_path: Path) -> None:
    filled(tmp_path)
    (segment,) = tmp_path.glob("*.seg")
    filled(tmp_path)
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    assert assert_only_right_vectors(tmp_path, TEXTS) == len(TEXTS)


WRITER = """
import sys
from pathlib import Path
from evalsuite.engines.cache import VectorCache, text_keys
from tests.support import text_vector
import numpy as np
folder, first, last, step = Path(sys.argv[1]), *map(int, sys.argv[2:5])
cache = VectorCache(folder)
for start in range(first, last, step):
    texts = [f"text {i}" for i in range(start, start + step)]
    cache.put(text_keys(texts), np.stack([text_vector(t) for t in texts]))
    cache.flush()
    print(start, flush=True)
"""


def writer(folder: Path, first: int, last: int, step: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(last), str(step)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_kill_9_at_any_point_leaves_only_right_vectors(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(4000)]
    draw = random.Random(3)
    for attempt in range(4):
        process = writer(tmp_path, 1000 * attempt, 1000 * attempt + 10**6, 25)
        assert process.stdout is not None
        process.stdout.readline()  # at least one segment is there
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        process.communicate()
        assert assert_only_right_vectors(tmp_path, texts) >= 25 * (attempt + 1)


def test_kill_9_before_the_segment_is_named_leaves_the_others(tmp_path: Path) -> None:
    code = "import os, signal; os.fsync = lambda f: os.kill(os.getpid(), signal.SIGKILL)\n"
    filled(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code + WRITER, str(tmp_path), "300", "400", "100"], check=False
    )
    assert done.returncode == -9
    assert assert_only_right_vectors(tmp_path, [f"text {i}" for i in range(400)]) == 300


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    processes = [writer(tmp_path, first, first + 600, 20) for first in (0, 300)]
    assert [process.wait() for process in processes] == [0, 0]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    assert assert_only_right_vectors(tmp_path, [f"text {i}" for i in range(900)]) == 900


@pytest.mark.parametrize("call", ["os.fsync", "tempfile.mkstemp", "pathlib.Path.mkdir"])
def test_a_full_or_read_only_disk_costs_the_cache_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    folder = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(call, refuse)
        cache = filled(folder)
    assert "No space left" in caplog.text
    found, vectors = cache.lookup(text_keys(TEXTS))
    assert found.all()
    assert vectors is not None
    assert vectors.tobytes() == vectors_of(TEXTS).tobytes()
    assert not list(folder.glob("*"))


def test_a_damaged_segment_in_a_read_only_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    (segment,) = tmp_path.glob("*.seg")
    segment.write_bytes(b"EVSEG001")

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert not VectorCache(tmp_path).lookup(text_keys(TEXTS))[0].any()


def test_default_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", "/x/y")
    assert default_cache_dir() == Path("/x/y")
    monkeypatch.delenv("EVALSUITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/z")
    assert default_cache_dir() == Path("/z/evalsuite")


def test_segments_hold_no_text(tmp_path: Path) -> None:
    filled(tmp_path, ["a secret sentence"])
    (segment,) = tmp_path.glob("*.seg")
    assert b"secret" not in segment.read_bytes()
