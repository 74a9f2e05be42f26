"""Long texts in windows: against a loop over words, one window at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import Evaluator, models
from evalsuite.engines.cache import VectorCache
from evalsuite.engines.chunking import Chunking
from evalsuite.engines.encode import EncodingEngine, Role
from evalsuite.models import Placement
from tests.models.test_decoders import Build, build
from tests.support import pairs_task

__all__ = ["build"]  # a fixture

LONG = "the cat and a dog sleep in the park , share of the stock market falls today ! playing"
TEXTS = [LONG, "dog", "", LONG + " " + LONG, f"{LONG} xyz {'qwv' * 9} cat", "a  " * 40]


def encode(
    spec: str,
    texts: list[str] = TEXTS,
    role: Role = None,
    budget: int = 4096,
    cache: VectorCache | None = None,
) -> NDArray[np.float32]:
    resolved = models.resolve(spec)
    engine = EncodingEngine(
        load=lambda: resolved.load(Placement()),
        prompts=resolved.prompts,
        finish=resolved.finish,
        chunking=resolved.chunking,
        batch_tokens=budget,
        cache=cache or VectorCache(),
    )
    return np.asarray(engine.encode(texts, role=role))


def words(tokenizer: Any, text: str) -> list[tuple[str, int]]:
    """Return (word, tokens) with the space before each."""
    found = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    return [(text[a:b], len(tokenizer.tokenize(text[a:b]))) for _, (a, b) in found]


def by_hand(
    spec: str, tokenizer: Any, text: str, room: int, overlap: int, pooling: str
) -> NDArray[np.float64]:
    """Pack words into windows one by one, encode each alone, pool in a loop."""
    left, windows = words(tokenizer, text), []
    while True:
        taken = 0
        while taken < len(left) and sum(n for _, n in left[: taken + 1]) <= room:
            taken += 1
        windows.append(left[:taken])
        if taken == len(left):
            break
        back = taken
        while overlap and back > 1 and sum(n for _, n in left[back:taken]) < overlap:
            back -= 1
        left = left[back:]
    vectors, weights = [], []
    for window in windows:
        vectors.append(encode(spec, [" ".join(word for word, _ in window)])[0].astype(np.float64))
        weights.append(sum(n for _, n in window))
    if pooling == "first" or len(windows) == 1:
        return np.asarray(vectors[0])
    if pooling == "max":
        return np.asarray(np.max(vectors, axis=0))
    return np.asarray(sum(w * v for w, v in zip(weights, vectors, strict=True)) / sum(weights))


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
@pytest.mark.parametrize(("chunk", "overlap"), [(12, 0), (12, 3), (9, 6), (40, 1)])
def test_chunks_equal_a_plain_loop(tiny_bert: Path, chunk: int, overlap: int, pooling: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    over = f"&overlap={overlap}" if overlap else ""
    texts = [TEXTS[0], TEXTS[1], TEXTS[3], TEXTS[5]]
    found = encode(f"{tiny_bert}?chunk={chunk}&chunk_pooling={pooling}{over}", texts)
    expected = [
        by_hand(str(tiny_bert), tokenizer, text, chunk - 2, overlap, pooling) for text in texts
    ]
    np.testing.assert_allclose(found, np.array(expected), atol=1e-6)


def test_a_word_longer_than_a_window_is_cut_inside(tiny_bert: Path) -> None:
    encoder = models.resolve(str(tiny_bert)).load(Placement())
    windows = Chunking(7, overlap=2).cut(encoder, ["cat " + "qwv" * 9 + " dog"], "")
    assert all(len(row) <= 7 for row in encoder.tokenize(windows.strings))
    assert "".join(windows.strings).startswith("cat")
    assert windows.strings[-1].endswith("dog")
    plain = Chunking(7).cut(encoder, ["cat " + "qwv" * 9 + " dog"], "")
    assert "".join(plain.strings) == "cat " + "qwv" * 9 + " dog"
    assert plain.tokens.sum() == len(encoder.tokenizer.tokenize("cat " + "qwv" * 9 + " dog"))


def test_short_texts_keep_their_bits_and_budgets_move_none(tiny_bert: Path) -> None:
    plain, cut = encode(str(tiny_bert)), encode(f"{tiny_bert}?chunk=12&overlap=2")
    assert cut[1:3].tobytes() == plain[1:3].tobytes()
    assert np.abs(cut[3] - plain[3]).max() > 1e-3
    assert cut.tobytes() == encode(f"{tiny_bert}?chunk=12&overlap=2", budget=16).tobytes()
    assert cut[::-1].tobytes() == encode(f"{tiny_bert}?chunk=12&overlap=2", TEXTS[::-1]).tobytes()


def test_unit_vectors_stay_unit_vectors(tmp_path: Path, tiny_st: Callable[..., Path]) -> None:
    unit = tiny_st(tmp_path / "unit", normalize=True)
    found = encode(f"{unit}?chunk=12")
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    free = encode(f"{tiny_st(tmp_path / 'free')}?chunk=12")
    assert np.abs(np.linalg.norm(free, axis=1) - 1).min() > 0.1


def test_prompts_stand_before_every_window(tmp_path: Path, tiny_st: Callable[..., Path]) -> None:
    folder = tiny_st(tmp_path / "st")
    encoder = models.resolve(str(folder)).load(Placement())
    windows = Chunking(14).cut(encoder, ["query : " + LONG, "query : a"], "query : ")
    assert all(string.startswith("query : ") for string in windows.strings)
    assert windows.first.tolist() == [0, len(windows.strings) - 1]
    vectors = encode(f"{folder}?prompt=", windows.strings[:-1])
    pooled = (vectors * windows.tokens[:-1, None]).sum(0) / windows.tokens[:-1].sum()
    found = encode(f"{folder}?chunk=14", [LONG], role="query")[0]
    np.testing.assert_allclose(found, pooled, atol=1e-6)


def test_templates_surround_every_window(build: Build) -> None:
    spec = f"{build('llama')}?as=encoder&pooling=last&template=the {{text}} cat"
    whole = encode(spec, ["dog dog dog", "dog dog", "dog"])
    found = encode(f"{spec}&chunk=6", ["dog dog dog dog dog dog", "dog dog dog"])
    np.testing.assert_allclose(found[0], whole[0], atol=1e-6)
    assert found[1].tobytes() == whole[0].tobytes()


def test_vectors_of_texts_are_cached(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"{tiny_bert}?chunk=12"
    first = encode(spec, cache=VectorCache(tmp_path))
    monkeypatch.setattr(Chunking, "cut", lambda *_: pytest.fail("cut again"))
    assert encode(spec, cache=VectorCache(tmp_path)).tobytes() == first.tobytes()


def test_a_grid_of_chunked_layers_is_its_single_runs(
    tmp_path: Path, tiny_st: Callable[..., Path]
) -> None:
    folder = tiny_st(tmp_path / "st", normalize=True)
    task = str(pairs_task(tmp_path, [(LONG, "dog", 1), (LONG + LONG, LONG, 2), ("a", "cat", 0)]))

    def run(spec: str, name: str) -> list[str]:
        results = Evaluator([task], results=tmp_path / name, cache=None).run(f"{folder}?{spec}")
        return [result.items_digest for result in results]

    grid = run("chunk=12&layer=1,2&dim=8,32", "grid")
    cells = ("layer=1&dim=8", "layer=1&dim=32", "layer=2&dim=8", "layer=2&dim=32")
    assert grid == [digest for cell in cells for digest in run(f"chunk=12&{cell}", "single")]
    assert len(set(grid)) == 4
