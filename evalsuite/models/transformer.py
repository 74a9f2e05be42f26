"""Adapters that give the encoding engine token-level control of a torch encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from evalsuite.engines.encode import PlainEncoder, Prompts, Role, TokenEncoder
from evalsuite.errors import ModelError
from evalsuite.models.base import Placement
from evalsuite.models.decoder import FramedEncoder, asks_for_framing, framed, is_causal
from evalsuite.models.packing import pack_linears
from evalsuite.models.pooling import pool
from evalsuite.models.spec import Spec
from evalsuite.models.unpadded import UnpaddedBert, spans, unpadded

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

_NOTHING_AFTER_LAYERS = {"bert", "roberta", "xlm-roberta", "electra", "camembert", "mpnet"}
_VOCABS = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")

Padded = Callable[["Tensor", "Tensor"], "Tensor"]
"""``(ids [rows, length], mask [rows, length]) -> token states [rows, length, dim]``."""
Pool = Callable[["Tensor", "Tensor", Role], "Tensor"]
"""``(token states [rows, length, dim], mask [rows, length], role) -> vectors [rows, dim]``."""


@dataclass
class TorchEncoder:
    """A tokenizer and a forward pass, with what a spec's options add.

    Attributes:
        tokenizer: A fast Hugging Face tokenizer.
        states: The forward pass up to the token states.
        pool: What makes vectors of them.
        device: Where it runs.
        max_length: Longest input in tokens.
        unpadded: The same states of texts laid end to end, for models whose layers are known.
    """

    tokenizer: Any
    states: Padded
    pool: Pool
    device: str
    max_length: int
    unpadded: UnpaddedBert | None = None

    @property
    def pad_id(self) -> int:
        """Token that fills up a row; masked, so any valid id does."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        return bool(self.tokenizer.padding_side == "left")

    @property
    def needs_padding(self) -> bool:
        """Whether the texts of a batch must be filled up to one length."""
        return self.unpadded is None

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Return token ids with special tokens, cut at the maximum length."""
        encoded = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64], role: Role) -> Tensor:
        """Return vectors ``[rows, dim]`` in fp32."""
        tokens, real = (torch.from_numpy(array).to(self.device) for array in (ids, mask))
        with torch.inference_mode():
            return self.pool(self.states(tokens, real).float(), real, role).float()

    def forward_unpadded(self, rows: Sequence[Sequence[int]], role: Role) -> Tensor:
        """Return vectors ``[rows, dim]`` in fp32 of texts of any lengths, none empty."""
        assert self.unpadded is not None
        with torch.inference_mode():
            states = self.unpadded(rows).float()
            parts = [
                self.pool(
                    states[span].view(texts, length, -1),
                    torch.ones(texts, length, dtype=torch.int64),
                    role,
                )
                for span, texts, length in spans([len(row) for row in rows])
            ]
            return torch.cat(parts).float()


def _quiet() -> None:
    """Keep libraries from drawing bars of their own and tokenizers from warning of forks."""
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    libraries: Any = transformers.utils.logging
    libraries.disable_progress_bar()
    libraries.set_verbosity_error()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def load_sentence_transformer(
    spec: Spec, folder: Path, placement: Placement, prompts: Prompts
) -> TokenEncoder | PlainEncoder:
    """Load a sentence-transformers checkpoint with its own modules, pooling and prompts."""
    _quiet()
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder),
            device=placement.device,
            trust_remote_code=placement.trust_remote_code,
            model_kwargs={"dtype": getattr(torch, placement.dtype), "use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        raise ModelError(f"Cannot load '{spec.name}': {error}") from error
    return wrap_sentence_transformer(model, spec, placement, prompts)


def wrap_sentence_transformer(
    model: SentenceTransformer, spec: Spec, placement: Placement, prompts: Prompts
) -> TokenEncoder | PlainEncoder:
    """Return the engine's view of a sentence-transformers model.

    A model whose first module is no transformer (static embeddings, bags of words) composes its
    own batches; its vectors do not depend on them.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize, Transformer

    model.eval()
    transformer, *rest = model
    if not isinstance(transformer, Transformer):
        return cast("PlainEncoder", model)
    if spec.flag("normalize") is False:
        rest = [module for module in rest if not isinstance(module, Normalize)]
    rest = [module.float() for module in rest]
    layer = _layer(spec, cast("Any", transformer).auto_model)
    direct = _prepared(cast("Any", transformer).auto_model, model.tokenizer, placement, layer)
    if placement.device_type == "cpu":
        for module in rest:
            pack_linears(module)
    return TorchEncoder(
        tokenizer=model.tokenizer,
        states=_Transformer(transformer, model.tokenizer, layer),
        pool=_Head(rest, model.tokenizer, prompts),
        device=placement.device,
        max_length=_max_length(placement, model.max_seq_length),
        unpadded=direct,
    )


