"""``evalsuite data``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalsuite import registry
from evalsuite.cli.output import echo_json, echo_table, json_option
from evalsuite.errors import DataError

EPILOG = """\b
Examples:
  evalsuite data verify sts --data-dir DATA
  evalsuite data fetch beir
"""


@click.command(epilog=EPILOG)
@click.argument("action", type=click.Choice(("verify", "fetch")))
@click.argument("suite")
@click.option("--data-dir", type=click.Path(), help="Folder of local data [$EVALSUITE_DATA].")
@json_option
def data(action: str, suite: str, data_dir: str | None, as_json: bool) -> int:
    """Verify that a SUITE's data are there and unaltered, or fetch them into the hub cache."""
    names = registry.get_suite(suite).all_tasks()
    rows = [_check(name, action, Path(data_dir) if data_dir else None) for name in names]
    if as_json:
        echo_json(rows)
    else:
        echo_table(
            ("Task", "State", "Source", "Detail"),
            [(r["task"], r["state"], r["source"], r["detail"]) for r in rows],
        )
    return 0 if all(row["state"] == "ok" for row in rows) else DataError.exit_code


def _check(name: str, action: str, data_dir: Path | None) -> dict[str, Any]:
    from evalsuite.data import load

    task = registry.get_task(name)
    layout = registry.get_protocol(task.protocol).layout
    try:
        loaded = load(task, layout, data_dir=data_dir, online=action == "fetch")
    except DataError as error:
        return {
            "task": str(task),
            "state": "missing",
            "source": "",
            "detail": str(error).removeprefix(f"{task}: "),
        }
    sizes = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in loaded.data.counts().items())
    return {
        "task": str(task),
        "state": "ok",
        "source": loaded.source,
        "detail": sizes,
        "digest": loaded.digest,
    }
