"""The exceptions users see.

Every one of them is the user's to mend: its text is one message that names the mend, the CLI prints
it without a traceback and leaves with ``exit_code``. Anything else that escapes is a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvalsuiteError(Exception):
    """Something asked for failed or is missing; the rest was written."""

    exit_code = 3


class UsageError(EvalsuiteError):
    """An unknown name, a malformed file or an option that cannot be."""

    exit_code = 2


class DataError(EvalsuiteError):
    """Task data that is missing, altered or malformed."""


class ModelError(EvalsuiteError):
    """A model that cannot be loaded or returned something unusable."""


class StoreError(EvalsuiteError):
    """A results folder that cannot be read or written."""


class NothingToReadError(EvalsuiteError):
    """A reader found no result: it fails, it never passes."""

    exit_code = 4


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name nobody registered, with the nearest known names.

    Args:
        kind: What was looked up, e.g. ``"task"``.
        name: What the user typed.
        known: Every name that would have been right.
    """
    known = sorted(set(known))
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=0.55)
    near += [folded for folded in by_folded if name and folded.startswith(name.lower())]
    near = list(dict.fromkeys(near))[:3]
    shown = name if len(name) <= 80 else name[:77] + "..."
    if near:
        options = " or ".join(f"'{by_folded[folded]}'" for folded in near)
        return UsageError(f"Unknown {kind} '{shown}'. Did you mean {options}?")
    if kind in ("task", "suite", "model"):
        return UsageError(
            f"Unknown {kind} '{shown}'. `evalsuite list {kind}s` prints every known name."
        )
    return UsageError(f"Unknown {kind} '{shown}'. Known: {', '.join(known)}.")
