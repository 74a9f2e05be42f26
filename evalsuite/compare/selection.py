"""What a user means by "this model": a path, a git ref, a name or a tag turned into results."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote

from evalsuite.compare.git import Snapshot, snapshot
from evalsuite.compare.reading import Files, read, result_files
from evalsuite.errors import NothingToReadError, StoreError, UsageError, unknown_name
from evalsuite.result import Result
from evalsuite.store import slug

DTYPES: Mapping[str, str] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_SETTINGS = ("device", "dtype", "limit", "max_length", "search", "seed")
_CHOICES = 12  # listed in an error

Key = tuple[str, str, str]
"""Name, revision and variant of a model."""


@dataclass(frozen=True)
class Selection:
    """The results of one model in one variant.

    Attributes:
        label: What tables call it, e.g. ``all-MiniLM-L6-v2 (cpu,bf16)``.
        results: Task key, e.g. ``STS12@1``, to the one result of it; imported ones are left out.
        problems: One sentence for each file that could not be read or was left out.
        unreadable: How many of them could not be read.
    """

    label: str
    results: Mapping[str, Result]
    problems: tuple[str, ...] = ()
    unreadable: int = 0


@dataclass(frozen=True)
class _Found:
    """What a text stands for, before one model is picked.

    Attributes:
        what: The text, in words.
        files: The results found.
        type_: Returns what to type for the results of one model.
        suffix: What the label ends with.
        looked_up: Whether results were searched, by name or tag: then those cut to a limit are
            meant only where there are no full ones, and files elsewhere are no concern.
        at: The commit they come from, if they do.
    """

    what: str
    files: Files
    type_: Callable[[Key, Sequence[Result]], str]
    suffix: str = ""
    looked_up: bool = False
    at: Snapshot | None = None


def select(text: str, results: Path, *, like: Selection | None = None) -> Selection:
    """Return the results a text stands for, all of one model in one variant.

    Args:
        text: An existing path (a result file, or a folder at any depth of a results tree); else
            ``git:REF`` or ``git:REF:FOLDER``; else a model, ``NAME[?option=value&...]``, where a
            bare name means no options; else ``tag:KEY=VALUE``.
        results: The results folder that names, tags and refs are looked up in.
        like: Where several models or variants remain, those of the same name and variant as this
            one are meant, else those of the same name, else those of the same settings.

    Raises:
        UsageError: Nothing has that name, it stands for several models, or two files hold a result
            of the same task.
        NothingToReadError: It stands for no result.
        StoreError: None of the results can be read.
    """
    found = _find(text, results)
    if not found.files.results:
        raise _nothing(found)
    groups = _groups(found)
    kept = groups if like is None else _narrowed(groups, like)
    if len(kept) > 1:
        raise UsageError(
            f"{found.what} stands for {len(kept)} sets of results. Type one of: "
            f"{_choices(kept, found)}."
        )
    (key, chosen), *_ = kept.items()
    files = found.files
    if found.looked_up or len(groups) > 1:
        files = _beside(files, chosen)
    if found.at is not None:
        names = [found.at.name(result.path) for result in chosen if result.path]
        found.at.write(name.removesuffix(".json") + ".parquet" for name in names)
    return Selection(
        f"{key[0]} ({key[2]}){found.suffix}",
        _by_task(chosen),
        tuple(sentence for _, sentence in (*files.unreadable, *files.imported)),
        len(files.unreadable),
    )


def _beside(files: Files, chosen: Iterable[Result]) -> Files:
    """Leave out what stands in folders of other models and variants."""
    folders = {result.path.parent for result in chosen if result.path}
    return Files(
        files.results,
        tuple(one for one in files.unreadable if one[0].parent in folders),
        tuple(one for one in files.imported if one[0].parent in folders),
    )


def _find(text: str, results: Path) -> _Found:
    path = _existing(text)
    if path is not None and (files := result_files(path)):
        return _Found(f"'{text}'", read(files), _folder)
    if path is None and text.startswith("git:"):
        return _at_ref(text, results)
    if path is None and text.startswith("tag:"):
        return _tagged(text, results)
    named = _named(text, results)
    if named is not None:
        return named
    if path is not None:
        raise NothingToReadError(f"No results under '{text}'. `evalsuite run MODEL` makes some.")
    if text.endswith(".json") or text.startswith((".", "/", "~")):
        raise UsageError(f"No file or folder at '{text[:200]}'.")
    raise unknown_name("path or model with results", text, _names(results))


def _existing(text: str) -> Path | None:
    try:
        return Path(text) if text and Path(text).exists() else None
    except (OSError, ValueError):  # too long for a name, or no name at all
        return None


def _folder(key: Key, chosen: Sequence[Result]) -> str:
    paths = [result.path for result in chosen if result.path]
    return str(paths[0].parent)


# ---- at a git ref


def _at_ref(text: str, results: Path) -> _Found:
    ref, colon, folder = text.removeprefix("git:").partition(":")
    at = snapshot(ref, folder if colon else None, results)
    files = _named_by(read(at.write(name for name in at.objects if _is_result(name))), at, ref)

    def type_(key: Key, chosen: Sequence[Result]) -> str:
        return f"git:{ref}:{(Path(at.tree) / at.name(Path(_folder(key, chosen)))).as_posix()}"

    return _Found(f"'{text}'", files, type_, f" at {ref}", at=at)


def _named_by(files: Files, at: Snapshot, ref: str) -> Files:
    """Name files as git does, not by where they were written to."""
    here, there = f"'{at.folder}/", f"'git:{ref}:{at.tree}{'/' if at.tree else ''}"
    said = [
        tuple((path, text.replace(here, there)) for path, text in part)
        for part in (files.unreadable, files.imported)
    ]
    return Files(files.results, *said)


def _is_result(name: str) -> bool:
    return name.endswith(".json") and "@" in name.rpartition("/")[2]


# ---- by tag


def _tagged(text: str, results: Path) -> _Found:
    tag = text.removeprefix("tag:")
    key, equals, value = tag.partition("=")
    if not key or not equals:
        raise UsageError(f"'{text[:80]}' is no tag. Write tag:KEY=VALUE.")
    files = read(result_files(_root(results)))
    tags = [result.run.get("tags", {}) for result in files.results]
    tagged = [r for r, own in zip(files.results, tags, strict=True) if str(own.get(key)) == value]
    if not tagged:
        known = {f"{name}={given}" for own in tags for name, given in own.items()}
        if not known:
            raise NothingToReadError(
                f"No result under '{results}' has a tag. `evalsuite run --tag KEY=VALUE` sets one."
            )
        raise unknown_name("tag", tag, known)
    files = replace(files, results=tuple(tagged))
    return _Found(f"'{text}'", files, _spec(files), f", {tag}", looked_up=True)


# ---- by name


def _named(text: str, results: Path) -> _Found | None:
    """Return the results of a model, or None where no result has its name."""
    head, mark, query = text.partition("?")
    for name, asked in ((text, ""), (head, query), (Path(head).name, query)):
        folder = results / slug(name)
        if name and folder.is_dir() and (paths := result_files(folder)):
            files = read(paths)
            files = replace(files, results=tuple(r for r in files.results if _name(r) == name))
            return _filtered(text, name, asked if mark else "", files)
    return None


def _filtered(text: str, name: str, query: str, files: Files) -> _Found:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        pairs = [("", ""), ("", "")]
    options = dict(pairs)
    if len(options) < len(pairs):
        raise UsageError(
            f"'{text[:80]}': options are written ?option=value&option=value, each once."
        )
    held = [result for result in files.results if _matches(result, options)]
    found = _Found(
        f"'{text}'",
        replace(files, results=tuple(held)),
        _spec(files),
        looked_up=True,
    )
    if held or not files.results:
        return found
    known = {
        *_SETTINGS,
        "variant",
        "revision",
        *(name for r in files.results for name in r.model.get("options", {})),
    }
    for option in options:
        if option not in known:
            raise unknown_name("model option", option, known)
    groups = _groups(replace(found, files=files, looked_up=False))
    without = "without options" if not options else "with these options"
    damaged = f" {files.unreadable[0][1]}" if files.unreadable else ""
    raise UsageError(
        f"There are no results of '{name}' {without}. Type one of: {_choices(groups, found)}."
        f"{damaged}"
    )


def _matches(result: Result, asked: Mapping[str, str]) -> bool:
    """Whether a result is of a variant, or of these settings and of exactly the other options."""
    rest = dict(asked)
    if not str(result.model["revision"]).startswith(rest.pop("revision", "")):
        return False
    variant = rest.pop("variant", None)
    if variant is not None and variant != result.variant:
        return False
    for name in _SETTINGS:
        if name in rest and name not in result.model.get("options", {}):
            wanted = rest.pop(name)
            wanted = DTYPES.get(wanted, wanted) if name == "dtype" else wanted
            if str(result.settings.get(name)) != wanted:
                return False
    options = {name: str(value) for name, value in result.model.get("options", {}).items()}
    return options == rest or (variant is not None and not rest)


def _spec(files: Files) -> Callable[[Key, Sequence[Result]], str]:
    """Return what to type for a model by name; its revision only where there are several."""
    several: dict[tuple[str, str], set[str]] = {}
    for name, revision, variant in map(_key, files.results):
        several.setdefault((name, variant), set()).add(revision)

    def type_(key: Key, chosen: Sequence[Result]) -> str:
        name, revision, variant = key
        asked = {"variant": variant}
        if len(several[name, variant]) > 1:
            asked = {"revision": revision, **asked}
        return f"{name}?" + "&".join(f"{k}={quote(v, safe=',=:/')}" for k, v in asked.items())

    return type_


def _names(results: Path) -> list[str]:
    """Return the names of the models that have results of their own."""
    paths = result_files(_root(results))
    if not paths:
        raise NothingToReadError(f"No results under '{results}'. `evalsuite run MODEL` makes some.")
    return sorted({_name(result) for result in read(paths).results})


def _root(results: Path) -> Path:
    if not results.is_dir():
        raise UsageError(f"No results folder at '{results}'. `evalsuite run MODEL` makes one.")
    return results


# ---- from results to one model's


def _name(result: Result) -> str:
    return str(result.model["name"])


def _key(result: Result) -> Key:
    return _name(result), str(result.model["revision"]), result.variant


def _groups(found: _Found) -> dict[Key, list[Result]]:
    groups: dict[Key, list[Result]] = {}
    for result in found.files.results:
        groups.setdefault(_key(result), []).append(result)
    full = {k: rs for k, rs in groups.items() if rs[0].settings.get("limit") is None}
    return full if found.looked_up and full else groups


def _narrowed(groups: dict[Key, list[Result]], like: Selection) -> dict[Key, list[Result]]:
    """Keep the groups most like a selection: by name and variant, by name, then by settings."""
    theirs = list(like.results.values())
    keys = {_key(result) for result in theirs}
    variants = {(name, variant) for name, _, variant in keys}
    names = {name for name, _, _ in keys}
    settings = {_settings(result) for result in theirs}
    for same in (
        {k: rs for k, rs in groups.items() if (k[0], k[2]) in variants},
        {k: rs for k, rs in groups.items() if k[0] in names},
    ):
        if len(groups) > 1 and same:
            groups = same
    if len(groups) > 1 and len({name for name, _, _ in groups}) == 1:
        same = {k: rs for k, rs in groups.items() if _settings(rs[0]) in settings}
        groups = same or groups
    return groups


def _settings(result: Result) -> str:
    known = {name: value for name, value in result.settings.items() if name in _SETTINGS}
    return json.dumps(known, sort_keys=True, default=str)


def _choices(groups: Mapping[Key, Sequence[Result]], found: _Found) -> str:
    typed = [shlex.quote(found.type_(key, chosen)) for key, chosen in sorted(groups.items())]
    more = f" and {len(typed) - _CHOICES} more" if len(typed) > _CHOICES else ""
    return ", ".join(typed[:_CHOICES]) + more


def _by_task(chosen: Iterable[Result]) -> dict[str, Result]:
    tasks: dict[str, Result] = {}
    for result in chosen:
        other = tasks.setdefault(result.task_key, result)
        if other is not result:
            raise UsageError(
                f"Two results of {result.task_key}: '{other.path}' and '{result.path}'. Name the "
                "folder of one, or move the other away."
            )
    return dict(sorted(tasks.items()))


def _nothing(found: _Found) -> Exception:
    """Return the error for a text that stands for no result that can be compared."""
    files = found.files
    if files.unreadable:
        n, first = len(files.unreadable), files.unreadable[0][1]
        return StoreError(first if n == 1 else f"None of {n} result files can be read. {first}")
    if files.imported:
        return NothingToReadError(
            f"All results of {found.what} are imported and have no items: run the model here to "
            "compare it."
        )
    return NothingToReadError(f"No results of {found.what}. `evalsuite run MODEL` makes some.")
