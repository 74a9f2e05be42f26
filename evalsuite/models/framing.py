"""What is put around a text before a language model reads it, and which tokens are the text's own.

A row of token ids has to say by itself which of its tokens are pooled: the engine runs equal rows
once, in any order. So the ids of a frame's tokens carry a flag above the range of token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evalsuite.engines.encode import Prompts, Role
from evalsuite.errors import ModelError, UsageError, unknown_name
from evalsuite.models.spec import Spec

TEMPLATES = {
    "prompteol": 'This sentence : {placeholder}"{text}" means in one word:"',
    "echo": "Rewrite the sentence: {text}, rewritten sentence: {text}",
}
"""PromptEOL (Jiang et al. 2023), its placeholder as in Token Prepending; echo (Springer 2024)."""
POOLED_WHOLE = ("cls", "last", "eos")
"""Poolings that take one token's state, whichever token that is."""

TOKEN = (1 << 32) - 1
"""Bits that hold the token's id."""
PLACEHOLDER = 1 << 33
"""Flag of the token a sentence embedding is put in."""
_FRAME = 1 << 32
_PROMPTS: dict[str, int] = {"": 1 << 34, "query": 1 << 35, "document": 1 << 36}

Span = tuple[int, int]


@dataclass(frozen=True)
class Template:
    """A text's surroundings.

    Attributes:
        parts: What stands before, between and after the occurrences of the text.
        place: Where in the first part a placeholder goes, in characters.
    """

    parts: tuple[str, ...]
    place: int

    def fill(self, text: str) -> tuple[str, list[Span]]:
        """Return the filled template and where in it the text stands, in characters."""
        filled, spans = self.parts[0], []
        for part in self.parts[1:]:
            spans.append((len(filled), len(filled) + len(text)))
            filled += text + part
        return filled, spans


def template(spec: Spec) -> Template | None:
    """Return the template a spec asks for, or None.

    Raises:
        UsageError: It has no ``{text}``, or its ``{placeholder}`` stands after it.
    """
    asked = spec.options.get("template")
    if asked is None:
        return None
    if "{text}" not in asked and "{" not in asked and " " not in asked and asked not in TEMPLATES:
        reason = unknown_name("template", asked, TEMPLATES)
        raise UsageError(f"{reason} A template of your own holds {{text}} where the text goes.")
    head, *rest = TEMPLATES.get(asked, asked).split("{text}")
    if not rest:
        raise UsageError(f"template={asked!r} lacks {{text}}, which is where the text goes.")
    before, *after = head.split("{placeholder}")
    if len(after) > 1 or any("{placeholder}" in part for part in rest):
        raise UsageError(f"template={asked!r}: {{placeholder}} stands once, before {{text}}.")
    return Template((before + "".join(after), *rest), len(before))


@dataclass(frozen=True)
class Framing:
    """Turns texts into rows of flagged token ids.

    Attributes:
        tokenizer: A fast Hugging Face tokenizer.
        max_length: Longest row, in tokens; what is too long is cut from the text, not the frame.
        template: What is put around a text, or None.
        pool_template: Whether mean-type pooling sees the template.
        prompts: What was put before texts; kept out of mean-type pooling unless ``pooled``.
        eos: Token put at the end of each row, or None.
        placeholder: Whether a placeholder is put before the text.
    """

    tokenizer: Any
    max_length: int
    template: Template | None = None
    pool_template: bool = False
    prompts: Prompts = field(default_factory=Prompts)
    eos: int | None = None
    placeholder: bool = False

    def __post_init__(self) -> None:
        if self.template is None:
            return
        tokens = len(self.tokenizer(self.template.fill("")[0])["input_ids"]) + self._extra
        if tokens >= self.max_length:
            raise ModelError(
                f"The template alone has {tokens} tokens and a text may have {self.max_length}: "
                "shorten the template or raise --max-length."
            )

    @property
    def _extra(self) -> int:
        """Tokens the tokenizer does not add."""
        return int(self.eos is not None) + int(self.placeholder)

    @property
    def _located(self) -> bool:
        """Whether it matters where in a row the text stands."""
        return self.template is not None or self.placeholder or not self.prompts.pooled

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Return flagged token ids, at most ``max_length`` a row and at least one."""
        frame = self.template or Template(("", ""), 0)
        filled = [frame.fill(text) for text in texts]
        encoded = self.tokenizer(
            [whole for whole, _ in filled],
            truncation=self.template is None,
            max_length=max(1, self.max_length - self._extra) if self.template is None else None,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=self._located,
        )
        ids: list[list[int]] = encoded["input_ids"]
        if not self._located:
            return [self._closed(row) for row in ids]
        return [
            self._flagged(row, offsets, text, spans, frame.place)
            for row, offsets, text, (_, spans) in zip(
                ids, encoded["offset_mapping"], texts, filled, strict=True
            )
        ]

    def excluded(self, role: Role) -> int:
        """Return the flags of tokens that mean-type pooling leaves out for a role."""
        flags = _FRAME if self.template is not None and not self.pool_template else 0
        if not self.prompts.pooled and self.prompts.text(role):
            flags |= _FRAME | _PROMPTS[role or ""]
        return flags

    def _flagged(
        self, ids: list[int], offsets: list[Span], text: str, spans: list[Span], place: int
    ) -> list[int]:
        """Flag a row's tokens, cut its text to the maximum length, add what is to be added."""
        inside = [tokens_of(span, offsets) for span in spans]
        own, (start, _) = set(inside[-1]), spans[-1]
        excess = len(ids) + self._extra - self.max_length
        cut: set[int] = set()
        if excess > 0:
            share = -(-excess // len(inside))
            cut = {i for tokens in inside for i in tokens[-share:]}
        before = [i for i, (_, end) in enumerate(offsets) if end > place]
        row: list[int] = []
        for i, token in enumerate(ids):
            if self.placeholder and i == (before[0] if before else len(ids) - 1):
                row.append(_FRAME | PLACEHOLDER)
            if i in own and i not in cut:
                row.append(token | self._prompt_flags(text, offsets[i][1] - start))
            elif i not in cut:
                row.append(token | _FRAME)
        return self._closed(row[: self.max_length - int(self.eos is not None)])

    def _prompt_flags(self, text: str, end: int) -> int:
        """Return the flags of the prompts a token lies in that ends at a character of the text."""
        if self.prompts.pooled:
            return 0
        flags = 0
        for role, prompt in self.prompts.texts.items():
            if end <= len(prompt) and text.startswith(prompt):
                flags |= _PROMPTS[role]
        return flags

    def _closed(self, row: list[int]) -> list[int]:
        """Add the last token; a row of no tokens gets one that stands for the empty text."""
        if self.eos is not None and (not row or row[-1] & TOKEN != self.eos):
            return [*row, self.eos | _FRAME]
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0)
        return row or [next(token for token in known if token is not None)]


def tokens_of(span: Span, offsets: list[Span]) -> list[int]:
    """Return the tokens that overlap a span of characters; special tokens have no characters."""
    start, end = span
    return [i for i, (a, b) in enumerate(offsets) if a < b and b > start and a < end]
