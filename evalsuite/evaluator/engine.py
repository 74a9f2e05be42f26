"""Which engine a model is put behind: one a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from evalsuite.engines.batching import shape_rule
from evalsuite.engines.cache import VectorCache, cache_folder
from evalsuite.engines.encode import DEFAULT_BATCH_TOKENS, EncodingEngine
from evalsuite.engines.hybrid import HybridEngine
from evalsuite.engines.score import ScoringEngine
from evalsuite.engines.shelf import MultiVectorEngine, ShelfEngine, SparseEngine
from evalsuite.models import Placement, Resolved
from evalsuite.models.hybrid import DEPTH, VERBS, weights_of

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
        chunking=model.chunking,
    )


def scoring(model: Resolved, placement: Placement, plan: Evaluator) -> ScoringEngine:
    """Return the engine of ``score_pairs``, which loads the model once a score is missing."""
    folder = None
    if plan.cache is not None and model.repeatable:
        folder = cache_folder(plan.cache, arithmetic(model, placement) | {"verb": "score_pairs"})
    return ScoringEngine(
        load=partial(model.load, placement),
        cache=VectorCache(folder),
        rule=shape_rule(placement.device_type, placement.dtype),
        batch_tokens=plan.batch_tokens or DEFAULT_BATCH_TOKENS,
        progress=plan.progress,
    )


def sparse(model: Resolved, placement: Placement, plan: Evaluator) -> Any:
    """Return the engine of ``encode_sparse``; models that learn from each corpus have none."""
    if model.kind == "sparse":
        return _shelved(SparseEngine, model, placement, plan)
    return model.load(placement)


def multi_vector(model: Resolved, placement: Placement, plan: Evaluator) -> Any:
    """Return the engine of ``encode_multi``."""
    return _shelved(MultiVectorEngine, model, placement, plan)


def hybrid(model: Resolved, placement: Placement, plan: Evaluator) -> HybridEngine:
    """Return the engine of ``find``: that of every part, each in its own arithmetic."""
    parts = model.load(placement)
    return HybridEngine(
        parts=[_part(part, placement, plan) for part in parts],
        weights=weights_of(model.options, len(parts)),
        fusion=model.options.get("fusion", "rrf"),
        depth=int(model.options.get("depth", DEPTH)),
    )


def _part(part: Resolved, placement: Placement, plan: Evaluator) -> Any:
    """Return a part behind its engine; one that torch does not run is placed on the CPU."""
    verb = next(verb for verb in VERBS if verb in part.verbs)
    if part.native_dtype is None:
        own = Placement(max_length=placement.max_length)
    else:
        own = replace(placement, dtype=part.native_dtype) if plan.dtype == "auto" else placement
    return build(verb, part, own, plan)


def _shelved(
    kind: type[ShelfEngine], model: Resolved, placement: Placement, plan: Evaluator
) -> ShelfEngine:
    return kind(
        load=partial(model.load, placement),
        rule=shape_rule(placement.device_type, placement.dtype),
        batch_tokens=plan.batch_tokens or DEFAULT_BATCH_TOKENS,
        progress=plan.progress,
        device=placement.device,
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


ENGINES: Mapping[str, Build] = {
    "encode": encoding,
    "encode_sparse": sparse,
    "encode_multi": multi_vector,
    "find": hybrid,
    "score_pairs": scoring,
}
