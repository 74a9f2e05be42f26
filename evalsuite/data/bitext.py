"""Texts in two languages that translate each other: the data of bitext mining.

A text is matched with the candidates of its own subset, usually a pair of languages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.layouts import check_unique, chosen, content_digest, content_ids, hash_fields
from evalsuite.data.local import clean, delimited_rows, json_lines
from evalsuite.errors import DataError

Codes = NDArray[np.int64]
Row = tuple[Any, ...]
"""``(subset, text, translation)`` as read."""


@dataclass(frozen=True)
class Subset:
    """The texts of one pair of languages.

    Attributes:
        name: What the subset is called, e.g. ``deu-eng``.
        ids: ``[n]``, from the content.
        texts: ``[n]``.
        gold: ``[n]``, the place of each text's translation among the candidates.
        candidate_ids: ``[m]``.
        candidates: ``[m]`` texts.
    """

    name: str
    ids: Sequence[str]
    texts: Sequence[str]
    gold: Codes
    candidate_ids: Sequence[str]
    candidates: Sequence[str]

    def taken(self, index: Sequence[int]) -> Self:
        """Return the texts at some places, in that order, with all candidates."""
        return replace(
            self,
            ids=[self.ids[i] for i in index],
            texts=[self.texts[i] for i in index],
            gold=self.gold[np.asarray(index, dtype=np.int64)],
        )


@dataclass(frozen=True)
class Bitext:
    """Texts to be matched with their translations, by subset.

    Attributes:
        subsets: Each with its own candidates.
    """

    subsets: Sequence[Subset]

    def __post_init__(self) -> None:
        """Check ids and that there is something to tell apart."""
        check_unique([subset.name for subset in self.subsets], "subset")
        check_unique(self.ids, "text")
        for subset in self.subsets:
            if len(subset.candidates) < 2:
                raise DataError(f"The subset '{subset.name[:60]}' has one candidate only.")

    @property
    def ids(self) -> list[str]:
        """Ids of all items, subset by subset."""
        return [identifier for subset in self.subsets for identifier in subset.ids]

    @property
    def texts(self) -> list[str]:
        """Texts of all items in the same order."""
        return [text for subset in self.subsets for text in subset.texts]

    def digest(self) -> str:
        """Content digest."""
        pairs = content_digest(
            (identifier, hash_fields(subset.name, text, subset.candidates[gold]))
            for subset in self.subsets
            for identifier, text, gold in zip(subset.ids, subset.texts, subset.gold, strict=True)
        )
        candidates = content_digest(
            (identifier, hash_fields(subset.name, text))
            for subset in self.subsets
            for identifier, text in zip(subset.candidate_ids, subset.candidates, strict=True)
        )
        return hashlib.sha256(f"{pairs}{candidates}".encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        return {
            "subsets": len(self.subsets),
            "pairs": sum(len(subset.ids) for subset in self.subsets),
            "candidates": sum(len(subset.candidates) for subset in self.subsets),
        }

    def ordered(self) -> Self:
        """Return subsets by name and items by id, so that file order moves nothing."""
        subsets = sorted(self.subsets, key=lambda subset: subset.name)
        return replace(
            self,
            subsets=[s.taken(sorted(range(len(s.ids)), key=s.ids.__getitem__)) for s in subsets],
        )

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the items, among all candidates of their subsets."""
        kept = chosen(self.ids, limit)
        cut = [
            subset.taken([i for i, identifier in enumerate(subset.ids) if identifier in kept])
            for subset in self.subsets
        ]
        return replace(self, subsets=[subset for subset in cut if subset.ids])


def make_bitext(rows: Iterable[Row], at: Any) -> Bitext:
    """Build subsets of pairs: the candidates of a text are the translations of its subset.

    Args:
        rows: Pairs with the names of their subsets, in any order.
        at: Where they come from, for messages.

    Raises:
        DataError: There are no rows, or one lacks its subset or a text.
    """
    subsets: dict[str, list[tuple[str, str]]] = {}
    for number, row in enumerate(rows, start=1):
        if any(value is None for value in row):
            raise DataError(f"{at}: pair {number} lacks a text or the name of its subset.")
        name, first, second = (clean(str(value)) for value in row)
        subsets.setdefault(name, []).append((first, second))
    if not subsets:
        raise DataError(f"{at} holds no pairs.")
    return Bitext(
        [
            make_subset(name, [a for a, _ in pairs], [b for _, b in pairs], range(len(pairs)))
            for name, pairs in subsets.items()
        ]
    )


def make_subset(
    name: str, texts: Sequence[str], candidates: Sequence[str], gold: Sequence[int]
) -> Subset:
    """Build a subset; ids come from the content.

    A candidate goes by the id of the text it translates, so that ids do not depend on the order of
    candidates of equal text.

    Args:
        name: What it is called.
        texts: ``[n]``.
        candidates: ``[m]``.
        gold: ``[n]``, places among the candidates.
    """
    ids = content_ids(
        (name, text, candidates[place]) for text, place in zip(texts, gold, strict=True)
    )
    by_place: dict[int, str] = {}
    for identifier, place in sorted(zip(ids, gold, strict=True)):
        by_place.setdefault(place, identifier)
    free = [place for place in range(len(candidates)) if place not in by_place]
    others = content_ids((name, candidates[place]) for place in free)
    by_place |= dict(zip(free, others, strict=True))
    places = np.asarray(gold, dtype=np.int64)
    return Subset(name, ids, texts, places, [by_place[i] for i in range(len(by_place))], candidates)


def read_delimited(folder: Path, options: Mapping[str, Any], split: str) -> Bitext:
    """Read delimited text.

    Options: ``files``; ``columns`` = {first, second, subset?} as header names or, without a header,
    positions; ``delimiter`` (tab), ``quoted`` (false), ``encoding`` (UTF-8).
    """

    def rows() -> Iterator[Row]:
        for name in options["files"]:
            for cells in delimited_rows(folder / name, options):
                yield cells.get("subset", ""), cells["first"], cells["second"]

    return make_bitext(rows(), folder)


def read_jsonl(folder: Path, options: Mapping[str, Any], split: str) -> Bitext:
    """Read JSON Lines.

    Options: ``file``; ``columns`` = {first, second, subset?} as keys, by default ``sentence1``,
    ``sentence2`` and no subsets.
    """
    columns = {"first": "sentence1", "second": "sentence2"} | dict(options.get("columns", {}))
    subset = columns.get("subset")

    def rows() -> Iterator[Row]:
        for row in json_lines(folder / options["file"]):
            name = row.get(subset) if subset else ""
            yield name, row.get(columns["first"]), row.get(columns["second"])

    return make_bitext(rows(), folder / options["file"])


READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], Bitext]] = {
    "delimited": read_delimited,
    "jsonl": read_jsonl,
}
