"""The picture of a suite: each model's main score with its interval, as SVG for either scheme."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalsuite.leaderboard.tables import Column, Row, Section, Table
from evalsuite.leaderboard.text import clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 30
MAX_PANELS = 3
LIGHT = {"text": "#424a53", "grid": "#d1d9e0", "dot": "#0b5fb3"}
DARK = {"text": "#c3ccd6", "grid": "#3d4650", "dot": "#7db8f5"}
SETTINGS: Mapping[str, Any] = {
    "svg.hashsalt": "evalsuite",  # else element ids differ from run to run
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.0,
    "text.parse_math": False,  # a `$` in a model's name is a dollar
    "axes.unicode_minus": False,
}


@dataclass(frozen=True)
class Picture:
    """Two SVG files of one plot, and what it shows in words."""

    light: bytes
    dark: bytes
    alt: str
    caption: str


def draw(section: Section) -> Picture | None:
    """Draw the full runs of a suite, or nothing where it has limited runs only."""
    table = section.tables[0]
    if table.limit is not None:
        return None
    rows = table.rows[:MAX_ROWS]
    columns = _panels(table)
    names = ", ".join(_panel_title(column) for column in columns)
    which = f"the first {len(rows)} of {len(table.rows)}" if table.rows[MAX_ROWS:] else "all"
    alt = (
        f"Dot plot of the suite {section.name}: {names} of {which} models, one line a model, "
        "with 95 % intervals where there are any. The table below holds the same numbers."
    )
    caption = f"{names}; bars are 95 % intervals. Shown: {which} models, in the table's order."
    return Picture(_svg(rows, columns, LIGHT), _svg(rows, columns, DARK), alt, caption)


def _panels(table: Table) -> list[Column | None]:
    """Return the columns drawn; None is the suite's mean, drawn where tasks are too many."""
    if len(table.columns) > MAX_PANELS and any(row.mean is not None for row in table.rows):
        return [None]
    return list(table.columns[:MAX_PANELS])


def _panel_title(column: Column | None) -> str:
    if column is None:
        return "suite mean"
    mark = f" {column.fingerprint}" if column.fingerprint else ""
    return f"{column.label}{mark} ({column.measure})"


def _svg(
    rows: Sequence[Row], columns: Sequence[Column | None], colours: Mapping[str, str]
) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**SETTINGS}):
        size = (2.4 + 2.6 * len(columns), 0.9 + 0.42 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for panel, column in zip(axes, columns, strict=True):
            _draw_panel(panel, rows, column, colours)
        axes[0].set_yticks(range(len(rows)), [_label(row) for row in rows], parse_math=False)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None, "Creator": None}
        FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
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
    title = shortened(clean(_panel_title(column)), 48)
    axes.set_title(title, color=colours["text"], fontsize=9, loc="left", parse_math=False)
    axes.grid(axis="x", color=colours["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.patch.set_alpha(0.0)
    axes.tick_params(length=0, labelcolor=colours["text"])
    axes.spines[:].set_visible(False)
    axes.margins(x=0.08)


def _value(row: Row, column: Column | None) -> tuple[float | None, tuple[float, float] | None]:
    if column is None:
        return row.mean, None
    entry = row.cells.get(column.key)
    return (entry.result.main_score, entry.result.ci95) if entry else (None, None)
