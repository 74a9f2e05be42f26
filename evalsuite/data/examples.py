"""Labelled texts, or labelled pairs of texts, in splits to learn from, to choose by and to label.

The data of frozen transfer, and readers of their local files. Folds are drawn by the place of a
training text, so the order of the training split is part of what a score depends on: it is kept as
it was read, and the digest covers it. The order of the other splits moves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.labelled import TRAIN, label_name, sorted_labels, trec_rows
from evalsuite.data.layouts import check_unique, chosen, content_digest, content_ids, hash_fields
from evalsuite.data.local import clean, delimited_rows, json_lines
from evalsuite.errors import DataError, UsageError

Row = tuple[Any, ...]
"""``(text, label)`` or ``(first, second, label)`` as read."""

SINGLE, PAIR = ("text", "label"), ("first", "second", "label")


@dataclass(frozen=True)
class Split:
    """Examples of one split.

    Attributes:
        ids: ``[n]``, from the content.
        texts: ``[n]``, one text each, or two.
        labels: ``[n]``, places in the data's names of labels.
    """

    ids: Sequence[str]
    texts: Sequence[tuple[str, ...]]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def taken(self, index: Sequence[int]) -> Self:
        """Return the rows at some places, in that order."""
        return replace(
            self,
            ids=[self.ids[i] for i in index],
            texts=[self.texts[i] for i in index],
            labels=self.labels[np.asarray(index, dtype=np.int64)],
        )

    def kept(self, ids: set[str]) -> Self:
        """Return the rows with these ids, in their order."""
        return self.taken([i for i, identifier in enumerate(self.ids) if identifier in ids])

    def contents(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the id and the hashed content of each row."""
        for identifier, texts, label in zip(self.ids, self.texts, self.labels, strict=True):
            yield identifier, hash_fields(*texts, names[label])


