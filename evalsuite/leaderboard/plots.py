"""The picture of a suite: each model's main score with its interval, as SVG for either scheme."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalsuite.leaderboard.tables import Column, Row, Section, Table
from evalsuite.leaderboard.text import clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 30
MAX_PANELS = 3
PANEL_INCHES = {1: 5.0, 2: 6.4, 3: 8.4}  # all panels together
LIGHT = {"text": "#424a53", "grid": "#d1d9e0", "dot": "#0b5fb3"}
DARK = {"text": "#c3ccd6", "grid": "#3d4650", "dot": "#7db8f5"}
SETTINGS: Any = {  # matplotlib types every key
    "svg.hashsalt": "evalsuite",  # else element ids differ from run to run
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.0,
    "text.parse_math": False,  # a `$` in a model's name is a dollar
    "axes.unicode_minus": False,
    "figure.constrained_layout.w_pad": 0.16,  # room for the last number of an axis
}


@dataclass(frozen=True)
class Picture:
    """Two SVG files of one plot, and what it shows in words."""

    light: bytes
    dark: bytes
    alt: str
    caption: str


def draw(section: Section) -> Picture | None:
    """Draw the full own runs of a suite, or nothing where it has none."""
    table = _own_part(section.tables[0])
    if table.limit is not None or not table.rows:
        return None
    columns = _panels(table)
    rows = [row for row in table.rows if any(_value(row, one)[0] is not None for one in columns)]
    rows = rows[:MAX_ROWS]
    names = "; ".join(" ".join(_panel_lines(column)) for column in columns)
    bars = "" if columns == [None] else ". Bars are 95 % intervals"
    which = f"{len(rows)} of {len(table.rows)} rows of the table, in its order"
    return Picture(
        _svg(rows, columns, LIGHT),
        _svg(rows, columns, DARK),
        f"Dot plot of the suite {section.name}: {names}. The table below holds its numbers.",
        f"{names}{bars}. Shown: {which}.",
    )


def _own_part(table: Table) -> Table:
    """Return a table without imported results: they have no intervals to draw."""
    held = {key for row in table.own_rows for key in row.cells}
    columns = tuple(column for column in table.columns if column.key in held)
    return replace(table, rows=table.own_rows, columns=columns)


def _panels(table: Table) -> list[Column | None]:
    """Return the columns drawn; None is the suite's mean, drawn where tasks are too many."""
    if len(table.columns) <= MAX_PANELS:
        return list(table.columns)
    if sum(row.mean is not None for row in table.rows) > 1:
        return [None]
    fullest = sorted(
        table.columns, key=lambda column: -sum(column.key in row.cells for row in table.rows)
    )[:MAX_PANELS]
    return [column for column in table.columns if column in fullest]


def _panel_lines(column: Column | None) -> list[str]:
    if column is None:
        return ["suite mean"]
    mark = f" {column.fingerprint}" if column.fingerprint else ""
    return [column.label + mark, column.measure]


def _svg(
    rows: Sequence[Row], columns: Sequence[Column | None], colours: Mapping[str, str]
) -> bytes:
    from matplotlib.figure import Figure

    with style():
        size = (2.4 + PANEL_INCHES[len(columns)], 0.9 + 0.42 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for panel, column in zip(axes, columns, strict=True):
            _draw_panel(panel, rows, column, colours)
        axes[0].set_yticks(range(len(rows)), [_label(row) for row in rows], parse_math=False)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        return as_svg(figure)


@contextmanager
def style() -> Iterator[None]:
    """Draw in this site's style, whatever the user's own is."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # Letters are kept as text, drawn with the reader's fonts: ours need not have them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        mpl.rcdefaults()  # a user's matplotlibrc moves no byte
        mpl.rcParams.update(SETTINGS)
        yield


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    return buffer.getvalue()


def _label(row: Row) -> str:
    result = row.entry.result
    repeat = f" · repeat {row.repeat}" if row.repeat > 1 else ""
    return (
        f"{shortened(clean(result.model['name']), 36)}\n"
        f"{shortened(clean(result.variant), 36 - len(repeat))}{repeat}"
    )


def _draw_panel(
    axes: Axes, rows: Sequence[Row], column: Column | None, colours: Mapping[str, str]
) -> None:
    for place, row in enumerate(rows):
        value, interval = _value(row, column)
        if value is None:
            continue
        if interval is not None:
            axes.hlines(place, *interval, colors=colours["dot"], linewidth=1.6, alpha=0.75)
        axes.plot(value, place, "o", color=colours["dot"], markersize=5.5)
    lines = _panel_lines(column)
    title = "\n".join(shortened(clean(line), 34) for line in lines)
    axes.set_title(title, color=colours["text"], fontsize=9, loc="left", parse_math=False)
    axes.grid(axis="x", color=colours["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.patch.set_alpha(0.0)
    axes.tick_params(length=0, labelcolor=colours["text"])
    axes.spines[:].set_visible(False)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)


def _value(row: Row, column: Column | None) -> tuple[float | None, tuple[float, float] | None]:
    if column is None:
        return row.mean, None
    entry = row.cells.get(column.key)
    return (entry.result.main_score, entry.result.ci95) if entry else (None, None)
