"""Language models as encoders: templates, attention both ways, inner layers, Token Prepending.

Everything here also serves encoders that are given a template; only the attention switch and Token
Prepending ask for a causal model.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evalsuite.engines.encode import Prompts, Role
from evalsuite.errors import ModelError
from evalsuite.models.framing import PLACEHOLDER, POOLED_WHOLE, TOKEN, Framing, template
from evalsuite.models.packing import pack_linears
from evalsuite.models.pooling import hidden_states, pool, side_by_side
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

_ATTENTION = "evalsuite"
_TRUNKS = (("layers", "norm"), ("h", "ln_f"))
"""Where a model keeps its layers, and the norm that follows the last."""


def is_causal(model: Any) -> bool:
    """Whether a model's tokens see none after them."""
    return any(getattr(module, "is_causal", False) is True for module in model.modules())


def asks_for_framing(spec: Spec) -> bool:
    """Whether a spec has options that only :class:`FramedEncoder` knows."""
    named = {"template", "pool_template", "pool_prompt", "attention", "token_prepending"}
    return bool(named & set(spec.options)) or spec.options.get("pooling") == "eos"


@dataclass
class FramedEncoder:
    """A model behind a frame: what is put around texts, and which token states are pooled.

    Attributes:
        model: A transformers model without a head.
        framing: Makes rows of flagged token ids.
        pooling: Name of the pooling.
        device: Where it runs.
        layers: Layers whose hidden states are read, from 1; empty for the last.
        prepending: Writes sentence embeddings into the placeholder, or None.
    """

    model: Any
    framing: Framing
    pooling: str
    device: str
    layers: Sequence[int] = ()
    prepending: Prepending | None = None

    def __post_init__(self) -> None:
        known = inspect.signature(self.model.forward).parameters
        self._positions = is_causal(self.model) and "position_ids" in known
        self._options: dict[str, Any] = {"use_cache": False} if "use_cache" in known else {}

    @property
    def tokenizer(self) -> Any:
        """Its fast tokenizer."""
        return self.framing.tokenizer

    @property
    def max_length(self) -> int:
        """Longest row, in tokens."""
        return self.framing.max_length

    @property
    def pad_id(self) -> int:
        """Token that fills up a row; masked, so any valid id does."""
        tokenizer = self.framing.tokenizer
        pad = tokenizer.pad_token_id
        return int(pad if pad is not None else tokenizer.eos_token_id or 0)

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        return bool(self.framing.tokenizer.padding_side == "left")

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Return token ids with flags, cut at the maximum length."""
        return self.framing.rows(texts)

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64], role: Role) -> Tensor:
        """Return vectors ``[rows, dim]`` in fp32, those of several layers side by side."""
        real = torch.from_numpy(mask).to(self.device)
        flagged = torch.from_numpy(ids).to(self.device)
        pooling = "last" if self.pooling == "eos" else self.pooling
        with torch.inference_mode():
            pooled = real if self.pooling in POOLED_WHOLE else self._pooled(flagged, real, role)
            layers = self._states(flagged, real)
            return side_by_side(pool(states.float(), pooled, pooling) for states in layers)

    def _pooled(self, flagged: Tensor, mask: Tensor, role: Role) -> Tensor:
        """Return which tokens are pooled."""
        pooled = mask * ((flagged & self.framing.excluded(role)) == 0)
        # an empty text has no token of its own: its frame stands for it
        return torch.where(pooled.any(dim=1, keepdim=True), pooled, mask)

    def _states(self, flagged: Tensor, mask: Tensor) -> list[Tensor]:
        """Return token states ``[rows, length, dim]`` of the layers asked for."""
        options = dict(self._options)
        if self._positions:  # counted from the first real token, on whichever side the padding is
            options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp_min(0)
        if self.prepending is not None:
            self.prepending.begin(flagged, mask)
        inputs = {"input_ids": flagged & TOKEN, "attention_mask": mask, **options}
        return hidden_states(self.model, self.layers, **inputs)


def framed(
    spec: Spec,
    model: Any,
    tokenizer: Any,
    prompts: Prompts,
    *,
    max_length: int,
    layers: Sequence[int],
) -> FramedEncoder:
    """Return a loaded model as an encoder with the options a spec asks for.

    Args:
        spec: Its options.
        model: A transformers model without a head, in evaluation mode, where it shall run.
        tokenizer: Its fast tokenizer.
        prompts: What the engine puts before texts.
        max_length: Longest row, in tokens.
        layers: Layers to read, from 1; empty for the last.

    Raises:
        ModelError: The model lacks what an option needs.
    """
    pooling, causal = spec.options.get("pooling", "mean"), is_causal(model)
    steps = spec.integer("token_prepending")
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"'{spec.name}' has no fast tokenizer (tokenizer.json), which is needed.")
    if pooling == "eos" and tokenizer.eos_token_id is None:
        raise ModelError(f"The tokenizer of '{spec.name}' has no EOS token: use pooling=last.")
    if not causal and ("attention" in spec.options or steps):
        raise ModelError(
            f"'{spec.name}' is no causal model: leave out attention= and token_prepending=."
        )
    device = next(model.parameters()).device
    if causal:
        explicit_masks(model)
    if spec.options.get("attention") == "bidirectional":
        _attend_both_ways(model, spec.name)
    lowest = min(layers, default=model.config.num_hidden_layers)
    prepending = None if steps is None else Prepending.on(model, steps, lowest, spec.name)
    layers = _cut(model, layers)
    if device.type == "cpu":
        unfold_convolutions(model)
        pack_linears(model)
    framing = Framing(
        tokenizer=tokenizer,
        max_length=max_length,
        template=template(spec),
        pool_template=bool(spec.flag("pool_template")),
        prompts=prompts,
        eos=tokenizer.eos_token_id if pooling == "eos" else None,
        placeholder=steps is not None,
    )
    return FramedEncoder(model, framing, pooling, str(device), layers, prepending)


def explicit_masks(model: Any) -> None:
    """Make a model build its attention mask for every batch.

    Transformers leaves the mask out where no row of a batch is padded and asks for another kernel,
    so that a text's bits would depend on the texts beside it.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def mask(*args: Any, **options: Any) -> Any:
        skips = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        return sdpa_mask(*args, **(options | skips))

    if model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(_ATTENTION, sdpa_attention_forward)
    AttentionMaskInterface.register(_ATTENTION, mask)
    model.set_attn_implementation(_ATTENTION)


