"""Models: what a spec or an object resolves to, and the adapters that load it."""

from __future__ import annotations

from typing import Any

from evalsuite import registry
from evalsuite.errors import UsageError, unknown_name
from evalsuite.models import files, grid, hybrid
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec, parse_spec

__all__ = ["Placement", "Resolved", "resolve", "resolve_grid"]


def resolve_grid(model: str | Any) -> list[tuple[str | Any, Resolved]]:
    """Return every model a spec or object stands for, with a spec of its own; one but for grids.

    Args:
        model: As for :func:`resolve`; ``layer`` and ``dim`` may name several values.

    Raises:
        UsageError: The name, an option or the object cannot be.
        ModelError: The checkpoint is not to be had.
    """
    if not isinstance(model, str) or hybrid.is_hybrid(model):
        return [(model, resolve(model))]
    spec = parse_spec(model)
    if not grid.is_grid(spec.options):
        return [(model, resolve(model))]
    cells = grid.cells(spec)
    first = resolve(cells[0].text)
    if first.load_layers is None:  # its options may change more than a pass can share
        return [(cell.text, resolve(cell.text)) for cell in cells]
    return [(cell.text, grid.varied(first, cell)) for cell in cells]


def resolve(model: str | Any) -> Resolved:
    """Return the model a spec or object stands for, without loading weights.

    Args:
        model: A spec ``NAME[@REVISION][?option=value&...]`` or ``hybrid(SPEC,SPEC)[?...]``, a
            sentence-transformers model, or any object with ``encode(list[str])``.

    Raises:
        UsageError: The name, an option or the object cannot be.
        ModelError: The checkpoint is not to be had.
    """
    if not isinstance(model, str):
        from evalsuite.models.objects import resolve_object

        return resolve_object(model)
    if hybrid.is_hybrid(model):
        return hybrid.resolve(model, resolve)
    spec = parse_spec(model)
    resolver = registry.model_resolver(spec.name) or _file_resolver(spec)
    resolved = resolver(spec)
    if not isinstance(resolved, Resolved):
        raise UsageError(f"The plug-in model '{spec.name}' did not resolve to a Resolved.")
    return resolved


def _file_resolver(spec: Spec) -> Any:
    """Return the resolver of a name that is no registered one: an endpoint, file or hub name."""
    from evalsuite.models import endpoint

    if endpoint.is_endpoint(spec.name):
        return endpoint.resolve
    path = files.local_path(spec.name)
    asked, is_file = spec.options.get("as"), path is not None and path.is_file()
    if path is not None and is_file and asked != "static":
        from evalsuite.models import llama2c

        if asked in ("encoder", "reranker") or llama2c.is_checkpoint(path):
            return llama2c.resolve
    if is_file or (asked == "static" and path is None):
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
