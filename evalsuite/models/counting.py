"""Counting what a model costs, from the headers of its weights and its configuration, or an object.

Nothing is loaded, so a run whose vectors are cached says it too. What does not run does not count:
heads that are not loaded, layers that are cut off.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from evalsuite.cost import Cost
from evalsuite.errors import ModelError
from evalsuite.models import files

Shapes = Mapping[str, tuple[int, ...]]

# Each layer of these multiplies every token with every matrix of it once, and attends once.
_CUT_ANYWHERE = {"bert", "roberta", "xlm-roberta", "electra", "camembert", "mpnet"}
_CUT_AS_DECODER = {"llama", "mistral", "qwen2", "qwen3", "gpt2"}
_NEVER_CUT = {"distilbert", "modernbert", "gpt_neox"}
_KNOWN = _CUT_ANYWHERE | _CUT_AS_DECODER | _NEVER_CUT

_BASE = re.compile(r"^(bert|roberta|electra|mpnet|distilbert|transformer|model|gpt_neox)\.")
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h)\.(\d+)\.")
_TABLE = re.compile(
    r"(?:^|\.)(?:\w*embeddings?|embed_tokens|embed_in|wte|wpe|relative_attention_bias|shared)"
    r"\.weight$"
)
_BUFFER = re.compile(r"(?:^|\.)(?:position_ids|token_type_ids|inv_freq|masked_bias)$")
_FLOATS = {"F64", "F32", "F16", "BF16"}
_NO_WEIGHTS = {"Pooling", "Normalize"}
_ONCE_A_TEXT = _NO_WEIGHTS | {"Dense", "LayerNorm"}


def of_checkpoint(folder: Path, layer: int | None, *, modules: bool) -> Cost:
    """Count a checkpoint as its adapter runs it; nothing is known of one that cannot be read.

    Args:
        folder: Where the files are.
        layer: The layer asked for, from 1 or from the end, or None for the last.
        modules: Whether the modules of sentence-transformers run, or the transformer alone.
    """

    def count() -> Cost:
        if not modules:
            return _of_transformer(_shapes(folder), _config(folder), layer, decoder=True)
        parts = files.read_json(folder / "modules.json")
        found = (_of_module(folder / part["path"], _kind(part), layer) for part in parts)
        return sum(found, Cost(0, 0, 0, 0))

    return _known(count)


def of_weights(folder: Path) -> Cost:
    """Count the weights of a checkpoint whose arithmetic is its adapter's own."""

    def count() -> Cost:
        modules = files.read_json(folder / "modules.json") or ()
        parts = {folder, *(folder / module["path"] for module in modules)}
        found = [shapes for part in parts if (shapes := _shapes(part))]
        return sum((_weights(shapes) for shapes in found), Cost(0, 0)) if found else Cost()

    return _known(count)


def of_vectors(shapes: Iterable[tuple[int, ...]], dim: int, *, weighted: bool) -> Cost:
    """Count a table of a vector a token, of which a text is the mean.

    A token costs one operation a dimension for the mean, and one more where it is weighed.

    Args:
        shapes: Of the tables.
        dim: Dimensions of a vector.
        weighted: Whether each token has a weight.
    """
    n = sum(map(math.prod, shapes))
    return Cost(n, n, dim * (2 if weighted else 1), 0)


