"""Sparse and several vectors a text, against sentence-transformers on the same folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import Evaluator, models
from evalsuite.engines.encode import Role
from evalsuite.errors import ModelError, UsageError
from evalsuite.evaluator import engine as engines
from evalsuite.models import Placement
from tests.support import beir_task, pairs_task

TEXTS = [
    "a man plays guitar", "dog", "", "the cat , and the dog ! sleep in the park today .",
    "dog", "a " * 90, "A man plays guitar",
]  # fmt: skip
ROLES: list[Role] = [None, "query", "document"]


@pytest.fixture(scope="session")
def tiny_mlm(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tiny BERT with a random head over its vocabulary."""
    import torch
    from transformers import AutoTokenizer, BertForMaskedLM

    folder = tmp_path_factory.mktemp("models") / "tiny-mlm"
    torch.manual_seed(3)
    model = BertForMaskedLM.from_pretrained(tiny_bert)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_splade(tiny_mlm: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves a SPLADE model; its queries may be weighted words alone."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    def build(*, router: bool = False, **options: Any) -> Path:
        document = [Transformer(str(tiny_mlm), transformer_task="fill-mask"), SpladePooling()]
        modules: list[Any] = document
        if router:
            import torch

            tokenizer = document[0].tokenizer
            weight = torch.linspace(0, 1, len(tokenizer))
            query = SparseStaticEmbedding(tokenizer=tokenizer, weight=weight)
            modules = [Router.for_query_document([query], document)]
        folder = tmp_path / "splade"
        model: Any = SparseEncoder
        model(modules=modules, device="cpu", **options).save_pretrained(str(folder))
        return folder

    return build


@pytest.fixture
def tiny_colbert(tiny_bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves a model of several vectors a text."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    def build(expansion: dict[str, Any] | None = None, **options: Any) -> Path:
        lengths: Any = {"query_expansion": expansion, "document_length": 30}
        dense: Any = {"module_input_name": "token_embeddings", "bias": False}
        modules: Any = [
            Transformer(str(tiny_bert), **lengths),
            Dense(32, 8, **dense),
            MultiVectorMask(skiplist_words=[",", ".", "!"]),
            Normalize(module_input_name="token_embeddings"),
        ]
        folder = tmp_path / "colbert"
        MultiVectorEncoder(modules=modules, device="cpu", **options).save_pretrained(str(folder))
        return folder

    return build


def built(spec: str, *, batch_tokens: int | None = None, **place: Any) -> Any:
    """Return a model behind its engine."""
    resolved = models.resolve(spec)
    plan = Evaluator(["QuickSTS"], cache=None, batch_tokens=batch_tokens)
    return engines.build(resolved.verbs[0], resolved, Placement(**place), plan)


def library(kind: str, folder: Path, texts: list[str], role: Role) -> list[Any]:
    """Return what sentence-transformers makes of each text by itself."""
    import sentence_transformers

    model = getattr(sentence_transformers, kind)(str(folder), device="cpu")
    encode = {"query": model.encode_query, "document": model.encode_document}.get(
        role or "", model.encode
    )
    options = {"convert_to_sparse_tensor": False} if kind == "SparseEncoder" else {}
    return [encode([text], show_progress_bar=False, **options)[0].numpy() for text in texts]


@pytest.mark.parametrize("router", [False, True])
@pytest.mark.parametrize("role", ROLES)
def test_sparse_rows_equal_the_librarys(
    tiny_splade: Callable[..., Path], role: Role, router: bool
) -> None:
    folder = tiny_splade(router=router, prompts={"query": "query : ", "document": ""})
    if router and role is None:
        pytest.skip("the library wants a role")
    found = built(str(folder)).encode_sparse(TEXTS, role=role)
    expected = np.stack(library("SparseEncoder", folder, TEXTS, role))
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-5)
    assert 0 < found.nnz < expected.size


def test_the_number_of_terms_can_be_bounded(tiny_splade: Callable[..., Path]) -> None:
    folder = tiny_splade(max_active_dims=4)
    found = built(str(folder)).encode_sparse(TEXTS)
    np.testing.assert_allclose(
        found.toarray(), np.stack(library("SparseEncoder", folder, TEXTS, None)), atol=1e-5
    )
    assert np.diff(found.indptr).max() <= 4


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "expansion",
    [
        None,
        {"strategy": "fixed", "attend": False, "length": 10},
        {"strategy": "fixed", "attend": True, "length": 10},
        {"strategy": "min", "attend": False, "length": 9},
    ],
)
def test_vectors_of_tokens_equal_the_librarys(
    tiny_colbert: Callable[..., Path], expansion: dict[str, Any] | None, role: Role
) -> None:
    folder = tiny_colbert(expansion, prompts={"query": "query : ", "document": "passage : "})
    found = built(str(folder)).encode_multi(TEXTS, role=role)
    expected = library("MultiVectorEncoder", folder, TEXTS, role)
    assert [len(vectors) for vectors in found] == [len(vectors) for vectors in expected]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("length", [None, 9])
