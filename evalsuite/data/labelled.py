"""Texts with labels: the data of classification, and readers of their local files.

Training texts are drawn by their place in the training split, as mteb draws them. Its order is part
of what a score depends on: it is kept as it was read, and the digest covers it. The order of the
test split moves nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.layouts import check_unique, chosen, content_digest, content_ids, hash_fields
from evalsuite.data.local import clean, delimited_rows, json_lines, lines
from evalsuite.errors import DataError, UsageError

TRAIN = "train"
_INTEGER = re.compile(r"-?[0-9]+")

Row = tuple[Any, Any]
"""``(text, label)`` as read."""


@dataclass(frozen=True)
class Split:
    """Texts of one split with their labels.

    Attributes:
        ids: ``[n]``, from the content.
        texts: ``[n]``.
        labels: ``[n]``, places in the data's names of labels.
    """

    ids: Sequence[str]
    texts: Sequence[str]
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


@dataclass(frozen=True)
class Labelled:
    """Texts to learn labels from and texts to label.

    Attributes:
        train: In the order of its source.
        test: The items; the training split itself where the task is cross-validated.
        names: ``[k]``, the labels: whole numbers by value, others by the alphabet.
    """

    train: Split
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
        train, test = hashlib.sha256(), self.test
        for text, label in zip(self.train.texts, self.train.labels, strict=True):
            train.update(hash_fields(text, self.names[label]))
        items = content_digest(
            (identifier, hash_fields(text, self.names[label]))
            for identifier, text, label in zip(test.ids, test.texts, test.labels, strict=True)
        )
        return hashlib.sha256(f"{train.hexdigest()}{items}".encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        return {"train": len(self.train), "test": len(self.test), "labels": len(self.names)}

    def ordered(self) -> Self:
        """Return the items in the order of their ids; training texts keep theirs."""
        index = sorted(range(len(self.test)), key=self.test.ids.__getitem__)
        return replace(self, test=self.test.taken(index))

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the items; training texts stay unless they are the items."""
        kept = chosen(self.test.ids, limit)
        train = _kept(self.train, kept) if self.is_one_split else self.train
        return replace(self, train=train, test=_kept(self.test, kept))


def _kept(split: Split, ids: set[str]) -> Split:
    return split.taken([i for i, identifier in enumerate(split.ids) if identifier in ids])


def make_labelled(train: Sequence[Row], test: Sequence[Row] | None, at: Any) -> Labelled:
    """Build labelled texts; ids come from the content.

    Args:
        train: Rows of the training split, in its order.
        test: Rows of the split to label; None where that is the training split.
        at: Where they come from, for messages.

    Raises:
        DataError: A split is empty, a row lacks its text or label, or there is one label only.
    """
    splits = [_checked(train, f"{at}, training split")]
    if test is not None:
        splits.append(_checked(test, f"{at}, test split"))
    names = sorted_labels({label for rows in splits for _, label in rows})
    code = {name: i for i, name in enumerate(names)}
    built = [
        Split(
            content_ids(rows),
            [text for text, _ in rows],
            np.array([code[label] for _, label in rows], dtype=np.int64),
        )
        for rows in splits
    ]
    return Labelled(built[0], built[-1], names)


def _checked(rows: Iterable[Row], where: str) -> list[tuple[str, str]]:
    """Return text and label of each row as text."""
    checked = []
    for number, (text, label) in enumerate(rows, start=1):
        if text is None:
            raise DataError(f"{where}: row {number} lacks a text.")
        name = label_name(label)
        if not name:
            raise DataError(f"{where}: row {number} lacks a label.")
        checked.append((clean(str(text)), name))
    if not checked:
        raise DataError(f"{where}: it holds no texts.")
    return checked


def label_name(value: Any) -> str:
    """Return a label as text, empty where there is none; whole numbers have one spelling.

    A list of labels is the JSON list of them, sorted; :func:`labels_of` reads it.
    """
    if isinstance(value, list):
        return json.dumps(sorted({label_name(one) for one in value} - {""}), ensure_ascii=False)
    if value is None or value != value:  # NaN, as tables write a missing cell
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return clean(str(value)).strip()


def labels_of(name: str) -> list[str]:
    """Return the labels a name stands for: those of a list, or the one label it is."""
    if not name.startswith("["):
        return [name]
    try:
        return [str(label) for label in json.loads(name)]
    except ValueError:
        return [name]


def sorted_labels(labels: set[str]) -> list[str]:
    """Return labels in order: whole numbers by value, others by the alphabet."""
    if all(_INTEGER.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels, key=lambda label: (label.lower(), label))


def read_delimited(folder: Path, options: Mapping[str, Any], split: str) -> Labelled:
    """Read delimited text.

    Options: ``train`` and ``test``, files; ``columns`` = {text, label} as header names or, without
    a header, positions; ``delimiter`` (tab), ``quoted`` (false), ``encoding`` (UTF-8).
    """

    def rows(path: Path) -> Iterator[Row]:
        for cells in delimited_rows(path, options):
            yield cells["text"], cells["label"]

    if set(options["columns"]) != {"text", "label"}:
        raise UsageError("`columns` of labelled texts are { text = ..., label = ... }.")
    return _read(folder, options, split, rows)


def read_jsonl(folder: Path, options: Mapping[str, Any], split: str) -> Labelled:
    """Read JSON Lines.

    Options: ``train`` and ``test``, files; ``columns`` = {text, label} as keys, by default these.
    """
    columns = {"text": "text", "label": "label"} | dict(options.get("columns", {}))

    def rows(path: Path) -> Iterator[Row]:
        for row in json_lines(path):
            yield row.get(columns["text"]), row.get(columns["label"])

    return _read(folder, options, split, rows)


def read_trec(folder: Path, options: Mapping[str, Any], split: str) -> Labelled:
    """Read TREC's questions, ``COARSE:fine question`` a line; the label is the coarse class.

    Options: ``train`` and ``test``, files; ``encoding`` (UTF-8).
    """
    return _read(folder, options, split, lambda path: trec_rows(path, options))


def trec_rows(path: Path, options: Mapping[str, Any]) -> Iterator[Row]:
    """Yield question and coarse class of each line that is not blank.

    Raises:
        DataError: A line has another shape.
    """
    plain = lines(path, options.get("encoding", "utf-8-sig"))
    for number, line in enumerate(plain, start=1):
        label, colon, rest = line.partition(":")
        _, blank, text = rest.partition(" ")
        if not line.strip():
            continue
        if not colon or not blank:
            raise DataError(f"{path}:{number} is not 'COARSE:fine question'.")
        yield text, label


def _read(
    folder: Path, options: Mapping[str, Any], split: str, rows: Callable[[Path], Iterable[Row]]
) -> Labelled:
    """Read the training file, and the test file unless the training split is what is labelled."""
    train = list(rows(folder / options["train"]))
    test = None if split == TRAIN else list(rows(folder / options["test"]))
    return make_labelled(train, test, folder)


READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], Labelled]] = {
    "delimited": read_delimited,
    "jsonl": read_jsonl,
    "trec": read_trec,
}
