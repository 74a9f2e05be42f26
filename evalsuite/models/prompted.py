"""Language models as rerankers: what they say of a query and a document in a template.

With ``scoring=yes-no`` a score is the log-odds of the words yes and no as the next token
(Nogueira et al. 2020, Qwen3-Reranker), with ``scoring=query-likelihood`` the mean log-probability
of the query's tokens after the document (UPR, Sachan et al. 2022).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from evalsuite.errors import ModelError
from evalsuite.models.base import Placement
from evalsuite.models.decoder import explicit_masks, unfold_convolutions
from evalsuite.models.framing import TOKEN, tokens_of
from evalsuite.models.packing import pack_linears
from evalsuite.models.reranker import PairTemplate, Span, template
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

_QUERY = 1 << 32
"""Flag of a token of the query."""
_ROWS_OF_LOGITS = 256  # held at once: a vocabulary is large


@dataclass
class PromptedScorer:
    """A causal language model that scores filled templates.

    Attributes:
        model: A transformers model with its output layer.
        tokenizer: Its fast tokenizer.
        template: What is put around a query and a document.
        answers: Ids of yes and no, or None to score the query's likelihood.
        device: Where it runs.
        max_length: Longest row, in tokens; what is too long is cut from the document's end, then
            from the query's.
    """

    model: Any
    tokenizer: Any
    template: PairTemplate
    answers: tuple[int, int] | None
    device: str
    max_length: int

    def __post_init__(self) -> None:
        known = inspect.signature(self.model.base_model.forward).parameters
        self._positions = "position_ids" in known
        self._head = self.model.get_output_embeddings()
        alone = len(self.tokenizer(self.template.fill("", "")[0])["input_ids"])
        if alone >= self.max_length:
            raise ModelError(
                f"The template alone has {alone} tokens and a pair may have {self.max_length}: "
                "shorten the template or raise --max-length."
            )

    @property
    def pad_id(self) -> int:
        """Token that fills up a row; masked, so any valid id does."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        return bool(self.tokenizer.padding_side == "left")

    def tokenize_pairs(self, queries: list[str], documents: list[str]) -> list[list[int]]:
        """Return rows of token ids, the query's flagged where it is what is scored."""
        filled = [self.template.fill(*pair) for pair in zip(queries, documents, strict=True)]
        encoded = self.tokenizer(
            [whole for whole, _, _ in filled],
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=True,
        )
        return [
            self._row(ids, offsets, query, document)
            for ids, offsets, (_, query, document) in zip(
                encoded["input_ids"], encoded["offset_mapping"], filled, strict=True
            )
        ]

    def _row(self, ids: list[int], offsets: list[Span], query: Span, document: Span) -> list[int]:
        """Cut a row to the maximum length and flag the query's tokens."""
        asked = tokens_of(query, offsets)
        mine = set(asked)
        spare = [i for i in tokens_of(document, offsets) if i not in mine]
        excess = max(0, len(ids) - self.max_length)
        cut = set([*reversed(spare), *reversed(asked)][:excess])
        flagged = mine if self.answers is None else set()
        return [
            token | (_QUERY if i in flagged else 0) for i, token in enumerate(ids) if i not in cut
        ]

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Tensor:
        """Return scores ``[rows]`` in fp32."""
        flagged, real = (torch.from_numpy(array).to(self.device) for array in (ids, mask))
        options: dict[str, Any] = {"use_cache": False}
        if self._positions:
            options["position_ids"] = (real.cumsum(dim=1) - 1).clamp_min(0)
        with torch.inference_mode():
            states = self.model.base_model(
                input_ids=flagged & TOKEN, attention_mask=real, **options
            ).last_hidden_state
            if self.answers is None:
                return self._likelihoods(states, flagged, real)
            last = real.cumsum(dim=1).argmax(dim=1)
            logits = self._logits(states[torch.arange(len(states)), last])
            yes, no = self.answers
            return logits[:, yes] - logits[:, no]

    def _likelihoods(self, states: Tensor, flagged: Tensor, mask: Tensor) -> Tensor:
        """Return the mean log-probability of each row's flagged tokens, 0 where there is none.

        The first token of a row is given, not predicted.
        """
        asked = (((flagged & _QUERY) != 0) & (mask == 1) & (mask.cumsum(dim=1) > 1)).nonzero()
        rows, places = asked[:, 0], asked[:, 1]
        chosen = (flagged & TOKEN)[rows, places]
        totals = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        for start in range(0, len(rows), _ROWS_OF_LOGITS):
            part = slice(start, start + _ROWS_OF_LOGITS)
            logits = self._logits(states[rows[part], places[part] - 1]).double()
            found = logits.gather(1, chosen[part, None])[:, 0] - logits.logsumexp(dim=1)
            totals.index_add_(0, rows[part], found)
        counts = torch.bincount(rows, minlength=len(states)).clamp_min(1)
        return (totals / counts).float()

    def _logits(self, states: Tensor) -> Tensor:
        """Return the logits of the next token in fp32, ``[n, vocabulary]``."""
        logits: Tensor = self._head(states).float()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if cap is None else torch.tanh(logits / cap) * cap


