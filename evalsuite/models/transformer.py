"""Adapters that give the encoding engine token-level control of a torch encoder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from evalsuite.engines.encode import Role
from evalsuite.errors import ModelError
from evalsuite.models.base import Placement
from evalsuite.models.packing import pack_linears
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # as sentence-transformers looks them up

Forward = Callable[["Tensor", "Tensor", Role], "Tensor"]
"""``(ids [rows, length], mask [rows, length], role) -> vectors [rows, dim]``."""


@dataclass
class TorchEncoder:
    """A tokenizer and a forward pass, with what a spec's options add.

    Attributes:
        tokenizer: A fast Hugging Face tokenizer.
        run: The forward pass up to and including pooling.
        device: Where it runs.
        max_length: Longest input in tokens.
        prompts: Role (or ``""`` for none) to the text put before every input.
        excluded_prompt_tokens: Role to the number of prompt tokens pooling leaves out.
        dim: Leading dimensions kept, or None.
        normalize: Whether vectors are scaled to unit length at the end.
    """

    tokenizer: Any
    run: Forward
    device: str
    max_length: int
    prompts: dict[str, str]
    dim: int | None = None
    normalize: bool = False
    pools_prompt: bool = True

    @property
    def pad_id(self) -> int:
        """Token that fills up a row; masked, so any valid id does."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        return bool(self.tokenizer.padding_side == "left")

    def prompt(self, role: Role) -> str:
        """Return the text put before every input of a role."""
        return self.prompts.get(role or "", "")

    def salt(self, role: Role) -> str:
        """Return what beside the string changes vectors of a role."""
        return "" if self.pools_prompt else f"prompt={self.prompt(role)}"

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
        with torch.inference_mode():
            vectors = self.run(
                torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device), role
            ).float()
            if self.dim is not None:
                if self.dim > vectors.shape[1]:
                    raise ModelError(
                        f"dim={self.dim} is more than the {vectors.shape[1]} dimensions there are."
                    )
                vectors = vectors[:, : self.dim]
            if self.normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
            return vectors


def _quiet() -> None:
    """Keep libraries from drawing bars of their own and tokenizers from warning of forks."""
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _prompts(spec: Spec, own: dict[str, str], default: str | None) -> dict[str, str]:
    """Return the prompt of each role: the spec's, else the model's own."""
    document = next((own[name] for name in _DOCUMENT_PROMPTS if name in own), None)
    fallback = own.get(default or "", "")
    prompts = {
        "": fallback,
        "query": own.get("query", fallback),
        "document": fallback if document is None else document,
    }
    if "prompt" in spec.options:
        prompts = dict.fromkeys(prompts, spec.options["prompt"])
    for role in ("query", "document"):
        prompts[role] = spec.options.get(f"{role}_prompt", prompts[role])
    return prompts


def load_sentence_transformer(spec: Spec, folder: Path, placement: Placement) -> object:
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
    return wrap_sentence_transformer(model, spec, placement)


def wrap_sentence_transformer(
    model: SentenceTransformer, spec: Spec, placement: Placement
) -> object:
    """Return the engine's view of a sentence-transformers model.

    A model whose first module is no transformer (static embeddings, bags of words) composes its
    own batches; its vectors do not depend on them.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    model.eval()
    modules = list(model)
    if not isinstance(modules[0], Transformer):
        return model
    for module in modules[1:]:
        module.float()
    if spec.flag("normalize") is False:
        modules = [module for module in modules if not isinstance(module, Normalize)]
    layer = spec.integer("layer")
    if layer is not None:
        _check_layer(layer, modules[0].auto_model.config.num_hidden_layers)
    if placement.device_type == "cpu":
        pack_linears(modules[0])
    prompts = _prompts(spec, dict(model.prompts or {}), model.default_prompt_name)
    pools_prompt = all(m.include_prompt for m in modules if isinstance(m, Pooling))
    tokenizer = model.tokenizer

    def run(ids: Tensor, mask: Tensor, role: Role) -> Tensor:
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        prompt = prompts[role or ""]
        if prompt and not pools_prompt:
            features["prompt_length"] = len(tokenizer(prompt)["input_ids"]) - 1
        if layer is None:
            features = modules[0](features)
        else:
            states = modules[0].auto_model(**features, output_hidden_states=True).hidden_states
            features["token_embeddings"] = states[layer]
        features["token_embeddings"] = features["token_embeddings"].float()
        for module in modules[1:]:
            features = module(features)
        return features["sentence_embedding"]

    return TorchEncoder(
        tokenizer=tokenizer,
        run=run,
        device=placement.device,
        max_length=_max_length(placement, model.max_seq_length),
        prompts=prompts,
        dim=spec.integer("dim"),
        normalize=bool(spec.flag("normalize")),
        pools_prompt=pools_prompt,
    )


def load_encoder(spec: Spec, folder: Path, placement: Placement) -> TorchEncoder:
    """Load a Hugging Face encoder with the pooling a spec asks for (mean by default)."""
    _quiet()
    from transformers import AutoModel, AutoTokenizer

    trust = placement.trust_remote_code
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
    model = model.to(placement.device).eval()
    limit = getattr(model.config, "max_position_embeddings", None)
    layer = spec.integer("layer")
    if layer is not None:
        _check_layer(layer, model.config.num_hidden_layers)
    if placement.device_type == "cpu":
        pack_linears(model)
    pooling = spec.options.get("pooling", "mean")

    def run(ids: Tensor, mask: Tensor, role: Role) -> Tensor:
        output = model(input_ids=ids, attention_mask=mask, output_hidden_states=layer is not None)
        states = output.last_hidden_state if layer is None else output.hidden_states[layer]
        return pool(states.float(), mask, pooling)

    return TorchEncoder(
        tokenizer=tokenizer,
        run=run,
        device=placement.device,
        max_length=_max_length(placement, min(tokenizer.model_max_length, limit or 10**6)),
        prompts=_prompts(spec, {}, None),
        dim=spec.integer("dim"),
        normalize=bool(spec.flag("normalize")),
    )


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Reduce token states to one vector a text.

    Args:
        states: ``[rows, length, dim]``.
        mask: ``[rows, length]``, 1 for real tokens.
        pooling: ``cls`` (first token), ``mean``, ``max``, ``last`` (last token) or
            ``weighted-mean`` (token i weighs i, from 1; Muennighoff 2022, SGPT).
    """
    real = mask.unsqueeze(-1).to(states.dtype)
    position = mask.cumsum(dim=1)
    rows = torch.arange(len(states), device=states.device)
    if pooling == "cls":
        return states[rows, mask.argmax(dim=1)]
    if pooling == "last":
        return states[rows, position.argmax(dim=1)]
    if pooling == "max":
        return states.masked_fill(real == 0, -torch.inf).amax(dim=1)
    if pooling == "weighted-mean":
        real = real * position.unsqueeze(-1).to(states.dtype)
    return (states * real).sum(dim=1) / real.sum(dim=1).clamp_min(1e-9)


def _check_layer(layer: int, layers: int) -> None:
    if layer > layers:
        raise ModelError(f"layer={layer} is more than the {layers} layers there are.")


def _max_length(placement: Placement, own: int | None) -> int:
    limits = [limit for limit in (placement.max_length, own) if limit]
    return min(limits) if limits else 512
