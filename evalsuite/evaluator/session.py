"""One model's run over the tasks of an evaluator."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite import hardware
from evalsuite.engines.meter import Meter
from evalsuite.errors import ModelError, UsageError
from evalsuite.evaluator import parts, record, stages
from evalsuite.evaluator.family import Family
from evalsuite.models import Placement, Resolved
from evalsuite.protocol import Protocol
from evalsuite.result import Outcome, Phase, Result
from evalsuite.tables import items_digest
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.evaluator import Evaluator

SEARCHERS = ("torch", "faiss")


class Session:
    """One model's run over the tasks: loaded at most once, and only if something is missing."""

    def __init__(self, plan: Evaluator, model: Resolved, family: Family) -> None:
        self._plan, self._model, self._family = plan, model, family
        self._placement = self._place()
        self._engines: dict[tuple[str, Task | None], Any] = {}
        self._store = plan.store
        self._settings: dict[str, Any] = {
            "device": self._placement.device_type,
            "dtype": self._placement.dtype,
            "max_length": plan.max_length,
            "limit": plan.limit,
            "seed": plan.seed,
            "search": plan.search,
        }

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

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
        if protocol.origin is not None:
            yield self._computed_elsewhere(task, protocol, protocol.origin(task))
            return
        loaded = self._family.items(task, protocol)
        task = loaded.task
        fingerprint = task.fingerprint(loaded.digest, protocol.version, protocol.defaults)
        stage = stages.stage_of(task, protocol, loaded, plan)
        finished = self._finished(task, fingerprint, stage)
        if finished is not None and plan.runs is None:
            yield finished, True
            return
        wrapped = self.engine(self._verb(task, stage.protocol), task)
        for found in parts.run(stage.protocol, task, stage.data, wrapped):
            outcome = replace(found, options={**found.options, **stage.options})
            if plan.runs is not None:
                stages.write_run(Path(plan.runs), self._model, task, outcome)
            if finished is not None:
                yield finished, True
                continue
            yield self._write(task, protocol, fingerprint, outcome, wrapped, loaded.source), False

    def _computed_elsewhere(
        self, task: Task, protocol: Protocol, origin: Mapping[str, str]
    ) -> tuple[Result, bool]:
        """Return a result whose scores another tool computes, and whether it was finished before.

        Raises:
            UsageError: The task is to be cut or reranked, or its rankings are asked for.
        """
        plan, model = self._plan, self._model
        if plan.limit is not None:
            raise UsageError(f"--limit: {origin['tool']} itself runs {task}, whole.")
        variant = f"{self.variant(model.options)},by={origin['tool']}"
        path = self._store.path(model.name, model.revision, variant, str(task))
        if not plan.force and model.repeatable:
            finished = self._store.find_computed(path, origin, model.identity)
            if finished is not None:
                return finished, True
        wrapped = self.engine(self._verb(task, protocol), task)
        (outcome,) = protocol.run(task, None, wrapped)
        result = self._result(task, protocol, "", outcome, wrapped, origin["tool"])
        result = replace(result, variant=variant, origin=origin, items_digest="", counts={})
        self._store.write_imported(path, result)
        return replace(result, path=path), False

    def _finished(self, task: Task, fingerprint: str, stage: stages.Stage) -> Result | None:
        """Return the result of an earlier run, or None where there is none to be reused."""
        model = self._model
        if self._plan.force or not model.repeatable:
            return None
        variant = self.variant({**model.options, **stage.options})
        path = self._store.path(model.name, model.revision, variant, str(task))
        return self._store.find(path, fingerprint, model.identity)

    def _verb(self, task: Task, protocol: Protocol) -> str:
        """Return the verb a protocol uses of this model.

        Raises:
            ModelError: The model has none of those it needs.
        """
        for verb in protocol.needs:
            if verb in self._model.verbs:
                return verb
        hint = ""
        if protocol.name == "retrieval" and "score_pairs" in self._model.verbs:
            hint = " A reranker takes the candidates of another model: --rerank RUNFILE."
        raise ModelError(
            f"{task} needs a model with {' or '.join(protocol.needs)}; "
            f"'{self._model.name}' offers {', '.join(self._model.verbs)}.{hint}"
        )

    def engine(self, verb: str, task: Task | None = None) -> Any:
        """Return the model, as a task sees it, behind the engine of a verb; built on first use.

        What the engine counts begins anew: it is asked for when a task starts.
        """
        model = self._model if task is None else self._model.seen_by(task)
        key = (verb, None if model is self._model else task)
        if key not in self._engines:
            self._engines[key] = self._family.build(verb, model, self._placement)
        found = self._engines[key]
        if isinstance(meter := getattr(found, "meter", None), Meter):
            meter.clear()
        return found

    def _write(
        self,
        task: Task,
        protocol: Protocol,
        fingerprint: str,
        outcome: Outcome,
        wrapped: Any,
        source: str,
    ) -> Result:
        """Score an outcome and store it."""
        result = self._result(task, protocol, fingerprint, outcome, wrapped, source)
        return self._store.write(result, outcome.items)

    def _result(
        self,
        task: Task,
        protocol: Protocol,
        fingerprint: str,
        outcome: Outcome,
        wrapped: Any,
        source: str,
    ) -> Result:
        """Score an outcome."""
        started = time.perf_counter()
        scores = record.scores(task, outcome, self._plan.seed, self._family.draws)
        interval = Phase("interval", time.perf_counter() - started, len(outcome.items.ids))
        options = {**self._model.options, **outcome.options}
        return Result(
            task=record.task_identity(task, protocol, fingerprint),
            model={
                "name": self._model.name,
                "identity": self._model.identity,
                "revision": self._model.revision,
                "options": options,
                "kind": self._model.kind,
            },
            settings=self._settings,
            variant=self.variant(options),
            scores=scores,
            main_measure=task.main_measure,
            counts=outcome.items.counts(),
            evidence=outcome.evidence,
            items_digest=items_digest(outcome.items),
            cost=record.cost(self._model, wrapped),
            run=record.provenance(
                wrapped,
                device=self._placement.device,
                machine=self._family.machine(
                    self._placement.device, {*protocol.moved_by, *self._model.moved_by}
                ),
                source=source,
                tags=self._plan.tags,
                phases=(*outcome.phases, interval),
            ),
        )
