"""Evaluator: plan, resume, run, write; the only place where everything meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalsuite import hardware, models, registry
from evalsuite.engines.cache import default_cache_dir
from evalsuite.engines.encode import Progress, ignore_progress
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.evaluator import stages
from evalsuite.evaluator.family import Family
from evalsuite.evaluator.session import SEARCHERS, Session
from evalsuite.result import Result
from evalsuite.store import Store
from evalsuite.task import Task

__all__ = ["Evaluator", "Event", "Failure"]


@dataclass(frozen=True)
class Failure:
    """A task that could not be run, and why."""

    task: str
    model: str
    error: EvalsuiteError


@dataclass(frozen=True)
class Event:
    """One task's end for one model: a result (new or found finished) or a failure.

    ``model`` is the spec of that model alone where a grid was asked for, ``last`` whether it is the
    last of the grid; seconds count from the start of the task.
    """

    task: str
    result: Result | None = None
    failure: Failure | None = None
    resumed: bool = False
    seconds: float = 0.0
    model: str = ""
    last: bool = True


@dataclass
class Evaluator:
    """Runs models on tasks and stores one result a task and variant the moment it ends.

    Attributes:
        tasks: Task names, paths of TOML files, or tasks; the ``quick`` suite by default.
        results: Folder of the store.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto`` (the checkpoint's own), ``fp32``, ``bf16`` or ``fp16``.
        data_dir: Folder of local data; ``EVALSUITE_DATA`` by default.
        batch_tokens: Token budget of a batch.
        max_length: Longest input in tokens; the model's own limit by default.
        limit: Items (queries, for retrieval) a task is cut to.
        seed: Seed of every random draw.
        force: Run again what is finished; old results are moved aside.
        tags: Free ``key=value`` notes, kept in the result's provenance.
        cache: Folder of the vector cache, or None to keep vectors in memory only.
        search: ``torch``, or ``faiss`` for its exact index.
        runs: Folder rankings are written to as TREC run files, or None.
        rerank: A run file, or a folder with one a task, whose documents are ranked anew.
        top: How many documents of it, a query; 100 by default.
        trust_remote_code: Whether code of a checkpoint may run.
        progress: Told of every batch of texts encoded.
        on_task: Told of every task before it starts.
    """

    tasks: Sequence[str | Task] = ()
    results: str | Path = "results"
    device: str = "auto"
    dtype: str = "auto"
    data_dir: str | Path | None = None
    batch_tokens: int | None = None
    max_length: int | None = None
    limit: int | None = None
    seed: int = 0
    force: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    cache: Path | None = field(default_factory=default_cache_dir)
    search: str = "torch"
    runs: str | Path | None = None
    rerank: str | Path | None = None
    top: int | None = None
    trust_remote_code: bool = False
    progress: Progress = ignore_progress
    on_task: Callable[[Task], None] | None = None

    def __post_init__(self) -> None:
        """Check options and look up every task before anything runs."""
        for name in ("batch_tokens", "max_length", "limit", "top"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1, not {value}.")
        if self.dtype != "auto" and self.dtype not in hardware.DTYPES:
            known = ", ".join(("auto", *hardware.DTYPES))
            raise UsageError(f"Unknown dtype '{self.dtype}'. Known: {known}.")
        if self.search not in SEARCHERS:
            raise UsageError(f"Unknown search '{self.search}'. Known: {', '.join(SEARCHERS)}.")
        if self.device != "auto":
            hardware.pick_device(self.device)
        names = self.tasks or registry.get_suite("quick").all_tasks()
        self._tasks = [t if isinstance(t, Task) else registry.get_task(t) for t in names]
        self._protocols = {task: registry.get_protocol(task.protocol) for task in self._tasks}
        for task, protocol in self._protocols.items():
            protocol.check(task)
        stages.check(self._tasks, self)
        self.data_folder = Path(self.data_dir) if self.data_dir else None
        self.store = Store(Path(self.results))

    def run(self, model: str | Any) -> list[Result]:
        """Run one model on every task.

        Args:
            model: A spec, or any object with ``encode(list[str])``.

        Returns:
            The results in the order of the tasks, new and resumed.

        Raises:
            EvalsuiteError: The first failure, after every other task was run and written.
        """
        events = list(self.events(model))
        for event in events:
            if event.failure is not None:
                raise event.failure.error
        return [event.result for event in events if event.result is not None]

    def events(self, model: str | Any) -> Iterator[Event]:
        """Run one model, or every one of a grid, on every task.

        Yields:
            Each result or failure the moment it is there.
        """
        resolved = models.resolve_grid(model)
        family = Family(self, [one for _, one in resolved])
        sessions = {str(spec): Session(self, one, family) for spec, one in resolved}
        for task in self._tasks:
            if self.on_task is not None:
                self.on_task(task)
            started = time.perf_counter()
            for place, (spec, session) in enumerate(sessions.items(), start=1):
                for event in self._run(session, task, started):
                    yield replace(event, model=spec, last=place == len(sessions))

    def _run(self, session: Session, task: Task, started: float) -> Iterator[Event]:
        """Run one model on one task."""
        try:
            for result, resumed in session.run(task, self._protocols[task]):
                seconds = time.perf_counter() - started
                yield Event(str(task), result, resumed=resumed, seconds=seconds)
        except EvalsuiteError as error:
            if error.exit_code == UsageError.exit_code:
                raise
            yield Event(str(task), failure=Failure(str(task), session.name, error))
