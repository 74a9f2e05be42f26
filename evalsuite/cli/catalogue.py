"""``evalsuite list`` and ``evalsuite show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalsuite import cost, registry
from evalsuite.cli.output import echo_json, echo_table, json_option, printable
from evalsuite.errors import unknown_name

if TYPE_CHECKING:
    from evalsuite.result import Result

LIST_EPILOG = """\b
Examples:
  evalsuite list tasks --type Retrieval
  evalsuite list tasks --suite sts --json
  evalsuite list tasks --suite "mteb:MTEB(eng, v2)"   mteb's own list: mteb available-tasks
  evalsuite list models
"""
_MOST_LANGUAGES = 3
SHOW_EPILOG = """\b
Examples:
  evalsuite show STSBenchmark
  evalsuite show mteb:STS22.v2
  evalsuite show results/all-MiniLM-L6-v2/*/cpu,fp32/QuickSTS@1.json
"""


@click.command("list", epilog=LIST_EPILOG)
@click.argument("what", metavar="tasks|suites|models")
@click.option("--type", "type_", help="Only tasks of this type, e.g. STS.")
@click.option("--language", help="Only tasks in this language (ISO 639-3, e.g. eng).")
@click.option("--suite", help="Only tasks of this suite.")
@json_option
def list_(
    what: str, type_: str | None, language: str | None, suite: str | None, as_json: bool
) -> None:
    """List tasks, suites or models; entry points appear by name, without being loaded."""
    listing = {"tasks": _tasks, "suites": _suites, "models": _models}
    if what not in listing:
        raise unknown_name("listing", what, listing)
    rows = _tasks(type_, language, suite) if what == "tasks" else listing[what]()  # type: ignore[operator]
    if as_json:
        echo_json(rows)
    elif rows:
        header = [key.capitalize() for key in rows[0]]
        echo_table(header, [[_cell(*cell) for cell in row.items()] for row in rows])
    else:
        click.echo("Nothing matches.", err=True)


def _cell(column: str, value: Any) -> Any:
    """Return a value as a table shows it: long lists of languages by their number."""
    languages = value.split(",") if column == "language" else []
    return f"{len(languages)} languages" if len(languages) > _MOST_LANGUAGES else value


def _tasks(type_: str | None, language: str | None, suite: str | None) -> list[dict[str, Any]]:
    names = registry.get_suite(suite).all_tasks() if suite else registry.task_files()
    tasks = [registry.get_task(name) for name in names]
    types = {task.type.lower(): task.type for task in tasks}
    if type_ is not None and type_.lower() not in types:
        raise unknown_name("type", type_, types.values())
    rows = [
        {
            "task": str(task),
            "type": task.type,
            "language": ",".join(task.languages),
            "measure": task.main_measure,
            "from": next((tool for tool in registry.BRIDGES if tool in task.data), "evalsuite"),
            "title": task.title,
        }
        for task in tasks
        if (type_ is None or task.type.lower() == type_.lower())
        and (language is None or language in task.languages)
    ]
    if type_ is None and language is None and suite is None:
        rows += [
            {
                "task": entry.name,
                "type": "",
                "language": "",
                "measure": "",
                "from": package,
                "title": "(entry point)",
            }
            for entry, package in registry.entry_points("tasks")
        ]
    return rows


def _suites() -> list[dict[str, Any]]:
    return [
        {"suite": suite.name, "tasks": len(suite.all_tasks()), "title": suite.title}
        for suite in registry.suites().values()
    ]


def _models() -> list[dict[str, Any]]:
    rows = [
        {"model": name, "from": "evalsuite", "what": text}
        for name, (_, text) in registry.MODELS.items()
    ]
    return rows + [
        {"model": entry.name, "from": package, "what": "(entry point)"}
        for entry, package in registry.entry_points("models")
    ]


@click.command(epilog=SHOW_EPILOG)
@click.argument("name", metavar="TASK|RESULT")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a task by name or TOML file, or a result by the path of its JSON file."""
    if name.endswith(".json"):
        _show_result(Path(name), as_json)
    else:
        _show_task(name, as_json)


def _show_result(path: Path, as_json: bool) -> None:
    from evalsuite.store import read_result, to_json

    result = read_result(path)
    if as_json:
        echo_json(to_json(result))
        return
    _echo_fields(_imported_fields(result) if result.origin else _own_fields(result))
    rows = []
    for measure, score in result.scores.items():
        interval = "[{:.4f}, {:.4f}]".format(*score.ci95) if score.ci95 else ""
        rows.append((measure, f"{score.value:.4f}", interval, score.n or "not stated"))
    click.echo()
    echo_table(("Measure", "Score", "95 % interval", "n"), rows, right=(1, 3))
    parts = result.evidence.get("parts", {}).get("scores", {})
    if parts:
        click.echo()
        of_parts = [(name, f"{score:.4f}") for name, score in parts.items()]
        echo_table(("Part", result.main_measure), of_parts, right=(1,))


def _own_fields(result: Result) -> dict[str, Any]:
    run = result.run
    return {
        "Task": f"{result.task_key} ({result.task['fingerprint'][:12]})",
        "Model": f"{result.model['name']} ({result.model['identity'][:12]})",
        "Variant": result.variant,
        "Items": ", ".join(f"{n} {status}" for status, n in result.counts.items()),
        "Date": run.get("date", "?"),
        "Device": run.get("device_name", "?"),
        "Packages": ", ".join(f"{k} {v}" for k, v in run.get("packages", {}).items()),
        "Tags": ", ".join(f"{k}={v}" for k, v in run.get("tags", {}).items()) or "none",
        **_costs(result),
    }


def _costs(result: Result) -> dict[str, str]:
    """Return what a result says of costs; what it does not say is a dash."""
    spent, peak = result.spent, result.spent.peak_memory_mib
    parameters, size = cost.whole(spent.parameters), cost.whole(spent.bytes_per_item)
    if spent.embedding_parameters is not None:
        parameters += f", of which {cost.whole(spent.embedding_parameters)} in embedding tables"
    speed = cost.MISSING
    if spent.texts_per_second is not None:
        speed = f"{cost.short(spent.texts_per_second)} texts/s ({cost.whole(spent.texts)} run)"
    elif "speed" in result.run:
        speed += " (no text was timed: they came from the cache, or were not run here)"
    return {
        "Parameters": parameters,
        "FLOPs a token": f"{cost.whole(spent.flops_per_token)} in a text of {cost.LENGTH} tokens",
        "Bytes an item": size,
        "Speed": speed,
        "Peak memory": f"{cost.whole(peak)} MiB",
    }


def _imported_fields(result: Result) -> dict[str, Any]:
    origin = result.origin or {}
    stderr = result.evidence.get("stderr", {})
    return {
        "Task": f"{result.task_key} (no fingerprint)",
        "Model": f"{result.model['name']} (revision {result.model.get('revision', '?')})",
        "Variant": result.variant,
        "Origin": (
            f"computed here by {origin['tool']} itself"
            if result.task["protocol_version"]
            else f"imported from {origin['tool']}, not run here"
        ),
        "Version": origin.get("version") or "not stated",
        "Task there": f"{origin['task']}, revision {origin['revision']}",
        "File": origin["file"] or "none",
        "Items": "none: outside ranks, tests and gates",
        "Standard errors": ", ".join(f"{k} {v}" for k, v in stderr.items()) or "not stated",
        "Date": result.run.get("date", "not stated"),
    }


def _show_task(name: str, as_json: bool) -> None:
    task = registry.get_task(name)
    data = {key: dict(task.data[key]) for key in sorted(task.data)}
    fields: dict[str, Any] = {
        "task": str(task),
        "title": task.title,
        "type": task.type,
        "protocol": task.protocol,
        "params": dict(task.params),
        "main_measure": task.main_measure,
        "measures": list(task.measures),
        "split": task.split,
        "languages": list(task.languages),
        "licence": task.licence,
        "redistributable": task.redistributable,
        "reference": task.reference,
        "same_as": list(task.same_as),
        "suites": [s.name for s in registry.suites().values() if task.name in s.all_tasks()],
        "data": data,
    }
    if as_json:
        echo_json(fields)
        return
    _echo_fields({key: value for key, value in fields.items() if key != "data"})
    for source, table in data.items():
        _echo_fields({f"data.{source}.{key}": value for key, value in table.items()})


def _echo_fields(fields: dict[str, Any]) -> None:
    width = max(map(len, fields), default=0)
    for key, value in fields.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{click.style(key.ljust(width), bold=True)}  {printable(shown)}")
