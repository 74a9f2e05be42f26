"""Grids, chunks and static embeddings that cannot be."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from evalsuite import models
from evalsuite.engines.chunking import Chunking
from evalsuite.engines.encode import EncodingEngine
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement
from evalsuite.models.static import read_vectors
from tests.conftest import Ran
from tests.engines.test_chunking import encode as chunked
from tests.models.test_model2vec import checkpoint, encode
from tests.models.test_other_models import vector_file


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("layer=3..1", "empty or too long"),
        ("layer=1..x", "not FIRST..LAST"),
        ("layer=1,,2", "not FIRST..LAST"),
        ("sizes=6x384,4", "not LAYERxDIM"),
        ("sizes=6x384&dim=3", "leave out layer= and dim="),
        ("layer=1..4000&dim=1..4000", "stands for 16,000,000 models"),
        ("layer=0,1", "positive integer"),
        ("layer=1&dim=-4,8", "positive integer"),
    ],
)
def test_grids_that_cannot_be(tiny_bert: Path, query: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        models.resolve_grid(f"{tiny_bert}?{query}")


def test_models_without_layers_refuse_a_grid_of_them(run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("run", "bm25?layer=1,2", "-t", "QuickSTS", "--results", "unused")
    assert ran.code == 2
    assert "'layer'" in ran.err


@pytest.mark.parametrize(
    ("query", "error", "part"),
    [
        ("overlap=3", UsageError, "need chunk"),
        ("chunk_pooling=max", UsageError, "need chunk"),
        ("chunk=0", UsageError, "positive integer"),
        ("chunk=8&overlap=8", UsageError, "less than chunk"),
        ("chunk=8&chunk_pooling=sum", UsageError, "mean, max, first"),
        ("chunk=65", ModelError, "longer than the 64 tokens"),
        ("chunk=2", ModelError, "leaves 0 tokens"),
        ("chunk=8&overlap=6", ModelError, "overlap=6: raise chunk"),
        ("chunk=5&prompt=a cat and a dog", ModelError, "leaves 0 tokens"),
    ],
)
def test_chunks_that_cannot_be(
    tiny_bert: Path, query: str, error: type[Exception], part: str
) -> None:
    with pytest.raises(error, match=part):
        chunked(f"{tiny_bert}?{query}", ["a cat", "dog"])


def test_models_that_read_no_tokens_have_no_chunks() -> None:
    engine = EncodingEngine(
        load=lambda: models.resolve("random").load(Placement()), chunking=Chunking(8)
    )
    with pytest.raises(ModelError, match="leave it out"):
        engine.encode(["a"])


def rewrite(folder: Path, **tensors: Any) -> None:
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda f: rewrite(f, embeddings=np.zeros((3, 4), np.float32)), "3 vectors for 9 tokens"),
        (lambda f: rewrite(f, embeddings=np.zeros(9, np.float32)), "no matrix"),
        (
            lambda f: rewrite(
                f, embeddings=np.zeros((2, 4), np.float32), mapping=np.arange(9, dtype=np.int64)
            ),
            "vectors for 9 tokens",
        ),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "Cannot read the tokenizer"),
        (lambda f: (f / "config.json").write_text("{"), "not JSON"),
    ],
)
def test_damaged_model2vec_checkpoints(
    tmp_path: Path, spoil: Callable[[Path], Any], part: str
) -> None:
    folder = checkpoint(tmp_path / "m")
    spoil(folder)
    with pytest.raises(ModelError, match=part):
        encode(str(folder))


def test_options_of_model2vec(tmp_path: Path, tiny_bert: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    with pytest.raises(UsageError, match="takes: as, dim, normalize, quantize"):
        encode(f"{folder}?pooling=mean")
    with pytest.raises(UsageError, match="holds no static embeddings"):
        encode(f"{tiny_bert}?as=static")


@pytest.mark.parametrize("cut", [5, -9])
def test_gzipped_files_that_are_cut_off(tmp_path: Path, cut: int) -> None:
    path = vector_file(tmp_path, "glove")
    path.write_bytes(gzip.compress(path.read_bytes())[:cut])
    with pytest.raises(ModelError, match="Cannot read"):
        read_vectors(path)