def test_any_encoder_gives_its_token_states(tiny_bert: Path, length: int | None) -> None:
    """One text at a time through plain transformers; masks added to queries are not seen."""
    import string

    import torch
    from transformers import AutoModel, AutoTokenizer

    option = f"&query_length={length}" if length else ""
    engine = built(f"{tiny_bert}?as=multi-vector{option}")
    tokenizer, model = (
        AutoTokenizer.from_pretrained(tiny_bert),
        AutoModel.from_pretrained(tiny_bert),
    )
    punctuation: Any = tokenizer.convert_tokens_to_ids(list(string.punctuation))
    skipped = set(punctuation)
    skipped.discard(tokenizer.unk_token_id)
    for role in ("query", "document"):
        for text, found in zip(TEXTS, engine.encode_multi(TEXTS, role=role), strict=True):
            limit = length if length and role == "query" else 64
            ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
            masks = max(0, (length or 0) - len(ids)) if role == "query" else 0
            with torch.no_grad():
                states = model(
                    input_ids=torch.tensor([ids + [tokenizer.mask_token_id] * masks]),
                    attention_mask=torch.tensor([[1] * len(ids) + [0] * masks]),
                ).last_hidden_state[0]
            kept = [i for i in range(len(states)) if role == "query" or ids[i] not in skipped]
            expected = torch.nn.functional.normalize(states[kept], dim=-1).numpy()
            np.testing.assert_allclose(found, expected, atol=1e-5)


