"""Adapters of transformers: pooling, layers, dtypes, packed layers, prompts, the hub's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evalsuite import Evaluator, models
from evalsuite.engines.encode import EncodingEngine, Role
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement, files
from evalsuite.models.checkpoint import POOLINGS, prompts
from evalsuite.models.packing import PackedLinear, pack_linears
from evalsuite.models.pooling import pool
from evalsuite.models.spec import parse_spec
from tests.support import pairs_task

TEXTS = [
    "a man plays guitar",
    "dog",
    "",
    "the cat and the dog sleep in the park today .",
    "a " * 90,
]


def encode(spec: str, texts: list[str] = TEXTS, role: Role = None, **place: Any) -> Any:
    resolved = models.resolve(spec)
    engine = EncodingEngine(
        load=lambda: resolved.load(Placement(**place)),
        prompts=resolved.prompts,
        finish=resolved.finish,
    )
    return engine.encode(texts, role=role)


def reference(
    folder: Path, pooling: str, layer: int = -1, texts: list[str] = TEXTS, max_length: int = 64
) -> NDArray[np.float32]:
    """Run one text at a time through plain transformers and pool as the papers say."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    rows = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
        with torch.no_grad():
            output = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                output_hidden_states=True,
            )
        states = output.hidden_states[layer][0]
        weights = torch.arange(1, len(states) + 1, dtype=torch.float32)[:, None]
        rows.append(
            {
                "cls": states[0],
                "last": states[-1],
                "mean": states.mean(0),
                "max": states.max(0).values,
                "weighted-mean": (states * weights).sum(0) / weights.sum(),
            }[pooling]
        )
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_equals_a_plain_forward(tiny_bert: Path, pooling: str) -> None:
    ours = encode(f"{tiny_bert}?pooling={pooling}")
    np.testing.assert_allclose(ours, reference(tiny_bert, pooling), atol=2e-5)


def test_poolings_differ_and_mean_is_the_default(tiny_bert: Path) -> None:
    every = {pooling: encode(f"{tiny_bert}?pooling={pooling}") for pooling in POOLINGS}
    assert len({vectors.tobytes() for vectors in every.values()}) == len(POOLINGS)
    assert encode(str(tiny_bert)).tobytes() == every["mean"].tobytes()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_ignores_padding_on_either_side(pooling: str, side: str) -> None:
    states = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0)) - 5
    padding = torch.full((1, 2, 4), 7.0)
    parts, ones, zeros = [states, padding], torch.ones(1, 3).long(), torch.zeros(1, 2).long()
    mask = [ones, zeros]
    if side == "left":
        parts, mask = parts[::-1], mask[::-1]
    padded = pool(torch.cat(parts, 1), torch.cat(mask, 1), pooling)
    torch.testing.assert_close(padded, pool(states, ones, pooling))


@pytest.mark.parametrize("layer", [1, 2])
def test_layers(tiny_bert: Path, layer: int) -> None:
    ours = encode(f"{tiny_bert}?layer={layer}")
    np.testing.assert_allclose(ours, reference(tiny_bert, "mean", layer), atol=2e-5)
    if layer == 2:
        np.testing.assert_allclose(ours, encode(str(tiny_bert)), atol=1e-6)


def test_layers_of_sentence_transformers(
    tiny_bert: Path, tiny_st: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny_st(tmp_path / "st")
    ours = encode(f"{folder}?layer=1&prompt=")
    np.testing.assert_allclose(ours, reference(tiny_bert, "mean", 1, max_length=48), atol=2e-5)


def test_dim_and_normalize(tiny_bert: Path, tiny_st: Callable[..., Path], tmp_path: Path) -> None:
    whole = encode(str(tiny_bert))
    cut = encode(f"{tiny_bert}?dim=5")
    unit = encode(f"{tiny_bert}?dim=5&normalize=true")
    assert (cut == whole[:, :5]).all()
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit * np.linalg.norm(cut, axis=1)[:, None], cut, atol=1e-6)
    folder = tiny_st(tmp_path / "st", normalize=True)
    own, off = encode(str(folder)), encode(f"{folder}?normalize=false")
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(own * np.linalg.norm(off, axis=1)[:, None], off, atol=1e-5)
    assert not np.allclose(np.linalg.norm(off, axis=1), 1)


def test_max_length_cuts_texts(tiny_bert: Path) -> None:
    short = encode(str(tiny_bert), max_length=6)
    np.testing.assert_allclose(short, reference(tiny_bert, "mean", max_length=6), atol=2e-5)
    beyond = encode(str(tiny_bert), max_length=10**6)  # the model's own limit holds
    assert beyond.tobytes() == encode(str(tiny_bert)).tobytes()


def test_prompts_from_options_come_first() -> None:
    own = {"query": "q: ", "passage": "p: ", "clustering": "c: "}
    found = prompts(parse_spec("x"), own, "clustering")
    assert found.texts == {"": "c: ", "query": "q: ", "document": "p: "}
    found = prompts(parse_spec("x?query_prompt=Q"), own)
    assert found.texts == {"query": "Q", "document": "p: "}
    found = prompts(parse_spec("x?prompt=A%20b&document_prompt="), own)
    assert found.texts == {"": "A b", "query": "A b"}


