"""Readers of local files: STS files in their usual formats and BEIR folders."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from evalsuite.data.layouts import Documents, Pairs, Retrieval, content_ids
from evalsuite.errors import DataError, UsageError

_SURROGATE = re.compile("[\ud800-\udfff]")
_CLITIC = re.compile(r"(?<=\w) ' (?=(?:s|t|re|ve|ll|d|m)(?: |$))")
_LARGE_BYTES = 512 * 2**20  # a corpus file above this stays on disk


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer and no UTF-8 file can hold, by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text) if not text.isascii() else text


def lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[str]:
    r"""Yield the lines of a file, UTF-8 with or without a byte order mark; only ``\n`` ends one.

    Raises:
        DataError: The file is missing or not in its encoding.
        UsageError: Nobody knows the encoding.
    """
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except FileNotFoundError:
        raise DataError(f"The data file '{path}' is missing.") from None
    except UnicodeDecodeError as error:
        known = error.encoding.upper()
        raise DataError(f"The data file '{path}' is not {known}: {error.reason}.") from error
    except LookupError:
        raise UsageError(f"Unknown `encoding` {encoding!r}; try 'utf-8' or 'latin-1'.") from None
    except OSError as error:
        raise DataError(f"Cannot read the data file '{path}': {error.strerror}.") from error


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file.

    Raises:
        DataError: A line is no JSON object.
    """
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number} is not a JSON object.")
        yield row


def make_pairs(rows: Sequence[tuple[str, str, Any]], ids: Sequence[str] | None, at: Any) -> Pairs:
    """Build pairs from ``(first, second, gold)`` rows; ids come from the content if None.

    Raises:
        DataError: There are no rows, or a gold is no number.
    """
    if not rows:
        raise DataError(f"{at} holds no pairs.")
    for number, row in enumerate(rows, start=1):
        if row[0] is None or row[1] is None:
            raise DataError(f"{at}: pair {number} lacks a text.")
    try:
        gold = np.array([float(row[2]) for row in rows])
    except (TypeError, ValueError) as error:
        raise DataError(f"{at}: a score is not a number: {error}.") from error
    first, second = ([clean(str(row[side])) for row in rows] for side in (0, 1))
    if ids is None:
        ids = content_ids(
            (a, b, repr(g)) for a, b, g in zip(first, second, gold.tolist(), strict=True)
        )
    return Pairs([clean(i) for i in ids], first, second, gold)


def read_semeval(folder: Path, options: Mapping[str, Any], split: str = "test") -> Pairs:
    """Read SemEval's ``*.input.*.txt`` and ``*.gs.*.txt``; a blank gold line is not scored.

    Options: ``join_clitics`` writes ``it ' s`` as ``it 's``, as the copies on the hub have it.
    """
    rows: list[tuple[str, str, Any]] = []
    inputs = sorted(path for path in folder.glob("*.input.*.txt"))
    for path in inputs:
        golds = list(lines(path.with_name(path.name.replace(".input.", ".gs."))))
        for number, line in enumerate(lines(path)):
            gold = golds[number].strip() if number < len(golds) else ""
            if not gold:
                continue
            cells = line.split("\t")
            if len(cells) < 2:
                raise DataError(f"{path}:{number + 1} has no tab between two texts.")
            if options.get("join_clitics"):
                cells = [_CLITIC.sub(" '", cell) for cell in cells[:2]]
            rows.append((cells[0], cells[1], gold))
    if not inputs:
        raise DataError(f"No '*.input.*.txt' in '{folder}'.")
    return make_pairs(rows, None, folder)


def read_delimited(folder: Path, options: Mapping[str, Any], split: str = "test") -> Pairs:
    """Read pairs from delimited text.

    Options: ``files``; ``columns`` = {first, second, gold, id?} as header names or, without a
    header, positions; ``delimiter`` (tab); ``quoted`` (false: quotes are ordinary characters);
    ``lower`` (false: texts are lower-cased).
    """
    rows: list[tuple[str, str, Any]] = []
    ids: list[str] = []
    for name in options["files"]:
        for picked in delimited_rows(folder / name, options):
            first, second = picked["first"], picked["second"]
            if options.get("lower"):
                first, second = first.lower(), second.lower()
            rows.append((first, second, picked["gold"]))
            ids.append(picked.get("id", ""))
    return make_pairs(rows, ids if "id" in options["columns"] else None, folder)


