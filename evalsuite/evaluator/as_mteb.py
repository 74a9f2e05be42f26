"""Any model as an encoder of mteb's, behind the engine it has in a run."""

from __future__ import annotations

from typing import Any

from evalsuite import models
from evalsuite.bridges.mteb.encoder import MtebEncoder
from evalsuite.errors import ModelError
from evalsuite.evaluator import Evaluator
from evalsuite.evaluator.family import Family
from evalsuite.evaluator.session import Session


def as_mteb(model: str | Any, **options: Any) -> MtebEncoder:
    """Return a model for ``mteb.evaluate``; each distinct text is encoded once, and cached.

    Args:
        model: A spec, or any object with ``encode(list[str])``.
        options: ``device``, ``dtype``, ``max_length``, ``batch_tokens``, ``cache`` and
            ``trust_remote_code``, as :class:`Evaluator` has them.

    Raises:
        UsageError: mteb is not installed, or the model or an option cannot be.
        ModelError: The model is not to be had, or is no encoder.
    """
    resolved = models.resolve(model)
    if "encode" not in resolved.verbs:
        offered = ", ".join(resolved.verbs)
        raise ModelError(f"mteb takes encoders; '{resolved.name}' offers {offered}.")
    plan = Evaluator(**options)
    session = Session(plan, resolved, Family(plan, [resolved]))
    encoder = MtebEncoder(session.engine("encode"), resolved.name, resolved.revision)
    _ = encoder.mteb_model_meta  # mteb is not installed: say so now
    return encoder
