"""Checkpoints of sentence-transformers and of Hugging Face encoders, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from evalsuite.engines.encode import Finish, PlainEncoder, Prompts, TokenEncoder
from evalsuite.errors import UsageError
from evalsuite.models import files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

POOLINGS = ("cls", "mean", "max", "last", "weighted-mean")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # as sentence-transformers looks them up
_COMMON = ("as", "layer", "dim", "normalize", "query_prompt", "document_prompt", "prompt")
_ADAPTERS = {
    "sentence-transformers": _COMMON,
    "encoder": (*_COMMON, "pooling"),
}
MOVED_BY = ("torch", "transformers", "sentence-transformers")


def resolve(spec: Spec) -> Resolved:
    """Resolve a checkpoint by its folder or hub name."""
    name = spec.name
    path = files.local_path(name)
    if path is not None and path.is_dir():
        name = path.resolve().name
    return resolve_folder(spec, files.snapshot(spec.name, spec.revision), name)


def resolve_folder(spec: Spec, folder: Path, name: str) -> Resolved:
    """Resolve a checkpoint in a folder.

    Args:
        spec: Its options select the adapter's behaviour.
        folder: Where the files are.
        name: What tables show.

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
    spec.integer("layer")
    identity = files.content_identity(folder)
    found = _own_prompts(spec, folder) if kind == "sentence-transformers" else prompts(spec)
    return Resolved(
        name=name,
        identity=identity,
        revision=identity[:12],
        load=partial(_load, spec, folder, kind, found),
        options=spec.options,
        native_dtype=files.native_dtype(folder),
        prompts=found,
        finish=Finish(spec.integer("dim"), bool(spec.flag("normalize"))),
        encoder_options={
            key: value
            for key, value in spec.options.items()
            if key != "dim" and (key, value.lower()) != ("normalize", "true")
        },
        moved_by=MOVED_BY,
    )


def prompts(
    spec: Spec,
    own: Mapping[str, str] | None = None,
    default: str | None = None,
    *,
    pooled: bool = True,
) -> Prompts:
    """Return the prompt of each role: the spec's, else the model's own.

    Args:
        spec: Options ``prompt``, ``query_prompt`` and ``document_prompt`` come first.
        own: The model's prompts by name.
        default: Name of the model's default prompt.
        pooled: Whether pooling sees the prompt's tokens.
    """
    own = own or {}
    fallback = own.get(default or "", "")
    document = next((own[name] for name in _DOCUMENT_PROMPTS if name in own), fallback)
    texts = {"": fallback, "query": own.get("query", fallback), "document": document}
    if "prompt" in spec.options:
        texts = dict.fromkeys(texts, spec.options["prompt"])
    for role in ("query", "document"):
        texts[role] = spec.options.get(f"{role}_prompt", texts[role])
    return Prompts({role: text for role, text in texts.items() if text}, pooled)


def _own_prompts(spec: Spec, folder: Path) -> Prompts:
    """Return the prompts of a sentence-transformers checkpoint, from its files alone."""
    config = files.read_json(folder / "config_sentence_transformers.json")
    modules = files.read_json(folder / "modules.json")
    pooling = [files.read_json(folder / module["path"] / "config.json") for module in modules]
    return prompts(
        spec,
        config.get("prompts") or {},
        config.get("default_prompt_name"),
        pooled=all(options.get("include_prompt", True) for options in pooling),
    )


def _load(
    spec: Spec, folder: Path, kind: str, found: Prompts, placement: Placement
) -> TokenEncoder | PlainEncoder:
    from evalsuite.models.transformer import load_encoder, load_sentence_transformer

    if kind == "sentence-transformers":
        return load_sentence_transformer(spec, folder, placement, found)
    return load_encoder(spec, folder, placement)
