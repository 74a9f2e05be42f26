"""Tiny rerankers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def tiny_classifier(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that saves the tiny BERT with a random head of some labels."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    def build(labels: int = 1, dtype: str = "float32", **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("classifier") / "tiny-reranker"
        tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.save_pretrained(folder)
        torch.manual_seed(3)
        own = BertConfig.from_pretrained(tiny_bert, num_labels=labels, **config)
        model = BertForSequenceClassification(own).to(getattr(torch, dtype))
        model.save_pretrained(folder)
        return folder

    return build


@pytest.fixture(scope="module")
def tiny_decoder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that saves a random decoder over the tiny BERT's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    def build(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("decoders") / kind
        fast: Any = PreTrainedTokenizerFast
        tokenizer = fast.from_pretrained(tiny_bert)
        tokenizer.model_max_length = 128
        tokenizer.save_pretrained(folder)
        config = AutoConfig.for_model(
            kind,
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            initializer_range=0.3,
            pad_token_id=0,
        )
        torch.manual_seed(5)
        auto: Any = AutoModelForCausalLM
        auto.from_config(config).save_pretrained(folder)
        return folder

    return build
