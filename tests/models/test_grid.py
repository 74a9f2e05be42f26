"""Grids of layers and dimensions: the same results as a run of each cell, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalsuite import Evaluator
from evalsuite.errors import ModelError
from evalsuite.models.decoder import FramedEncoder
from evalsuite.models.grid import cells
from evalsuite.models.spec import parse_spec
from evalsuite.models.transformer import TorchEncoder
from evalsuite.result import Result
from tests.conftest import Ran
from tests.models.test_decoders import Build, build
from tests.support import pairs_task

__all__ = ["build"]  # a fixture


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("m?layer=1..2&dim=8,16", ["m?layer=1&dim=8", "m?layer=1&dim=16"]),
        ("m?dim=8,4..5", ["m?dim=8", "m?dim=4", "m?dim=5"]),
        ("m@r?layer=-2..1&prompt=a%2Cb", ["m@r?prompt=a%2Cb&layer=-2"]),
        ("m?sizes=6x384,4x128", ["m?layer=6&dim=384", "m?layer=4&dim=128"]),
        ("m?layer=3&dim=8,8", ["m?layer=3&dim=8"]),
        ("m?template=a,b..{text}", ["m?template=a,b..{text}"]),
    ],
)
def test_a_grid_stands_for_its_cells(asked: str, expected: list[str]) -> None:
    found = cells(parse_spec(asked))
    assert [cell.text for cell in found][: len(expected)] == expected
    assert [parse_spec(cell.text) for cell in found] == found


def test_layers_below_zero_leave_out_zero() -> None:
    found = cells(parse_spec("m?layer=-2..1"))
    assert [cell.options["layer"] for cell in found] == ["-2", "-1", "1"]


def run(spec: str, folder: Path, task: Path, **options: Any) -> list[Result]:
    return Evaluator([str(task)], results=folder, **{"cache": None, **options}).run(spec)


def assert_same(grid: list[Result], single: list[Result], folders: tuple[Path, Path]) -> None:
    assert len(grid) == len(single)
    for one, other in zip(grid, single, strict=True):
        assert one.path is not None
        assert other.path is not None
        assert one.path.relative_to(folders[0]) == other.path.relative_to(folders[1])
        assert one.items_digest == other.items_digest
        assert one.scores == other.scores
        assert (one.model, one.settings) == (other.model, other.settings)


@pytest.mark.parametrize(
    "options", ["", "pooling=cls&", "as=sentence-transformers&normalize=true&"]
)
def test_cells_are_the_results_of_single_runs(
    tmp_path: Path, tiny_bert: Path, tiny_st: Callable[..., Path], options: str
) -> None:
    task = pairs_task(tmp_path)
    folder = tiny_st(tmp_path / "st") if "sentence" in options else tiny_bert
    a, b = tmp_path / "a", tmp_path / "b"
    grid = run(f"{folder}?{options}layer=1..2&dim=8,32", a, task)
    single = [
        run(f"{folder}?{options}layer={layer}&dim={dim}", b, task)[0]
        for layer in (1, 2)
        for dim in (8, 32)
    ]
    assert_same(grid, single, (a, b))
    assert len({result.items_digest for result in grid}) == 4
    assert [result.run["texts_encoded"] for result in grid][1:] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3", "mistral"])
@pytest.mark.parametrize("layers", [(1, 3), (2, 4), (-1, -2)])
def test_cells_of_language_models(
    tmp_path: Path, build: Build, kind: str, layers: tuple[int, int]
) -> None:
    task, folder = pairs_task(tmp_path), build(kind)
    a, b = tmp_path / "a", tmp_path / "b"
    options = "as=encoder&pooling=last&template=prompteol"
    grid = run(f"{folder}?{options}&layer={layers[0]},{layers[1]}", a, task)
    single = [run(f"{folder}?{options}&layer={layer}", b, task)[0] for layer in layers]
    assert_same(grid, single, (a, b))


def test_token_prepending_ends_below_the_lowest_layer(tmp_path: Path, build: Build) -> None:
    task, folder = pairs_task(tmp_path), build("llama")
    options = "as=encoder&pooling=last&template=prompteol&token_prepending"
    grid = run(f"{folder}?{options}=2&layer=2..4", tmp_path / "a", task)
    single = [run(f"{folder}?{options}=2&layer={n}", tmp_path / "b", task)[0] for n in (2, 3, 4)]
    assert_same(grid, single, (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(ModelError, match="from 2 to 2"):
        run(f"{folder}?{options}=3&layer=2..4", tmp_path / "c", task)


def test_other_networks_read_their_layers_too(tmp_path: Path, tiny_bert: Path) -> None:
    import shutil

    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path / "distil"
    shutil.copytree(tiny_bert, folder)
    torch.manual_seed(1)
    config = DistilBertConfig(vocab_size=200, dim=32, n_layers=3, n_heads=2, hidden_dim=64)
    DistilBertModel(config).save_pretrained(folder)
    task, a, b = pairs_task(tmp_path), tmp_path / "a", tmp_path / "b"
    grid = run(f"{folder}?sizes=3x32,1x8", a, task)
    single = [run(f"{folder}?layer={n}&dim={dim}", b, task)[0] for n, dim in ((3, 32), (1, 8))]
    assert_same(grid, single, (a, b))


def test_one_pass_serves_every_cell(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenized: list[str] = []
    tokenize = TorchEncoder.tokenize

    def noted(self: TorchEncoder, texts: list[str]) -> list[list[int]]:
        tokenized.extend(texts)
        return tokenize(self, texts)

    monkeypatch.setattr(TorchEncoder, "tokenize", noted)
    run(f"{tiny_bert}?layer=1..2&dim=8,16,32", tmp_path / "a", pairs_task(tmp_path))
    assert tokenized
    assert len(tokenized) == len(set(tokenized))


def test_grids_and_single_runs_resume_and_feed_each_other(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, folder = pairs_task(tmp_path), tmp_path / "results"
    evaluator = Evaluator([str(task)], results=folder, cache=tmp_path / "cache")
    evaluator.run(f"{tiny_bert}?layer=2&dim=8")
    events = list(evaluator.events(f"{tiny_bert}?layer=1,2&dim=8,16"))
    assert [event.resumed for event in events] == [False, False, True, False]
    assert [event.last for event in events] == [False, False, False, True]
    assert events[0].model.endswith("?layer=1&dim=8")
    (event,) = evaluator.events(f"{tiny_bert}?layer=1&dim=16")
    assert event.resumed
    for kind in (TorchEncoder, FramedEncoder):
        monkeypatch.setattr(kind, "tokenize", lambda *_: pytest.fail("a cached vector was missed"))
    other = Evaluator([str(task)], results=tmp_path / "other", cache=tmp_path / "cache")
    (result,) = other.run(f"{tiny_bert}?layer=1&dim=4")
    assert result.run["texts_encoded"] == 0


def test_dims_alone_share_one_encoding_without_a_cache(tmp_path: Path, tiny_bert: Path) -> None:
    task, a, b = pairs_task(tmp_path), tmp_path / "a", tmp_path / "b"
    grid = run(f"{tiny_bert}?dim=8,16", a, task)
    single = [run(f"{tiny_bert}?dim={dim}", b, task)[0] for dim in (8, 16)]
    assert_same(grid, single, (a, b))
    assert grid[1].run["texts_encoded"] == 0


def test_a_dim_that_is_not_there_fails_alone(tmp_path: Path, tiny_bert: Path) -> None:
    evaluator = Evaluator([str(pairs_task(tmp_path))], results=tmp_path / "r", cache=None)
    events = list(evaluator.events(f"{tiny_bert}?layer=1,2&dim=8,64"))
    assert [event.failure is None for event in events] == [True, False, True, False]


def test_static_embeddings_have_no_layers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    folder = tmp_path / "bow"
    SentenceTransformer(modules=[BoW(["a", "man"])], device="cpu").save_pretrained(str(folder))
    if not any(folder.rglob("*.safetensors")):
        (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelError, match="has no layers"):
        run(f"{folder}?layer=1", tmp_path / "r", pairs_task(tmp_path))


def test_a_mean_of_whole_texts_is_sentence_transformers_own() -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    from evalsuite.models.transformer import _is_mean, _WholeMean

    pooling = Pooling(384)
    assert _is_mean(pooling)
    assert not _is_mean(Pooling(384, pooling_mode="cls"))
    for rows, length in ((1, 3), (7, 1), (33, 29), (2, 128)):
        states = torch.randn(rows, length, 384)
        for mask in (torch.ones(rows, length, dtype=torch.int64), torch.zeros(rows, length)):
            features = {"token_embeddings": states, "attention_mask": mask}
            found = _WholeMean(pooling)(dict(features))["sentence_embedding"]
            assert torch.equal(found, pooling(dict(features))["sentence_embedding"])


def test_a_grid_is_printed_as_a_table_a_task(
    run_cli: Callable[..., Ran], tmp_path: Path, tiny_bert: Path
) -> None:
    spec = f"{tiny_bert}?layer=1..2&dim=8,16,32"
    args = "-t", pairs_task(tmp_path), "--results", tmp_path / "r", "--no-cache"
    ran = run_cli("run", spec, *args)
    lines = ran.out.splitlines()
    assert lines[1].split() == ["layer", "\\", "dim", "8", "16", "32"]
    results = Evaluator([str(args[1])], results=tmp_path / "r").run(spec)
    shown = np.array([line.split()[1:] for line in lines[2:4]], dtype=float)
    scores = np.array([result.main_score for result in results]).reshape(2, 3)
    np.testing.assert_allclose(shown, scores, atol=5e-5)
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert ran.err.count("done in") == 1
    assert "already finished" in run_cli("run", spec, *args).err


def test_a_grid_of_another_kind_of_model_is_its_single_runs(tmp_path: Path) -> None:
    from tests.models.test_model2vec import checkpoint

    folder, task = checkpoint(tmp_path / "m"), pairs_task(tmp_path)
    grid = run(f"{folder}?dim=2,3", tmp_path / "a", task)
    single = [run(f"{folder}?dim={dim}", tmp_path / "b", task)[0] for dim in (2, 3)]
    assert_same(grid, single, (tmp_path / "a", tmp_path / "b"))
