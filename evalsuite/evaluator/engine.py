"""Which engine a model is put behind: one a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from evalsuite.engines.batching import shape_rule
from evalsuite.engines.cache import VectorCache, cache_folder
from evalsuite.engines.encode import DEFAULT_BATCH_TOKENS, EncodingEngine
from evalsuite.models import Placement, Resolved

if TYPE_CHECKING:
    from evalsuite.evaluator import Evaluator

Build = Callable[[Resolved, Placement, "Evaluator"], Any]


def build(verb: str, model: Resolved, placement: Placement, plan: Evaluator) -> Any:
    """Return a model behind the engine of a verb, or loaded as it is where the verb has none."""
    if verb in ENGINES:
        return ENGINES[verb](model, placement, plan)
    return model.load(placement)


def encoding(model: Resolved, placement: Placement, plan: Evaluator) -> EncodingEngine:
    """Return the engine of ``encode``, which loads the model once a vector is missing."""
    folder = None
    if plan.cache is not None and model.repeatable:
        folder = cache_folder(plan.cache, arithmetic(model, placement))
    return EncodingEngine(
        load=partial(model.load, placement),
        prompts=model.prompts,
        finish=model.finish,
        cache=VectorCache(folder),
        rule=shape_rule(placement.device_type, placement.dtype),
        batch_tokens=plan.batch_tokens or DEFAULT_BATCH_TOKENS,
        progress=plan.progress,
        device=placement.device,
        searcher=plan.search,
    )


def arithmetic(model: Resolved, placement: Placement) -> dict[str, Any]:
    """Return everything a vector depends on beside its text."""
    options = model.options if model.encoder_options is None else model.encoder_options
    return {
        "model": model.identity,
        "options": dict(options),
        "device": placement.device_type,
        "dtype": placement.dtype,
        "max_length": placement.max_length,
    }


ENGINES: Mapping[str, Build] = {"encode": encoding}
