"""What an export came to, which results may leave, and writing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.errors import StoreError
from evalsuite.result import Result
from evalsuite.store import write_atomically

DIGITS = 6  # mteb's own


@dataclass
class Exported:
    """What an export came to.

    Attributes:
        out: Folder or file that was written.
        results: Number of results in it.
        skipped: Number of results left out, by reason.
        problems: One sentence for each result file that could not be read.
    """

    out: Path
    results: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    problems: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        """0, or 3 where result files could not be read."""
        return StoreError.exit_code if self.problems else 0

    def to_json(self) -> dict[str, Any]:
        """The object ``--json`` prints."""
        return {
            "out": str(self.out),
            "results": self.results,
            "skipped": dict(self.skipped.most_common()),
            "problems": list(self.problems),
        }


def why_not(result: Result) -> str | None:
    """Say why a result stands for nothing outside of this project, or None."""
    if result.imported:
        return "imported, not run here"
    if result.settings.get("limit") is not None:
        return "cut to a few items by --limit"
    return None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; halves of surrogate pairs, which no file holds, become `?`.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        write_atomically(path, text.encode("utf-8", "replace"))
    except StoreError as error:
        reason = getattr(error.__cause__, "strerror", None) or error.__cause__
        raise StoreError(f"Cannot write '{path}': {reason}. Name another place.") from error
