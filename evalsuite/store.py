"""A directory of results, and reading it back.

The path ``<model>/<revision>/<variant>/<Task>@<version>.json`` is the resume key; the same values
and the fingerprint stand inside and are compared on resume. Files appear whole or not at all.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.errors import NothingToReadError, StoreError, UsageError
from evalsuite.result import SCHEMA_VERSION, Items, Result, Score
from evalsuite.tables import items_digest, items_from_table, items_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SLUG_LENGTH = 100
_SUPERSEDED = "superseded"
_HASHED = re.compile(r"-[0-9a-f]{12}$")
_NEEDED = {  # keys readers rely on
    "task": ("name", "version", "fingerprint"),
    "model": ("name", "identity"),
    "settings": ("device", "dtype"),
}
_NEEDED_IMPORTED = ("tool", "task", "revision", "file")


def slug(text: str) -> str:
    """Return a file name for any string: readable where it can be, never leaving its folder.

    ``/`` is written ``__``. Strings that could not be read back from that, look hashed or are over
    100 characters get a hash, so that no two share a name.
    """
    plain = re.sub(r"[^A-Za-z0-9._=+,@-]+", "_", text.replace("/", "__"))
    plain = plain.lstrip(".-") or "_"
    readable = plain.replace("__", "/") == text and len(plain) <= _SLUG_LENGTH
    if readable and not _HASHED.search(plain):
        return plain
    return f"{plain[:80]}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def canonical_json(value: Any) -> str:
    """Return JSON text with sorted keys and fixed float format, so that a git diff means something.

    Raises:
        ValueError: The value holds NaN or infinity.
    """
    return json.dumps(_rounded(value), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be stored")
        return float(f"{value:.9g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(child) for child in value]
    return value


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that it appears whole or not at all, on this disk for good.

    Args:
        path: The file; its folder is made.
        data: Its content.
        durable: Wait for the disk; without, a crash of the machine can lose the file.

    Raises:
        StoreError: The disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"Cannot write '{path}': {error.strerror or error}. Free some space or name another "
            "folder with --results."
        ) from error


@dataclass(frozen=True)
class Store:
    """A directory of results.

    Attributes:
        root: The directory; made on the first write.
    """

    root: Path

    def path(self, model: str, revision: str, variant: str, task_key: str) -> Path:
        """Return the file a result lives in; the resume key."""
        name = slug(task_key)
        if "@" not in name:  # a long name of another tool's, cut off: `paths` looks for the sign
            name += "@"
        return self.root / slug(model) / slug(revision) / slug(variant) / f"{name}.json"

    def write(self, result: Result, items: Items) -> Result:
        """Store a result and its item table, the table first; an older result moves aside.

        Raises:
            StoreError: The folder cannot be written.
        """
        import io

        import pyarrow.parquet as pq

        path = self.path(
            result.model["name"], result.model["revision"], result.variant, result.task_key
        )
        buffer = io.BytesIO()
        pq.write_table(items_table(items), buffer, compression="zstd")
        if _exists(path):
            self.supersede(path)
        write_atomically(path.with_suffix(".parquet"), buffer.getvalue())
        write_atomically(path, canonical_json(to_json(result)).encode("utf-8"))
        return replace(result, path=path)

    def write_imported(self, path: Path, result: Result) -> None:
        """Store an imported result, which has no items; an older import moves aside.

        Args:
            path: As :meth:`path` returns it.
            result: The result.

        Raises:
            StoreError: The folder cannot be written, or a result of this project stands there.
        """
        if not result.imported:
            raise ValueError("results with items are stored by `write`")
        if _exists(path):
            if not read_result(path).imported:
                raise StoreError(f"'{path}' holds a result of evalsuite's own; it is kept.")
            self.supersede(path)
        text = canonical_json(to_json(result))
        write_atomically(path, text.encode("utf-8"), durable=False)  # can be imported again

    def find_computed(self, path: Path, origin: Mapping[str, Any], identity: str) -> Result | None:
        """Return the finished result another tool computed at a path, or None.

        Args:
            path: As :meth:`path` returns it.
            origin: The tool, its version and its task.
            identity: The model's.

        Raises:
            StoreError: The path holds an unreadable result.
        """
        if not _exists(path):
            return None
        result = read_result(path)
        same = result.origin == dict(origin) and result.model["identity"] == identity
        return result if same else None

    def find(self, path: Path, fingerprint: str, identity: str) -> Result | None:
        """Return the finished result at a path, or None.

        Raises:
            StoreError: The path holds the result of another task or model, or is unreadable.
        """
        if not _exists(path):
            return None
        result = read_result(path)
        for what, found, wanted in (
            ("task fingerprint", result.task["fingerprint"], fingerprint),
            ("model identity", result.model["identity"], identity),
        ):
            if found != wanted:
                raise StoreError(
                    f"'{path}' holds a result with another {what} ({found[:12]}, this run has "
                    f"{wanted[:12]}). Pass --force to run again; the old result is kept under "
                    f"{_SUPERSEDED}/."
                )
        if not path.with_suffix(".parquet").exists():
            return None  # half a result, e.g. its table was deleted by hand: run again
        return result

    def supersede(self, path: Path) -> None:
        """Move a result aside into ``superseded/<date>/``; nothing is ever overwritten."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H%M%S.%f")
        target = self.root / _SUPERSEDED / now / path.relative_to(self.root).parent
        try:
            target.mkdir(parents=True, exist_ok=True)
            for file in (path, path.with_suffix(".parquet")):
                if file.exists():
                    file.replace(target / file.name)
        except OSError as error:
            raise StoreError(f"Cannot move '{path}' aside: {error.strerror}.") from error

    def paths(self) -> Iterator[Path]:
        """Yield the files of all current results, sorted."""
        yield from sorted(self.root.glob("*/*/*/*@*.json"))  # superseded ones lie deeper


