"""Evaluator: plan, resume, run, write; the only place where everything meets."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from evalsuite import data, hardware, measures, models, registry, stats
from evalsuite.engines.batching import shape_rule
from evalsuite.engines.cache import VectorCache, cache_folder, default_cache_dir
from evalsuite.engines.encode import DEFAULT_BATCH_TOKENS, EncodingEngine, Progress, ignore_progress
from evalsuite.errors import EvalsuiteError, ModelError, UsageError
from evalsuite.models import Placement, Resolved
from evalsuite.protocol import Protocol
from evalsuite.result import Outcome, Result, Score
from evalsuite.store import Store
from evalsuite.tables import items_digest
from evalsuite.task import Task

log = logging.getLogger(__name__)

SEARCHERS = ("torch", "faiss")
PATH_ROLES = {"--data-dir": "DATA", "--results": "RESULTS", "--out": "OUT"}


@dataclass(frozen=True)
class Failure:
    """A task that could not be run, and why."""

    task: str
    model: str
    error: EvalsuiteError


@dataclass(frozen=True)
class Event:
    """One task's end: a result (new or found finished) or a failure."""

    task: str
    result: Result | None = None
    failure: Failure | None = None
    resumed: bool = False
    seconds: float = 0.0


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
    trust_remote_code: bool = False
    progress: Progress = ignore_progress
    on_task: Callable[[Task], None] | None = None

    def __post_init__(self) -> None:
        """Check options and look up every task before anything runs."""
        for name in ("batch_tokens", "max_length", "limit"):
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
        self._data_dir = Path(self.data_dir) if self.data_dir else None
        self._store = Store(Path(self.results))

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
        """Run one model on every task, yielding each result or failure the moment it is there."""
        resolved = models.resolve(model)
        session = _Session(self, resolved)
        for task in self._tasks:
            if self.on_task is not None:
                self.on_task(task)
            started = time.perf_counter()
            try:
                for result, resumed in session.run(task, self._protocols[task]):
                    seconds = time.perf_counter() - started
                    yield Event(str(task), result, resumed=resumed, seconds=seconds)
            except EvalsuiteError as error:
                if error.exit_code == UsageError.exit_code:
                    raise
                yield Event(str(task), failure=Failure(str(task), resolved.name, error))


