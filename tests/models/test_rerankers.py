"""Rerankers against sentence-transformers and transformers, and that batches move no bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalsuite import models
from evalsuite.engines.batching import shape_rule
from evalsuite.engines.score import ScoringEngine
from evalsuite.models import Placement
from evalsuite.models.reranker import TEMPLATES, PairTemplate
from tests.models.conftest import Build
from tests.support import DATA

WEIGHTS = DATA.parent / "weights" / "stories260K"
QUERIES = ["a man plays", "dog", "", "stock market fall today"]
DOCUMENTS = ["the guitar is played", "a cat sleeps on the sofa and the dog runs", "x", "drop " * 60]
PAIRS = [(q, d) for q in QUERIES for d in DOCUMENTS]
SHORT = [(q, d) for q, d in PAIRS if len(d) < 100]  # whole in every model


def engine(spec: str, placement: Placement | None = None, **options: Any) -> ScoringEngine:
    placement = placement or Placement()
    resolved = models.resolve(spec)
    assert resolved.verbs == ("score_pairs",)
    rule = shape_rule("cpu", placement.dtype)
    return ScoringEngine(load=lambda: resolved.load(placement), rule=rule, **options)


def scores(spec: str, pairs: list[tuple[str, str]] = PAIRS, **options: Any) -> Any:
    return engine(spec, **options).score_pairs([q for q, _ in pairs], [d for _, d in pairs])


@pytest.mark.parametrize("activation", [None, "torch.nn.modules.linear.Identity"])
def test_a_cross_encoder_scores_as_sentence_transformers_does(
    tiny_classifier: Build, activation: str | None
) -> None:
    from sentence_transformers import CrossEncoder

    folder = tiny_classifier(sbert_ce_default_activation_function=activation)
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS)
    ours = scores(str(folder))
    assert np.ptp(theirs) > 1e-3
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_an_activation_can_be_asked_for(tiny_classifier: Build) -> None:
    from sentence_transformers import CrossEncoder

    folder = tiny_classifier()
    cross = CrossEncoder(str(folder), device="cpu")
    logits = cross.predict(PAIRS, activation_fn=torch.nn.Identity())
    assert scores(f"{folder}?activation=identity") == pytest.approx(logits, abs=1e-6)
    assert scores(f"{folder}?activation=sigmoid") == pytest.approx(cross.predict(PAIRS), abs=1e-6)


def test_a_saved_cross_encoder_and_an_object_score_alike(
    tiny_classifier: Build, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    cross = CrossEncoder(str(tiny_classifier()), device="cpu")
    cross.save_pretrained(str(tmp_path / "saved"))
    placement = Placement()
    own = ScoringEngine(load=lambda: models.resolve(cross).load(placement))
    found = own.score_pairs([q for q, _ in PAIRS], [d for _, d in PAIRS])
    assert np.array_equal(scores(str(tmp_path / "saved")), found)
    assert found == pytest.approx(cross.predict(PAIRS), abs=1e-6)


def test_low_precision_keeps_the_head_in_fp32(tiny_classifier: Build) -> None:
    folder = tiny_classifier(dtype="bfloat16")
    placement = Placement(dtype=str(models.resolve(str(folder)).native_dtype))
    assert placement.dtype == "bfloat16"
    found = scores(str(folder), placement=placement)
    assert found == pytest.approx(scores(str(folder)), abs=0.02)
    assert np.any(found != torch.from_numpy(found).bfloat16().float().numpy())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_batch_moves_a_bit(tiny_classifier: Build, dtype: str) -> None:
    folder, placement = str(tiny_classifier()), Placement(dtype=dtype)
    words = [" ".join("dog cat man play run"[: 3 + n % 17].split()) for n in range(40)]
    pairs = [(words[n], words[-n] + " park" * (n % 5)) for n in range(40)]
    whole = scores(folder, pairs, placement=placement)
    assert len(set(whole.tolist())) > 5
    for budget in (16, 64, 700):
        some = scores(folder, pairs, placement=placement, batch_tokens=budget)
        assert np.array_equal(whole, some), budget
    order = np.random.default_rng(0).permutation(40)
    turned = scores(folder, [pairs[i] for i in order], placement=placement)
    assert np.array_equal(whole[order], turned)
    alone = np.concatenate([scores(folder, [pair], placement=placement) for pair in pairs[:6]])
    assert np.array_equal(whole[:6], alone)


def by_hand(model: Any, tokenizer: Any, text: PairTemplate, yes_no: tuple[int, int] | None) -> Any:
    """Score every pair alone, with transformers' own logits."""
    found = []
    for query, document in SHORT:
        whole, span, _ = text.fill(query, document)
        encoded = tokenizer(whole, return_offsets_mapping=True)
        ids = torch.tensor([encoded["input_ids"]])
        with torch.no_grad():
            logits = model(ids).logits[0].double()
        if yes_no is not None:
            found.append(float(logits[-1, yes_no[0]] - logits[-1, yes_no[1]]))
            continue
        offsets = encoded["offset_mapping"]
        mine = [i for i, (a, b) in enumerate(offsets) if a < b and b > span[0] and a < span[1]]
        chances = logits.log_softmax(dim=-1)
        own = [float(chances[i - 1, ids[0, i]]) for i in mine]
        found.append(sum(own) / len(own) if own else 0.0)
    return np.array(found)


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_language_models_score_as_transformers_logits_say(tiny_decoder: Build, kind: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_decoder(kind)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = PairTemplate("a {document} is {query} today")
    asked = f"{folder}?as=reranker&template=a {{document}} is {{query}} today"
    yes, no = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in "bc")
    theirs = by_hand(model, tokenizer, text, (yes, no))
    ours = scores(f"{asked}&scoring=yes-no&yes=b&no=c", SHORT)
    assert np.ptp(theirs) > 1e-2
    assert ours == pytest.approx(theirs, abs=1e-5)
    theirs = by_hand(model, tokenizer, text, None)
    assert scores(f"{asked}&scoring=query-likelihood", SHORT) == pytest.approx(theirs, abs=1e-5)


