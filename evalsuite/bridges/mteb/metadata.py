"""What mteb's models are told of a task: they take prompts by its name and type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalsuite.bridges.mteb import library
from evalsuite.errors import UsageError
from evalsuite.task import Task

_TYPES: Mapping[str, str] = {
    "sts": "STS",
    "retrieval": "Retrieval",
    "reranking": "Reranking",
    "classification": "Classification",
    "pair_classification": "PairClassification",
    "clustering": "Clustering",
    "bitext_mining": "BitextMining",
    "regression": "Regression",
    "summarization": "Summarization",
    "multilabel_classification": "MultilabelClassification",
}


def metadata_of(task: Task) -> Any:
    """Return mteb's metadata of a task: its own, those of the one that is the same, or new ones.

    A task mteb does not know has a type, by its protocol, and no prompt of its own.
    """
    name = task.data.get("mteb", {}).get("task") or _same(task)
    if name:
        try:
            return library.task(name).metadata
        except UsageError:  # of another version of mteb
            pass
    from mteb.abstasks.task_metadata import TaskMetadata

    library.load()
    return TaskMetadata(
        name=task.name,
        description=task.title,
        dataset={"path": task.name, "revision": str(task.version)},
        type=_TYPES.get(task.protocol, "STS"),  # type: ignore[arg-type]
        eval_langs=["eng-Latn"],
        main_score=task.main_measure,
    )


def _same(task: Task) -> str:
    """Return the name of mteb's task that asks the same, or nothing."""
    keys = [key.removeprefix("mteb:") for key in task.same_as if key.startswith("mteb:")]
    return keys[0].partition("@")[0] if keys else ""
