"""``evalsuite`` in a process of its own, saying at its end how long loading the model took.

Takes the command line's own arguments and prints its own output; the last line on standard error
is the seconds of loading, the import of torch included, and 0.0 where nothing was loaded.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any
from unittest import mock

from evalsuite import models
from evalsuite.cli import main as evalsuite
from evalsuite.models import Placement, Resolved

_seconds = [0.0]


def resolve(model: str, original: Any = models.resolve) -> Resolved:
    """Resolve a model as usual, with a clock around its loading."""
    resolved: Resolved = original(model)

    def load(placement: Placement) -> Any:
        started = time.perf_counter()
        try:
            return resolved.load(placement)
        finally:
            _seconds[0] += time.perf_counter() - started

    return replace(resolved, load=load)


def main() -> None:
    """Run the command line."""
    try:
        with mock.patch("evalsuite.models.resolve", resolve):
            evalsuite()
    finally:
        print(_seconds[0], file=sys.stderr)


if __name__ == "__main__":
    main()
