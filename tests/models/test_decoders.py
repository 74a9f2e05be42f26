"""Language models as encoders: against plain transformers, one unpadded text at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from evalsuite import models
from evalsuite.engines.batching import shape_rule
from evalsuite.engines.encode import EncodingEngine, Role
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement
from evalsuite.models.framing import TOKEN, Framing, Template
from tests.conftest import VOCABULARY

Build = Callable[..., Path]

COMMON: dict[str, Any] = {
    "vocab_size": 130,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
GQA: dict[str, Any] = {"num_key_value_heads": 2, "intermediate_size": 48}
KINDS: dict[str, Any] = {
    "llama": lambda: transformers.LlamaConfig(**COMMON, **GQA),
    "gpt2": lambda: transformers.GPT2Config(**COMMON, embd_pdrop=0.0),
    "qwen3": lambda: transformers.Qwen3Config(
        **COMMON, **GQA, head_dim=8, use_sliding_window=True, sliding_window=3, max_window_layers=2
    ),
    "mistral": lambda: transformers.MistralConfig(**COMMON, **GQA, sliding_window=4),
}
TEXTS = [
    "a man plays guitar",
    "dog",
    "",
    "the cat and the dog sleep in the park today .",
    "a woman runs to the sofa , the market falls",
    "sleep sleep sleep sleep",
]
PROMPTEOL = 'This sentence : "{text}" means in one word:"'


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that saves a random causal model and its tokenizer."""
    folder = tmp_path_factory.mktemp("decoders")

    def save(kind: str, side: str = "right") -> Path:
        path = folder / f"{kind}-{side}"
        if not path.exists():
            tokenizer(side).save_pretrained(path)
            torch.manual_seed(3)
            auto: Any = transformers.AutoModel
            auto.from_config(KINDS[kind]()).save_pretrained(path)
        return path

    return save


def tokenizer(side: str = "right") -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    ids = {word: i for i, word in enumerate(dict.fromkeys(VOCABULARY))}
    core = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    core.normalizer = Lowercase()
    core.pre_tokenizer = BertPreTokenizer()
    core.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=core,
        unk_token="[UNK]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        padding_side=side,
    )


def encode(
    spec: str, texts: list[str] = TEXTS, role: Role = None, budget: int = 4096, **place: Any
) -> Any:
    resolved = models.resolve(spec)
    engine = EncodingEngine(
        load=lambda: resolved.load(Placement(**place)),
        prompts=resolved.prompts,
        finish=resolved.finish,
        rule=shape_rule("cpu", place.get("dtype", "float32")),
        batch_tokens=budget,
    )
    return engine.encode(texts, role=role)


@cache
def plain_model(folder: Path, attention: str = "sdpa") -> Any:
    return transformers.AutoModel.from_pretrained(folder, attn_implementation=attention).eval()


def states(folder: Path, ids: list[int], layer: int = -1) -> torch.Tensor:
    """Return transformers' own states of one unpadded text, ``[length, dim]``."""
    with torch.inference_mode():
        output = plain_model(folder)(input_ids=torch.tensor([ids]), output_hidden_states=True)
    found: torch.Tensor = output.hidden_states[layer][0]
    return found


def pooled(found: torch.Tensor, pooling: str) -> Any:
    weights = torch.arange(1, len(found) + 1, dtype=torch.float32)[:, None]
    return {
        "cls": lambda: found[0],
        "last": lambda: found[-1],
        "eos": lambda: found[-1],
        "mean": lambda: found.mean(0),
        "max": lambda: found.max(0).values,
        "weighted-mean": lambda: (found * weights).sum(0) / weights.sum(),
    }[pooling]().numpy()


