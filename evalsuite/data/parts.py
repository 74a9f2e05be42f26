"""Data sets that are scored each on its own, such as one a language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from evalsuite.data.layouts import content_digest
from evalsuite.errors import DataError


@dataclass(frozen=True)
class Parts:
    """Data sets of one layout: each has a score, and the task's score is their mean.

    Attributes:
        parts: Name to data.
    """

    parts: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check that there is something to take the mean of."""
        if not self.parts:
            raise DataError("The data have no part.")

    def digest(self) -> str:
        """Content digest."""
        return content_digest(
            (name, bytes.fromhex(part.digest())) for name, part in self.parts.items()
        )

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect: those of all parts added up."""
        sizes: Counter[str] = Counter({"parts": len(self.parts)})
        for part in self.parts.values():
            sizes.update(part.counts())
        return dict(sizes)

    def ordered(self) -> Self:
        """Return the parts by name, each in its own order."""
        return type(self)({name: self.parts[name].ordered() for name in sorted(self.parts)})

    def limited(self, limit: int) -> Self:
        """Return ``limit`` items of each part."""
        return type(self)({name: part.limited(limit) for name, part in self.parts.items()})