def test_no_batch_moves_a_bit_of_a_language_model(tiny_decoder: Build) -> None:
    spec = f"{tiny_decoder('qwen2')}?as=reranker&scoring=query-likelihood"
    whole = scores(spec)
    assert np.array_equal(whole, scores(spec, batch_tokens=90))
    turned = scores(spec, PAIRS[::-1])
    assert np.array_equal(whole, turned[::-1])


def test_a_document_too_long_is_cut_at_its_end(tiny_decoder: Build) -> None:
    spec = f"{tiny_decoder('llama')}?as=reranker&scoring=query-likelihood"
    long = "dog " * 500
    placement = Placement(max_length=100)
    found = engine(spec, placement).score_pairs(["the cat"] * 2, [long, long + "sofa"])
    assert found[0] == found[1]
    row = models.resolve(spec).load(placement).tokenize_pairs(["the cat"], [long])[0]
    assert len(row) == 100


def test_llama2c_writes_the_query() -> None:
    if not (WEIGHTS / "stories260K.bin").is_file():
        pytest.skip("needs the weights of stories260K")
    from evalsuite.models import llama2c

    model, tokenizer = llama2c.load(WEIGHTS / "stories260K.bin")
    text = PairTemplate(TEMPLATES["query-likelihood"])
    theirs = by_hand(model, tokenizer, text, None)
    spec = f"{WEIGHTS / 'stories260K.bin'}?as=reranker&scoring=query-likelihood"
    assert scores(spec, SHORT) == pytest.approx(theirs, abs=1e-5)


def test_what_a_checkpoint_is_run_as(tiny_classifier: Build, tiny_bert: Path) -> None:
    one, three = tiny_classifier(), tiny_classifier(labels=3)
    assert models.resolve(str(one)).kind == "reranker"
    assert models.resolve(f"{one}?as=reranker").identity == models.resolve(str(one)).identity
    assert models.resolve(f"{one}?as=encoder").verbs[0] == "encode"
    assert models.resolve(str(three)).verbs[0] == "encode"
    assert models.resolve(str(tiny_bert)).verbs[0] == "encode"
