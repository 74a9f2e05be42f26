"""Checkpoints of llama2.c: a Llama in one file of floats, its vocabulary in another.

The format is version 0 of llama2.c's ``export.py``: seven integers, then fp32 weights. The file
becomes transformers' own Llama, and the vocabulary a tokenizer that merges as llama2.c does.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.cost import Cost
from evalsuite.engines.encode import Prompts, TokenEncoder
from evalsuite.errors import ModelError
from evalsuite.models import checkpoint, reranker
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    import torch

_HEADER = struct.Struct("<7i")
_NEWER = struct.pack("<I", 0x616B3432)  # the magic number of versions 1 and 2
_MOST = 1 << 20  # of anything a header counts
_SPECIAL = ("<unk>", "<s>", "</s>")
_MULTIPLIED = ("query", "key", "value", "attended", "gate", "down", "up")


@dataclass(frozen=True)
class Shape:
    """What the header of a file says.

    Attributes:
        dim: Size of a state.
        hidden: Size inside the feed-forward layers.
        layers: Number of layers.
        heads: Attention heads.
        kv_heads: Heads of keys and values.
        vocabulary: Number of tokens.
        length: Longest text, in tokens.
        tied: Whether the output layer is the embedding.
    """

    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    length: int
    tied: bool

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return what follows the header, in order: name to shape."""
        layers, dim, hidden = self.layers, self.dim, self.hidden
        keys = dim // self.heads * self.kv_heads
        rotations = (self.length, dim // self.heads // 2)
        output = {} if self.tied else {"output": (self.vocabulary, dim)}
        return {
            "embedding": (self.vocabulary, dim),
            "attention_norm": (layers, dim),
            "query": (layers, dim, dim),
            "key": (layers, keys, dim),
            "value": (layers, keys, dim),
            "attended": (layers, dim, dim),
            "feed_norm": (layers, dim),
            "gate": (layers, hidden, dim),
            "down": (layers, dim, hidden),
            "up": (layers, hidden, dim),
            "norm": (dim,),
            "cosines": rotations,
            "sines": rotations,
            **output,
        }


def is_checkpoint(path: Path) -> bool:
    """Whether a file begins like one of llama2.c, whole or not."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    return head.startswith(_NEWER) or _shape(head) is not None


def resolve(spec: Spec) -> Resolved:
    """Resolve a llama2.c file; its vocabulary lies beside it.

    Raises:
        UsageError: An option cannot be.
        ModelError: The file is none of llama2.c, is cut off, or has no vocabulary beside it.
    """
    path = Path(spec.name).expanduser()
    if spec.choice("as", ("encoder", "reranker", "static")) == "reranker":
        return _reranker(spec, path)
    spec.check_options((*checkpoint.COMMON, *checkpoint.FRAMING))
    checkpoint.check_encoder_options(spec)
    digest = _digest(path)
    found = checkpoint.prompts(spec, pooled=spec.flag("pool_prompt") is not False)
    return Resolved(
        name=path.name,
        identity=digest,
        revision=digest[:12],
        load=partial(_load, spec, path, found, checkpoint.layers(spec)),
        load_layers=partial(_load, spec, path, found),
        options=spec.options,
        native_dtype="float32",
        prompts=found,
        finish=checkpoint.finish(spec),
        encoder_options=checkpoint.encoder_options(spec),
        moved_by=("torch", "transformers"),
        chunking=checkpoint.chunking(spec),
        count=partial(_count, path),
    )


def _count(path: Path, layer: int | None) -> Cost:
    """Count the transformer without its output layer, up to a layer."""
    shape = read_shape(path)
    if layer is not None:
        shape = replace(shape, layers=layer if layer > 0 else layer + shape.layers + 1)
    sizes = {name: _size(part) for name, part in shape.tensors().items()}
    multiplied = sum(sizes[name] for name in _MULTIPLIED)
    norms = sum(sizes[name] for name in ("attention_norm", "feed_norm", "norm"))
    table = sizes["embedding"]
    return Cost(table + multiplied + norms, table, 2 * multiplied, 4 * shape.layers * shape.dim)


def _reranker(spec: Spec, path: Path) -> Resolved:
    """Resolve a file as a reranker that scores with the language model."""
    reranker.check_language_model(spec)
    digest = _digest(path)
    return Resolved(
        name=path.name,
        identity=digest,
        revision=digest[:12],
        load=partial(_load_reranker, spec, path),
        verbs=("score_pairs",),
        options=spec.options,
        native_dtype="float32",
        kind="reranker",
        moved_by=("torch", "transformers"),
    )


def _digest(path: Path) -> str:
    """Return the hash of a checkpoint and its vocabulary."""
    digest = hashlib.sha256()
    for part in (path, vocabulary_file(path, read_shape(path))):
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _load_reranker(spec: Spec, path: Path, placement: Placement) -> Any:
    import torch

    from evalsuite.models.prompted import prompted

    model, tokenizer = load(path)
    return prompted(model.to(getattr(torch, placement.dtype)), tokenizer, spec, placement)


def _load(
    spec: Spec, path: Path, prompts: Prompts, layers: Sequence[int], placement: Placement
) -> TokenEncoder:
    import torch

    from evalsuite.models.transformer import wrap_encoder

    model, tokenizer = load(path)
    model = model.to(getattr(torch, placement.dtype))
    return wrap_encoder(model.model, tokenizer, spec, placement, prompts, layers)


def load(path: Path) -> tuple[Any, Any]:
    """Return transformers' Llama with its language-model head, in fp32, and its tokenizer.

    Raises:
        ModelError: The file is none of llama2.c, is cut off, or has no vocabulary beside it.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = read_shape(path)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.dim,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.length,
        rms_norm_eps=1e-5,
        tie_word_embeddings=shape.tied,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.device("meta"):
        model: Any = LlamaForCausalLM(config)
    model = model.to_empty(device="cpu")
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # holds no weights of the file
    _fill(model, _weights(path, shape), shape)
    return model.eval(), tokenizer(vocabulary_file(path, shape), shape.vocabulary)


def read_shape(path: Path) -> Shape:
    """Read the header of a file and check it against the file's size.

    Raises:
        ModelError: The file is none of llama2.c, of a newer version, or of another size.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"Cannot read '{path.name}': {error.strerror}.") from error
    if head.startswith(_NEWER):
        raise ModelError(
            f"'{path.name}' is a llama2.c file of version 1 or 2; version 0 is read. Write it with "
            "llama2.c's `export.py --version 0`."
        )
    shape = _shape(head)
    if shape is None:
        raise ModelError(
            f"'{path.name}' is no llama2.c checkpoint: its header makes no sense. Word vectors are "
            "read with as=static."
        )
    whole = _HEADER.size + 4 * sum(_size(part) for part in shape.tensors().values())
    if size != whole:
        raise ModelError(
            f"'{path.name}' has {size:,} bytes and by its header should have {whole:,}: it is cut "
            "off or damaged. Copy it again."
        )
    return shape


def vocabulary_file(path: Path, shape: Shape) -> Path:
    """Return the file of a checkpoint's vocabulary.

    Raises:
        ModelError: There is none beside it.
    """
    names = (f"tok{shape.vocabulary}.bin", "tokenizer.bin")
    for name in names:
        if (path.parent / name).is_file():
            return path.parent / name
    raise ModelError(
        f"'{path.name}' has no tokenizer: put llama2.c's {' or '.join(names)} beside it."
    )


def read_vocabulary(path: Path, size: int) -> list[tuple[str, float]]:
    """Read a vocabulary as (piece, score), in order of ids; higher scores are merged first.

    Raises:
        ModelError: It holds another number of pieces, or is cut off.
    """
    data, pieces, position = path.read_bytes(), [], 4
    try:
        while position < len(data):
            score, length = struct.unpack_from("<fi", data, position)
            position += 8 + length
            if length < 0 or position > len(data):
                raise ValueError("a piece ends beyond the file")
            pieces.append((data[position - length : position].decode("utf-8"), score))
    except (struct.error, ValueError) as error:
        raise ModelError(f"'{path.name}' is no llama2.c vocabulary: {error}.") from error
    if len(pieces) != size:
        raise ModelError(
            f"'{path.name}' holds {len(pieces)} pieces, the checkpoint needs {size}: it belongs to "
            "another one."
        )
    return pieces


def tokenizer(path: Path, size: int) -> Any:
    """Return a fast tokenizer for a vocabulary.

    As llama2.c does, it puts a space before the text, starts from characters (bytes where one is
    unknown) and merges the neighbours whose union scores highest, leftmost first.

    Raises:
        ModelError: The vocabulary cannot be read.
    """
    from tokenizers import Tokenizer, decoders, normalizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    pieces = read_vocabulary(path, size)
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    for i, name in enumerate(_SPECIAL):
        ids = {piece: at for piece, at in ids.items() if at != i} | {name: i}
    known = sorted(range(len(_SPECIAL), size), key=lambda i: -pieces[i][1])
    merges = [pair for i in known for pair in _halves(pieces[i][0], ids)]
    core = Tokenizer(BPE(ids, merges, unk_token=_SPECIAL[0], fuse_unk=False, byte_fallback=True))
    core.normalizer = normalizers.Prepend(" ")
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    core.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=core,
        unk_token=_SPECIAL[0],
        bos_token=_SPECIAL[1],
        eos_token=_SPECIAL[2],
        split_special_tokens=True,  # "<s>" in a text is four characters
    )


def _halves(piece: str, known: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the pairs of known pieces that make up a piece; bytes are never merged."""
    if len(piece) == 6 and piece.startswith("<0x"):
        return []
    splits = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
    return [(left, right) for left, right in splits if left in known and right in known]


def _shape(head: bytes) -> Shape | None:
    """Return what a header says, or None if it is none."""
    if len(head) < _HEADER.size:
        return None
    dim, hidden, layers, heads, kv_heads, vocabulary, length = _HEADER.unpack(head)
    shape = Shape(dim, hidden, layers, heads, kv_heads, abs(vocabulary), length, vocabulary > 0)
    counts = (dim, hidden, layers, heads, kv_heads, shape.vocabulary, length)
    if not all(0 < count <= _MOST for count in counts):
        return None
    return shape if dim % (2 * heads) == 0 and heads % kv_heads == 0 else None


def _size(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _weights(path: Path, shape: Shape) -> dict[str, torch.Tensor]:
    import torch

    data = np.fromfile(path, "<f4", offset=_HEADER.size)
    weights, start = {}, 0
    for name, size in shape.tensors().items():
        part = data[start : start + _size(size)].reshape(size)
        weights[name] = torch.from_numpy(part.astype(np.float32))
        start += _size(size)
    return weights


def _halved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder a projection's rows: llama2.c rotates neighbours, transformers the two halves."""
    rows, dim = weight.shape
    return weight.view(heads, rows // heads // 2, 2, dim).transpose(1, 2).reshape(rows, dim)


def _fill(model: Any, weights: Mapping[str, torch.Tensor], shape: Shape) -> None:
    """Put a file's weights into transformers' Llama."""
    state = {
        "model.embed_tokens.weight": weights["embedding"],
        "model.norm.weight": weights["norm"],
        "lm_head.weight": weights["embedding" if shape.tied else "output"],
    }
    for i in range(shape.layers):
        layer = {
            "input_layernorm": weights["attention_norm"][i],
            "self_attn.q_proj": _halved(weights["query"][i], shape.heads),
            "self_attn.k_proj": _halved(weights["key"][i], shape.kv_heads),
            "self_attn.v_proj": weights["value"][i],
            "self_attn.o_proj": weights["attended"][i],
            "post_attention_layernorm": weights["feed_norm"][i],
            "mlp.gate_proj": weights["gate"][i],
            "mlp.down_proj": weights["down"][i],
            "mlp.up_proj": weights["up"][i],
        }
        state |= {f"model.layers.{i}.{name}.weight": tensor for name, tensor in layer.items()}
    model.load_state_dict(state)
