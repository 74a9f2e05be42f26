"""``evalsuite leaderboard``."""

from __future__ import annotations

from pathlib import Path

import click

from evalsuite.cli.output import echo_json, json_option

EPILOG = """\b
Examples:
  evalsuite leaderboard
  evalsuite leaderboard --results nightly --results results --out public
"""


@click.command(epilog=EPILOG)
@click.option(
    "--results", multiple=True, default=("results",), show_default=True, help="Results folder."
)
@click.option("--out", default="site", show_default=True, help="Folder of the site.")
@click.option("--title", default="evalsuite leaderboard", help="Title of the site.")
@json_option
def leaderboard(results: tuple[str, ...], out: str, title: str, as_json: bool) -> None:
    """Write results as a static site that opens from a disk or any web host."""
    from evalsuite.leaderboard import build

    index = build([Path(root) for root in results], Path(out), title=title)
    if as_json:
        echo_json({"index": str(index)})
    else:
        click.echo(f"Leaderboard: {index}")
