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
from evalsuite.models.pooling import hidden_states, pool, side_by_side
from evalsuite.models.spec import Spec
from evalsuite.models.unpadded import UnpaddedBert, spans, unpadded

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

_NOTHING_AFTER_LAYERS = {"bert", "roberta", "xlm-roberta", "electra", "camembert", "mpnet"}
_VOCABS = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")

Padded = Callable[["Tensor", "Tensor"], "Sequence[Tensor]"]
"""``(ids [rows, length], mask [rows, length]) -> token states [rows, length, dim] a layer``."""
Pool = Callable[["Tensor", "Tensor", Role], "Tensor"]
"""``(token states [rows, length, dim], mask [rows, length], role) -> vectors [rows, dim]``."""


@dataclass
class TorchEncoder:
    """A tokenizer and a forward pass, with what a spec's options add.

    Attributes:
        tokenizer: A fast Hugging Face tokenizer.
        states: The forward pass up to the token states of each layer asked for.
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
        """Return vectors ``[rows, dim]`` in fp32, those of several layers side by side."""
        tokens, real = (torch.from_numpy(array).to(self.device) for array in (ids, mask))
        with torch.inference_mode():
            layers = self.states(tokens, real)
            return side_by_side(self.pool(states.float(), real, role) for states in layers)

    def forward_unpadded(self, rows: Sequence[Sequence[int]], role: Role) -> Tensor:
        """Return vectors as :meth:`forward`, of texts of any lengths, none empty."""
        assert self.unpadded is not None
        with torch.inference_mode():
            layers = [states.float() for states in self.unpadded(rows)]
            return side_by_side(self._pooled(states, rows, role) for states in layers)

    def _pooled(self, states: Tensor, rows: Sequence[Sequence[int]], role: Role) -> Tensor:
        """Return vectors of the states of texts laid end to end."""
        parts = [
            self.pool(
                states[span].view(texts, length, -1),
                torch.ones(texts, length, dtype=torch.int64),
                role,
            )
            for span, texts, length in spans([len(row) for row in rows])
        ]
        return torch.cat(parts)


def quiet() -> None:
    """Keep libraries from drawing bars of their own and tokenizers from warning of forks."""
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    libraries: Any = transformers.utils.logging
    libraries.disable_progress_bar()
    libraries.set_verbosity_error()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def load_sentence_transformer(
    spec: Spec, folder: Path, placement: Placement, prompts: Prompts, layers: Sequence[int] = ()
) -> TokenEncoder | PlainEncoder:
    """Load a sentence-transformers checkpoint with its own modules, pooling and prompts."""
    quiet()
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
    return wrap_sentence_transformer(model, spec, placement, prompts, layers)


def wrap_sentence_transformer(
    model: SentenceTransformer,
    spec: Spec,
    placement: Placement,
    prompts: Prompts,
    layers: Sequence[int] = (),
) -> TokenEncoder | PlainEncoder:
    """Return the engine's view of a sentence-transformers model.

    A model whose first module is no transformer (static embeddings, bags of words) composes its
    own batches; its vectors do not depend on them.

    Raises:
        ModelError: It has fewer layers than are asked for.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize, Transformer

    model.eval()
    transformer, *rest = model
    if not isinstance(transformer, Transformer):
        if layers:
            raise ModelError(f"'{spec.name}' has no layers: leave out layer=.")
        model.default_prompt_name = None  # the engine puts prompts before texts
        for name, module in list(model.named_children()):
            if isinstance(module, Normalize) and spec.flag("normalize") is False:
                delattr(model, name)
        return cast("PlainEncoder", model)
    if spec.flag("normalize") is False:
        rest = [module for module in rest if not isinstance(module, Normalize)]
    rest = [module.float() for module in rest]
    network = cast("Any", transformer).auto_model
    read = _layers_read(layers, network)
    direct = _prepared(network, model.tokenizer, placement, read)
    if placement.device_type == "cpu":
        for module in rest:
            pack_linears(module)
    head: list[Any] = [_WholeMean(one) if direct and _is_mean(one) else one for one in rest]
    return TorchEncoder(
        tokenizer=model.tokenizer,
        states=_Transformer(transformer, model.tokenizer, read),
        pool=_Head(head, model.tokenizer, prompts),
        device=placement.device,
        max_length=_max_length(placement, model.max_seq_length),
        unpadded=direct,
    )


