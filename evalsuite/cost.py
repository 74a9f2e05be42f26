"""What a model costs beside its scores: weights, arithmetic a token, bytes in an index.

These depend on no hardware and are exact; speed and memory stand in a result's ``run`` block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

LENGTH = 128
"""Tokens of the text that FLOPs a token are stated for."""
MISSING = "–"

_UNITS = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


@dataclass(frozen=True)
class Cost:
    """What a model costs; None where it is not known.

    Attributes:
        parameters: Weights of what runs.
        embedding_parameters: Those of them in embedding tables, which are looked up and not
            multiplied with; mteb calls the rest active.
        flops: Floating-point operations a token that do not depend on the text's length: two for
            each weight a token is multiplied with (Kaplan et al. 2020, section 2.1).
        attention_flops: Operations a token for each token of its text: the products of queries
            with keys and of their weights with values.
    """

    parameters: int | None = None
    embedding_parameters: int | None = None
    flops: int | None = None
    attention_flops: int | None = None

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of both; what one of them does not know is not known."""
        return Cost(
            _sum(self.parameters, other.parameters),
            _sum(self.embedding_parameters, other.embedding_parameters),
            _sum(self.flops, other.flops),
            _sum(self.attention_flops, other.attention_flops),
        )

    def flops_per_token(self, length: int = LENGTH) -> int | None:
        """Return the operations a token of a text of so many tokens."""
        if self.flops is None or self.attention_flops is None:
            return None
        return self.flops + length * self.attention_flops

    def stored(self, bytes_per_item: float | None) -> dict[str, float | None]:
        """Return what a result file says (``docs/results.md``)."""
        attention = self.attention_flops
        return {
            "parameters": self.parameters,
            "embedding_parameters": self.embedding_parameters,
            "flops_per_token": self.flops_per_token(),
            "attention_flops_per_token": None if attention is None else LENGTH * attention,
            "bytes_per_item": bytes_per_item,
        }


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True)
class Spent:
    """The costs a stored result states; None where it states none, or no number.

    Attributes:
        parameters: As :class:`Cost`.
        embedding_parameters: As :class:`Cost`.
        flops_per_token: Of a text of :data:`LENGTH` tokens.
        bytes_per_item: What an item takes in an index.
        texts: Texts really run through the model; None where all came from the cache.
        seconds: The time that took.
        peak_memory_mib: Most memory the process had held: on the GPU where there is one.
        hardware: What the seconds were measured on.
    """

    parameters: float | None
    embedding_parameters: float | None
    flops_per_token: float | None
    bytes_per_item: float | None
    texts: float | None
    seconds: float | None
    peak_memory_mib: float | None
    hardware: str

    @classmethod
    def of(cls, cost: Mapping[str, Any], run: Mapping[str, Any]) -> Self:
        """Read the ``cost`` and ``run`` blocks of a result, which may hold anything."""
        speed, peak = _table(run.get("speed")), _table(run.get("peak_memory_mib"))
        texts, seconds = _number(speed.get("texts")), _number(speed.get("seconds"))
        timed = bool(texts and seconds)
        return cls(
            parameters=_number(_table(cost).get("parameters")),
            embedding_parameters=_number(_table(cost).get("embedding_parameters")),
            flops_per_token=_number(_table(cost).get("flops_per_token")),
            bytes_per_item=_number(_table(cost).get("bytes_per_item")),
            texts=texts if timed else None,
            seconds=seconds if timed else None,
            peak_memory_mib=_number(peak.get("device", peak.get("host"))),
            hardware=str(run.get("device_name", "not stated")),
        )

    @property
    def texts_per_second(self) -> float | None:
        """Speed of the texts that were really run."""
        return self.texts / self.seconds if self.texts and self.seconds else None


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    """Return a finite number that is not negative, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) and value >= 0 else None
    except OverflowError:  # a whole number beyond all floats
        return None


def short(value: float | None) -> str:
    """Return three digits with the unit that fits, e.g. ``22.7 M``, or a dash."""
    if value is None:
        return MISSING
    for size, unit in _UNITS:
        if value >= size * 0.9995:  # what would round up to four digits takes the larger unit
            return f"{_three(value / size)}{unit}"
    return _three(value)


def whole(value: float | None) -> str:
    """Return a whole number with its thousands parted, or a dash."""
    return MISSING if value is None else f"{value:,.0f}"


def _three(value: float) -> str:
    """Return three significant digits, never an exponent below 1000."""
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
