"""Tasks of mteb's that no protocol runs: ``mteb.evaluate`` itself, on our model.

mteb tells the scores and not the items. Such a result is marked as another tool's: no fingerprint,
no interval, outside ranks, tests and gates.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from evalsuite.bridges.mteb import items, library
from evalsuite.bridges.mteb.encoder import MtebEncoder
from evalsuite.bridges.mteb.tasks import MAIN
from evalsuite.errors import EvalsuiteError, ModelError
from evalsuite.foreign import measure_of
from evalsuite.protocol import Protocol
from evalsuite.result import Items, Outcome, Phase
from evalsuite.task import Task

_NO_ITEMS = Items([], {}, np.empty(0, dtype=np.str_))


def origin(task: Task) -> dict[str, str]:
    """Return what computes the scores."""
    _, _, revision = task.same_as[0].partition("@")
    return {
        "tool": "mteb",
        "version": version("mteb"),
        "task": str(task.data["mteb"]["task"]),
        "revision": revision,
        "file": "",
    }


def run(task: Task, data: None, model: Any) -> list[Outcome]:
    """Have mteb evaluate a model on a task.

    Raises:
        DataError: mteb cannot load the data.
        ModelError: mteb's evaluation fails.
    """
    mteb = library.load()
    theirs = items.theirs(task)
    started = time.perf_counter()
    with library.quiet():
        items.fetch(theirs)
        try:
            result = mteb.evaluate(
                MtebEncoder(model, "model", "none"),
                theirs,
                cache=None,
                co2_tracker=False,
                overwrite_strategy="always",
                show_progress_bar=False,
            )
        except EvalsuiteError:
            raise
        except Exception as error:  # a task of another's code fails in its own way
            raise ModelError(
                f"{task}: mteb.evaluate failed, {type(error).__name__}: {str(error)[:300]}"
            ) from error
        finally:
            if theirs.data_loaded:
                theirs.unload_data()
    entries = {
        entry["hf_subset"] if len(splits) == 1 else f"{split}/{entry['hf_subset']}": entry
        for splits in [result.task_results[0].scores]
        for split, subsets in splits.items()
        for entry in subsets
    }
    phase = Phase("mteb.evaluate", time.perf_counter() - started, 0)
    parts = {"scores": {name: entry[MAIN] for name, entry in entries.items()}}
    evidence = {"parts": parts} if len(entries) > 1 else {}
    return [Outcome(_NO_ITEMS, (phase,), evidence, scores=_means(entries))]


def _means(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean over subsets and splits of every metric all of them have.

    Raises:
        ModelError: The main score is no number.
    """
    first = next(iter(entries.values()))
    found = {}
    for metric in first:
        values = [entry.get(metric) for entry in entries.values()]
        if metric.startswith("nauc_") or not all(isinstance(value, float) for value in values):
            continue
        mean = float(np.mean([float(value) for value in values if value is not None]))
        if np.isfinite(mean):
            found[measure_of(metric)] = mean
    if MAIN not in found:
        raise ModelError("mteb's main score is no number: do all texts have the same vector?")
    return found


PROTOCOL = Protocol(
    name="mteb",
    version=1,
    layout="mteb",
    needs=("encode",),
    run=run,
    columns=(),
    moved_by=("numpy", "mteb", "scikit-learn"),
    origin=origin,
)
