"""Python objects as models: anything with ``encode(list[str])``."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from evalsuite.engines.encode import checked
from evalsuite.errors import UsageError
from evalsuite.models import checkpoint
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

_PROBES = [
    "",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "0123456789",
    "naïve café",
    "A probe sentence that is somewhat longer than the others, with a comma and a full stop.",
]


def resolve_object(model: Any) -> Resolved:
    """Resolve an object.

    A sentence-transformers model is known by its weights. Any other object is known by the vectors
    it gives to a few probe texts, asked twice: one that answers differently is never resumed.

    Raises:
        UsageError: The object has no ``encode``.
        ModelError: Its vectors are unusable.
    """
    if isinstance(model, Resolved):
        return model
    if type(model).__module__.startswith("sentence_transformers.") and hasattr(model, "prompts"):
        return _sentence_transformer(model)
    if not callable(getattr(model, "encode", None)):
        raise UsageError(
            f"A {type(model).__name__} is no model: it needs a method `encode(list[str])` that "
            "returns one vector a text."
        )
    first, second = (checked(model.encode(list(_PROBES)), _PROBES) for _ in range(2))
    identity = "probe:" + hashlib.sha256(first.tobytes()).hexdigest()

    def load(placement: Placement) -> Any:
        return model

    return Resolved(
        name=str(getattr(model, "name", None) or type(model).__name__),
        identity=identity,
        revision=identity.removeprefix("probe:")[:12],
        load=load,
        kind="object",
        repeatable=bool(np.array_equal(first, second)),
    )


def _sentence_transformer(model: Any) -> Resolved:
    import torch

    digest = hashlib.sha256(repr(model).encode("utf-8"))
    digest.update(f"{model.prompts}{model.default_prompt_name}{model.max_seq_length}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(name.encode() + raw.numpy().tobytes())
    identity = digest.hexdigest()

    def load(placement: Placement) -> Any:
        import copy

        from evalsuite.models.transformer import wrap_sentence_transformer

        moved = copy.deepcopy(model).to(placement.device)  # the user's object stays as it was
        moved[0].to(getattr(torch, placement.dtype))
        return wrap_sentence_transformer(moved, Spec("", ""), placement, prompts)

    prompts = checkpoint.prompts(
        Spec("", ""),
        model.prompts or {},
        model.default_prompt_name,
        pooled=all(getattr(module, "include_prompt", True) for module in model),
    )
    card = getattr(model, "model_card_data", None)
    name = getattr(card, "base_model", None) or "SentenceTransformer"
    return Resolved(
        name=str(name),
        identity=identity,
        revision=identity[:12],
        load=load,
        native_dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        prompts=prompts,
        moved_by=checkpoint.MOVED_BY,
    )
