"""The picture of a grid: scores by layer and number of dimensions as a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evalsuite.leaderboard.grids import Grid
from evalsuite.leaderboard.plots import DARK, LIGHT, Picture, as_svg, style
from evalsuite.leaderboard.text import clean, shortened

MOST = 48  # rows or columns; a larger grid is a table alone
_FROM = {"light": "#eef4fb", "dark": "#1c2530"}  # of the worst score; the best has a dot's colour
_INK = {True: "#ffffff", False: "#1f2328"}


def draw(grid: Grid) -> Picture | None:
    """Draw a grid, or nothing where it is too large to be read."""
    if max(len(grid.layers), len(grid.dims)) > MOST:
        return None
    result = grid.entry.result
    n = len(grid.cells)
    return Picture(
        _svg(grid, LIGHT, _FROM["light"]),
        _svg(grid, DARK, _FROM["dark"]),
        f"Heat map of {result.task_key}, {grid.measure}, by layer and dimensions. The table below "
        "holds its numbers.",
        f"{result.task_key}, {grid.measure}: layers down, dimensions across, {n} results. The "
        "stronger the colour, the higher the score.",
    )


def _svg(grid: Grid, colours: Mapping[str, str], weakest: str) -> bytes:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    scores = np.full((len(grid.layers), len(grid.dims)), np.nan)
    for (layer, dim), entry in grid.cells.items():
        scores[grid.layers.index(layer), grid.dims.index(dim)] = entry.result.main_score
    with style():
        size = (1.0 + 0.72 * len(grid.dims), 1.0 + 0.36 * len(grid.layers))
        figure = Figure(figsize=size, layout="constrained")
        axes: Any = figure.subplots()
        palette = LinearSegmentedColormap.from_list("scores", [weakest, colours["dot"]])
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(scores), cmap=palette, edgecolors=colours["grid"], linewidth=0.6
        )
        for row, column in zip(*np.nonzero(np.isfinite(scores)), strict=True):
            score = float(scores[row, column])
            shown = f"{'★' if score == grid.best else ''}{score:z.3f}"
            ink = _INK[_is_dark(mesh.cmap(mesh.norm(score)))]
            place = {"ha": "center", "va": "center", "fontsize": 8}
            axes.text(column + 0.5, row + 0.5, shown, color=ink, **place)
        axes.set_xticks(np.arange(len(grid.dims)) + 0.5, grid.dims)
        axes.set_yticks(np.arange(len(grid.layers)) + 0.5, grid.layers)
        axes.invert_yaxis()
        axes.set_xlabel("dimensions", color=colours["text"])
        axes.set_ylabel("layer", color=colours["text"])
        title = shortened(clean(f"{grid.entry.result.task_key}  {grid.measure}"), 48)
        axes.set_title(title, color=colours["text"], fontsize=9, loc="left", parse_math=False)
        axes.tick_params(length=0, labelcolor=colours["text"])
        axes.spines[:].set_visible(False)
        axes.patch.set_alpha(0.0)
        return as_svg(figure)


def _is_dark(colour: tuple[float, float, float, float]) -> bool:
    """Whether white letters read better on a colour (relative luminance, WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.18