def delimited_rows(path: Path, options: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the cells of each row that is not blank, by the names ``columns`` gives them.

    Options: ``columns``, ``delimiter``, ``quoted`` as in :func:`read_delimited`, and ``encoding``.

    Raises:
        DataError: The file is missing or malformed, or a row lacks a column.
        UsageError: The delimiter is no single character, or nobody knows the encoding.
    """
    columns: Mapping[str, Any] = options["columns"]
    by_name = isinstance(next(iter(columns.values())), str)
    delimiter, quoted = options.get("delimiter", "\t"), bool(options.get("quoted", False))
    if len(delimiter) != 1:
        raise UsageError(f"`delimiter` is one character, not {delimiter!r}.")
    plain = lines(path, options.get("encoding", "utf-8-sig"))
    table = _delimited(path, plain, delimiter, quoted=quoted)
    header = {title: i for i, title in enumerate(next(table, []))} if by_name else {}
    for number, cells in enumerate(table, start=1):
        try:
            yield {k: cells[header[c] if by_name else c] for k, c in columns.items()}
        except (KeyError, IndexError, TypeError) as error:
            wanted = ", ".join(map(repr, columns.values()))
            raise DataError(f"{path}: row {number} lacks one of the columns {wanted}.") from error


def _delimited(
    path: Path, plain: Iterator[str], delimiter: str, *, quoted: bool
) -> Iterator[list[str]]:
    """Yield the rows of a delimited file that are not blank."""
    if not quoted:
        yield from (line.split(delimiter) for line in plain if line)
        return
    reader = csv.reader((f"{line}\n" for line in plain), delimiter=delimiter)
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num} is not delimited text: {error}.") from error


def read_jsonl_pairs(folder: Path, options: Mapping[str, Any], split: str = "test") -> Pairs:
    """Read pairs from JSON Lines.

    Options: ``file``; ``columns`` = {first, second, gold, id?} as keys, by default
    ``sentence1``, ``sentence2``, ``score`` and, where the rows have it, ``id``.
    """
    path = folder / options["file"]
    columns = options.get("columns") or {
        "first": "sentence1",
        "second": "sentence2",
        "gold": "score",
    }
    objects = list(json_lines(path))
    id_key = columns.get("id") or ("id" if objects and "id" in objects[0] else None)
    try:
        rows = [(o[columns["first"]], o[columns["second"]], o[columns["gold"]]) for o in objects]
        ids = [str(o[id_key]) for o in objects] if id_key else None
    except KeyError as error:
        raise DataError(f"{path}: a row has no key {error}.") from error
    return make_pairs(rows, ids, path)


def document_text(row: Mapping[str, Any]) -> str:
    """Join title and text as BEIR and mteb do."""
    title, text = row.get("title") or "", row.get("text") or ""
    return clean(f"{title} {text}".strip() if title else text.strip())


class JsonlTexts(Sequence[str]):
    """Document texts that stay in their file; consecutive slices read it consecutively."""

    def __init__(self, path: Path, offsets: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        self._path, self._offsets = path, offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        rows = range(len(self))[index]
        if isinstance(rows, int):
            return self[rows : rows + 1][0]
        with self._path.open("rb") as file:
            texts = []
            for row in rows:
                if file.tell() != self._offsets[row]:
                    file.seek(int(self._offsets[row]))
                texts.append(document_text(json.loads(file.readline())))
        return texts


def read_documents(path: Path) -> Documents:
    """Read ``corpus.jsonl``; a large one is indexed and stays on disk."""
    if not path.exists() or path.stat().st_size < _LARGE_BYTES:
        rows = [(str(_key(row, path)), document_text(row)) for row in json_lines(path)]
        return Documents([i for i, _ in rows], [text for _, text in rows])
    ids, offsets, offset = [], [], 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                ids.append(str(_key(json.loads(line), path)))
                offsets.append(offset)
            offset += len(line)
    return Documents(ids, JsonlTexts(path, np.array(offsets, dtype=np.int64)))


def _key(row: Mapping[str, Any], path: Path) -> Any:
    for key in ("_id", "id"):
        if key in row:
            return row[key]
    raise DataError(f"{path}: a row has neither '_id' nor 'id'.")


def read_beir(folder: Path, options: Mapping[str, Any], *, split: str = "test") -> Retrieval:
    """Read a BEIR folder: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/<split>.tsv``.

    Options: ``qrels`` names another qrels file.
    """
    documents = read_documents(folder / "corpus.jsonl")
    path = folder / "queries.jsonl"
    rows = [(str(_key(row, path)), clean(str(row.get("text", "")))) for row in json_lines(path)]
    qrels = read_qrels(folder / options.get("qrels", f"qrels/{split}.tsv"))
    unknown = sorted(qrels.keys() - {identifier for identifier, _ in rows})[:3]
    if unknown:
        raise DataError(f"{path} lacks queries that are judged: {', '.join(map(repr, unknown))}.")
    # queries.jsonl holds the queries of every split: those without a judgement are not this task's
    rows = [row for row in rows if row[0] in qrels]
    return Retrieval(documents, [i for i, _ in rows], [text for _, text in rows], qrels)


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read ``query-id <tab> corpus-id <tab> score``, with or without that header.

    Raises:
        DataError: A row has another shape or a grade that is no integer.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines(path), start=1):
        cells = line.split("\t")
        if not line.strip() or (number == 1 and cells[-1].strip() == "score"):
            continue
        try:
            query, document, grade = cells
            qrels.setdefault(query, {})[document] = int(grade)
        except ValueError:
            raise DataError(
                f"{path}:{number} is not 'query-id <tab> corpus-id <tab> integer score'."
            ) from None
    return qrels


PAIR_READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], Pairs]] = {
    "semeval": read_semeval,
    "delimited": read_delimited,
    "jsonl": read_jsonl_pairs,
}