def to_json(result: Result) -> dict[str, Any]:
    """Return the JSON object of a result file (``docs/results.md``)."""
    return {
        "schema": SCHEMA_VERSION,
        "task": dict(result.task),
        "model": dict(result.model),
        "settings": dict(result.settings),
        "variant": result.variant,
        "main_measure": result.main_measure,
        "scores": {
            name: {"value": score.value, "n": score.n}
            | ({"ci95": list(score.ci95)} if score.ci95 else {})
            for name, score in result.scores.items()
        },
        "counts": dict(result.counts),
        "evidence": dict(result.evidence),
        "items_digest": result.items_digest,
        "run": dict(result.run),
        **({"cost": dict(result.cost)} if result.cost else {}),
        **({"origin": dict(result.origin)} if result.origin is not None else {}),
    }


def read_result(path: Path) -> Result:
    """Read one result file.

    Raises:
        StoreError: It is malformed or of another schema version.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        schema = table["schema"]
    except FileNotFoundError:
        raise StoreError(f"No result file at '{path}'.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"'{path}' is not a result file ({type(error).__name__}: {error}). "
            "Delete or move it, then run again."
        ) from error
    if schema != SCHEMA_VERSION:
        mend = (
            "update evalsuite"
            if isinstance(schema, int) and schema > SCHEMA_VERSION
            else "run again with --force"
        )
        raise StoreError(
            f"'{path}' has result schema {schema!r}, this evalsuite reads {SCHEMA_VERSION}: {mend}."
        )
    try:
        scores = {name: _score(score) for name, score in table.pop("scores").items()}
        del table["schema"]
        result = Result(scores=scores, path=path, **table)
        _ = result.main_score, [table[part][key] for part in _NEEDED for key in _NEEDED[part]]
        if result.origin is not None and not all(
            isinstance(result.origin[key], str) for key in _NEEDED_IMPORTED
        ):
            raise TypeError("a part of `origin` is no string")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"'{path}' is a malformed result file: {error!r}.") from error
    return result


def _score(score: Mapping[str, Any]) -> Score:
    interval = None
    if "ci95" in score:
        low, high = score["ci95"]
        interval = float(low), float(high)
    return Score(float(score["value"]), int(score["n"]), interval)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # e.g. a name longer than the disk allows
        raise StoreError(f"Cannot read '{path}': {error.strerror}.") from error


@dataclass(frozen=True)
class Results:
    """Results read from one or more stores, sorted by path.

    Attributes:
        results: The readable ones.
        problems: One sentence for each file that could not be read.
    """

    results: tuple[Result, ...]
    problems: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a result: task, model, variant, main score, interval, n, path, scores.

        ``imported`` names the tool an imported result comes from; None marks an own one.
        """
        import pandas as pd

        rows = []
        for result in self.results:
            row = result.summary()
            low, high = result.ci95 or (None, None)
            del row["ci95"], row["counts"], row["cost"]
            row["imported"] = row.pop("origin", {}).get("tool")
            scores = row.pop("scores")
            rows.append({**row, "ci95_low": low, "ci95_high": high, **scores})
        return pd.DataFrame(rows)


def load_results(*roots: str | os.PathLike[str], strict: bool = True) -> Results:
    """Read every result under the given folders.

    Args:
        roots: Result folders.
        strict: Raise on a malformed file; otherwise collect it under ``problems``.

    Raises:
        UsageError: A folder does not exist.
        StoreError: A file is malformed, with ``strict``.
        NothingToReadError: There is no result at all.
    """
    results: list[Result] = []
    problems: list[str] = []
    for root in map(Path, roots):
        if not root.is_dir():
            raise UsageError(f"No results folder at '{root}'. `evalsuite run MODEL` makes one.")
        for path in Store(root).paths():
            try:
                results.append(read_result(path))
            except StoreError as error:
                if strict:
                    raise
                problems.append(str(error))
    if not results and not problems:
        raise NothingToReadError(f"No results under {', '.join(map(repr, map(str, roots)))}.")
    return Results(tuple(results), tuple(problems))


def read_items(path: Path) -> pd.DataFrame:
    """Read the item table beside a result file.

    Raises:
        StoreError: The table is missing or unreadable, or the result was imported and has none.
    """
    frame: pd.DataFrame = _read_table(path).to_pandas()
    return frame


def load_items(result: Result) -> Items:
    """Read a stored result's items, checked against what the result says of them.

    Raises:
        StoreError: The table is missing, unreadable or not the one the result was scored from, or
            the result was imported and has none.
    """
    assert result.path is not None
    table, path = _read_table(result.path), result.path.with_suffix(".parquet")
    try:
        items = items_from_table(table)
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"'{path}' is a malformed item table: {error!r}. Run again with --force."
        ) from error
    if items_digest(items) != result.items_digest:
        raise StoreError(
            f"'{path}' is not the item table its result was scored from. Run again with --force."
        )
    return items


def _read_table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = path.with_suffix(".parquet")
    if not table.exists() and path.exists() and (origin := read_result(path).origin):
        raise StoreError(
            f"'{path}' is imported from {origin['tool']} and has no items: run the model here to "
            "compare it item by item."
        )
    try:
        return pq.ParquetFile(table).read()  # `read_table` imports pandas
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"Cannot read the item table '{table}': {error}") from error
