"""Python objects as models: anything with ``encode(list[str])`` or ``score_pairs``."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from evalsuite.engines.encode import checked
from evalsuite.engines.score import checked_scores
from evalsuite.errors import UsageError
from evalsuite.models import checkpoint, counting
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
    or scores it gives to a few probe texts, asked twice: one that answers differently is never
    resumed.

    Raises:
        UsageError: The object has neither ``encode`` nor ``score_pairs``.
        ModelError: Its vectors or scores are unusable.
    """
    if isinstance(model, Resolved):
        return model
    if type(model).__module__.startswith("sentence_transformers.cross_encoder"):
        return _cross_encoder(model)
    if type(model).__module__.startswith("sentence_transformers.") and hasattr(model, "prompts"):
        return _sentence_transformer(model)
    verbs = tuple(verb for verb in _ANSWERS if callable(getattr(model, verb, None)))
    if not verbs:
        raise UsageError(
            f"A {type(model).__name__} is no model: it needs a method `encode(list[str])` that "
            "returns one vector a text, or `score_pairs(queries, documents)` that returns one "
            "score a pair."
        )
    first, second = (b"".join(_ANSWERS[verb](model) for verb in verbs) for _ in range(2))
    identity = "probe:" + hashlib.sha256(first).hexdigest()

    def load(placement: Placement) -> Any:
        return model

    return Resolved(
        name=str(getattr(model, "name", None) or type(model).__name__),
        identity=identity,
        revision=identity.removeprefix("probe:")[:12],
        load=load,
        verbs=verbs,
        kind="object",
        repeatable=first == second,
        count=lambda _: counting.of_object(model),
    )


def _vectors(model: Any) -> bytes:
    return checked(model.encode(list(_PROBES)), _PROBES).tobytes()


def _scores(model: Any) -> bytes:
    others = _PROBES[::-1]
    scores = model.score_pairs(list(_PROBES), list(others))
    return checked_scores(scores, _PROBES, others).tobytes()


_ANSWERS = {"encode": _vectors, "score_pairs": _scores}


def _content(model: Any, settings: str) -> str:
    """Return the hash of a torch module's structure, settings and weights."""
    import torch

    digest = hashlib.sha256(repr(model).encode("utf-8"))
    digest.update(settings.encode())
    for name, tensor in sorted(model.state_dict().items()):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(name.encode() + raw.numpy().tobytes())
    return digest.hexdigest()


def _cross_encoder(model: Any) -> Resolved:
    import torch

    identity = _content(model, f"{model.activation_fn}{model.max_seq_length}")

    def load(placement: Placement) -> Any:
        from evalsuite.models.cross_encoder import wrap_cross_encoder

        moved = copy.deepcopy(model).to(placement.device)  # the user's object stays as it was
        moved.to(getattr(torch, placement.dtype))
        return wrap_cross_encoder(moved, Spec("", "CrossEncoder"), placement)

    card = getattr(model, "model_card_data", None)
    return Resolved(
        name=str(getattr(card, "base_model", None) or "CrossEncoder"),
        identity=identity,
        revision=identity[:12],
        load=load,
        verbs=("score_pairs",),
        native_dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        kind="reranker",
        moved_by=checkpoint.MOVED_BY,
        count=lambda _: counting.of_object(model),
    )


def _sentence_transformer(model: Any) -> Resolved:
    import torch

    settings = f"{model.prompts}{model.default_prompt_name}{model.max_seq_length}"
    identity = _content(model, settings)

    def load(placement: Placement) -> Any:
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
        count=lambda _: counting.of_object(model),
    )
