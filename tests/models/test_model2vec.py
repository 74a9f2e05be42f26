"""Model2Vec checkpoints: against that package's own output, and sentence-transformers'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from evalsuite import models as evalsuite_models
from evalsuite.engines.encode import EncodingEngine
from evalsuite.errors import ModelError
from evalsuite.models import Placement

VOCABULARY = ["[PAD]", "[UNK]", "the", "cat", "dog", "sleep", "##s", ",", "park"]
TEXTS = ["the cat sleeps , the dog sleeps", "dog", "xyz", "", "cat xyz cat", "the " * 30]


def checkpoint(
    folder: Path,
    *,
    shared: bool = False,
    kind: str = "wordpiece",
    dtype: str = "float32",
    **config: Any,
) -> Path:
    """Save a model whose vectors are values of a sine."""
    folder.mkdir()
    if kind == "unigram":
        pieces = [(word, -float(i)) for i, word in enumerate(VOCABULARY)]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    else:
        ids = {word: i for i, word in enumerate(VOCABULARY)}
        tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[PAD] $A", special_tokens=[("[PAD]", 0)]
    )
    tokenizer.enable_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = 5 if shared else len(VOCABULARY)
    vectors = np.sin(np.arange(rows * 4.0) + 1).reshape(rows, 4)
    scaled = np.round(vectors * 100) if dtype == "int8" else vectors
    tensors = {"embeddings": scaled.astype(dtype)}
    if shared:
        tensors["mapping"] = (np.arange(len(VOCABULARY)) * 2 % 5).astype(np.int64)
        tensors["weights"] = np.linspace(0.2, 2.0, len(VOCABULARY))
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", **config}))
    return folder


def encode(spec: str, texts: list[str] = TEXTS, max_length: int | None = None) -> Any:
    resolved = evalsuite_models.resolve(spec)
    engine = EncodingEngine(
        load=lambda: resolved.load(Placement(max_length=max_length)),
        finish=resolved.finish,
        prompts=resolved.prompts,
        chunking=resolved.chunking,
    )
    return engine.encode(texts)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "unit": {"normalize": True},
    "shared": {"shared": True, "normalize": True},
    "short": {"max_length": 3},
    "whole": {"max_length": None, "kind": "unigram"},
    "int8": {"dtype": "int8"},
}


@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_model2vec(tmp_path: Path, case: str) -> None:
    """The golden file holds what model2vec 0.10.0 gives for the same checkpoints."""
    golden = json.loads(Path(__file__).with_name("model2vec.json").read_text())
    found = encode(str(checkpoint(tmp_path / case, **CASES[case])))
    np.testing.assert_allclose(found, np.array(golden[case]), atol=1e-6)


def test_vectors_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    folder = checkpoint(tmp_path / "m", kind="unigram")
    module = StaticEmbedding(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        embedding_weights=np.sin(np.arange(36.0) + 1).reshape(9, 4).astype(np.float32),
    )
    theirs = SentenceTransformer(
        modules=[module, Normalize()], prompts={"p": "the "}, default_prompt_name="p", device="cpu"
    )
    texts = ["cat", "catdog", "the park"]
    bare = theirs.encode(texts, prompt="")
    found = encode(f"{folder}?normalize=true", texts)
    np.testing.assert_allclose(found, bare, atol=1e-6)
    theirs.save_pretrained(str(tmp_path / "st"))
    expected = theirs.encode(texts)
    assert np.abs(expected - bare).max() > 0.1
    np.testing.assert_allclose(encode(str(tmp_path / "st"), texts), expected, atol=1e-6)
    np.testing.assert_allclose(encode(f"{tmp_path / 'st'}?prompt=", texts), bare, atol=1e-6)
    raw = encode(f"{tmp_path / 'st'}?prompt=&normalize=false", texts)
    np.testing.assert_allclose(raw, encode(str(folder), texts), atol=1e-6)
    with pytest.raises(ModelError, match="leave it out"):
        encode(f"{tmp_path / 'st'}?chunk=8", texts)


def test_options(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", normalize=True)
    unit, raw = encode(str(folder)), encode(f"{folder}?normalize=false")
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, raw / np.where(norms > 0, norms, 1), atol=1e-6)
    np.testing.assert_array_equal(encode(f"{folder}?dim=2&as=static"), unit[:, :2])
    cut = encode(f"{folder}?normalize=true&dim=2")
    np.testing.assert_allclose(np.linalg.norm(cut[:2], axis=1), 1, atol=1e-6)
    assert encode(str(folder), ["cat dog park"], max_length=1).tobytes() == unit_of(folder, "cat")
    resolved = evalsuite_models.resolve(str(folder))
    assert (resolved.kind, resolved.native_dtype) == ("static", None)


def unit_of(folder: Path, text: str) -> bytes:
    return bytes(encode(str(folder), [text]).tobytes())


def test_a_texts_bits_do_not_depend_on_the_others(tmp_path: Path) -> None:
    folder = str(checkpoint(tmp_path / "m"))
    together = encode(folder)
    for row, text in zip(together, TEXTS, strict=True):
        assert encode(folder, [text])[0].tobytes() == row.tobytes()
