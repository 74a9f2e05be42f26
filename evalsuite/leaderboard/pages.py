"""Rendering: the values of tables into pages, every string escaped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from evalsuite.leaderboard import costs, grids, tables, text
from evalsuite.leaderboard.entries import Entry
from evalsuite.leaderboard.grids import Grid
from evalsuite.leaderboard.plots import Picture
from evalsuite.registry import data_folder

# Shown first and in this order; what else a run recorded follows by name.
_RUN_FIRST = ("device_name", "platform", "cores", "python", "packages", "git", "command", "tags")
# Seconds without a baseline mislead; dates stand beside each result.
_RUN_HIDDEN = ("phases", "date", "speed")
_MOST_OPTIONS = 4  # sets of options written out one by one
# Of an imported result; its task and file stand in its own JSON.
_ORIGIN = ("tool", "version")


def render(
    title: str,
    entries: Sequence[Entry],
    sections: Sequence[tables.Section],
    pictures: Mapping[str, Picture | None],
    problems: Sequence[str],
    maps: Mapping[str, Sequence[tuple[Grid, Picture | None]]],
) -> dict[str, bytes]:
    """Return every page of the site by its path."""
    environment = _environment()
    tools = sorted({entry.tool for entry in entries if entry.tool})
    shared = {"site": title, "sections": sections, "tools": tools}

    def page(template: str, **values: Any) -> bytes:
        rendered = environment.get_template(template).render(**shared, **values)
        return rendered.encode("utf-8")

    models = _grouped(entries, lambda entry: entry.model_page)
    tasks = _grouped(entries, lambda entry: entry.task_page)
    made = {
        "index.html": page(
            "index.html.jinja",
            up="",
            pictures=pictures,
            problems=problems,
            counts={"models": len(models), "tasks": len(tasks), "results": len(entries)},
        )
    }
    for path, mine in models.items():
        made[path] = page("model.html.jinja", up="../", maps=maps.get(path, ()), **_model(mine))
    for path, mine in tasks.items():
        made[path] = page("task.html.jinja", up="../", **_task(mine))
    return made


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("leaderboard") / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "number": text.number,
        "interval": text.interval,
        "short": text.short,
        "value": text.value,
    }
    environment.globals |= {
        "MISSING": text.MISSING,
        "costs": costs,
        "higher_is_better": tables.higher_is_better,
        "ordered_scores": tables.ordered_scores,
    }
    return environment


def _finalize(value: Any) -> Any:
    return text.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], str]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return dict(sorted(groups.items()))


def _model(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what a model's page shows."""
    ranked = sorted(
        entries,
        key=lambda entry: (entry.limit is not None, entry.limit or 0, *_task_order(entry)),
    )
    by_limit = itertools.groupby(ranked, key=lambda entry: entry.limit)
    model = entries[0].result.model
    return {
        "name": model["name"],
        "facts": {
            "Revision": model["revision"],
            "Identity": _distinct(entries, lambda entry: entry.result.model["identity"]),
            "Kind": _distinct(entries, lambda entry: text.value(entry.result.model.get("kind"))),
            "Options": _all_options(entries),
        }
        | ({"Origin": _distinct(entries, _origin)} if any(e.tool for e in entries) else {}),
        "groups": [(limit, list(group)) for limit, group in by_limit],
        "runs": _runs(entries),
        "spent": costs.by_variant(entries),
    }


def _all_options(entries: Sequence[Entry]) -> str:
    """Return the options of every variant; of a grid's many, the values of each option."""
    several = {_options(entry) for entry in entries}
    if len(several) <= _MOST_OPTIONS:
        return "; ".join(sorted(several))
    values: dict[str, list[str]] = {}
    for entry in entries:
        for key, value in (entry.result.model.get("options") or {}).items():
            values.setdefault(key, []).append(text.value(value))
    return "; ".join(f"{key} {', '.join(grids.ordered(values[key]))}" for key in sorted(values))


def _options(entry: Entry) -> str:
    options = entry.result.model.get("options")
    return text.value(options) if options else "none"


def _origin(entry: Entry) -> str:
    return f"imported from {entry.tool}" if entry.tool else "run here"


def _task_order(entry: Entry) -> tuple[Any, ...]:
    name, version, fingerprint, _ = entry.column_key
    order = tables.version_order(version)
    return name.lower(), name, order, fingerprint, entry.row_key, entry.file


def _distinct(entries: Iterable[Entry], of: Callable[[Entry], str]) -> str:
    return "; ".join(sorted({of(entry) for entry in entries}))


def _runs(entries: Iterable[Entry]) -> list[tuple[dict[str, str], list[Entry]]]:
    """Group results by where and how they were made."""
    groups: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in sorted(entries, key=_task_order):
        groups.setdefault(tuple(_provenance(entry).items()), []).append(entry)
    return [(dict(facts), mine) for facts, mine in groups.items()]


def _provenance(entry: Entry) -> dict[str, str]:
    run = entry.result.run
    rest = sorted(set(map(str, run)) - set(_RUN_FIRST) - set(_RUN_HIDDEN))
    facts = {"Settings": text.value(entry.result.settings)}
    if entry.result.origin is not None:
        origin = {key: value for key, value in entry.result.origin.items() if key in _ORIGIN}
        return facts | {"Origin": text.value(origin), "Packages": text.value(run.get("packages"))}
    for key in (*_RUN_FIRST, *rest):
        shown = text.command(run.get(key)) if key == "command" else text.value(run.get(key))
        facts[key.replace("_", " ").capitalize()] = shown
    return facts


def _task(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what a task's page shows."""
    first = min(entries, key=lambda entry: entry.result.imported)
    task = first.result.task
    protocol = (task.get("protocol"), task.get("protocol_version"))
    facts = {
        "Type": task.get("type"),
        "Protocol": " ".join(text.value(part) for part in protocol if part is not None),
        "Main measure": _distinct(entries, lambda entry: entry.result.main_measure),
        "Split": task.get("split"),
        "Languages": task.get("languages"),
        "Licence": task.get("licence"),
        "Texts may be shown": task.get("redistributable"),
    }
    fingerprints = sorted({entry.fingerprint for entry in entries})
    return {
        "name": first.result.task_key,
        "title": task.get("title"),
        "facts": facts,
        "reference": text.https(task.get("reference")),
        "fingerprints": fingerprints,
        "tables": tables.task_tables(entries),
    }
