"""Two-stage retrieval: rankings written as TREC run files, and read back as candidates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite import registry
from evalsuite.data import Loaded, Parts, Retrieval, runs
from evalsuite.data.reranking import from_retrieval
from evalsuite.errors import DataError, UsageError
from evalsuite.models import Resolved
from evalsuite.protocol import Protocol
from evalsuite.result import Outcome
from evalsuite.store import slug
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.evaluator import Evaluator

DEFAULT_TOP = 100
_RANKING = ("retrieval", "reranking")
_LONGEST_TAG = 40


@dataclass(frozen=True)
class Stage:
    """How a task is run.

    Attributes:
        protocol: What runs it.
        data: What that takes.
        options: What the result's variant says of it.
    """

    protocol: Protocol
    data: Any
    options: Mapping[str, str] = field(default_factory=dict)


def check(tasks: Sequence[Task], plan: Evaluator) -> None:
    """Check before anything runs that what is to be written or reranked can be.

    Raises:
        UsageError: A task ranks nothing, or is none of retrieval.
    """
    if plan.top is not None and plan.rerank is None:
        raise UsageError("--top says how many candidates of --rerank are taken; name a run file.")
    for task in tasks:
        if plan.rerank is not None:
            if task.protocol != "retrieval":
                raise UsageError(f"--rerank: {task} is no retrieval task. Name the task's with -t.")
            runs.find(Path(plan.rerank), task.name)
        if plan.runs is not None and task.protocol not in _RANKING:
            raise UsageError(f"--runs: {task} ranks no documents. Name retrieval tasks with -t.")


def stage_of(task: Task, protocol: Protocol, loaded: Loaded, plan: Evaluator) -> Stage:
    """Return how a task is run: as it is, or on the candidates of a run file.

    Raises:
        UsageError: The task has several rankings.
        DataError: The file is malformed or made on other data.
    """
    if isinstance(loaded.data, Parts) and (plan.rerank or plan.runs):
        raise UsageError(f"--rerank and --runs: {task} ranks several corpora; run it on one.")
    if plan.rerank is None:
        return Stage(protocol, loaded.data)
    assert isinstance(loaded.data, Retrieval)
    run = runs.read(runs.find(Path(plan.rerank), task.name))
    top = plan.top or DEFAULT_TOP
    if plan.limit is None:
        run.check_queries(loaded.data.query_ids)
    best = run.best(top)
    lists = {query: best[query] for query in loaded.data.query_ids if query in best}
    if not lists:
        raise DataError(f"'{run.name}' ranks none of the task's queries.")
    reranking = registry.get_protocol("reranking")
    content = hashlib.sha256(f"{reranking.version}{runs.lists_digest(lists)}".encode())
    tag = slug(run.tag[:_LONGEST_TAG])
    return Stage(
        reranking,
        from_retrieval(loaded.data, lists, f"'{run.name}'"),
        {"rerank": f"{tag}@{top}@{content.hexdigest()[:12]}"},
    )


def write_run(folder: Path, model: Resolved, task: Task, outcome: Outcome) -> None:
    """Write an outcome's ranking as ``<model>.<task>.trec``; a model's options join its name.

    Raises:
        DataError: An id cannot stand in a run file.
        StoreError: The file cannot be written.
    """
    assert outcome.ranking is not None
    options = {**model.options, **outcome.options}
    name = ",".join((model.name, *(f"{key}={value}" for key, value in sorted(options.items()))))
    runs.write(folder / f"{slug(name)}.{task.name}{runs.SUFFIX}", outcome.ranking, slug(name))