def older(kind: str, folder: Path) -> Any:
    """Make a folder of a BERT one of ColBERT's, as its authors or PyLate save it."""
    import torch
    from safetensors.torch import load_file, save_file

    projection = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
    if kind == "Stanford":
        weights = load_file(folder / "model.safetensors")
        weights = {f"bert.{name}": tensor for name, tensor in weights.items()}
        save_file(weights | {"linear.weight": projection}, folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
        metadata = {"query_token_id": "query", "doc_token_id": "passage", "query_maxlen": 9}
        (folder / "artifact.metadata").write_text(json.dumps(metadata))
        return projection
    (folder / "1_Dense").mkdir()
    save_file({"linear.weight": projection}, folder / "1_Dense" / "model.safetensors")
    activation = "torch.nn.modules.linear.Identity"
    dense = {"in_features": 32, "out_features": 8, "bias": False, "activation_function": activation}
    (folder / "1_Dense" / "config.json").write_text(json.dumps(dense))
    parts = {"": "sentence_transformers.models.Transformer", "1_Dense": "pylate.models.Dense.Dense"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": parts[path]}
        for i, path in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    prefixes = {"query_prefix": "query ", "document_prefix": "passage "}
    config = {"model_type": "ColBERT", "query_length": 9, **prefixes}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    return projection


@pytest.mark.parametrize("kind", ["Stanford", "PyLate"])
def test_older_checkpoints_keep_their_markers(tiny_bert: Path, tmp_path: Path, kind: str) -> None:
    """By hand: marker, text and masks through the model, the projection, unit length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(shutil.copytree(tiny_bert, tmp_path / kind))
    projection = older(kind, folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_bert)
    model: Any = AutoModel.from_pretrained(tiny_bert)
    engine = built(str(folder))
    for role, marker in (("query", "query "), ("document", "passage ")):
        ids = tokenizer(marker + "a dog , a cat")["input_ids"]
        masks = 9 - len(ids) if role == "query" else 0
        with torch.no_grad():
            states = model(
                input_ids=torch.tensor([ids + [tokenizer.mask_token_id] * masks]),
                attention_mask=torch.tensor([[1] * len(ids) + [0] * masks]),
            ).last_hidden_state[0]
        comma = tokenizer.convert_tokens_to_ids(",")
        kept = [i for i in range(len(states)) if role == "query" or ids[i] != comma]
        expected = torch.nn.functional.normalize(states[kept] @ projection.T, dim=-1).numpy()
        (found,) = engine.encode_multi(["a dog , a cat"], role=role)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_order_and_batches_move_no_bit(
    tiny_splade: Callable[..., Path], tiny_colbert: Callable[..., Path]
) -> None:
    sparse, multi = str(tiny_splade()), str(tiny_colbert())
    rows = built(sparse).encode_sparse(TEXTS)
    vectors = built(multi).encode_multi(TEXTS)
    for budget in (1, 40):
        again = built(sparse, batch_tokens=budget).encode_sparse(TEXTS[::-1])[::-1]
        assert (again != rows).nnz == 0
        others = built(multi, batch_tokens=budget).encode_multi(TEXTS[::-1])[::-1]
        assert all((a == b).all() for a, b in zip(vectors, others, strict=True))


def test_each_text_is_run_once(tiny_splade: Callable[..., Path]) -> None:
    engine = built(str(tiny_splade()))
    engine.encode_sparse(TEXTS)
    assert engine.texts_encoded == len(set(TEXTS))
    first = engine.encode_sparse(["dog", "new"])
    assert engine.texts_encoded == len(set(TEXTS)) + 1
    assert (first[[0]] != engine.encode_sparse(TEXTS)[[1]]).nnz == 0


def test_no_texts(tiny_splade: Callable[..., Path], tiny_colbert: Callable[..., Path]) -> None:
    assert built(str(tiny_splade())).encode_sparse([]).shape[0] == 0
    assert built(str(tiny_colbert())).encode_multi([]) == []


def test_both_run_on_tasks(
    tmp_path: Path, tiny_splade: Callable[..., Path], tiny_colbert: Callable[..., Path]
) -> None:
    sts, search = pairs_task(tmp_path), beir_task(tmp_path)
    for folder, tasks in ((tiny_splade(), [sts, search]), (tiny_colbert(), [search])):
        plan = Evaluator([str(task) for task in tasks], results=tmp_path / folder.name, cache=None)
        for result in plan.run(str(folder)):
            assert result.model["kind"] in ("sparse", "multi-vector")
            assert -1 <= result.main_score <= 1
        assert all(event.resumed for event in plan.events(str(folder)))


def test_a_sparse_checkpoint_is_nothing_else(tiny_splade: Callable[..., Path]) -> None:
    folder = tiny_splade(similarity_fn_name="euclidean")
    with pytest.raises(UsageError, match="no checkpoint of as=multi-vector"):
        models.resolve(f"{folder}?as=multi-vector")
    with pytest.raises(UsageError, match=r"'dim'.*takes: as, query_prompt"):
        models.resolve(f"{folder}?dim=4")
    with pytest.raises(ModelError, match="compares by euclidean"):
        built(str(folder)).encode_sparse(["a"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_is_near(
    tiny_splade: Callable[..., Path], tiny_colbert: Callable[..., Path], dtype: str
) -> None:
    sparse, multi = str(tiny_splade()), str(tiny_colbert())
    whole, low = (built(sparse, dtype=d).encode_sparse(TEXTS) for d in ("float32", dtype))
    assert np.abs((whole - low).toarray()).max() < 0.3
    whole, low = (built(multi, dtype=d).encode_multi(TEXTS) for d in ("float32", dtype))
    for a, b in zip(whole, low, strict=True):
        assert b.dtype == np.float32
        assert np.abs(a - b).max() < 0.1


def test_the_maximum_length_can_be_lowered(
    tiny_splade: Callable[..., Path], tiny_colbert: Callable[..., Path]
) -> None:
    long, cut = "a " * 40, "a " * 4  # [CLS] and [SEP] beside
    colbert = tiny_colbert({"strategy": "fixed", "attend": False, "length": 10})
    sparse, multi = (built(str(f), max_length=6) for f in (tiny_splade(), colbert))
    assert np.abs(np.diff(sparse.encode_sparse([long, cut]).toarray(), axis=0)).max() < 1e-5
    for role in ROLES:
        found = multi.encode_multi([long, cut], role=role)
        assert [len(vectors) for vectors in found] == [6, 6]
