"""The picture of what size buys: a suite's mean over parameters, for models whose size is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalsuite.cost import short
from evalsuite.leaderboard.plots import DARK, LIGHT, MAX_ROWS, Picture, as_svg, style
from evalsuite.leaderboard.tables import Row, Section
from evalsuite.leaderboard.text import clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_MODELS = 3
_SIZE = (8.8, 4.4)  # inches


class Point(NamedTuple):
    """One row of the suite's table."""

    parameters: float
    mean: float
    label: str


def draw(section: Section) -> Picture | None:
    """Draw the full own runs of a suite, or nothing where fewer than three models have a size."""
    table = section.tables[0]
    if table.limit is not None:
        return None
    points = _points(table.own_rows)
    if len({point.label for point in points}) < LEAST_MODELS:
        return None
    shown = points[:MAX_ROWS]
    return Picture(
        _svg(shown, LIGHT),
        _svg(shown, DARK),
        f"Scatter plot of the suite {section.name}: mean over parameters. The table below holds "
        "its numbers.",
        f"Suite mean over parameters, embedding tables included, on a logarithmic scale; a model's "
        f"best row bears its name. Shown: {len(shown)} of {len(table.own_rows)} rows: those with "
        "a mean and a known size.",
    )


def _points(rows: Sequence[Row]) -> list[Point]:
    """Return the rows that have a mean and a size, in the order of the table."""
    found = []
    for row in rows:
        sizes = [entry.result.spent.parameters for entry in row.cells.values()]
        size = max((size for size in sizes if size), default=None)
        if size and row.mean is not None:
            found.append(Point(size, row.mean, str(row.entry.result.model["name"])))
    return found


def _svg(points: Sequence[Point], colours: Mapping[str, str]) -> bytes:
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        sizes, means = [point.parameters for point in points], [point.mean for point in points]
        axes.plot(sizes, means, "o", color=colours["dot"], markersize=5.5)
        _name(axes, points, colours)
        _scale(axes)
        axes.set_xlabel("parameters", color=colours["text"])
        axes.set_ylabel("suite mean", color=colours["text"])
        axes.grid(color=colours["grid"], linewidth=0.7)
        axes.set_axisbelow(True)
        axes.patch.set_alpha(0.0)
        axes.tick_params(which="both", length=0, labelcolor=colours["text"])
        axes.spines[:].set_visible(False)
        axes.margins(x=0.08, y=0.12)
        return as_svg(figure)


def _name(axes: Axes, points: Sequence[Point], colours: Mapping[str, str]) -> None:
    """Write each model's name beside its best row, towards the middle of the picture."""
    sizes = [point.parameters for point in points]
    middle = math.sqrt(min(sizes)) * math.sqrt(max(sizes))
    best = {point.label: point for point in reversed(points)}  # the table's first is its best
    for label, point in best.items():
        right = point.parameters > middle
        axes.annotate(
            shortened(clean(label), 36),
            (point.parameters, point.mean),
            xytext=(-6 if right else 6, 5),
            textcoords="offset points",
            ha="right" if right else "left",
            color=colours["text"],
            fontsize=8,
            parse_math=False,
        )


def _scale(axes: Axes) -> None:
    """Make the sizes' axis logarithmic, with ticks that read as in the tables."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: short(size)))
    axes.xaxis.set_minor_formatter(NullFormatter())
