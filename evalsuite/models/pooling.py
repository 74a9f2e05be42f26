"""Pooling: from the states of a text's tokens to its vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Reduce token states to one vector a text.

    Args:
        states: ``[rows, length, dim]``.
        mask: ``[rows, length]``, 1 for real tokens.
        pooling: ``cls`` (first token), ``mean``, ``max``, ``last`` (last token) or
            ``weighted-mean`` (token i weighs i, from 1; Muennighoff 2022, SGPT).
    """
    real = mask.unsqueeze(-1).to(states.dtype)
    position = mask.cumsum(dim=1)
    rows = torch.arange(len(states), device=states.device)
    if pooling == "cls":
        return states[rows, mask.argmax(dim=1)]
    if pooling == "last":
        return states[rows, position.argmax(dim=1)]
    if pooling == "max":
        return states.masked_fill(real == 0, -torch.inf).amax(dim=1)
    if pooling == "weighted-mean":
        real = real * position.unsqueeze(-1).to(states.dtype)
    return (states * real).sum(dim=1) / real.sum(dim=1).clamp_min(1e-9)


def hidden_states(model: Any, layers: Sequence[int], **inputs: Any) -> list[Tensor]:
    """Return token states ``[rows, length, dim]`` of each layer from 1, or of the last alone.

    Args:
        model: A transformers model without a head.
        layers: Layers to read; empty for the last.
        inputs: What the model is called with.
    """
    output = model(**inputs, output_hidden_states=bool(layers))
    if not layers:
        return [output.last_hidden_state]
    return [output.hidden_states[layer] for layer in layers]


def side_by_side(vectors: Iterable[Tensor]) -> Tensor:
    """Put the vectors of several layers next to one another, in fp32; ``[rows, layers * dim]``."""
    return torch.cat([part.float() for part in vectors], dim=1)