# ---- the forward pass


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_equal_an_unpadded_forward(build: Build, kind: str, side: str) -> None:
    folder = build(kind, side)
    rows = tokenizer()(TEXTS)["input_ids"]
    for pooling in ("cls", "last", "mean", "max", "weighted-mean", "eos"):
        more = [3] if pooling == "eos" else []
        expected = [pooled(states(folder, row + more), pooling) for row in rows]
        ours = encode(f"{folder}?as=encoder&pooling={pooling}")
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("options", ["", "&attention=bidirectional", "&token_prepending=3"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_the_batch(build: Build, kind: str, side: str, options: str) -> None:
    spec = f"{build(kind, side)}?pooling=last&template=prompteol{options}"
    texts = TEXTS + [f"{'dog ' * (i % 9)}cat {i}" for i in range(40)]
    whole = encode(spec, texts)
    assert np.isfinite(whole).all()
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = encode(spec, [texts[i] for i in order], budget=100)
    assert shuffled.tobytes() == whole[order].tobytes()
    alone = encode(spec, texts, budget=1)
    assert alone.tobytes() == whole.tobytes()


@pytest.mark.parametrize("layer", [1, 3, 4, -1, -2, -4])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_layers_are_those_of_transformers(build: Build, kind: str, layer: int) -> None:
    folder = build(kind)
    rows = tokenizer()(TEXTS)["input_ids"]
    expected = [pooled(states(folder, row, layer), "mean") for row in rows]
    largest = np.abs(expected).max()  # before the final norm, states are of any size
    ours = encode(f"{folder}?layer={layer}")
    np.testing.assert_allclose(ours, expected, atol=1e-5 * largest)


def test_only_the_last_layer_is_read_after_the_final_norm(build: Build) -> None:
    folder = build("llama")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ids = torch.tensor([tokenizer()(TEXTS[0])["input_ids"]])
    with torch.inference_mode():
        output = model(ids, output_hidden_states=True)
        seen: list[torch.Tensor] = []
        model.norm.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
        model(ids)
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert not torch.allclose(output.hidden_states[-1], seen[0], atol=1e-3)


def test_layers_that_cannot_be_cut_off_are_read_from_the_hidden_states(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"{build('qwen3')}?layer=2"
    cut = encode(spec)
    monkeypatch.setattr("evalsuite.models.decoder._TRUNKS", ())
    np.testing.assert_allclose(encode(spec), cut, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_the_first_token_sees_a_later_one(build: Build, kind: str) -> None:
    texts = ["dog cat sleep", "dog cat park"]
    causal = encode(f"{build(kind)}?pooling=cls", texts)
    assert causal[0].tobytes() == causal[1].tobytes()
    spec = f"{build(kind)}?pooling=cls&attention=bidirectional"
    both = encode(spec, texts)
    assert np.abs(both[0] - both[1]).max() > 1e-3
    assert encode(spec, texts[:1]).tobytes() == both[:1].tobytes()


@pytest.mark.parametrize("side", ["left", "right"])
def test_attention_both_ways_equals_a_model_without_a_mask(build: Build, side: str) -> None:
    folder = build("llama", side)
    model = plain_model(folder, "eager")
    expected = []
    for row in tokenizer()(TEXTS)["input_ids"]:
        nothing = torch.zeros(1, 1, len(row), len(row))  # added to the scores
        with torch.inference_mode():
            found = model(torch.tensor([row]), attention_mask=nothing).last_hidden_state[0]
        expected.append(found.mean(0).numpy())
    ours = encode(f"{folder}?attention=bidirectional")
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_model_without_the_switch_is_refused(build: Build) -> None:
    from evalsuite.models.decoder import _attend_both_ways

    class Deaf(torch.nn.Module):
        config = transformers.LlamaConfig()

        def __init__(self) -> None:
            super().__init__()
            self.states = torch.nn.Embedding(9, 2)

        def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            return transformers.modeling_outputs.BaseModelOutput(self.states(ids))

    with pytest.raises(ModelError, match="no such switch"):
        _attend_both_ways(Deaf(), "deaf")


# ---- templates and prompts


def template_ids(template: str, text: str) -> list[int]:
    ids: list[int] = tokenizer()(template.replace("{text}", text))["input_ids"]
    return ids


def test_templates_are_put_around_texts(build: Build) -> None:
    folder = build("llama", "left")
    expected = [states(folder, template_ids(PROMPTEOL, text))[-1].numpy() for text in TEXTS]
    named = encode(f"{folder}?as=encoder&pooling=last&template=prompteol")
    np.testing.assert_allclose(named, expected, atol=1e-5)
    own = encode(f"{folder}?pooling=last&template={PROMPTEOL.replace(' ', '%20')}")
    assert own.tobytes() == named.tobytes()


@pytest.mark.parametrize("pooling", ["mean", "weighted-mean", "max"])
def test_mean_type_poolings_leave_the_template_out(build: Build, pooling: str) -> None:
    folder = build("mistral")
    before, after = "the man : ", " ! today"
    spec = f"{folder}?pooling={pooling}&template={before.replace(' ', '%20')}{{text}}%20!%20today"
    expected, whole = [], []
    for text in TEXTS:
        found = states(folder, template_ids(before + "{text}" + after, text))
        own = found[4:-2] if text else found  # [CLS] the man : | text | ! today
        expected.append(pooled(own, pooling))
        whole.append(pooled(found, pooling))
    np.testing.assert_allclose(encode(spec), expected, atol=1e-5)
    np.testing.assert_allclose(encode(f"{spec}&pool_template=true"), whole, atol=1e-5)


def test_prompts_are_pooled_unless_told_otherwise(build: Build) -> None:
    folder = build("qwen3")
    spec = f"{folder}?query_prompt=query%20:%20"
    found = states(folder, tokenizer()("query : a man runs")["input_ids"])
    (both,) = encode(spec, ["a man runs"], role="query")
    np.testing.assert_allclose(both, found.mean(0), atol=1e-5)
    (own,) = encode(f"{spec}&pool_prompt=false", ["a man runs"], role="query")
    np.testing.assert_allclose(own, found[3:].mean(0), atol=1e-5)
    for role in (None, "document"):
        other = encode(f"{spec}&pool_prompt=false", TEXTS, role=role)
        assert other.tobytes() == encode(str(folder), TEXTS).tobytes()


def test_prompts_stand_inside_the_template(build: Build) -> None:
    spec = f"{build('llama')}?query_prompt=query%20:%20&template=the%20{{text}}%20!"
    found = states(build("llama"), tokenizer()("the query : dog !")["input_ids"])
    (pooled_prompt,) = encode(spec, ["dog"], role="query")
    np.testing.assert_allclose(pooled_prompt, found[2:-1].mean(0), atol=1e-5)
    (without,) = encode(f"{spec}&pool_prompt=false", ["dog"], role="query")
    np.testing.assert_allclose(without, found[4], atol=1e-5)


def test_of_a_repeated_text_the_last_is_pooled(build: Build) -> None:
    found = states(
        build("llama"),
        tokenizer()("Rewrite the sentence: a dog, rewritten sentence: a dog")["input_ids"],
    )
    (ours,) = encode(f"{build('llama')}?template=echo", ["a dog"])
    np.testing.assert_allclose(ours, found[-2:].mean(0), atol=1e-5)


def test_templates_serve_other_encoders(tiny_bert: Path) -> None:
    plain = encode(str(tiny_bert), ["the dog !"])
    framed = encode(f"{tiny_bert}?template=the%20{{text}}%20!&pool_template=true", ["dog"])
    np.testing.assert_allclose(framed, plain, atol=1e-5)
    (first,) = encode(f"{tiny_bert}?template=the%20{{text}}%20!&pooling=cls", ["dog"])
    np.testing.assert_allclose(
        first, encode(f"{tiny_bert}?pooling=cls", ["the dog !"])[0], atol=1e-5
    )


def test_long_texts_are_cut_and_the_template_stays() -> None:
    own = Template(("the man : ", " ! today"), 0)
    framing = Framing(tokenizer(), 12, own, eos=3, placeholder=True)
    (row,) = framing.rows(["dog " * 50])
    words = tokenizer().convert_ids_to_tokens([token & TOKEN for token in row])
    assert words == ["[CLS]", "[PAD]", "the", "man", ":", *["dog"] * 4, "!", "today", "[SEP]"]
    (row,) = Framing(tokenizer(), 12, Template(("", " ! ", ""), 0)).rows(["dog " * 50])
    assert len(row) <= 12
    (row,) = Framing(tokenizer(), 5, eos=3).rows(["dog cat " * 9])
    assert row[-1] & TOKEN == 3
    assert len(row) == 5


def test_max_length_cuts_a_decoders_texts(build: Build) -> None:
    spec = f"{build('llama')}?pooling=last"
    (cut,) = encode(spec, ["a man plays guitar in the park"], max_length=5)
    whole = states(build("llama"), tokenizer()("a man plays guitar in the park")["input_ids"][:5])
    np.testing.assert_allclose(cut, whole[-1], atol=1e-5)


def test_texts_of_no_tokens_are_run_as_one(build: Build) -> None:
    bare = tokenizer()
    bare.backend_tokenizer.post_processor = None  # GPT-2's tokenizer adds no token
    assert Framing(bare, 9).rows(["", "dog"])[0] == [2]


# ---- Token Prepending


def prepended(model: Any, ids: list[int], place: int, steps: int, layer: int) -> Any:
    """Run Llama's layers one by one, as the paper has it, and return the last token's state."""
    ids = [*ids[:place], 0, *ids[place:]]
    noise = torch.randn(model.config.hidden_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        x = model.embed_tokens(torch.tensor([ids]))
        x[0, place] = noise
        positions = torch.arange(len(ids))[None]
        rotations = model.rotary_emb(x, position_ids=positions)
        later = torch.full((len(ids), len(ids)), -torch.inf).triu(1)[None, None]
        for i, one in enumerate(model.layers[:layer]):
            if 1 <= i < steps:
                x[0, place] = x[0, -1].clone()
            x = one(x, attention_mask=later, position_embeddings=rotations)
        if layer == len(model.layers):
            x = model.norm(x)
    return x[0, -1].numpy()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("steps", "layer"), [(2, 4), (3, 4), (4, 4), (2, 3)])
def test_token_prepending_equals_a_plain_loop(
    build: Build, side: str, steps: int, layer: int
) -> None:
    folder = build("llama", side)
    model = plain_model(folder, "eager")
    expected = []
    for text in TEXTS:
        ids = template_ids(PROMPTEOL, text)
        place = len(template_ids("This sentence :", ""))  # before the opening quote
        expected.append(prepended(model, ids, place, steps, layer))
    spec = f"{folder}?pooling=last&template=prompteol&layer={layer}"
    ours = encode(f"{spec}&token_prepending={steps}")
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(ours - encode(spec)).max() > 1e-3


def test_without_a_template_the_placeholder_stands_before_the_text(build: Build) -> None:
    model = plain_model(build("llama"), "eager")
    ids = tokenizer()("a man runs")["input_ids"]
    (ours,) = encode(f"{build('llama')}?pooling=last&token_prepending=3", ["a man runs"])
    np.testing.assert_allclose(ours, prepended(model, ids, 1, 3, 4), atol=1e-5)


# ---- specs


def test_options_are_part_of_the_arithmetic_but_not_of_the_weights(build: Build) -> None:
    plain = models.resolve(str(build("llama")))
    spec = f"{build('llama')}?pooling=last&template=prompteol&dim=8&normalize=true"
    with_options = models.resolve(spec)
    assert with_options.identity == plain.identity
    assert with_options.encoder_options == {"pooling": "last", "template": "prompteol"}
    vectors = encode(spec)
    assert vectors.shape == (len(TEXTS), 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ("template=prompteool", UsageError, "'prompteol'"),
        ("template=a%20text", UsageError, "lacks {text}"),
        ("template={text}%20{placeholder}", UsageError, "before {text}"),
        ("atention=causal", UsageError, "'attention'"),
        ("attention=both", UsageError, "causal, bidirectional"),
        ("pool_template=no", UsageError, "neither 'true' nor 'false'"),
        ("token_prepending=3", UsageError, "pooling=last"),
        ("token_prepending=1&pooling=last", ModelError, "from 2 to 4"),
        ("token_prepending=4&pooling=last&layer=3", ModelError, "from 2 to 3"),
        ("layer=5", ModelError, "more than the 4 layers"),
        ("layer=-5", ModelError, "more than the 4 layers"),
        ("layer=0", UsageError, "positive integer"),
        (f"template={'the%20' * 70}{{text}}", ModelError, "The template alone has"),
    ],
)
def test_options_that_cannot_be(
    build: Build, options: str, error: type[Exception], part: str
) -> None:
    with pytest.raises(error, match=part.replace("{", r"\{")):
        encode(f"{build('llama')}?{options}")


def test_options_of_language_models_on_other_encoders(tiny_bert: Path) -> None:
    for option in ("attention=bidirectional", "token_prepending=2&pooling=last"):
        with pytest.raises(ModelError, match="no causal model"):
            encode(f"{tiny_bert}?{option}")
    with pytest.raises(ModelError, match="no EOS token: use pooling=last"):
        encode(f"{tiny_bert}?pooling=eos")
