"""Models: what a spec or an object resolves to, and the adapters that load it."""

from __future__ import annotations

from typing import Any

from evalsuite import registry
from evalsuite.errors import UsageError, unknown_name
from evalsuite.models import files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec, parse_spec

__all__ = ["Placement", "Resolved", "resolve"]


def resolve(model: str | Any) -> Resolved:
    """Return the model a spec or object stands for, without loading weights.

    Args:
        model: A spec ``NAME[@REVISION][?option=value&...]``, a sentence-transformers model, or any
            object with ``encode(list[str])``.

    Raises:
        UsageError: The name, an option or the object cannot be.
        ModelError: The checkpoint is not to be had.
    """
    if not isinstance(model, str):
        from evalsuite.models.objects import resolve_object

        return resolve_object(model)
    spec = parse_spec(model)
    resolver = registry.model_resolver(spec.name) or _file_resolver(spec)
    resolved = resolver(spec)
    if not isinstance(resolved, Resolved):
        raise UsageError(f"The plug-in model '{spec.name}' did not resolve to a Resolved.")
    return resolved


def _file_resolver(spec: Spec) -> Any:
    """Return the resolver for a name that is no registered one: a folder, a file or a hub name."""
    path = files.local_path(spec.name)
    asked, is_file = spec.options.get("as"), path is not None and path.is_file()
    if path is not None and is_file and asked != "static":
        from evalsuite.models import llama2c

        if asked == "encoder" or llama2c.is_checkpoint(path):
            return llama2c.resolve
    if is_file or asked == "static":
        from evalsuite.models import static

        return static.resolve
    if path is None and "/" not in spec.name:
        known = [*registry.MODELS, *(entry.name for entry, _ in registry.entry_points("models"))]
        raise UsageError(
            f"{unknown_name('model', spec.name, known)} A model on the hub is written "
            "ORGANISATION/NAME, a local one as the path of its folder."
        )
    from evalsuite.models import checkpoint

    return checkpoint.resolve
