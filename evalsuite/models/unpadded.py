"""BERT's forward pass over texts laid end to end: no padding, no mask, any lengths in one batch.

Linear layers, norms and activations run over all tokens of a batch at once; attention runs over
each run of texts of equal length. A text is computed in shapes that depend on it alone, so its bits
do not depend on its batch, as long as a row of a product does not depend on the others: oneDNN's
packed products keep that (in low precision from 512 rows on), MKL's do not.

Measured against the padded forward of transformers on 29,000 short texts: 1.2x in
fp32, 1.4x in bf16.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from evalsuite.models.packing import Packed, can_pack

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

_CLASSES = {
    "BertModel": "bert",
    "RobertaModel": "roberta",
    "XLMRobertaModel": "xlm-roberta",
    "CamembertModel": "camembert",
}


@dataclass(frozen=True)
class _Layer:
    """One encoder layer: packed products, and the norms after attention and feed-forward."""

    qkv: Packed
    attended: Packed
    attended_norm: nn.LayerNorm
    up: Packed
    down: Packed
    norm: nn.LayerNorm

    def __call__(self, x: Tensor, lengths: Sequence[int], heads: int) -> Tensor:
        """Return the layer's states; ``[tokens, dim]`` -> ``[tokens, dim]``."""
        attended = attention(self.qkv(x), lengths, heads)
        x = self.attended_norm(self.attended.add(attended, x))
        states: Tensor = self.norm(self.down.add(self.up.gelu(x), x))
        return states


class UnpaddedBert:
    """The layers of a BERT-like encoder, run over texts laid end to end.

    Args:
        model: A ``BertModel``, ``RobertaModel``, ``XLMRobertaModel`` or ``CamembertModel``.
        layers: Layers whose states are returned, from 1; empty for the last.
    """

    def __init__(self, model: Any, layers: Sequence[int] = ()) -> None:
        self._embeddings = model.embeddings
        self._heads: int = model.config.num_attention_heads
        is_bert = model.config.model_type == "bert"
        self._padding: int | None = None if is_bert else model.config.pad_token_id
        self._layers = [_packed_layer(layer) for layer in model.encoder.layer]
        self._read = layers or (len(self._layers),)

    def __call__(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the hidden states of all tokens after each layer read, ``[tokens, dim]``.

        Args:
            rows: Token ids of each text, none empty; neighbours of equal length share attention.
        """
        lengths = [len(row) for row in rows]
        ids = torch.tensor([token for row in rows for token in row])
        embed = self._embeddings
        x = embed.word_embeddings(ids) + embed.token_type_embeddings.weight[0]
        places = self._positions(ids, lengths)
        states: Tensor = embed.LayerNorm(x + embed.position_embeddings(places))
        after: dict[int, Tensor] = {}
        for number, layer in enumerate(self._layers, start=1):
            states = layer(states, lengths, self._heads)
            if number in self._read:
                after[number] = states
        return [after[layer] for layer in self._read]

    def _positions(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return each token's position; RoBERTa's count from one past the padding token's id."""
        counted = torch.ones_like(ids) if self._padding is None else (ids != self._padding).long()
        ends = torch.tensor(lengths).cumsum(0)
        running = counted.cumsum(0)
        before = torch.cat([running.new_zeros(1), running[ends[:-1] - 1]])
        within = running - before.repeat_interleave(torch.tensor(lengths))
        return within - 1 if self._padding is None else within * counted + self._padding


def spans(lengths: Sequence[int]) -> Iterator[tuple[slice, int, int]]:
    """Yield each run of equal lengths as (its slice of the tokens, texts, tokens a text)."""
    start = 0
    for length, group in groupby(lengths):
        texts = len(list(group))
        yield slice(start, start + texts * length), texts, length
        start += texts * length


def attention(qkv: Tensor, lengths: Sequence[int], heads: int) -> Tensor:
    """Return self-attention within each text.

    Args:
        qkv: Queries, keys and values side by side, ``[tokens, 3 * dim]``.
        lengths: Tokens of each text.
        heads: Number of attention heads.

    Returns:
        ``[tokens, dim]``.
    """
    out = qkv.new_empty(qkv.shape[0], qkv.shape[1] // 3)
    for span, texts, length in spans(lengths):
        part = qkv[span].view(texts, length, 3, heads, -1)
        q, k, v = (part[:, :, i].transpose(1, 2) for i in range(3))
        attended = functional.scaled_dot_product_attention(q, k, v)
        out[span].view(texts, length, heads, -1).copy_(attended.transpose(1, 2))
    return out


def unpadded(model: Any, layers: Sequence[int] = ()) -> UnpaddedBert | None:
    """Return a model's layers for texts laid end to end, or None if they are not plainly BERT's.

    Args:
        model: A transformers model, loaded on the CPU.
        layers: Layers whose states are returned, from 1; empty for the last.
    """
    if not _is_plain_bert(model) or not can_pack():
        return None
    try:
        return UnpaddedBert(model, layers)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        log.info("Texts are padded: %s", error)
        return None


def _is_plain_bert(model: Any) -> bool:
    """Whether every part is exactly what :class:`UnpaddedBert` computes: no adapters, no quirks."""
    config = model.config
    return (
        _CLASSES.get(type(model).__name__) == config.model_type
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not getattr(config, "is_decoder", False)
        and all(
            type(module) is nn.Linear and module.bias is not None
            for layer in model.encoder.layer
            for module in _linears(layer)
        )
    )


def _linears(layer: Any) -> tuple[Any, ...]:
    own = layer.attention.self
    outputs = layer.attention.output.dense, layer.intermediate.dense, layer.output.dense
    return own.query, own.key, own.value, *outputs


def _packed_layer(layer: Any) -> _Layer:
    query, key, value, attended, up, down = _linears(layer)
    qkv = nn.Linear(query.in_features, 3 * query.out_features, device="meta")
    qkv.weight = nn.Parameter(torch.cat([part.weight for part in (query, key, value)]))
    qkv.bias = nn.Parameter(torch.cat([part.bias for part in (query, key, value)]))
    return _Layer(
        qkv=Packed(qkv),
        attended=Packed(attended),
        attended_norm=layer.attention.output.LayerNorm,
        up=Packed(up),
        down=Packed(down),
        norm=layer.output.LayerNorm,
    )