def test_prompts_are_put_before_texts(tiny_bert: Path) -> None:
    spec = f"{tiny_bert}?query_prompt=query%20&document_prompt=passage%20"
    plain = encode(str(tiny_bert), ["query dog", "passage dog", "dog"])
    assert encode(spec, ["dog"], role="query").tobytes() == plain[:1].tobytes()
    assert encode(spec, ["dog"], role="document").tobytes() == plain[1:2].tobytes()
    assert encode(spec, ["dog"]).tobytes() == plain[2:].tobytes()


def test_packed_layers_equal_plain_ones() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(
        torch.nn.Linear(8, 5),
        torch.nn.Sequential(torch.nn.GELU(), torch.nn.Linear(5, 3, bias=False)),
    ).eval()
    x = torch.randn(2, 7, 8)
    with torch.inference_mode():
        expected = plain(x)
        if not pack_linears(plain):
            pytest.skip("this torch packs no layers")
        assert isinstance(plain[0], PackedLinear)
        assert (plain[0].in_features, plain[0].out_features) == (8, 5)
        assert plain[0].weight.dtype == torch.float32
        torch.testing.assert_close(plain(x), expected, atol=1e-6, rtol=1e-5)


def test_a_torch_without_the_operators_keeps_plain_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(linear: object) -> None:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute")

    monkeypatch.setattr("evalsuite.models.packing.PackedLinear", absent)
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert not pack_linears(layer)
    assert type(layer[0]) is torch.nn.Linear


# ---- finding and hashing


def copied(source: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_identity_is_content(tiny_bert: Path, tmp_path: Path) -> None:
    first = models.resolve(str(tiny_bert))
    folder = copied(tiny_bert, tmp_path / "other-name")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace("{", '{"transformers_version": "0.0", "_name_or_path": "/home/me",', 1)
    )
    (folder / "README.md").write_text("a card")
    second = models.resolve(str(folder))
    assert second.identity == first.identity
    assert (first.name, second.name) == (tiny_bert.name, "other-name")
    assert first.revision == first.identity[:12]
    for name, old, new in (
        ("model.safetensors", None, b""),
        ("config.json", b"32", b"33"),
        ("tokenizer.json", b"[MASK]", b"[MUSK]"),
    ):
        changed = copied(tiny_bert, tmp_path / name)
        data = (changed / name).read_bytes()
        flipped = data[:-1] + bytes([data[-1] ^ 1]) if old is None else data.replace(old, new)
        (changed / name).write_bytes(flipped)
        assert files.content_identity(changed) != first.identity, name


def test_dtype_comes_from_the_checkpoint(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    assert models.resolve(str(tiny_bert)).native_dtype == "float32"
    folder = copied(tiny_bert, tmp_path / "bf16")
    AutoModel.from_pretrained(tiny_bert, dtype=torch.bfloat16).save_pretrained(folder)
    assert models.resolve(str(folder)).native_dtype == "bfloat16"
    task = str(pairs_task(tmp_path))
    (result,) = Evaluator([task], results=tmp_path / "r", cache=None).run(str(folder))
    assert result.variant == "cpu,bf16"
    (result,) = Evaluator([task], results=tmp_path / "r", cache=None, dtype="fp32").run(str(folder))
    assert result.variant == "cpu,fp32"


def test_the_cache_layout_of_the_hub_is_read_offline(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    import huggingface_hub

    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--org--tiny"
    copied(tiny_bert, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        partial(huggingface_hub.snapshot_download, cache_dir=str(tmp_path / "hub")),
    )
    local = models.resolve(str(tiny_bert))
    for spec in ("org/tiny", f"org/tiny@{revision}", "org/tiny@main"):
        resolved = models.resolve(spec)
        assert resolved.name == "org/tiny"
        assert resolved.identity == local.identity
    (result,) = Evaluator([str(pairs_task(tmp_path))], results=tmp_path / "r", cache=None).run(
        "org/tiny?pooling=cls"
    )
    assert result.path is not None
    assert result.path.relative_to(tmp_path / "r").parts[0] == "org__tiny"
    with pytest.raises(ModelError, match="go online once"):
        models.resolve("org/tiny@other")
    with pytest.raises(ModelError, match="go online once"):
        models.resolve("org/absent")


def test_kinds_of_checkpoints(
    tiny_bert: Path, tiny_st: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny_st(tmp_path / "st")
    assert models.resolve(str(folder)).prompts.texts == {
        "query": "query : ", "document": "passage : ",
    }  # fmt: skip
    assert models.resolve(f"{folder}?pooling=mean").prompts.texts == {}
    with pytest.raises(UsageError, match=r"no modules\.json"):
        models.resolve(f"{tiny_bert}?as=sentence-transformers")


def test_a_sentence_transformer_object_equals_its_folder(
    tiny_st: Callable[..., Path], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny_st(tmp_path / "st", normalize=True)
    model = SentenceTransformer(str(folder), device="cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    resolved = models.resolve(model)
    engine = EncodingEngine(load=lambda: resolved.load(Placement()), prompts=resolved.prompts)
    for role in ("query", "document", None):
        ours = engine.encode(TEXTS, role=role)
        assert ours.tobytes() == encode(str(folder), role=role).tobytes()
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
    first = models.resolve(model).identity
    with torch.no_grad():
        next(iter(model.parameters())).add_(1)
    assert models.resolve(model).identity != first
