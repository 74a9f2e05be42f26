"""Codes: sentence-transformers' bits, whole numbers of int8, and Hamming search by brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsuite import models
from evalsuite.engines import hamming
from evalsuite.engines.cache import VectorCache
from evalsuite.engines.encode import EncodingEngine
from evalsuite.engines.finish import Finish, binary, int8
from evalsuite.engines.search import search
from tests.support import TextModel

Floats = NDArray[np.float32]


def normal(seed: int, n: int, dim: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def library(vectors: Floats, precision: Any, **options: Any) -> NDArray[Any]:
    from sentence_transformers.util.quantization import quantize_embeddings

    return np.asarray(quantize_embeddings(vectors, precision=precision, **options))


@pytest.mark.parametrize("dim", [1, 7, 8, 64, 65, 384, 1000])
def test_bits_are_those_of_sentence_transformers(dim: int) -> None:
    vectors = normal(dim, 20, dim)
    vectors[3, ::2] = 0  # zero is no positive number
    bits = library(vectors, "ubinary")
    packed = hamming.pack(vectors).view(np.uint8)
    assert (packed[:, : bits.shape[1]] == bits).all()
    assert not packed[:, bits.shape[1] :].any()
    assert (np.packbits(binary(vectors) == 1, axis=1) == bits).all()
    assert set(np.unique(binary(vectors))) <= {-1, 1}
    assert (hamming.pack(binary(vectors)) == hamming.pack(vectors)).all()


def test_int8_codes_are_whole_numbers_near_the_librarys() -> None:
    vectors = normal(1, 50, 384)
    vectors[7] = 0
    codes = int8(vectors)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    assert (codes == np.rint(unit * np.float32(127))).all()
    assert not codes[7].any()
    assert np.abs(int8(np.eye(3, dtype=np.float32) * -9)).max() == 127
    ranges = np.stack([-np.ones(384), np.ones(384)]).astype(np.float32)
    middles = library(unit, "int8", ranges=ranges) + 0.5  # rounded down, steps of 1/127.5
    assert np.abs(codes - middles).max() <= 1.5


def test_a_code_depends_on_its_own_vector_alone() -> None:
    vectors = normal(2, 30, 33)
    for code in (binary, int8):
        whole = code(vectors)
        assert (np.concatenate([code(vectors[i : i + 1]) for i in range(30)]) == whole).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    k=st.integers(1, 70),
    size=st.integers(1, 61),
    bits=st.sampled_from([1, 5, 9, 64, 70]),
)
def test_search_equals_brute_force(seed: int, n: int, k: int, size: int, bits: int) -> None:
    queries, documents = normal(seed, 6, bits), normal(seed + 1, n, bits)
    ties = np.random.default_rng(seed).permutation(n)
    shards = [documents[i : i + size] for i in range(0, n, size)]
    best = hamming.search(queries, shards, k, ties)
    apart = ((queries > 0)[:, None] != (documents > 0)[None]).sum(axis=2)
    expected = [sorted(range(n), key=lambda d: (row[d], ties[d]))[:k] for row in apart]
    assert [row[row >= 0].tolist() for row in best.indices] == expected
    for row, found, scores in zip(apart, expected, best.scores, strict=True):
        assert scores[: len(found)].tolist() == [bits - 2 * row[d] for d in found]


def test_blocks_move_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents, ties = normal(1, 11, 20), normal(2, 90, 20), np.arange(90)
    whole = hamming.search(queries, [documents], 9, ties)
    monkeypatch.setattr(hamming, "_BLOCK_DOCUMENTS", 7)
    monkeypatch.setattr(hamming, "_BLOCK_QUERIES", 3)
    cut = hamming.search(queries, [documents], 9, ties)
    assert (cut.indices == whole.indices).all()
    assert (cut.scores == whole.scores).all()


def test_search_equals_that_of_the_codes_as_numbers() -> None:
    queries, documents, ties = normal(3, 9, 384), normal(4, 300, 384), np.arange(300)[::-1].copy()
    packed = hamming.search(queries, [documents], 50, ties)
    floats = search(binary(queries), [binary(documents)], 50, ties)
    assert (packed.indices == floats.indices).all()
    assert (packed.scores == floats.scores).all()


def test_distances_equal_faiss() -> None:
    faiss = pytest.importorskip("faiss")
    queries, documents = normal(5, 7, 96), normal(6, 200, 96)
    index = faiss.IndexBinaryFlat(96)
    index.add(library(documents, "ubinary"))
    theirs, _ = index.search(library(queries, "ubinary"), 40)
    best = hamming.search(queries, [documents], 40, np.arange(200))
    assert (96 - 2 * theirs == best.scores).all()


def test_no_queries_or_no_documents() -> None:
    assert hamming.search(normal(0, 0, 9), [normal(0, 3, 9)], 2, np.arange(3)).indices.size == 0
    assert (hamming.search(normal(0, 3, 9), [], 2, np.arange(0)).indices == -1).all()


def test_codes_share_one_encoding_and_follow_dim() -> None:
    model, cache = TextModel(dim=8), VectorCache()
    texts = ["a", "b", "a"]

    def encode(finish: Finish) -> Floats:
        return EncodingEngine(load=lambda: model, cache=cache, finish=finish).encode(texts)

    whole = encode(Finish())
    assert (encode(Finish(quantize="binary")) == binary(whole)).all()
    assert (encode(Finish(dim=3, quantize="int8")) == int8(whole[:, :3])).all()
    assert sorted(model.seen) == ["a", "b"]


def test_an_engine_of_binary_codes_counts_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    found = hamming.search

    def spy(*args: Any) -> Any:
        called.append(1)
        return found(*args)

    monkeypatch.setattr(hamming, "search", spy)
    vectors = normal(8, 5, 10)
    for quantize, calls in (("binary", 1), ("int8", 1), (None, 1)):
        engine = EncodingEngine(load=TextModel, finish=Finish(quantize=quantize))
        engine.search(vectors, [vectors], 2, np.arange(5))
        assert len(called) == calls


@pytest.mark.parametrize("spec", ["random", "VECTORS", "FOLDER"])
def test_any_dense_model_takes_the_option(spec: str, tmp_path: Path, tiny_bert: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("cat 1 2\ndog -1 0.5\n", encoding="utf-8")
    name = {"VECTORS": str(words), "FOLDER": str(tiny_bert)}.get(spec, spec)
    plain, coded = (models.resolve(name + option) for option in ("", "?quantize=int8"))
    assert coded.finish.quantize == "int8"
    assert coded.options == {"quantize": "int8"}
    assert coded.identity == plain.identity
    assert dict(coded.encoder_options or {}) == dict(plain.encoder_options or {}) == {}