def load_language_model(spec: Spec, folder: Path, placement: Placement) -> PromptedScorer:
    """Load a causal language model with its output layer.

    Raises:
        ModelError: It cannot be loaded, or lacks what scoring needs.
    """
    from evalsuite.models.transformer import quiet

    quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trust = placement.trust_remote_code
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, placement.dtype),
            use_safetensors=True,
            trust_remote_code=trust,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        raise ModelError(f"Cannot load '{spec.name}': {error}") from error
    return prompted(model, tokenizer, spec, placement)


def prompted(model: Any, tokenizer: Any, spec: Spec, placement: Placement) -> PromptedScorer:
    """Return a loaded language model as a reranker.

    Raises:
        ModelError: It has no fast tokenizer, an answer is no single token, or its logits are more
            than its output layer's.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"'{spec.name}' has no fast tokenizer (tokenizer.json), which is needed.")
    model = model.to(placement.device).eval()
    explicit_masks(model)
    if placement.device_type == "cpu":
        unfold_convolutions(model)
        pack_linears(model)
    answers = None
    if spec.options["scoring"] == "yes-no":
        answers = _answer(tokenizer, spec, "yes"), _answer(tokenizer, spec, "no")
    limit = getattr(model.config, "max_position_embeddings", None)
    limits = (placement.max_length, tokenizer.model_max_length, limit)
    scorer = PromptedScorer(
        model=model,
        tokenizer=tokenizer,
        template=template(spec),
        answers=answers,
        device=placement.device,
        max_length=min(limit for limit in limits if limit),
    )
    _check_logits(scorer, spec.name)
    return scorer


def _answer(tokenizer: Any, spec: Spec, word: str) -> int:
    """Return the id of an answer; one not given is tried with a blank before it first.

    Raises:
        ModelError: It is no single token.
    """
    tried = [spec.options[word]] if word in spec.options else [f" {word}", word]
    for text in tried:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) == 1:
            return int(ids[0])
    raise ModelError(
        f"{tried[-1]!r} is no single token of '{spec.name}': give words that are, yes=... and "
        "no=..., or use scoring=query-likelihood."
    )


def _check_logits(scorer: PromptedScorer, name: str) -> None:
    """Check that the model's logits are its output layer's, as they are taken from it alone.

    Raises:
        ModelError: They are not.
    """
    ids = torch.arange(3, device=scorer.device)[None]
    with torch.inference_mode():
        states = scorer.model.base_model(input_ids=ids).last_hidden_state
        theirs = scorer.model(input_ids=ids).logits[0].float()
        ours = scorer._logits(states[0])
    if not torch.allclose(ours, theirs, rtol=1e-2, atol=1e-2):
        raise ModelError(f"'{name}' does more to its logits than its output layer: it is not run.")
