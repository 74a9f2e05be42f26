"""Own results as files that mteb loads: ``results/<org>__<model>/<revision>/<Task>.json``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from evalsuite.errors import NothingToReadError, UsageError
from evalsuite.exchange import names
from evalsuite.exchange.exported import DIGITS, Exported, why_not, write_text
from evalsuite.result import Result
from evalsuite.store import load_results, slug
from evalsuite.task import Task

_SCRIPTS = {"eng": "eng-Latn", "deu": "deu-Latn", "fra": "fra-Latn", "spa": "spa-Latn"}


def export_mteb(
    results: Path,
    out: Path,
    *,
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    org: str = "evalsuite",
) -> Exported:
    """Write results as files of mteb's, one a task, with the ``model_meta.json`` it asks for.

    Args:
        results: Folder of the results.
        out: Folder that is to hold ``results/``: what mteb calls a cache.
        models: Names or patterns of models; all if empty.
        tasks: Names or patterns of tasks; all if empty.
        org: First half of the name of models that have none: mteb asks for ``org/model``.

    Raises:
        UsageError: There is no such folder, or ``out`` is a file.
        NothingToReadError: There is no result mteb has a task for.
        StoreError: The files cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is not a folder. Name a new folder.")
    loaded = load_results(results, strict=False)
    exported = Exported(out, problems=loaded.problems)
    for result in loaded:
        if not _wanted(result, models, tasks):
            continue
        reason, task = _task_of(result)
        if task is None:
            exported.skipped[reason] += 1
            continue
        _write_result(result, task, out / "results", org)
        exported.results += 1
    if not exported.results:
        reasons = "; ".join(f"{n} {reason}" for reason, n in exported.skipped.items())
        raise NothingToReadError(
            f"No result under '{results}' can be written for mteb: "
            f"{reasons or 'none is asked for'}."
        )
    return exported


def _wanted(result: Result, models: Sequence[str], tasks: Sequence[str]) -> bool:
    return all(
        not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
        for name, patterns in ((result.model["name"], models), (result.task["name"], tasks))
    )


def _task_of(result: Result) -> tuple[str, Task | None]:
    """Return the catalogue's task if a result is one of it and mteb has it, else why not."""
    reason = why_not(result)
    if reason is not None:
        return reason, None
    task = names.catalogue_task(result.task["name"], result.task["version"])
    if task is None or not _mteb_keys(task):
        return "on a task mteb does not have", None
    fingerprint = names.known_fingerprint(task)
    if fingerprint not in (None, result.task["fingerprint"]):
        return "with another fingerprint than the catalogue's task", None
    return "", task


def _mteb_keys(task: Task) -> list[str]:
    return [key for key in task.same_as if key.startswith("mteb:")]


def _write_result(result: Result, task: Task, folder: Path, org: str) -> None:
    name = slug(result.model["name"]).replace("__", "/")
    if "/" not in name:
        name = f"{slug(org)}/{name}"
    revision = slug(f"{result.model['revision']}-{result.variant}")
    place = folder / name.replace("/", "__") / revision
    _, mteb_name, data_revision = names.parse_key(_mteb_keys(task)[0])
    _write(place / "model_meta.json", _meta(result, name, revision))
    _write(place / f"{mteb_name}.json", _table(result, task, mteb_name, data_revision))


def _table(result: Result, task: Task, name: str, revision: str) -> dict[str, Any]:
    """Return a ``TaskResult`` of mteb's; what it has no field for stands in the entry."""
    entry: dict[str, Any] = {
        names.mteb_metric(measure): round(score.value, DIGITS)
        for measure, score in result.scores.items()
    }
    entry |= {
        "main_score": round(result.main_score, DIGITS),
        "hf_subset": "default",
        "languages": [_SCRIPTS.get(code, code) for code in task.languages],
        "evalsuite": _own_facts(result),
    }
    phases = result.run.get("phases") or ()
    return {
        "dataset_revision": revision,
        "task_name": name,
        "mteb_version": None,  # it was not mteb that ran it
        "scores": {task.split: [entry]},
        "evaluation_time": round(sum(phase["seconds"] for phase in phases), 4) if phases else None,
        "kg_co2_emissions": None,
        "date": _timestamp(result.run.get("date")),
    }


def _own_facts(result: Result) -> dict[str, Any]:
    score = result.scores[result.main_measure]
    return {
        "version": result.run.get("packages", {}).get("evalsuite"),
        "task": result.task_key,
        "fingerprint": result.task["fingerprint"],
        "model": result.model["name"],
        "identity": result.model["identity"],
        "variant": result.variant,
        "settings": dict(result.settings),
        "n": score.n,
        "ci95": list(score.ci95) if score.ci95 else None,
        "counts": dict(result.counts),
    }


def _meta(result: Result, name: str, revision: str) -> dict[str, Any]:
    """Return a ``ModelMeta`` of mteb's: null is what a result does not know."""
    unknown = (
        "loader", "release_date", "languages", "n_parameters", "memory_usage_mb", "max_tokens",
        "embed_dim", "license", "open_weights", "public_training_code", "public_training_data",
        "similarity_fn_name", "use_instructions", "training_datasets",
    )  # fmt: skip
    return {
        "name": name,
        "revision": revision,
        **dict.fromkeys(unknown),
        "framework": [],
        "model_type": ["sparse" if result.model.get("kind") == "lexical" else "dense"],
    }


def _timestamp(date: Any) -> float | None:
    try:
        return datetime.datetime.fromisoformat(date).timestamp()
    except (TypeError, ValueError):
        return None


def _write(path: Path, table: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(table, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
