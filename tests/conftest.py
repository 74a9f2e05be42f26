"""Fixtures, and an environment no test can leave: no network, no cache but the session's own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_HOME = tempfile.mkdtemp(prefix="evalsuite-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
# read by huggingface_hub and datasets when they are imported, hence before any test
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": f"{_HOME}/hf",
    "EVALSUITE_CACHE": f"{_HOME}/cache",
    "TOKENIZERS_PARALLELISM": "false",
}
os.environ.pop("HF_DATASETS_CACHE", None)

VOCABULARY = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the a an is in of to and man woman dog cat play ##s ##ing "
    "guitar run sleep park sofa stock market fall today share drop query passage : . , ! ? ' e é "
    + " ".join("bcdfghijklmnopqrstuvwxyz0123456789")
    + " "
    + " ".join(f"##{c}" for c in "abcdefghijklmnopqrtuvwxyz0123456789")
).split()


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Return a function that runs the command line in this process."""
    from evalsuite.cli import main

    def run(*args: str | Path) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Ran(int(left.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random two-layer BERT with its tokenizer."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    ids = {word: i for i, word in enumerate(dict.fromkeys(VOCABULARY))}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast: Any = PreTrainedTokenizerFast
    fast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    ).save_pretrained(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(ids),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_st(tiny_bert: Path) -> Callable[..., Path]:
    """Return a function that saves the tiny BERT as a sentence-transformers model."""

    def build(folder: Path, *, include_prompt: bool = True, normalize: bool = False) -> Path:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import (
            Normalize,
            Pooling,
            Transformer,
        )

        transformer = Transformer(str(tiny_bert), max_seq_length=48)
        modules = [transformer, Pooling(32, include_prompt=include_prompt)]
        if normalize:
            modules.append(Normalize())
        model = SentenceTransformer(
            modules=modules,
            device="cpu",
            prompts={"query": "query : ", "document": "passage : "},
        )
        model.save_pretrained(str(folder))
        return folder

    return build
