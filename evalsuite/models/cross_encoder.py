"""Cross-encoders: a query and a document in one row, a classifier with one label on top.

A row's segments (``token_type_ids``) stand as flags above its token ids, so that a row alone says
what is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evalsuite.errors import ModelError
from evalsuite.models.base import Placement
from evalsuite.models.decoder import explicit_masks, is_causal, unfold_convolutions
from evalsuite.models.framing import TOKEN
from evalsuite.models.packing import pack_linears
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

_SECOND = 1 << 32
"""Flag of a token of the second segment."""
_ACTIVATIONS = {"identity": nn.Identity, "sigmoid": nn.Sigmoid}


@dataclass
class CrossEncoderScorer:
    """A classifier with one label, and what makes scores of its logits.

    Attributes:
        model: A transformers model for sequence classification.
        tokenizer: Its tokenizer.
        activation: Turns logits into scores.
        device: Where it runs.
        max_length: Longest row, in tokens.
    """

    model: Any
    tokenizer: Any
    activation: nn.Module
    device: str
    max_length: int

    def __post_init__(self) -> None:
        self._has_segments = "token_type_ids" in self.tokenizer.model_input_names
        self._positions = is_causal(self.model)

    @property
    def pad_id(self) -> int:
        """Token that fills up a row."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        return bool(self.tokenizer.padding_side == "left")

    def tokenize_pairs(self, queries: list[str], documents: list[str]) -> list[list[int]]:
        """Return rows of flagged ids; the longer text of a pair too long is cut first."""
        encoded = self.tokenizer(
            queries,
            documents,
            truncation="longest_first",
            max_length=self.max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=self._has_segments,
        )
        rows: list[list[int]] = encoded["input_ids"]
        if not self._has_segments:
            return rows
        return [
            [token | (_SECOND if second else 0) for token, second in zip(row, kinds, strict=True)]
            for row, kinds in zip(rows, encoded["token_type_ids"], strict=True)
        ]

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Tensor:
        """Return scores ``[rows]`` in fp32."""
        flagged, real = (torch.from_numpy(array).to(self.device) for array in (ids, mask))
        features = {"input_ids": flagged & TOKEN, "attention_mask": real}
        if self._has_segments:
            features["token_type_ids"] = ((flagged & _SECOND) != 0).long()
        if self._positions:
            features["position_ids"] = (real.cumsum(dim=1) - 1).clamp_min(0)
        with torch.inference_mode():
            scores: Tensor = self.activation(self.model(**features).logits.float())
        return scores[:, 0]


class _Float32Head(nn.Module):
    """The last layer of a classifier in low precision, run in fp32 so that scores do not tie."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = nn.Linear(linear.in_features, 1, bias=linear.bias is not None)
        self.linear.load_state_dict(linear.state_dict())
        self.linear.to(linear.weight.device)

    def forward(self, states: Tensor) -> Tensor:
        """Return logits in fp32."""
        logits: Tensor = self.linear(states.float())
        return logits


def load_cross_encoder(spec: Spec, folder: Path, placement: Placement) -> CrossEncoderScorer:
    """Load a cross-encoder as sentence-transformers does, its activation and length included.

    Raises:
        ModelError: It cannot be loaded, or is no plain classifier.
    """
    from evalsuite.models.transformer import quiet

    quiet()
    from sentence_transformers import CrossEncoder

    try:
        cross = CrossEncoder(
            str(folder),
            device=placement.device,
            trust_remote_code=placement.trust_remote_code,
            model_kwargs={"dtype": getattr(torch, placement.dtype), "use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        raise ModelError(f"Cannot load '{spec.name}': {error}") from error
    return wrap_cross_encoder(cross, spec, placement)


def wrap_cross_encoder(cross: Any, spec: Spec, placement: Placement) -> CrossEncoderScorer:
    """Return the engine's view of a CrossEncoder of sentence-transformers.

    Raises:
        ModelError: It has modules beside the classifier, or several labels.
    """
    if len(cross) != 1 or cross.num_labels != 1:
        raise ModelError(f"'{spec.name}' is no plain classifier with one label: it is not run.")
    activation = spec.options.get("activation")
    limits = [limit for limit in (placement.max_length, cross.max_seq_length) if limit]
    model = _prepared(cross.model, cross.tokenizer, placement)
    return CrossEncoderScorer(
        model=model,
        tokenizer=cross.tokenizer,
        activation=_ACTIVATIONS[activation]() if activation else cross.activation_fn,
        device=placement.device,
        max_length=min(limits, default=512),
    )


def _prepared(model: Any, tokenizer: Any, placement: Placement) -> Any:
    """Make a classifier's scores independent of what is beside a pair in its batch."""
    explicit_masks(model)
    if model.config.pad_token_id is None:  # decoders look for the last token that is no padding
        model.config.pad_token_id = tokenizer.pad_token_id
    if placement.dtype != "float32":
        _keep_head(model)
    if placement.device_type == "cpu":
        unfold_convolutions(model)
        pack_linears(model)
    return model.eval()


def _keep_head(model: nn.Module) -> None:
    """Run the layers with one output in fp32."""
    for path, module in list(model.named_modules()):
        if type(module) is nn.Linear and module.out_features == 1:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, _Float32Head(module))
