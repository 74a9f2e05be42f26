"""The scores of a grid of layers and dimensions as one small table a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from evalsuite.cli.output import echo_table, printable

if TYPE_CHECKING:
    from evalsuite.evaluator import Event
    from evalsuite.result import Result

Cell = tuple[str, str]


def is_grid(events: Sequence[Event]) -> bool:
    """Whether one model's events are of several layers and several dims."""
    found = [event.result.cell for event in events if event.result is not None]
    return all(len({cell[axis] for cell in found}) > 1 for axis in range(2))


def echo(model: str, events: Sequence[Event]) -> None:
    """Print a table a task: a row a layer, a column a dim.

    Args:
        model: The spec of the grid.
        events: What it came to.
    """
    for task in dict.fromkeys(event.task for event in events):
        mine = [event for event in events if event.task == task]
        results = [event.result for event in mine if event.result is not None]
        failed = len(mine) - len(results)
        facts = [task, model]
        if results:
            where, score = results[0].settings, results[0].scores[results[0].main_measure]
            facts += [where["device"], where["dtype"], results[0].main_measure, f"n={score.n}"]
        click.echo("  ".join(map(printable, facts)) + (f"  {failed} failed" if failed else ""))
        if results:
            echo_scores({result.cell: result.main_score for result in results})
        click.echo()


def echo_means(model: str, means: Mapping[tuple[str, str], tuple[float, Result]]) -> None:
    """Print a table a suite, of means by (suite, spec) with a result of each."""
    for suite in dict.fromkeys(suite for suite, _ in means):
        click.echo(f"mean of {printable(suite)}  {printable(model)}")
        mine = [value for (name, _), value in means.items() if name == suite]
        echo_scores({result.cell: mean for mean, result in mine})
        click.echo()


def echo_scores(scores: Mapping[Cell, float]) -> None:
    """Print scores, a row a layer and a column a dim."""
    layers, dims = (list(dict.fromkeys(cell[axis] for cell in scores)) for axis in range(2))
    rows = [
        (layer, *(f"{scores[layer, dim]:.4f}" if (layer, dim) in scores else "" for dim in dims))
        for layer in layers
    ]
    echo_table(("layer \\ dim", *dims), rows, right=range(1, len(dims) + 1))
