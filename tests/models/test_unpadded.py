"""The forward pass without padding: as transformers', bit for bit the same in any company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from evalsuite import models
from evalsuite.engines.batching import shape_rule
from evalsuite.engines.encode import EncodingEngine
from evalsuite.models import Placement
from evalsuite.models.unpadded import UnpaddedBert, spans, unpadded

SIZES: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 80,
    "max_position_embeddings": 70,
    "initializer_range": 0.3,
    "pad_token_id": 1,
}
KINDS = {
    "bert": (transformers.BertConfig, transformers.BertModel),
    "roberta": (transformers.RobertaConfig, transformers.RobertaModel),
    "xlm-roberta": (transformers.XLMRobertaConfig, transformers.XLMRobertaModel),
    "camembert": (transformers.CamembertConfig, transformers.CamembertModel),
}


def model(kind: str, **changed: Any) -> Any:
    torch.manual_seed(3)
    config, build = KINDS[kind]
    return build(config(**{**SIZES, **changed})).eval()


def rows(seed: int = 0, n: int = 40) -> list[list[int]]:
    """Return token ids of 1 to 60 tokens, the padding token among them, longest first."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(0, 90, rng.integers(1, 61)).tolist() for _ in range(n)]
    return sorted(texts, key=len, reverse=True)


def parts(states: torch.Tensor, texts: list[list[int]]) -> list[torch.Tensor]:
    """Return the states of each text."""
    ends = np.cumsum([len(text) for text in texts])
    return [states[end - len(text) : end] for end, text in zip(ends, texts, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_states_equal_those_of_transformers(kind: str) -> None:
    reference = model(kind)
    texts = rows()
    ours = unpadded(model(kind))
    assert isinstance(ours, UnpaddedBert)
    with torch.inference_mode():
        (found,) = ours(texts)
        states = parts(found, texts)
        for text, state in zip(texts, states, strict=True):
            ids = torch.tensor([text])
            expected = reference(input_ids=ids, attention_mask=torch.ones_like(ids))
            torch.testing.assert_close(state, expected.last_hidden_state[0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_texts_bits_do_not_depend_on_the_others(dtype: torch.dtype) -> None:
    ours = unpadded(model("bert").to(dtype))
    assert ours is not None
    texts = rows(n=60)
    least = 512 if dtype == torch.bfloat16 else 16
    with torch.inference_mode():
        (found,) = ours(texts)
        whole = parts(found, texts)
        for start in range(0, 60, 7):
            part = texts[start : start + 7]
            part += [part[-1]] * (least // len(part[-1]))  # filled up, as the engine does
            (found,) = ours(part)
            alone = parts(found, part)
            for state, expected in zip(alone[:7], whole[start:], strict=False):
                assert torch.equal(state, expected)


@pytest.mark.parametrize(
    "changed", [{"hidden_act": "relu"}, {"is_decoder": True}], ids=["activation", "decoder"]
)
def test_what_is_not_plainly_bert_is_left_alone(changed: dict[str, Any]) -> None:
    assert unpadded(model("bert", **changed)) is None


def test_other_classes_and_adapters_are_left_alone() -> None:
    class Adapted(torch.nn.Linear):
        pass

    other = model("bert")
    other.encoder.layer[1].attention.self.value = Adapted(48, 48)
    assert unpadded(other) is None
    tiny: Any = {"vocab_size": 9, "dim": 8, "hidden_dim": 8, "n_layers": 1, "n_heads": 1}
    assert unpadded(transformers.DistilBertModel(transformers.DistilBertConfig(**tiny))) is None


def test_spans_are_runs_of_equal_lengths() -> None:
    assert list(spans([5, 5, 3, 5])) == [
        (slice(0, 10), 2, 5),
        (slice(10, 13), 1, 3),
        (slice(13, 18), 1, 5),
    ]


TEXTS = ["a man plays guitar .", "A MAN plays guitar .", "dog", "the cat " * 15, "a", "sofa ?"] + [
    f"{'dog ' * (i % 11)}cat {i}" for i in range(30)
]


def encoded(folder: Path, texts: list[str], budget: int = 2048, **options: Any) -> Any:
    resolved = models.resolve(str(folder))
    engine = EncodingEngine(
        load=lambda: resolved.load(Placement()),
        rule=shape_rule("cpu", "float32"),
        batch_tokens=budget,
        prompts=resolved.prompts,
        **options,
    )
    return engine.encode(texts)


def test_dense_heads_give_the_same_bits_in_any_batch(tiny_bert: Path, tmp_path: Path) -> None:
    """A dense layer over one vector a text is where the number of texts could show."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    modules = [Transformer(str(tiny_bert)), Pooling(32), Dense(32, 24)]
    built = SentenceTransformer(modules=modules, device="cpu")
    built.save_pretrained(str(tmp_path / "dense"))
    reference = encoded(tmp_path / "dense", TEXTS)
    np.testing.assert_allclose(reference, built.encode(TEXTS), atol=1e-5)
    for budget in (1, 37, 300):
        assert encoded(tmp_path / "dense", TEXTS, budget).tobytes() == reference.tobytes()


def test_a_model_without_this_path_runs_padded(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = encoded(tiny_bert, TEXTS)
    monkeypatch.setattr("evalsuite.models.transformer.unpadded", lambda *_: None)
    padded = encoded(tiny_bert, TEXTS)
    np.testing.assert_allclose(fast, padded, atol=1e-5)
    assert padded.tobytes() == encoded(tiny_bert, TEXTS, 64).tobytes()


def test_texts_of_the_same_tokens_run_once(tiny_bert: Path, counting: Callable[..., Any]) -> None:
    seen = counting(UnpaddedBert, "__call__")
    texts = ["the dog", "The Dog", "the  dog", "the cat"]
    vectors = encoded(tiny_bert, texts)
    assert sum(len(rows) for rows in seen) == 2 + 2  # two copies fill up the batch
    assert vectors[0].tobytes() == vectors[1].tobytes() == vectors[2].tobytes()
    assert vectors[0].tobytes() != vectors[3].tobytes()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that records the first argument of every call of a method."""

    def record(cls: type, name: str) -> list[Any]:
        seen: list[Any] = []
        real = getattr(cls, name)

        def called(self: Any, first: Any, *rest: Any) -> Any:
            seen.append(first)
            return real(self, first, *rest)

        monkeypatch.setattr(cls, name, called)
        return seen

    return record