@dataclass(frozen=True)
class Examples:
    """Examples to learn from, to choose settings by and to label.

    Attributes:
        train: In the order of its source.
        dev: What settings are chosen by, or None where the training split is cut into folds.
        test: The items; the training split itself where the task is cross-validated.
        names: ``[k]``, the labels: whole numbers by value, others by the alphabet.
    """

    train: Split
    dev: Split | None
    test: Split
    names: Sequence[str]

    def __post_init__(self) -> None:
        """Check ids, and that there is something to tell apart."""
        check_unique(self.test.ids, "text")
        if len(np.unique(self.train.labels)) < 2:
            raise DataError("The training texts have one label only: there is nothing to tell.")

    @property
    def is_one_split(self) -> bool:
        """Whether the texts to label are those to learn from."""
        return sorted(self.train.ids) == sorted(self.test.ids)

    def digest(self) -> str:
        """Content digest: the training texts in their order, the others by id."""
        train = hashlib.sha256(b"".join(content for _, content in self.train.contents(self.names)))
        others = [part for part in (self.dev, self.test) if part is not None]
        parts = [content_digest(part.contents(self.names)) for part in others]
        return hashlib.sha256("".join((train.hexdigest(), *parts)).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        dev = {} if self.dev is None else {"dev": len(self.dev)}
        return {"train": len(self.train), **dev, "test": len(self.test), "labels": len(self.names)}

    def ordered(self) -> Self:
        """Return the items in the order of their ids; training texts keep theirs."""
        by_id = sorted(range(len(self.test)), key=self.test.ids.__getitem__)
        return replace(self, test=self.test.taken(by_id))

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the items; training texts stay unless they are the items."""
        kept = chosen(self.test.ids, limit)
        train = self.train.kept(kept) if self.is_one_split else self.train
        return replace(self, train=train, test=self.test.kept(kept))


def make_examples(
    train: Iterable[Row], dev: Iterable[Row] | None, test: Iterable[Row] | None, at: Any
) -> Examples:
    """Build examples; ids come from the content.

    Args:
        train: Rows of the training split, in its order.
        dev: Rows to choose settings by, if any.
        test: Rows of the split to label; None where that is the training split.
        at: Where they come from, for messages.

    Raises:
        DataError: A split is empty, a row lacks a text or its label, or there is one label only.
    """
    given = {"training": train, "development": dev, "test": test}
    rows = {
        name: list(_checked(part, f"{at}, {name} split"))
        for name, part in given.items()
        if part is not None
    }
    names = sorted_labels({row[-1] for part in rows.values() for row in part})
    code = {name: i for i, name in enumerate(names)}
    built = {
        name: Split(
            content_ids(part),
            [row[:-1] for row in part],
            np.array([code[row[-1]] for row in part], dtype=np.int64),
        )
        for name, part in rows.items()
    }
    learnt = built["training"]
    return Examples(learnt, built.get("development"), built.get("test", learnt), names)


def _checked(rows: Iterable[Row], where: str) -> Iterator[tuple[str, ...]]:
    """Yield the texts and the label of each row as text."""
    number = 0
    for number, (*texts, label) in enumerate(rows, start=1):
        if any(text is None for text in texts):
            raise DataError(f"{where}: row {number} lacks a text.")
        name = label_name(label)
        if not name:
            raise DataError(f"{where}: row {number} lacks a label.")
        yield *(clean(str(text)) for text in texts), name
    if not number:
        raise DataError(f"{where}: it holds no texts.")


def columns_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the texts and the label stand: ``columns``, by default ``text`` and ``label``.

    Raises:
        UsageError: They are neither those of texts nor those of pairs.
    """
    columns = dict(options.get("columns") or {name: name for name in SINGLE})
    for names in (SINGLE, PAIR):
        if set(columns) == set(names):
            return {name: columns[name] for name in names}
    raise UsageError(
        "`columns` of examples are { text = ..., label = ... } or "
        "{ first = ..., second = ..., label = ... }."
    )


def read_delimited(folder: Path, options: Mapping[str, Any], split: str) -> Examples:
    """Read delimited text.

    Options: those of :func:`_read`; ``columns`` as header names or, without a header, positions;
    ``delimiter`` (tab), ``quoted`` (false), ``encoding`` (UTF-8).
    """
    names = columns_of(options)

    def rows(path: Path) -> Iterator[Row]:
        for cells in delimited_rows(path, {**options, "columns": names}):
            yield tuple(cells[name] for name in names)

    return _read(folder, options, split, rows)


def read_jsonl(folder: Path, options: Mapping[str, Any], split: str) -> Examples:
    """Read JSON Lines.

    Options: those of :func:`_read`; ``columns`` as keys.
    """
    names = columns_of(options)

    def rows(path: Path) -> Iterator[Row]:
        for row in json_lines(path):
            yield tuple(row.get(key) for key in names.values())

    return _read(folder, options, split, rows)


def read_trec(folder: Path, options: Mapping[str, Any], split: str) -> Examples:
    """Read TREC's questions, ``COARSE:fine question`` a line; the label is the coarse class.

    Options: those of :func:`_read`; ``encoding`` (UTF-8).
    """
    return _read(folder, options, split, lambda path: trec_rows(path, options))


def _read(
    folder: Path, options: Mapping[str, Any], split: str, rows: Callable[[Path], Iterable[Row]]
) -> Examples:
    """Read the splits, but no test file where the training split is what is labelled.

    Options: ``train``, or ``files`` where the training split is several; ``dev``, if there is one;
    ``test``.
    """
    names = options["files"] if "files" in options else [options["train"]]
    train = [row for name in names for row in rows(folder / name)]
    dev = rows(folder / options["dev"]) if "dev" in options else None
    test = None if split == TRAIN else rows(folder / options["test"])
    return make_examples(train, dev, test, folder)


READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], Examples]] = {
    "delimited": read_delimited,
    "jsonl": read_jsonl,
    "trec": read_trec,
}
