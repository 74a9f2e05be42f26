"""Texts with summaries by people and by machines: the data of summarization."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.data.layouts import check_unique, chosen, content_digest, content_ids, hash_fields
from evalsuite.data.local import clean, json_lines
from evalsuite.errors import DataError

COLUMNS: Mapping[str, str] = {
    "text": "text",
    "human": "human_summaries",
    "machine": "machine_summaries",
    "gold": "relevance",
}
LEAST = 3  # machine summaries a text needs for a correlation


@dataclass(frozen=True)
class Summaries:
    """Summaries of each text, those by machines rated by people.

    Attributes:
        ids: ``[n]``, from the content.
        texts: ``[n]``, what is summarized.
        human: ``[n]`` lists of summaries.
        machine: ``[n]`` lists of summaries.
        gold: ``[n]`` lists of ratings, one a machine summary.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    human: Sequence[Sequence[str]]
    machine: Sequence[Sequence[str]]
    gold: Sequence[NDArray[np.float64]]

    def __post_init__(self) -> None:
        """Check ids."""
        check_unique(self.ids, "text")

    def digest(self) -> str:
        """Content digest."""
        rows = zip(self.texts, self.human, self.machine, self.gold, strict=True)
        contents = (hash_fields(*_content(*row)) for row in rows)
        return content_digest(zip(self.ids, contents, strict=True))

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        return {
            "texts": len(self.ids),
            "human_summaries": sum(map(len, self.human)),
            "machine_summaries": sum(map(len, self.machine)),
        }

    def ordered(self) -> Self:
        """Return the texts in the order of their ids, so that file order moves nothing."""
        return self._taken(sorted(range(len(self.ids)), key=self.ids.__getitem__))

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the texts."""
        kept = chosen(self.ids, limit)
        return self._taken([i for i, identifier in enumerate(self.ids) if identifier in kept])

    def _taken(self, index: Sequence[int]) -> Self:
        return replace(
            self,
            ids=[self.ids[i] for i in index],
            texts=[self.texts[i] for i in index],
            human=[self.human[i] for i in index],
            machine=[self.machine[i] for i in index],
            gold=[self.gold[i] for i in index],
        )


def _content(
    text: str, human: Sequence[str], machine: Sequence[str], gold: NDArray[np.float64]
) -> tuple[str, ...]:
    return (text, str(len(human)), *human, *machine, *map(repr, gold.tolist()))


def make_summaries(rows: Iterable[tuple[Any, ...]], at: Any) -> Summaries:
    """Build summaries from ``(text, human, machine, gold)`` rows; ids come from the content.

    Raises:
        DataError: There are no rows, or one lacks a text, a summary or a rating.
    """
    checked = [_checked(row, f"{at}: text {number}") for number, row in enumerate(rows, start=1)]
    if not checked:
        raise DataError(f"{at} holds no texts.")
    texts, human, machine, gold = zip(*checked, strict=True)
    return Summaries(content_ids(_content(*row) for row in checked), texts, human, machine, gold)


def _checked(
    row: tuple[Any, ...], where: str
) -> tuple[str, list[str], list[str], NDArray[np.float64]]:
    text, human, machine, gold = row
    lists = (human, machine, gold)
    if text is None or any(
        not isinstance(values, list) or any(value is None for value in values) for values in lists
    ):
        raise DataError(f"{where} lacks its text, or a list of summaries or ratings.")
    if not human or len(machine) < LEAST:
        raise DataError(
            f"{where} has {len(human)} summaries by people and {len(machine)} by machines; at "
            f"least 1 and {LEAST} are needed."
        )
    try:
        ratings = np.array([float(value) for value in gold])
    except (TypeError, ValueError):
        ratings = np.array([np.nan])
    if len(ratings) != len(machine) or not np.isfinite(ratings).all():
        raise DataError(f"{where} does not have one finite rating a machine summary.")
    by_people, by_machines = ([clean(str(one)) for one in side] for side in (human, machine))
    return clean(str(text)), by_people, by_machines, ratings


def read_jsonl(folder: Path, options: Mapping[str, Any], split: str) -> Summaries:
    """Read JSON Lines.

    Options: ``file``; ``columns`` = {text, human, machine, gold} as keys, by default those of mteb.
    """
    columns = dict(COLUMNS) | dict(options.get("columns", {}))
    path = folder / options["file"]
    rows = (tuple(row.get(columns[key]) for key in COLUMNS) for row in json_lines(path))
    return make_summaries(rows, path)


READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], Summaries]] = {"jsonl": read_jsonl}