def of_object(model: Any) -> Cost:
    """Count a torch module by its parameters; of any other object nothing is known."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return Cost()
    if type(model).__module__.startswith("sentence_transformers.sentence_transformer"):
        return sum(map(_of_child, model.children()), Cost(0, 0, 0, 0))
    tables = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)
    }
    weights = [(id(one), one.numel()) for one in model.parameters()]
    return Cost(sum(n for _, n in weights), sum(n for at, n in weights if at in tables))


def _of_child(module: Any) -> Cost:
    """Count one module of a sentence-transformers object."""
    kind = type(module).__name__
    network = getattr(module, "auto_model", None) if kind == "Transformer" else None
    if network is None:
        shapes = {name: tuple(one.shape) for name, one in module.named_parameters()}
        return _of_parts(shapes, kind)
    shapes = {name: tuple(one.shape) for name, one in network.named_parameters()}
    config = network.config.to_dict()
    return _known(lambda: _of_transformer(shapes, config, None, decoder=False))


def _known(count: Callable[[], Cost]) -> Cost:
    """Return a count, or that nothing is known: a cost must never keep a score from its file."""
    try:
        return count()
    except (ModelError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return Cost()


def _kind(module: Mapping[str, Any]) -> str:
    """Return the class of a module, as modules.json names it."""
    return str(module["type"]).rpartition(".")[2]


def _of_module(folder: Path, kind: str, layer: int | None) -> Cost:
    """Count a module of a sentence-transformers checkpoint."""
    if kind == "Transformer":
        return _of_transformer(_shapes(folder), _config(folder), layer, decoder=False)
    return _of_parts({} if kind in _NO_WEIGHTS else _shapes(folder), kind)


def _of_parts(shapes: Shapes, kind: str) -> Cost:
    """Count a module that is no transformer: what runs once a text costs a token nothing."""
    if kind == "StaticEmbedding":
        (shape,) = shapes.values()
        return of_vectors([shape], shape[1], weighted=False)
    once = 0 if kind in _ONCE_A_TEXT else None
    found = _weights(shapes)
    return Cost(found.parameters, found.embedding_parameters, once, once)


def _weights(shapes: Shapes) -> Cost:
    tables = sum(math.prod(shape) for name, shape in shapes.items() if _is_table(name, shape))
    return Cost(sum(map(math.prod, shapes.values())), tables)


def _is_table(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and bool(_TABLE.search(name))


# ---- transformers


def _of_transformer(
    shapes: Shapes, config: Mapping[str, Any], layer: int | None, *, decoder: bool
) -> Cost:
    """Count a transformer without its head.

    Args:
        shapes: Of its weights by name.
        config: Its configuration.
        layer: The layer asked for.
        decoder: Whether the layers above one asked for are cut off decoders too.
    """
    if not shapes:
        return Cost()
    kind = config.get("model_type")
    if kind not in _KNOWN:
        return _weights(_base(shapes))
    layers = _first(config, "num_hidden_layers", "n_layer", "n_layers")
    if layer is not None and kind in _CUT_ANYWHERE | (_CUT_AS_DECODER if decoder else set()):
        layers = layer if layer > 0 else layer + layers + 1
    base = {name: shape for name, shape in _base(shapes).items() if _depth(name) < layers}
    weights = _weights(base)
    multiplied = sum(
        math.prod(shape)
        for name, shape in base.items()
        if len(shape) == 2 and not _is_table(name, shape) and "pooler." not in name
    )
    attention = 4 * layers * _width(config)
    return Cost(weights.parameters, weights.embedding_parameters, 2 * multiplied, attention)


def _base(shapes: Shapes) -> Shapes:
    """Return the weights below the head, where a checkpoint was saved with one."""
    within = {name: shape for name, shape in shapes.items() if _BASE.match(name)}
    whole = any(_is_table(name, shape) for name, shape in within.items())
    return within if whole else shapes  # DistilBERT itself calls its layers "transformer"


def _depth(name: str) -> int:
    """Return the layer a weight belongs to, from 0; -1 for none."""
    match = _LAYER.search(name)
    return int(match[1]) if match else -1


def _width(config: Mapping[str, Any]) -> int:
    """Return the dimensions of all of a layer's queries together."""
    heads = _first(config, "num_attention_heads", "n_head", "n_heads")
    own = config.get("head_dim")
    return heads * int(own) if own else _first(config, "hidden_size", "n_embd", "dim")


def _first(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if config.get(name) is not None:
            return int(config[name])
    raise KeyError(names[0])


# ---- files


def _config(folder: Path) -> Mapping[str, Any]:
    config: Mapping[str, Any] = files.read_json(folder / "config.json")
    return config


def _shapes(folder: Path) -> Shapes:
    """Return the shapes of the weights in a folder, without buffers.

    Raises:
        ModelError: They are quantised, so that shapes do not say how many there are.
    """
    shapes = {}
    for path in _weight_files(folder):
        for name, tensor in files.safetensors_header(path).items():
            shape = tuple(int(size) for size in tensor["shape"])
            if _is_buffer(name, shape):
                continue
            if tensor["dtype"] not in _FLOATS:
                raise ModelError(f"'{name}' is stored as {tensor['dtype']}.")
            shapes[name] = shape
    return shapes


def _is_buffer(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is no weight: positions, rotations, and the masks of old GPT-2 files."""
    return bool(_BUFFER.search(name)) or (name.endswith(".bias") and len(shape) > 2)


def _weight_files(folder: Path) -> list[Path]:
    """Return the files transformers loads: one, or the parts its index names."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(parts))]
    return sorted(folder.glob("*.safetensors"))
