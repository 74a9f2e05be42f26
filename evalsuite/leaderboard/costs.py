"""What the rows of a table cost, as cells: exact costs, speed with its hardware, memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsuite.cost import LENGTH, MISSING, Spent, short
from evalsuite.leaderboard.entries import Entry
from evalsuite.leaderboard.tables import Row

_SPEED = "Texts/s"


@dataclass(frozen=True)
class Cell:
    """One cost of a row.

    Attributes:
        label: Heading of its column.
        unit: What stands below the heading.
        value: What it is sorted by, or None where it is not known.
        text: What is shown.
        note: What stands below it.
    """

    label: str
    unit: str
    value: float | None
    text: str
    note: str = ""

    @property
    def more_is_better(self) -> bool:
        """Direction of the column."""
        return self.label == _SPEED


def cells(entries: Iterable[Entry]) -> list[Cell]:
    """Return the costs of results that share model and settings, the same columns for all."""
    spent = [entry.result.spent for entry in entries]
    return [
        _exact("Parameters", "all weights", [one.parameters for one in spent], _tables(spent)),
        _exact("FLOPs a token", f"text of {LENGTH}", [one.flops_per_token for one in spent]),
        _exact("Bytes an item", "in the index", [one.bytes_per_item for one in spent]),
        _speed(spent),
    ]


def memory(entries: Iterable[Entry]) -> Cell:
    """Return the most memory any of the runs had held."""
    peaks = [entry.result.spent.peak_memory_mib for entry in entries]
    most = max((peak for peak in peaks if peak is not None), default=None)
    return Cell(
        "Peak memory", "MiB, the process", most, MISSING if most is None else f"{most:,.0f}"
    )


def of_rows(rows: Iterable[Row]) -> list[list[Cell]]:
    """Return the costs of each row of a table; nothing where no cost of any row is known."""
    found = [cells(row.cells.values()) for row in rows]
    return found if any(map(_known, found)) else []


def by_variant(entries: Iterable[Entry]) -> list[tuple[Entry, list[Cell]]]:
    """Return the costs of a model in each of its variants, none where none is known."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.row_key, []).append(entry)
    rows = [(mine[0], [*cells(mine), memory(mine)]) for mine in groups.values()]
    return [(entry, found) for entry, found in rows if _known(found)]


def _known(row: Sequence[Cell]) -> bool:
    return any(cell.value is not None for cell in row)


def _exact(label: str, unit: str, values: Iterable[float | None], note: str = "") -> Cell:
    """Return a cost that depends on no hardware; a range where tasks differ in it."""
    held = sorted({value for value in values if value is not None})
    texts = list(dict.fromkeys(short(value) for value in held[:1] + held[-1:]))
    text = " to ".join(texts) or MISSING
    return Cell(label, unit, held[-1] if held else None, text, note if held else "")


def _tables(spent: Iterable[Spent]) -> str:
    held = {one.embedding_parameters for one in spent} - {None}
    return f"{short(max(filter(None, held), default=0))} in tables" if held else ""


def _speed(spent: Iterable[Spent]) -> Cell:
    """Return texts a second over all that was really run, where that was on one hardware."""
    timed = [one for one in spent if one.texts_per_second is not None]
    hardware = {one.hardware for one in timed}
    if len(hardware) != 1:
        note = "on several machines" if hardware else ""
        return Cell(_SPEED, "really run", None, MISSING, note)
    texts, seconds = (sum(getattr(one, name) for one in timed) for name in ("texts", "seconds"))
    return Cell(_SPEED, "really run", texts / seconds, short(texts / seconds), hardware.pop())