def _prepared(
    model: Any, tokenizer: Any, placement: Placement, layer: int | None
) -> UnpaddedBert | None:
    """Make a transformers model fast on the CPU; return its forward without padding, if known."""
    if placement.device_type != "cpu":
        return None
    no_text_is_empty = bool(tokenizer("")["input_ids"])
    direct = unpadded(model) if layer is None and no_text_is_empty else None
    if direct is None:
        pack_linears(model)
    return direct


@dataclass
class _Transformer:
    """The first module of a sentence-transformers model: the only one in the dtype asked for."""

    module: Any
    tokenizer: Any
    layer: int | None

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return token states ``[rows, length, dim]``."""
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        states: Tensor
        if self.layer is None:
            states = self.module(features)["token_embeddings"]
        else:
            output = self.module.auto_model(**features, output_hidden_states=True)
            states = output.hidden_states[self.layer]
        return states


@dataclass
class _Head:
    """The modules after the transformer, run in fp32 one after the other."""

    modules: Sequence[Any]
    tokenizer: Any
    prompts: Prompts

    def __call__(self, states: Tensor, mask: Tensor, role: Role) -> Tensor:
        """Return vectors ``[rows, dim]``."""
        rows = len(states)
        if rows == 1:  # products of a single row sum in another order
            states, mask = states.expand(2, -1, -1), mask.expand(2, -1)
        features: dict[str, Any] = {"token_embeddings": states, "attention_mask": mask}
        prompt = self.prompts.text(role)
        if prompt and not self.prompts.pooled:
            features["prompt_length"] = len(self.tokenizer(prompt)["input_ids"]) - 1
        for module in self.modules:
            features = module(features)
        vectors: Tensor = features["sentence_embedding"]
        return vectors[:rows]


def load_encoder(
    spec: Spec, folder: Path, placement: Placement, prompts: Prompts
) -> TorchEncoder | FramedEncoder:
    """Load a Hugging Face model with the pooling a spec asks for (mean by default)."""
    _quiet()
    from transformers import AutoModel, AutoTokenizer

    trust = placement.trust_remote_code
    if not any(folder.glob("*token*")) and not any((folder / name).is_file() for name in _VOCABS):
        raise ModelError(
            f"'{spec.name}' has no tokenizer: its folder needs tokenizer.json and "
            "tokenizer_config.json. Write them with `AutoTokenizer.from_pretrained(BASE)"
            ".save_pretrained(FOLDER)`."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        model = AutoModel.from_pretrained(
            folder,
            dtype=getattr(torch, placement.dtype),
            use_safetensors=True,
            trust_remote_code=trust,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        raise ModelError(f"Cannot load '{spec.name}': {error}") from error
    return wrap_encoder(model, tokenizer, spec, placement, prompts)


def wrap_encoder(
    model: Any, tokenizer: Any, spec: Spec, placement: Placement, prompts: Prompts
) -> TorchEncoder | FramedEncoder:
    """Return the engine's view of a transformers model without a head, and its tokenizer."""
    model = model.to(placement.device).eval()
    limit = getattr(model.config, "max_position_embeddings", None)
    max_length = _max_length(placement, min(tokenizer.model_max_length, limit or 10**6))
    layer = _layer(spec, model)
    if asks_for_framing(spec) or is_causal(model):
        return framed(spec, model, tokenizer, prompts, max_length=max_length, layer=layer)
    pooling = spec.options.get("pooling", "mean")

    def states(ids: Tensor, mask: Tensor) -> Tensor:
        output = model(input_ids=ids, attention_mask=mask, output_hidden_states=layer is not None)
        found: Tensor = output.last_hidden_state if layer is None else output.hidden_states[layer]
        return found

    return TorchEncoder(
        tokenizer=tokenizer,
        states=states,
        pool=lambda states, mask, role: pool(states, mask, pooling),
        device=placement.device,
        max_length=max_length,
        unpadded=_prepared(model, tokenizer, placement, layer),
    )


def _layer(spec: Spec, model: Any) -> int | None:
    """Return the layer to read hidden states of, from 1, or None for the last.

    Where nothing follows the last layer, the layers above the one asked for are cut off instead:
    the states are the same and the work is less.
    """
    layer, layers = spec.integer("layer", signed=True), model.config.num_hidden_layers
    if layer is not None and abs(layer) > layers:
        raise ModelError(f"layer={layer} is more than the {layers} layers there are.")
    if layer is not None and layer < 0:
        layer += layers + 1
    if layer is not None and model.config.model_type in _NOTHING_AFTER_LAYERS:
        model.encoder.layer = model.encoder.layer[:layer]
        return None
    return layer


def _max_length(placement: Placement, own: int | None) -> int:
    limits = [limit for limit in (placement.max_length, own) if limit]
    return min(limits) if limits else 512
