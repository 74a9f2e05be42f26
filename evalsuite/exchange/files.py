"""Reading files nobody here wrote: never trusted, never executed, bounded in size."""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalsuite.errors import DataError

MAX_BYTES = 64 * 2**20  # the largest file of mteb's results repository has 6 MB
MAX_NAME = 300


def walk(root: Path) -> Iterator[Path]:
    """Yield the JSON files below a folder in a fixed order, hidden folders left out.

    Holds a few folders' listings at a time. Links to folders are not followed; a folder below that
    cannot be listed is yielded itself, so that reading it fails by name.

    Raises:
        DataError: The folder cannot be listed.
    """
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise DataError(f"Cannot list '{root}': {error.strerror}.") from error
            yield folder
            continue
        shown = [entry for entry in found if not entry.name.startswith(".")]
        for entry in shown:
            if entry.name.endswith(".json") and entry.is_file():
                yield Path(entry.path)
        folders += [Path(e.path) for e in reversed(shown) if e.is_dir(follow_symlinks=False)]


def load_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; NaN and Infinity, which some writers emit, become floats.

    Raises:
        DataError: The file is too large, no JSON, nested too deeply or no object.
    """
    if not path.is_file():  # a pipe would never end
        raise DataError("no file that can be read")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DataError(f"larger than {MAX_BYTES >> 20} MiB")
        table = json.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    except RecursionError:
        raise DataError("nested too deeply") from None
    except ValueError as error:  # no JSON, or not UTF-8
        raise DataError(f"no JSON: {error}") from error
    if not isinstance(table, dict):
        raise DataError("no JSON object")
    return table


def number(value: Any) -> float | None:
    """Return a finite float, or None for anything else (NaN, text, lists, booleans)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def text(value: Any, what: str) -> str:
    """Return a name.

    Raises:
        DataError: It is no string, empty or too long to be a name.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{what} is no name")
    if len(value) > MAX_NAME:
        raise DataError(f"{what} is longer than {MAX_NAME} characters")
    return value


def timestamp(value: Any) -> str | None:
    """Return a Unix timestamp in seconds as ISO 8601 in UTC, or None where it is none."""
    seconds = number(value)
    if seconds is None:
        return None
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return moment.isoformat(timespec="seconds")
