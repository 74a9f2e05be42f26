"""Results as they were at a commit, read from git's objects; the work tree is left alone."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evalsuite.errors import UsageError

_FILES = ("100644", "100755")  # modes; links and submodules are left out
_DEPTH = 4  # <model>/<revision>/<variant>/<task>
_BATCH = 256
_SECONDS = 300.0


@dataclass(frozen=True)
class Snapshot:
    """A results tree, or a part of one, at a commit.

    Attributes:
        repository: Top folder of the work tree.
        tree: Path of the tree, or of the part of it, below that; empty if it is the top.
        objects: Path below the snapshot to git's name of the file's content.
        folder: Where files are written; removed when the process ends.
    """

    repository: Path
    tree: str
    objects: Mapping[str, str]
    folder: Path

    def write(self, names: Iterable[str]) -> list[Path]:
        """Write files of the snapshot into its folder and return their paths, sorted."""
        wanted = sorted(name for name in names if name in self.objects)
        missing = [name for name in wanted if not (self.folder / name).exists()]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            contents = _contents(self.repository, [self.objects[name] for name in batch])
            for name, content in zip(batch, contents, strict=True):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_bytes(content)
        return [self.folder / name for name in wanted]

    def name(self, path: Path) -> str:
        """Return the path below the snapshot of a file that was written."""
        return path.relative_to(self.folder).as_posix()


def snapshot(ref: str, folder: str | None, results: Path) -> Snapshot:
    """Return a results tree as it was at a ref of the repository that contains it.

    Args:
        ref: Branch, tag, commit or any other name git gives a commit.
        folder: Path below the top of the repository, of the tree or of a part of it; where
            ``results`` is if None.
        results: The results folder, which need not exist any more.

    Raises:
        UsageError: There is no git, no repository, no such ref or no such folder in it.
    """
    if not ref or ref.startswith("-") or "\0" in ref:
        raise UsageError(
            f"'git:{ref[:80]}' names no git ref. Write git:BRANCH, git:TAG or git:SHA."
        )
    top = _top(results)
    if folder is None:
        folder = results.resolve().relative_to(top).as_posix()
    return _snapshot(top, _commit(top, ref), _inside(folder), ref)


@functools.cache
def _snapshot(top: Path, commit: str, folder: str, ref: str) -> Snapshot:
    kind = _git(top, "cat-file", "-t", f"{commit}:{folder}").decode().strip()
    if kind not in ("tree", "blob"):
        raise UsageError(f"There is no '{folder or '.'}' in git at '{ref}'.")
    only = None
    if kind == "blob":
        only = PurePosixPath(folder).name
        parent = PurePosixPath(folder).parent.as_posix()
        folder = "" if parent == "." else parent
    listing = _git(top, "ls-tree", "-r", "-z", "--full-tree", f"{commit}:{folder}")
    objects = {}
    for line in listing.decode("utf-8", "surrogateescape").split("\0"):
        head, tab, name = line.partition("\t")
        parts = name.split("/")
        mode, _, key = (head.split(" ") + [""] * 3)[:3]
        if not tab or mode not in _FILES or {"", ".", ".."} & set(parts) or len(parts) > _DEPTH:
            continue
        if only is None or name in (only, PurePosixPath(only).with_suffix(".parquet").name):
            objects[name] = key
    place = tempfile.mkdtemp(prefix="evalsuite-git-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Snapshot(top, folder, objects, Path(place))


def _top(results: Path) -> Path:
    """Return the top folder of the repository that contains a path."""
    place = results.resolve()
    while not place.is_dir():
        place = place.parent
    top = _git(place, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape")
    if not top.strip():
        raise UsageError(
            f"'{results}' is in no git repository, so there is no `git:REF` of it. Name its folder "
            "with --results."
        )
    return Path(top.rstrip("\n")).resolve()


def _commit(top: Path, ref: str) -> str:
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    commit = _git(top, *arguments).decode().strip()
    if not commit:
        raise UsageError(
            f"git knows no commit '{ref[:80]}' here. Fetch it first; a shallow clone has one "
            "commit only (`fetch-depth: 0` in CI)."
        )
    return commit


def _inside(folder: str) -> str:
    """Return a path below the top of a repository as git writes it; the top is empty."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\0" in folder:
        raise UsageError(
            f"'{folder[:80]}' is no path below the top of the repository. Write "
            "git:REF:path/to/results."
        )
    return "" if str(path) == "." else str(path)


def _contents(top: Path, objects: list[str]) -> list[bytes]:
    raw = _git(top, "cat-file", "--batch", stdin="".join(f"{key}\n" for key in objects).encode())
    contents, start = [], 0
    for key in objects:
        end = raw.find(b"\n", start)
        words = raw[start:end].split()
        if end < 0 or len(words) != 3:
            raise UsageError(f"git cannot read the object {key[:12]}: the repository is damaged.")
        size = int(words[2])
        contents.append(raw[end + 1 : end + 1 + size])
        start = end + size + 2
    return contents


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git and return what it prints; nothing where it fails."""
    environment = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ("git", "-C", str(folder), *arguments),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env=environment,
        )
    except FileNotFoundError:
        raise UsageError("`git:REF` needs git, which is not installed.") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"`git {arguments[0]}` took over {_SECONDS:.0f} s.") from None
    if b"dubious ownership" in done.stderr:
        raise UsageError(
            f"git does not trust '{folder}', which another user owns: "
            "`git config --global --add safe.directory FOLDER`."
        )
    return b"" if done.returncode else done.stdout
