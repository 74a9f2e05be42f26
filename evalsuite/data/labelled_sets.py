"""Texts with labels of one or more levels, in one or more sets: the data of clustering.

Texts are drawn by their place, and k-means starts from places drawn, as in mteb. So a score depends
on the order of the texts: it is kept as it was read, and the digest covers it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.labelled import label_name
from evalsuite.data.layouts import check_unique, chosen, content_ids, hash_fields
from evalsuite.data.local import clean, delimited_rows, json_lines, lines
from evalsuite.errors import DataError, UsageError

SEED = 42  # mteb's, of the samples it takes of some sets

Row = tuple[Any, Any, Any]
"""``(text, label, set)`` as read: a label is one name, or a list from the broadest level down.

Where the text is a list, the row is a set, and the label is the list of its texts' labels.
"""


@dataclass(frozen=True)
class LabelledSets:
    """Texts to cluster, and the labels their clusters are compared with.

    Attributes:
        ids: ``[n]``, from the content.
        texts: ``[n]``, in the order of their source.
        labels: ``[n]``, each from the broadest level down; some may end above the deepest.
        sets: ``[n]``, number of the set a text is in, from 0.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    sets: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check ids, and that there is something to tell apart."""
        check_unique(self.ids, "text")
        if len(set(self.labels)) < 2:
            raise DataError(
                "The texts have one label only: there is nothing to tell apart. "
                "Take texts of several, or a larger --limit."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def levels(self) -> int:
        """Number of levels of the deepest label."""
        return max(map(len, self.labels))

    def digest(self) -> str:
        """Content digest: the rows in their order."""
        digest = hashlib.sha256()
        for number, text, labels in zip(self.sets.tolist(), self.texts, self.labels, strict=True):
            digest.update(hash_fields(str(number), text, *labels))
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect; ``labels`` are the names of all levels."""
        return {
            "texts": len(self),
            "labels": len({name for labels in self.labels for name in labels}),
            "levels": self.levels,
            "sets": len(np.unique(self.sets)),
        }

    def ordered(self) -> Self:
        """Return the texts as they are: their order moves the score."""
        return self

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the texts."""
        kept = chosen(self.ids, limit)
        return self.taken([i for i, identifier in enumerate(self.ids) if identifier in kept])

    def taken(self, index: Sequence[int]) -> Self:
        """Return the texts at some places, in that order."""
        return replace(
            self,
            ids=[self.ids[i] for i in index],
            texts=[self.texts[i] for i in index],
            labels=[self.labels[i] for i in index],
            sets=self.sets[np.asarray(index, dtype=np.int64)],
        )


def make_labelled_sets(rows: Iterable[Row], options: Mapping[str, Any], at: Any) -> LabelledSets:
    """Build sets of labelled texts; ids come from the content.

    Options, applied in this order: ``separator`` cuts a label into its levels; ``drop_lone_labels``
    leaves out texts whose label no other has; ``sample`` keeps so many texts, drawn by mteb's seed,
    ``stratified`` in the labels' shares.

    Args:
        rows: As read.
        options: Of the reader.
        at: Where the rows come from, for messages.

    Raises:
        DataError: There are no rows, one lacks its text or label, or there is one label only.
        UsageError: The sample has less than two texts.
    """
    texts, labels, names = [], [], []
    for number, (text, label, name) in enumerate(_flat(rows, at), start=1):
        if text is None:
            raise DataError(f"{at}: text {number} is missing.")
        texts.append(clean(str(text)))
        labels.append(_levels(label, options.get("separator"), f"{at}: text {number}"))
        names.append(name)
    if not texts:
        raise DataError(f"{at} holds no texts.")
    number_of = {name: i for i, name in enumerate(dict.fromkeys(names))}
    sets = np.array([number_of[name] for name in names], dtype=np.int64)
    ids = content_ids((text, *levels) for text, levels in zip(texts, labels, strict=True))
    return _selected(LabelledSets(ids, texts, labels, sets), options)


def _flat(rows: Iterable[Row], at: Any) -> Iterator[Row]:
    """Yield one row a text; a row of lists is a set."""
    for number, (text, label, name) in enumerate(rows, start=1):
        if not isinstance(text, list):
            yield text, label, name
            continue
        if not isinstance(label, list) or len(label) != len(text):
            raise DataError(f"{at}: set {number} has not as many labels as texts.")
        for one, its in zip(text, label, strict=True):
            yield one, its, number


def _levels(label: Any, separator: str | None, where: str) -> tuple[str, ...]:
    """Return the names of a label's levels; empty ones at its end are levels it does not have."""
    if isinstance(label, str) and separator:
        label = label.split(separator)
    names = [label_name(part) for part in (label if isinstance(label, list) else [label])]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DataError(f"{where} lacks a label.")
    if "" in names:
        raise DataError(f"{where} has a label with a gap: a level above its last is empty.")
    return tuple(names)


