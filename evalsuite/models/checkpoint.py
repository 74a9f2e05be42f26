"""Checkpoints of sentence-transformers and of Hugging Face encoders, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from evalsuite.engines.chunking import POOLINGS as CHUNK_POOLINGS
from evalsuite.engines.chunking import Chunking
from evalsuite.engines.encode import PlainEncoder, Prompts, TokenEncoder
from evalsuite.engines.finish import QUANTIZERS, Finish
from evalsuite.errors import UsageError
from evalsuite.models import counting, files, model2vec, reranker, sentence
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
COMMON = (
    "as",
    "layer",
    "dim",
    "normalize",
    "quantize",
    "query_prompt",
    "document_prompt",
    "prompt",
    *("chunk", "overlap", "chunk_pooling"),
)
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
    if spec.options.get("as") in (None, "static") and model2vec.is_checkpoint(folder):
        return model2vec.resolve_folder(spec, folder, name)
    if reranker.is_reranker(spec, folder):
        return reranker.resolve_folder(spec, folder, name)
    has_modules = (folder / "modules.json").is_file()
    asked = spec.choice("as", (*_ADAPTERS, *sentence.VERBS, "static", "reranker"))
    special = asked or sentence.kind_of(folder)
    if special in sentence.VERBS:
        return sentence.resolve_folder(spec, folder, name, special)
    if asked == "static":
        raise UsageError(f"'{name}' holds no static embeddings: leave out as=static.")
    kind = asked or (
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
        load=partial(_load, spec, folder, kind, found, layers(spec)),
        load_layers=partial(_load, spec, folder, kind, found),
        options=spec.options,
        native_dtype=files.native_dtype(folder),
        prompts=found,
        finish=finish(spec),
        encoder_options=encoder_options(spec),
        moved_by=MOVED_BY,
        chunking=chunking(spec),
        count=partial(counting.of_checkpoint, folder, modules=kind == "sentence-transformers"),
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
    chunking(spec)
    if spec.integer("token_prepending") and spec.options.get("pooling") not in ("last", "eos"):
        raise UsageError(
            "token_prepending needs pooling=last or pooling=eos: what it prepends is the last "
            "token's state."
        )


def finish(spec: Spec) -> Finish:
    """Return what a spec asks to be done to vectors after the cache.

    Raises:
        UsageError: An option cannot be.
    """
    return Finish(
        dim=spec.integer("dim"),
        normalize=bool(spec.flag("normalize")),
        quantize=spec.choice("quantize", QUANTIZERS),
    )


def encoder_options(spec: Spec) -> dict[str, str]:
    """Return the options that change vectors before they are cached."""
    return {
        key: value
        for key, value in spec.options.items()
        if key not in ("dim", "quantize") and (key, value.lower()) != ("normalize", "true")
    }


def chunking(spec: Spec) -> Chunking | None:
    """Return how a spec asks for long texts to be cut, or None.

    Raises:
        UsageError: An option cannot be.
    """
    tokens, overlap = spec.integer("chunk"), spec.integer("overlap") or 0
    pooling = spec.choice("chunk_pooling", CHUNK_POOLINGS) or CHUNK_POOLINGS[0]
    if tokens is None:
        if "overlap" in spec.options or "chunk_pooling" in spec.options:
            raise UsageError("overlap= and chunk_pooling= need chunk=TOKENS.")
        return None
    if overlap >= tokens:
        raise UsageError(f"overlap={overlap} must be less than chunk={tokens}.")
    return Chunking(tokens, overlap, pooling)


def layers(spec: Spec) -> tuple[int, ...]:
    """Return the layer a spec asks for; empty for the last."""
    layer = spec.integer("layer", signed=True)
    return () if layer is None else (layer,)


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
    spec: Spec,
    folder: Path,
    kind: str,
    found: Prompts,
    layers: Sequence[int],
    placement: Placement,
) -> TokenEncoder | PlainEncoder:
    from evalsuite.models.transformer import load_encoder, load_sentence_transformer

    if kind == "sentence-transformers":
        return load_sentence_transformer(spec, folder, placement, found, layers)
    return load_encoder(spec, folder, placement, found, layers)
