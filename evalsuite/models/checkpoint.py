"""Checkpoints of sentence-transformers and of Hugging Face encoders, from a folder or the hub."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from evalsuite.errors import UsageError
from evalsuite.models import files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

POOLINGS = ("cls", "mean", "max", "last", "weighted-mean")
_COMMON = ("as", "layer", "dim", "normalize", "query_prompt", "document_prompt", "prompt")
_ADAPTERS = {
    "sentence-transformers": _COMMON,
    "encoder": (*_COMMON, "pooling"),
}
MOVED_BY = ("torch", "transformers", "sentence-transformers")


def resolve(spec: Spec) -> Resolved:
    """Resolve a checkpoint by its folder or hub name."""
    name = spec.name
    path = Path(name).expanduser()
    if path.is_dir():
        name = path.resolve().name
    return resolve_folder(spec, files.snapshot(spec.name, spec.revision), name)


def resolve_folder(
    spec: Spec, folder: Path, name: str, *, identity: str | None = None
) -> Resolved:
    """Resolve a checkpoint in a folder.

    Args:
        spec: Its options select the adapter's behaviour.
        folder: Where the files are.
        name: What tables show.
        identity: Known content identity; computed from the files where None.

    Raises:
        UsageError: An option cannot be.
        ModelError: The folder holds no usable weights.
    """
    has_modules = (folder / "modules.json").is_file()
    kind = spec.choice("as", (*_ADAPTERS, "static")) or (
        "encoder" if "pooling" in spec.options or not has_modules else "sentence-transformers"
    )
    if kind == "sentence-transformers" and not has_modules:
        raise UsageError(f"'{name}' has no modules.json: use as=encoder&pooling=mean.")
    spec.check_options(_ADAPTERS[kind])
    spec.choice("pooling", POOLINGS)
    for option in ("layer", "dim"):
        spec.integer(option)
    spec.flag("normalize")
    identity = identity or files.content_identity(folder)
    return Resolved(
        name=name,
        identity=identity,
        revision=identity[:12],
        load=partial(_load, spec, folder, kind),
        options=spec.options,
        native_dtype=files.native_dtype(folder),
        batched=True,
        moved_by=MOVED_BY,
    )


def _load(spec: Spec, folder: Path, kind: str, placement: Placement) -> object:
    from evalsuite.models.transformer import load_encoder, load_sentence_transformer

    load = load_sentence_transformer if kind == "sentence-transformers" else load_encoder
    return load(spec, folder, placement)
