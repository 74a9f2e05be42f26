"""The forest plot of a comparison: a row a task, its interval, and a line at no difference."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.compare.comparison import Comparison, Report
from evalsuite.compare.rows import Mark, Row
from evalsuite.compare.sections import decimals
from evalsuite.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
MAX_ROWS = 60
ACROSS = 3  # panels side by side
# Told apart by shape and by lightness, not by hue alone.
SHAPES: Mapping[Mark, tuple[str, str, bool]] = {  # marker, colour, filled
    "better": ("^", "#0b5fb3", True),
    "worse": ("v", "#b3400b", True),
    "equal": ("s", "#57606a", False),
    "unclear": ("o", "#57606a", False),
}
TEXT, GRID = "#24292f", "#d1d9e0"
SETTINGS: Any = {  # matplotlib types every key
    "svg.hashsalt": "evalsuite",  # else element ids differ from run to run
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.0,
    "text.parse_math": False,  # a `$` in a model's name is a dollar
    "axes.unicode_minus": False,
}


def check_plot(path: Path) -> None:
    """Check the ending of a plot's file before anything is computed.

    Raises:
        UsageError: It is none of the formats drawn.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot '{path}': the file must end in {' or '.join(FORMATS)}.")


def save_plot(report: Report, path: Path) -> None:
    """Draw a report into a PNG or SVG file.

    Raises:
        UsageError: The file cannot be written.
    """
    check_plot(path)
    content = draw(report, path.suffix.lower().removeprefix("."))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"Cannot write the plot '{path}': {error.strerror}.") from error


def draw(report: Report, format_: str) -> bytes:
    """Return the plot as bytes; the same report gives the same bytes.

    Args:
        report: A comparison with at least one row.
        format_: ``png`` or ``svg``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = [comparison for comparison in report.comparisons if comparison.rows]
    names = _names(drawn)
    across = min(ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in any script
        mpl.rcdefaults()  # a user's matplotlibrc moves no byte
        mpl.rcParams.update(SETTINGS)
        size = (2.2 + 4.6 * across, 0.9 + down * (0.9 + 0.27 * len(names)))
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        panels = figure.subplots(down, across, sharex=False, sharey=True, squeeze=False)
        for panel, comparison in zip(panels.flat, drawn, strict=False):
            _panel(panel, comparison, names)
        for panel in panels.flat[len(drawn) :]:
            panel.set_visible(False)
        for row in panels:
            row[0].set_yticks(range(len(names)), [_label(name, drawn) for name in names])
        panels[0][0].set_ylim(len(names) - 0.5, -0.5)
        title = f"Difference from the baseline {_cut(_clean(report.baseline), 60)}"
        title += "; each panel has a scale of its own" if len(drawn) > 1 else ""
        figure.suptitle(title, fontsize=10, color=TEXT, x=0.01, ha="left")
        _key(figure, drawn)
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if format_ == "svg" else {}
        if format_ == "png":
            metadata = {"Software": None}
        buffer = io.BytesIO()
        figure.savefig(buffer, format=format_, dpi=150, metadata=metadata)
    return buffer.getvalue()


def _names(drawn: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return kind and name of every row, tasks first, in the order of the tables."""
    names: dict[tuple[str, str], None] = {
        (row.measured.kind, row.measured.name): None for one in drawn for row in one.rows
    }
    suites = sorted(name for name in names if name[0] != "task")
    tasks = sorted(name for name in names if name[0] == "task")
    room = max(1, MAX_ROWS - len(suites))
    if len(tasks) > room:
        tasks = [*tasks[: room - 1], ("task", f"… {len(tasks) - room + 1} more")]
    return [*tasks, *suites]


def _label(name: tuple[str, str], drawn: Sequence[Comparison]) -> str:
    """Return a row's name and number of items."""
    rows = (row.measured for one in drawn for row in one.rows)
    n = next((row.difference.n for row in rows if (row.kind, row.name) == name), None)
    return _cut(_clean(name[1]), 34) + ("" if n is None else f"  n={n}")


def _panel(axes: Axes, comparison: Comparison, names: Sequence[tuple[str, str]]) -> None:
    places = {name: place for place, name in enumerate(names)}
    digits = decimals(comparison.rows)
    axes.axvline(0, color=TEXT, linewidth=1.0, zorder=1)
    for row in comparison.rows:
        place = places.get((row.measured.kind, row.measured.name))
        if place is not None:
            _draw_row(axes, row, place, digits)
    tasks = sum(kind == "task" for kind, _ in names)
    if 0 < tasks < len(names):
        axes.axhline(tasks - 0.5, color=GRID, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_title(_cut(_clean(comparison.candidate), 52), fontsize=9, color=TEXT, loc="left")
    axes.set_xlabel("candidate less baseline, 95 % interval", color=TEXT, fontsize=8)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=TEXT)
    axes.spines[:].set_visible(False)
    axes.margins(x=0.06)
    axes.locator_params(axis="x", nbins=5)


def _draw_row(axes: Axes, row: Row, place: int, digits: int) -> None:
    shape, colour, filled = SHAPES[row.mark]
    low, high = row.interval
    axes.hlines(place, low, high, colors=colour, linewidth=1.8, zorder=2)
    axes.plot(
        row.measured.difference.value,
        place,
        shape,
        color=colour,
        markerfacecolor=colour if filled else "white",
        markersize=6.5,
        zorder=3,
    )
    axes.annotate(
        f"{row.measured.difference.value:+z.{digits}f}",
        (1.01, place),
        xycoords=("axes fraction", "data"),
        va="center",
        ha="left",
        fontsize=8,
        color=TEXT,
        annotation_clip=False,
    )


def _key(figure: Figure, drawn: Sequence[Comparison]) -> None:
    """Explain the marks that occur."""
    from matplotlib.lines import Line2D

    marks = {row.mark for comparison in drawn for row in comparison.rows}
    handles = [
        Line2D(
            [],
            [],
            color=colour,
            marker=shape,
            linewidth=1.8,
            markersize=6.5,
            markerfacecolor=colour if filled else "white",
            label=mark,
        )
        for mark, (shape, colour, filled) in SHAPES.items()
        if mark in marks
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False, fontsize=8)


def _clean(text: str) -> str:
    """Replace what no picture can hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