class _Session:
    """One model's run over the tasks: loaded at most once, and only if something is missing."""

    def __init__(self, plan: Evaluator, model: Resolved) -> None:
        self._plan, self._model = plan, model
        self._placement = self._place()
        self._loaded: Any = None
        self._store = plan._store
        self._settings: dict[str, Any] = {
            "device": self._placement.device_type,
            "dtype": self._placement.dtype,
            "max_length": plan.max_length,
            "limit": plan.limit,
            "seed": plan.seed,
            "search": plan.search,
        }

    def _place(self) -> Placement:
        """Resolve device and dtype; models that torch does not run are placed on the CPU."""
        plan = self._plan
        if self._model.native_dtype is None:
            return Placement(max_length=plan.max_length)
        return Placement(
            device=hardware.pick_device(plan.device),
            dtype=self._model.native_dtype if plan.dtype == "auto" else hardware.DTYPES[plan.dtype],
            max_length=plan.max_length,
            trust_remote_code=plan.trust_remote_code,
        )

    def variant(self, options: Mapping[str, str]) -> str:
        """Return the readable slug of everything but the weights that can move a score."""
        plan, placement = self._plan, self._placement
        short = {long: name for name, long in hardware.DTYPES.items()}
        parts = [placement.device_type, short[placement.dtype]]
        parts += [f"{key}={value}" for key, value in sorted(options.items())]
        if plan.max_length is not None:
            parts.append(f"max_length={plan.max_length}")
        if plan.search != SEARCHERS[0]:
            parts.append(f"search={plan.search}")
        if plan.seed:
            parts.append(f"seed={plan.seed}")
        if plan.limit is not None:
            parts.append(f"limit={plan.limit}")
        return ",".join(parts)

    def run(self, task: Task, protocol: Protocol) -> Iterator[tuple[Result, bool]]:
        """Yield each variant's result with whether it was finished before."""
        plan = self._plan
        loaded = data.load(task, protocol.layout, data_dir=plan._data_dir, limit=plan.limit)
        fingerprint = task.fingerprint(loaded.digest, protocol.version, protocol.defaults)
        if not plan.force and self._model.repeatable:
            path = self._store.path(
                self._model.name, self._model.revision, self.variant(self._model.options), str(task)
            )
            finished = self._store.find(path, fingerprint, self._model.identity)
            if finished is not None:
                yield finished, True
                return
        if not set(protocol.needs) & set(self._model.verbs):
            raise ModelError(
                f"{task} needs a model with {' or '.join(protocol.needs)}; "
                f"'{self._model.name}' offers {', '.join(self._model.verbs)}."
            )
        for outcome in protocol.run(task, loaded.data, self._verbs()):
            yield self._write(task, protocol, fingerprint, loaded.source, outcome), False

    def _verbs(self) -> Any:
        """Return the model behind its engine, loading it on first use."""
        if self._loaded is None:
            dense = "encode" in self._model.verbs
            self._loaded = self._engine() if dense else self._model.load(self._placement)
        return self._loaded

    def _engine(self) -> EncodingEngine:
        placement, plan = self._placement, self._plan
        folder = None
        if plan.cache is not None and self._model.repeatable:
            folder = cache_folder(plan.cache, self._arithmetic())
        return EncodingEngine(
            load=partial(self._model.load, placement),
            prompts=self._model.prompts,
            finish=self._model.finish,
            cache=VectorCache(folder),
            rule=shape_rule(placement.device_type, placement.dtype),
            batch_tokens=plan.batch_tokens or DEFAULT_BATCH_TOKENS,
            progress=plan.progress,
            device=placement.device,
            searcher=plan.search,
        )

    def _arithmetic(self) -> dict[str, Any]:
        """Return everything a vector depends on beside its text."""
        options = self._model.encoder_options
        return {
            "model": self._model.identity,
            "options": dict(self._model.options if options is None else options),
            "device": self._placement.device_type,
            "dtype": self._placement.dtype,
            "max_length": self._placement.max_length,
        }

    def _write(
        self, task: Task, protocol: Protocol, fingerprint: str, source: str, outcome: Outcome
    ) -> Result:
        """Score an outcome and store it."""
        started = time.perf_counter()
        scores = _scores(task, outcome, self._plan.seed)
        interval = time.perf_counter() - started
        result = Result(
            task=_task_identity(task, protocol, fingerprint),
            model={
                "name": self._model.name,
                "identity": self._model.identity,
                "revision": self._model.revision,
                "options": {**self._model.options, **outcome.options},
                "kind": self._model.kind,
            },
            settings=self._settings,
            variant=self.variant({**self._model.options, **outcome.options}),
            scores=scores,
            main_measure=task.main_measure,
            counts=outcome.items.counts(),
            evidence=outcome.evidence,
            items_digest=items_digest(outcome.items),
            run=self._provenance(protocol, source, outcome, interval),
        )
        return self._store.write(result, outcome.items)

    def _provenance(
        self, protocol: Protocol, source: str, outcome: Outcome, interval: float
    ) -> dict[str, Any]:
        """Return what varies from run to run."""
        packages = {*protocol.moved_by, *self._model.moved_by}
        phases = [(p.name, p.seconds, p.items) for p in outcome.phases]
        phases.append(("interval", interval, len(outcome.items.ids)))
        return {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": list(hardware.command_line(PATH_ROLES)),
            "data_source": source,
            "tags": dict(self._plan.tags),
            "batch_tokens": getattr(self._loaded, "batch_tokens", None),
            "texts_encoded": getattr(self._loaded, "texts_encoded", None),
            "out_of_memory_backoffs": getattr(self._loaded, "backoffs", 0),
            "peak_memory_mib": hardware.peak_memory_mib(self._placement.device),
            "phases": [
                {"name": name, "seconds": round(seconds, 4), "items": items}
                for name, seconds, items in phases
            ],
            **hardware.environment(self._placement.device, packages),
        }


def _task_identity(task: Task, protocol: Protocol, fingerprint: str) -> dict[str, Any]:
    return task.described() | {
        "fingerprint": fingerprint,
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "split": task.split,
    }


def _scores(task: Task, outcome: Outcome, seed: int) -> dict[str, Score]:
    """Aggregate every measure of a task; the main one gets its bootstrap interval."""
    scores = {}
    for name in task.measures:
        measure = measures.parse(name)
        sample = outcome.items.sample(measure)
        if sample.n_rows == 0:
            raise ModelError(f"{task}: every item was excluded, nothing is left to score.")
        interval = None
        if name == task.main_measure:
            interval = stats.bootstrap_interval(
                measure, sample, seed=stats.derived_seed(seed, str(task), "interval")
            )
        n = sample.n_rows // sample.n_replicates  # replicates are of the same items
        scores[name] = Score(float(stats.score(measure, sample)), n, interval)
    return scores
