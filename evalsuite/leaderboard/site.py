"""Writing the site: only below its folder, and never into a folder that is something else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from evalsuite.errors import StoreError, UsageError
from evalsuite.store import canonical_json, write_atomically

MARKER = ".evalsuite-site"
_ABOUT = "This folder is written by `evalsuite leaderboard`: these files are its own."


def check_folder(out: Path) -> None:
    """Refuse a folder that is neither missing, nor empty, nor an earlier site.

    Raises:
        UsageError: It holds something else.
    """
    if out.is_dir():
        if (out / MARKER).is_file() or not any(out.iterdir()):
            return
        raise UsageError(
            f"'{out}' is not empty and no leaderboard of evalsuite (it has no {MARKER}). "
            "Name a new or empty folder."
        )
    if out.exists() or out.is_symlink():
        raise UsageError(f"'{out}' is not a folder. Name a new or empty folder.")


def write(out: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a site and remove those of the last build that are no longer there.

    The marker names old and new files while the build is under way, so that a build that was
    interrupted is cleaned up by the next. The first page is written last.

    Raises:
        StoreError: The folder cannot be written.
    """
    # Without .nojekyll, GitHub Pages leaves out files whose name starts with "_".
    files = {**files, ".nojekyll": b""}
    earlier = _earlier(out)
    try:
        _put(out, MARKER, _listing({*earlier, *files}))
        for name in sorted(files, key=lambda name: (name == "index.html", name)):
            _put(out, name, files[name])
        for name in sorted(earlier - set(files)):
            _remove(out, name)
        _put(out, MARKER, _listing(files))
    except (OSError, StoreError) as error:
        reason = error.__cause__ or error
        raise StoreError(
            f"Cannot write the site in '{out}': {getattr(reason, 'strerror', None) or reason}."
        ) from error


def _listing(names: Iterable[str]) -> bytes:
    return canonical_json({"about": _ABOUT, "files": sorted(names)}).encode("ascii")


def _earlier(out: Path) -> set[str]:
    try:
        names = json.loads((out / MARKER).read_bytes())["files"]
        return {name for name in names if isinstance(name, str)}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return set()  # a marker nobody can read names nothing to remove


def _inside(out: Path, name: str) -> Path | None:
    """Return the file below the site, or None where its name or a link leads out of it."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        return None
    path = out / relative
    return path if path.parent.resolve().is_relative_to(out.resolve()) else None


def _put(out: Path, name: str, data: bytes) -> None:
    path = _inside(out, name)
    if path is None:
        raise StoreError(f"'{name}' lies outside the site: a folder of it is a link elsewhere")
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return
    write_atomically(path, data)


def _remove(out: Path, name: str) -> None:
    """Remove a file of an earlier build, and the folders it leaves empty."""
    path = _inside(out, name)
    if path is None or not (path.is_file() or path.is_symlink()):
        return
    path.unlink()
    for folder in path.parents:
        if folder == out or any(folder.iterdir()):
            return
        folder.rmdir()
