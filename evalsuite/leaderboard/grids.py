"""Grids: one model's scores on a task by layer and number of dimensions; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.leaderboard.entries import Entry
from evalsuite.leaderboard.tables import best, higher_is_better

Cell = tuple[str, str]


@dataclass(frozen=True)
class Grid:
    """Results that differ in layer and dimensions alone.

    Attributes:
        name: File name of its picture; unique on the site.
        layers: Rows, the input's side first.
        dims: Columns, smallest first.
        cells: Result by (layer, dim); not every pair need be there.
    """

    name: str
    layers: tuple[str, ...]
    dims: tuple[str, ...]
    cells: Mapping[Cell, Entry]

    @property
    def entry(self) -> Entry:
        """Any of its results: they share all but layer and dimensions."""
        return next(iter(self.cells.values()))

    @property
    def measure(self) -> str:
        """The main measure, which is what it shows."""
        return self.entry.result.main_measure

    @property
    def higher(self) -> bool | None:
        """Direction of the measure."""
        return higher_is_better(self.measure)

    @property
    def best(self) -> float | None:
        """The best score."""
        return best((entry.result.main_score for entry in self.cells.values()), self.higher)

    @property
    def other_options(self) -> dict[str, str]:
        """The model's options, layer and dimensions apart."""
        return _rest(self.entry.result.model.get("options"))


def by_page(entries: Iterable[Entry]) -> dict[str, list[Grid]]:
    """Return the grids of each model's page: two layers and two dims at least, made here."""
    groups: dict[tuple[Any, ...], dict[Cell, Entry]] = {}
    for entry in entries:
        cell = _cell(entry)
        if cell is not None:
            groups.setdefault(_key(entry), {}).setdefault(cell, entry)
    pages: dict[str, list[Grid]] = {}
    for key in sorted(groups):
        page, cells = key[0], groups[key]
        layers, dims = ({cell[axis] for cell in cells} for axis in range(2))
        if min(len(layers), len(dims)) < 2:
            continue
        mine = pages.setdefault(page, [])
        name = f"{page.removeprefix('models/').removesuffix('.html')}-{len(mine) + 1}"
        mine.append(Grid(name, ordered(layers), ordered(dims), cells))
    return pages


def _key(entry: Entry) -> tuple[Any, ...]:
    result = entry.result
    rest = json.dumps([_rest(result.model.get("options")), result.settings], sort_keys=True)
    limit = (entry.limit is not None, entry.limit or 0)
    return entry.model_page, limit, *map(str, entry.column_key), result.model["identity"], rest


def _rest(options: Any) -> dict[str, str]:
    return {key: value for key, value in (options or {}).items() if key not in ("layer", "dim")}


def _cell(entry: Entry) -> Cell | None:
    """Return the layer and dimensions of an own result that has both as whole numbers."""
    options = entry.result.model.get("options")
    if entry.tool or not isinstance(options, Mapping):
        return None
    layer, dim = entry.result.cell
    return (layer, dim) if _is_integer(layer) and _is_integer(dim) else None


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()


def ordered(values: Iterable[str]) -> tuple[str, ...]:
    """Return distinct values by number, those counted from the end and words last."""

    def place(value: str) -> tuple[bool, bool, int, str]:
        number = int(value) if _is_integer(value) else 0
        return not _is_integer(value), number < 0, number, value

    return tuple(sorted(set(values), key=place))
