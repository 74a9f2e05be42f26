"""llama2.c files: the real small Llama, and files written here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalsuite import models
from evalsuite.engines.encode import EncodingEngine
from evalsuite.errors import ModelError
from evalsuite.models import Placement, llama2c
from tests.support import DATA, llama2c_file

REAL = DATA.parent / "weights"
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"
    "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. "
    'She said, "I want to play with your ball, but I can\'t find it."\n'
    "Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to "
    "do.\"\nLily didn't want to help her mom, so she"
)
"""What llama2.c prints for stories260K at temperature 0 in 200 steps, by its own tests."""
TEXTS = ["A man plays the guitar.", "", "naïve café 日本 \U0001f600", "aaaa  bb!!!!   \n\n x", " "]


def real(name: str) -> Path:
    path = REAL / name / f"{name}.bin"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    return path


def encode(spec: str, texts: list[str]) -> Any:
    resolved = models.resolve(spec)
    engine = EncodingEngine(load=lambda: resolved.load(Placement()), prompts=resolved.prompts)
    return engine.encode(texts)


def merged(text: str, pieces: list[tuple[str, float]]) -> list[int]:
    """Tokenise as llama2.c's ``encode`` does, written out plainly."""
    ids = {piece: i for i, (piece, _) in enumerate(pieces) if i > 2}
    row = []
    for character in " " + text if text else "":
        if character in ids:
            row.append(ids[character])
        else:
            row += [byte + 3 for byte in character.encode()]
    while True:
        best = (-1e10, -1, -1)
        for i in range(len(row) - 1):
            union = ids.get(pieces[row[i]][0] + pieces[row[i + 1]][0])
            if union is not None and pieces[union][1] > best[0]:
                best = (pieces[union][1], union, i)
        if best[1] < 0:
            return [1, *row]
        row[best[2] : best[2] + 2] = [best[1]]


def test_the_real_llama_tells_its_story() -> None:
    model, tokenizer = llama2c.load(real("stories260K"))
    ids = [1]
    with torch.inference_mode():
        for _ in range(200):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert tokenizer.decode(ids, skip_special_tokens=True) == STORY


@pytest.mark.parametrize("name", ["stories260K", "aidreams260K"])
def test_texts_are_merged_as_llama2c_does(name: str) -> None:
    path = real(name)
    pieces = llama2c.read_vocabulary(path.with_name("tok512.bin"), 512)
    tokenizer = llama2c.tokenizer(path.with_name("tok512.bin"), 512)
    texts = [*TEXTS, STORY, *STORY.split("\n"), "zzz  zz <s> </s> <0x41>", "\t" * 5, "the the" * 9]
    for text in texts:
        assert tokenizer(text)["input_ids"] == merged(text, pieces), text
    assert tokenizer.decode(merged(STORY, pieces), skip_special_tokens=True) == STORY


@pytest.mark.parametrize("name", ["stories260K", "aidreams260K"])
def test_vectors_of_the_real_llama_equal_transformers(name: str) -> None:
    model, tokenizer = llama2c.load(real(name))
    ours = encode(f"{real(name)}?pooling=last", TEXTS)
    for vector, text in zip(ours, TEXTS, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            expected = model.model(ids).last_hidden_state[0, -1]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = llama2c_file(tmp_path / "tiny.bin")
    assert encode(str(path), TEXTS).shape == (len(TEXTS), 16)
    named = encode(f"{path}?as=encoder&pooling=last&template=prompteol&layer=1", TEXTS)
    assert named.shape == (len(TEXTS), 16)
    model, _ = llama2c.load(path)
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    untied, _ = llama2c.load(llama2c_file(tmp_path / "untied.bin", tied=False))
    assert not torch.equal(untied.lm_head.weight, untied.model.embed_tokens.weight)
    assert torch.equal(untied.model.embed_tokens.weight, model.model.embed_tokens.weight)


def test_rotations_are_those_of_llama2c(tmp_path: Path) -> None:
    """One layer's attention scores, rotating neighbours as llama2.c does."""
    path = llama2c_file(tmp_path / "tiny.bin")
    shape = llama2c.read_shape(path)
    weights = llama2c._weights(path, shape)
    model, _ = llama2c.load(path)
    x = torch.randn(5, shape.dim, generator=torch.Generator().manual_seed(1))
    size = shape.dim // shape.heads
    angles = torch.arange(5)[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]

    def rotated(weight: torch.Tensor, heads: int) -> torch.Tensor:
        pairs = (x @ weight.T).view(5, heads, size // 2, 2)
        return torch.view_as_real(torch.view_as_complex(pairs) * turn).flatten(2)

    queries = rotated(weights["query"][0], shape.heads)
    keys = rotated(weights["key"][0], shape.kv_heads).repeat_interleave(2, dim=1)
    scores = torch.einsum("qhd,khd->hqk", queries, keys)
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    own = model.model.layers[0].self_attn
    with torch.inference_mode():
        q = own.q_proj(x).view(1, 5, shape.heads, size).transpose(1, 2)
        k = own.k_proj(x).view(1, 5, shape.kv_heads, size).transpose(1, 2)
        cosines, sines = model.model.rotary_emb(x[None], position_ids=torch.arange(5)[None])
        q, k = apply_rotary_pos_emb(q, k, cosines, sines)
    theirs = (q @ k.repeat_interleave(2, dim=1).transpose(2, 3))[0]
    torch.testing.assert_close(theirs, scores, atol=1e-5, rtol=1e-5)


def test_identity_is_content_and_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first = models.resolve(str(llama2c_file(tmp_path / "tiny.bin")))
    copy = llama2c_file(tmp_path / "b" / "other.bin")
    assert models.resolve(str(copy)).identity == first.identity
    assert (first.name, first.native_dtype) == ("tiny.bin", "float32")
    vocabulary = copy.with_name("tok264.bin")
    vocabulary.write_bytes(vocabulary.read_bytes().replace(b"o", b"q"))
    assert models.resolve(str(copy)).identity != first.identity


def test_word_vectors_are_still_word_vectors(tmp_path: Path) -> None:
    (tmp_path / "vectors.bin").write_bytes(b"1 2\na " + struct.pack("<2f", 1, 2) + b"\n")
    assert models.resolve(str(tmp_path / "vectors.bin")).kind == "static"


def test_vocabularies_that_cannot_be(tmp_path: Path) -> None:
    path = llama2c_file(tmp_path / "tiny.bin")
    vocabulary = path.with_name("tok264.bin")
    whole = vocabulary.read_bytes()
    for content, part in (
        (whole[:-1], "is no llama2.c vocabulary"),
        (whole[:-9], "holds 263 pieces"),
        (b"", "holds 0 pieces"),
        (whole[:4] + struct.pack("<fi", 0, -5), "is no llama2.c vocabulary"),
    ):
        vocabulary.write_bytes(content)
        with pytest.raises(ModelError, match=part):
            llama2c.load(path)
