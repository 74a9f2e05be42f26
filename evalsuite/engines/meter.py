"""What an engine did for one task: texts, tokens and seconds, and bytes of what it returned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Meter:
    """Counts what a model really ran; what a cache gave is not among it.

    Attributes:
        texts: Texts run through the model.
        tokens: Tokens of the texts run, without padding; 0 where the engine does not see them.
        seconds: Time the model took, loading apart.
        items: Number of items, by whether their role is ``document``.
        item_bytes: What they take in an index, likewise.
    """

    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    items: tuple[int, int] = (0, 0)
    item_bytes: tuple[int, int] = (0, 0)

    def clear(self) -> None:
        """Begin anew: a task starts."""
        self.texts = self.tokens = 0
        self.seconds = 0.0
        self.items = self.item_bytes = (0, 0)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the time of a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def ran(self, other: Meter) -> None:
        """Add what another engine ran."""
        self.texts += other.texts
        self.tokens += other.tokens
        self.seconds += other.seconds

    def returned(self, items: int, size: int, *, documents: bool) -> None:
        """Count items, cached or not, and the bytes they take in an index together."""
        at = int(documents)
        self.items = _added(self.items, at, items)
        self.item_bytes = _added(self.item_bytes, at, size)

    @property
    def bytes_per_item(self) -> float | None:
        """Mean bytes of an item in the index: of the documents, where texts have roles."""
        for at in (1, 0):
            if self.items[at]:
                return self.item_bytes[at] / self.items[at]
        return None

    def speed(self) -> dict[str, Any] | None:
        """Return what a result file says (``docs/results.md``); None where nothing was run."""
        if not self.texts or not self.seconds:
            return None
        return {
            "texts": self.texts,
            "tokens": self.tokens or None,
            "seconds": round(self.seconds, 6),
            "texts_per_second": self.texts / self.seconds,
            "tokens_per_second": self.tokens / self.seconds if self.tokens else None,
        }


def _added(pair: tuple[int, int], at: int, more: int) -> tuple[int, int]:
    return (pair[0] + more, pair[1]) if at == 0 else (pair[0], pair[1] + more)