def _attend_both_ways(model: Any, name: str) -> None:
    """Let every token see those after it.

    Raises:
        ModelError: The first token's state still does not depend on a later token.
    """
    model.config.is_causal = False
    ids = torch.tensor([[0, 1, 0], [0, 1, 2]], device=next(model.parameters()).device)
    with torch.inference_mode():
        first, other = model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    if torch.equal(first, other):
        raise ModelError(
            f"attention=bidirectional: transformers has no such switch for the "
            f"{model.config.model_type} model '{name}'. Leave the option out."
        )


def _trunk(model: Any) -> tuple[str, str] | None:
    """Return the names of a model's layers and of its last norm, if they are where one looks."""
    for layers, norm in _TRUNKS:
        if isinstance(getattr(model, layers, None), nn.ModuleList) and hasattr(model, norm):
            return layers, norm
    return None


def _cut(model: Any, layers: Sequence[int]) -> Sequence[int]:
    """Cut off what is above the highest layer, which changes no state below.

    Returns the layers still to read: none where the one asked for is now the last.

    The last layer is read after the norm that follows it, the others before it, which is what
    transformers' ``hidden_states`` holds.
    """
    names, highest = _trunk(model), max(layers, default=model.config.num_hidden_layers)
    if highest < model.config.num_hidden_layers:
        if names is None:
            return layers
        setattr(model, names[0], getattr(model, names[0])[:highest])
        setattr(model, names[1], nn.Identity())
    return layers if len(layers) > 1 else ()


def unfold_convolutions(module: nn.Module) -> None:
    """Replace GPT-2's transposed linear layers by plain ones, which can be packed."""
    from transformers.pytorch_utils import Conv1D

    for name, child in module.named_children():
        if type(child) is Conv1D:
            inner, outer = child.weight.shape
            linear = nn.Linear(inner, outer, device="meta")
            linear.weight = nn.Parameter(child.weight.detach().T.contiguous())
            linear.bias = nn.Parameter(child.bias.detach())
            setattr(module, name, linear)
        else:
            unfold_convolutions(child)


class Prepending:
    """Token Prepending (Fu et al. 2024): a token before the text shows it how the text goes on.

    From the second layer to the ``steps``-th, the state of a placeholder before the text is
    replaced by the sentence embedding so far, which is the last token's state after the layer
    below. Below the first layer it is a random vector, always the same one.
    """

    def __init__(self) -> None:
        self._rows: Tensor
        self._place: Tensor
        self._last: Tensor

    @classmethod
    def on(cls, model: Any, steps: int, layers: int, name: str) -> Prepending:
        """Return one that is hooked into a model's layers.

        Raises:
            ModelError: There are fewer layers than steps, or they are not where one looks.
        """
        trunk = _trunk(model)
        if trunk is None:
            raise ModelError(f"token_prepending: the layers of '{name}' are not known.")
        if not 2 <= steps <= layers:
            raise ModelError(
                f"token_prepending={steps}: the last layer to write to is one from 2 to {layers}."
            )
        own = cls()
        embeddings = model.get_input_embeddings()
        noise = torch.randn(embeddings.embedding_dim, generator=torch.Generator().manual_seed(0))
        start = noise.to(embeddings.weight)
        embeddings.register_forward_hook(lambda _module, _args, out: own._started(out, start))
        for one in getattr(model, trunk[0])[1:steps]:
            one.register_forward_pre_hook(lambda _module, args: (own._written(args[0]), *args[1:]))
        return own

    def begin(self, flagged: Tensor, mask: Tensor) -> None:
        """Note where each row of a batch has its placeholder and its last token."""
        placed = (flagged & PLACEHOLDER) != 0
        self._rows, self._place = placed.nonzero(as_tuple=True)
        self._last = mask.cumsum(dim=1).argmax(dim=1)[self._rows]

    def _started(self, embedded: Tensor, start: Tensor) -> Tensor:
        embedded = embedded.clone()
        embedded[self._rows, self._place] = start
        return embedded

    def _written(self, states: Tensor) -> Tensor:
        states = states.clone()
        states[self._rows, self._place] = states[self._rows, self._last]
        return states
