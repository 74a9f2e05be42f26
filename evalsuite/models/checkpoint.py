"""Checkpoints of sentence-transformers and of Hugging Face encoders, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from evalsuite.engines.encode import Finish, PlainEncoder, Prompts, TokenEncoder
from evalsuite.errors import UsageError
from evalsuite.models import files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.framing import template
from evalsuite.models.spec import Spec

POOLINGS = ("cls", "mean", "max", "last", "weighted-mean")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # as sentence-transformers looks them up
FRAMING = (
    "pooling",
    "pool_prompt",
    "template",
    "pool_template",
    "attention",
    "token_prepending",
)
COMMON = ("as", "layer", "dim", "normalize", "query_prompt", "document_prompt", "prompt")
_ADAPTERS = {
    "sentence-transformers": COMMON,
    "encoder": (*COMMON, *FRAMING),
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
        "encoder"
        if not has_modules or any(option in spec.options for option in FRAMING)
        else "sentence-transformers"
    )
    if kind == "sentence-transformers" and not has_modules:
        raise UsageError(f"'{name}' has no modules.json: use as=encoder&pooling=mean.")
    spec.check_options(_ADAPTERS[kind])
    check_encoder_options(spec)
    identity = files.content_identity(folder)
    pooled = spec.flag("pool_prompt") is not False
    found = (
        _own_prompts(spec, folder)
        if kind == "sentence-transformers"
        else prompts(spec, pooled=pooled)
    )
    return Resolved(
        name=name,
        identity=identity,
        revision=identity[:12],
        load=partial(_load, spec, folder, kind, found),
        options=spec.options,
        native_dtype=files.native_dtype(folder),
        prompts=found,
        finish=Finish(spec.integer("dim"), bool(spec.flag("normalize"))),
        encoder_options=encoder_options(spec),
        moved_by=MOVED_BY,
    )


def check_encoder_options(spec: Spec) -> None:
    """Check the values of the options of encoders.

    Raises:
        UsageError: One cannot be, alone or with the others.
    """
    spec.choice("pooling", (*POOLINGS, "eos"))
    spec.choice("attention", ("causal", "bidirectional"))
    for option in ("pool_prompt", "pool_template", "normalize"):
        spec.flag(option)
    spec.integer("layer", signed=True)
    template(spec)
    if spec.integer("token_prepending") and spec.options.get("pooling") not in ("last", "eos"):
        raise UsageError(
            "token_prepending needs pooling=last or pooling=eos: what it prepends is the last "
            "token's state."
        )


def encoder_options(spec: Spec) -> dict[str, str]:
    """Return the options that change vectors before they are cached."""
    return {
        key: value
        for key, value in spec.options.items()
        if key != "dim" and (key, value.lower()) != ("normalize", "true")
    }


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
    return load_encoder(spec, folder, placement, found)