def _selected(data: LabelledSets, options: Mapping[str, Any]) -> LabelledSets:
    """Return the texts the options keep."""
    if options.get("drop_lone_labels"):
        times = Counter(data.labels)
        data = data.taken([i for i, labels in enumerate(data.labels) if times[labels] > 1])
    size = options.get("sample", len(data))
    if size < 2:
        raise UsageError(f"`sample` keeps at least 2 texts, not {size}.")
    if size >= len(data):
        return data
    if options.get("stratified"):
        return data.taken(_stratified(data, size))
    # as `datasets` cuts off a test split
    return data.taken(np.random.default_rng(SEED).permutation(len(data))[:size].tolist())


def _stratified(data: LabelledSets, size: int) -> list[int]:
    """Return places drawn as `datasets` does when it cuts off a stratified test split.

    Raises:
        DataError: The sample is too small for the labels, or a label has one text only.
    """
    from datasets.utils.stratify import stratified_shuffle_split_generate_indices

    names = np.array(["\x1f".join(labels) for labels in data.labels])
    codes = np.unique(names, return_inverse=True)[1]
    rng = np.random.default_rng(SEED)
    try:
        splits = stratified_shuffle_split_generate_indices(
            codes, len(data) - size, size, rng, n_splits=1
        )
        return [int(place) for place in next(splits)[1]]
    except ValueError as error:
        raise DataError(f"No stratified sample of {size} texts: {error}.") from error


def read_delimited(folder: Path, options: Mapping[str, Any], split: str) -> LabelledSets:
    """Read delimited text.

    Options: ``file``; ``columns`` = {text, label, set?} as header names or, without a header,
    positions, ``label`` as a list of them from the broadest level down where there are several;
    ``delimiter`` (tab), ``quoted`` (false), ``encoding`` (UTF-8); those of
    :func:`make_labelled_sets`.
    """
    columns = options["columns"]
    if not {"text", "label"} <= set(columns) <= {"text", "label", "set"}:
        raise UsageError("`columns` of texts to cluster are { text = ..., label = ... }, or `set`.")
    label = columns["label"] if isinstance(columns["label"], list) else [columns["label"]]
    named = {f"level {i}": column for i, column in enumerate(label)}
    named |= {name: column for name, column in columns.items() if name != "label"}

    def rows() -> Iterator[Row]:
        for cells in delimited_rows(folder / options["file"], {**options, "columns": named}):
            levels = [cells[f"level {i}"] for i in range(len(label))]
            # one column stays one text, which a separator may cut
            yield cells["text"], levels if len(levels) > 1 else levels[0], cells.get("set")

    return make_labelled_sets(rows(), options, folder)


def read_jsonl(folder: Path, options: Mapping[str, Any], split: str) -> LabelledSets:
    """Read JSON Lines: a text a line, or a set a line with lists of texts and of their labels.

    Options: ``file``; ``columns`` = {text, label, set?} as keys, by default ``text``, ``label``;
    those of :func:`make_labelled_sets`.
    """
    keys = {"text": "text", "label": "label", "set": "set"} | dict(options.get("columns", {}))
    path = folder / options["file"]
    rows = (
        (row.get(keys["text"]), row.get(keys["label"]), row.get(keys["set"]))
        for row in json_lines(path)
    )
    return make_labelled_sets(rows, options, path)


def read_trec(folder: Path, options: Mapping[str, Any], split: str) -> LabelledSets:
    """Read TREC's questions, ``COARSE:fine question`` a line; the fine label keeps the coarse one.

    Options: ``file``; ``encoding`` (UTF-8); those of :func:`make_labelled_sets`.
    """
    path = folder / options["file"]

    def rows() -> Iterator[Row]:
        plain = lines(path, options.get("encoding", "utf-8-sig"))
        for number, line in enumerate(plain, start=1):
            label, blank, text = line.partition(" ")
            coarse, colon, fine = label.partition(":")
            if line.strip() and not (blank and colon and fine):
                raise DataError(f"{path}:{number} is not 'COARSE:fine question'.")
            if line.strip():
                yield text, [coarse, label], None

    return make_labelled_sets(rows(), options, path)


READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], LabelledSets]] = {
    "delimited": read_delimited,
    "jsonl": read_jsonl,
    "trec": read_trec,
}
