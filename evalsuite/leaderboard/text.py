"""How values read on a page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

MISSING = "–"
# Control characters, halves of surrogate pairs and what turns the direction of the text that
# follows: none can be part of a page or a picture, all can stand in a result file.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def clean(text: str) -> str:
    """Replace what no page can hold."""
    return _UNPRINTABLE.sub("\ufffd", text)


def shortened(text: str, length: int) -> str:
    """Cut a text, with an ellipsis where something was cut off."""
    return text if len(text) <= length else text[: length - 1] + "…"


def short(text: str) -> str:
    """Cut a name to what a row can hold; its own page shows it whole."""
    return shortened(text, 100)


def number(value: float | None) -> str:
    """Four decimals, or a dash."""
    return MISSING if value is None else f"{value:z.4f}"


def interval(ci95: tuple[float, float] | None) -> str:
    """The two ends of an interval."""
    return "no interval" if ci95 is None else f"[{number(ci95[0])}, {number(ci95[1])}]"


def value(anything: Any) -> str:
    """Any value of a result file in one line."""
    if anything is None or anything in ("", [], {}):
        return "not stated"
    if isinstance(anything, bool):
        return "yes" if anything else "no"
    if isinstance(anything, Mapping):
        pairs = ((str(key), anything[key]) for key in anything)
        return ", ".join(f"{key} {value(child)}" for key, child in sorted(pairs))
    if isinstance(anything, list | tuple):
        return ", ".join(value(child) for child in anything)
    return str(anything)


def command(words: Any) -> str:
    """A command line as it would be typed."""
    return shlex.join(map(str, words)) if isinstance(words, list | tuple) else value(words)


def https(reference: Any) -> str | None:
    """Return a reference that may be a link, else None: no other scheme is one."""
    if not isinstance(reference, str) or not re.fullmatch(r"https://[!-~]+", reference):
        return None
    try:
        return reference if urlsplit(reference).hostname else None
    except ValueError:
        return None