def _prepared(
    model: Any, tokenizer: Any, placement: Placement, layers: Sequence[int]
) -> UnpaddedBert | None:
    """Make a transformers model fast on the CPU; return its forward without padding, if known."""
    if placement.device_type != "cpu":
        return None
    no_text_is_empty = bool(tokenizer("")["input_ids"])
    direct = unpadded(model, layers) if no_text_is_empty else None
    if direct is None:
        pack_linears(model)
    return direct


@dataclass
class _Transformer:
    """The first module of a sentence-transformers model: the only one in the dtype asked for."""

    module: Any
    tokenizer: Any
    layers: Sequence[int]

    def __call__(self, ids: Tensor, mask: Tensor) -> Sequence[Tensor]:
        """Return token states ``[rows, length, dim]`` of each layer."""
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        if not self.layers:
            return [self.module(features)["token_embeddings"]]
        return hidden_states(self.module.auto_model, self.layers, **features)


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


def _is_mean(module: Any) -> bool:
    """Whether a module takes the mean of all of a text's tokens."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    return type(module) is Pooling and module.pooling_mode == "mean" and bool(module.include_prompt)


@dataclass
class _WholeMean:
    """Mean pooling that needs no mask where every token is real: the same sums, half the work."""

    module: Any

    def __call__(self, features: dict[str, Any]) -> dict[str, Any]:
        """Add the sentence embeddings ``[rows, dim]``."""
        if not bool(features["attention_mask"].all()):
            pooled: dict[str, Any] = self.module(features)
            return pooled
        states: Tensor = features["token_embeddings"]
        return features | {"sentence_embedding": states.sum(dim=1) / states.shape[1]}


def load_encoder(
    spec: Spec, folder: Path, placement: Placement, prompts: Prompts, layers: Sequence[int] = ()
) -> TorchEncoder | FramedEncoder:
    """Load a Hugging Face model with the pooling a spec asks for (mean by default)."""
    quiet()
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
    return wrap_encoder(model, tokenizer, spec, placement, prompts, layers)


def wrap_encoder(
    model: Any,
    tokenizer: Any,
    spec: Spec,
    placement: Placement,
    prompts: Prompts,
    layers: Sequence[int] = (),
) -> TorchEncoder | FramedEncoder:
    """Return the engine's view of a transformers model without a head, and its tokenizer."""
    model = model.to(placement.device).eval()
    limit = getattr(model.config, "max_position_embeddings", None)
    max_length = _max_length(placement, min(tokenizer.model_max_length, limit or 10**6))
    read = _layers_read(layers, model)
    if asks_for_framing(spec) or is_causal(model):
        return framed(spec, model, tokenizer, prompts, max_length=max_length, layers=read)
    pooling = spec.options.get("pooling", "mean")
    return TorchEncoder(
        tokenizer=tokenizer,
        states=lambda ids, mask: hidden_states(model, read, input_ids=ids, attention_mask=mask),
        pool=lambda states, mask, role: pool(states, mask, pooling),
        device=placement.device,
        max_length=max_length,
        unpadded=_prepared(model, tokenizer, placement, read),
    )


def _layers_read(layers: Sequence[int], model: Any) -> tuple[int, ...]:
    """Return the layers to read hidden states of, from 1; empty for the last alone.

    Where nothing follows the last layer, those above the highest one asked for are cut off: the
    states are the same and the work is less.

    Raises:
        ModelError: There are fewer layers.
    """
    n = model.config.num_hidden_layers
    for layer in layers:
        if abs(layer) > n:
            raise ModelError(f"layer={layer} is more than the {n} layers there are.")
    read = tuple(layer if layer > 0 else layer + n + 1 for layer in layers)
    if read and model.config.model_type in _NOTHING_AFTER_LAYERS:
        model.encoder.layer = model.encoder.layer[: max(read)]
        return read if len(read) > 1 else ()
    return read


def _max_length(placement: Placement, own: int | None) -> int:
    limits = [limit for limit in (placement.max_length, own) if limit]
    return min(limits) if limits else 512
