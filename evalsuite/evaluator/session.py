"""One model's run over the tasks of an evaluator."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evalsuite import data, hardware
from evalsuite.errors import ModelError
from evalsuite.evaluator import engine, record
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

    def __init__(self, plan: Evaluator, model: Resolved) -> None:
        self._plan, self._model = plan, model
        self._placement = self._place()
        self._engines: dict[str, Any] = {}
        self._store = plan.store
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
        loaded = data.load(task, protocol.layout, data_dir=plan.data_folder, limit=plan.limit)
        fingerprint = task.fingerprint(loaded.digest, protocol.version, protocol.defaults)
        if not plan.force and self._model.repeatable:
            path = self._store.path(
                self._model.name, self._model.revision, self.variant(self._model.options), str(task)
            )
            finished = self._store.find(path, fingerprint, self._model.identity)
            if finished is not None:
                yield finished, True
                return
        verb = next((verb for verb in protocol.needs if verb in self._model.verbs), None)
        if verb is None:
            raise ModelError(
                f"{task} needs a model with {' or '.join(protocol.needs)}; "
                f"'{self._model.name}' offers {', '.join(self._model.verbs)}."
            )
        wrapped = self._engine(verb)
        for outcome in protocol.run(task, loaded.data, wrapped):
            yield self._write(task, protocol, fingerprint, outcome, wrapped, loaded.source), False

    def _engine(self, verb: str) -> Any:
        """Return the model behind the engine of a verb, built on first use."""
        if verb not in self._engines:
            self._engines[verb] = engine.build(verb, self._model, self._placement, self._plan)
        return self._engines[verb]

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
        started = time.perf_counter()
        scores = record.scores(task, outcome, self._plan.seed)
        interval = Phase("interval", time.perf_counter() - started, len(outcome.items.ids))
        options = {**self._model.options, **outcome.options}
        result = Result(
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
            run=record.provenance(
                self._model,
                protocol,
                wrapped,
                device=self._placement.device,
                source=source,
                tags=self._plan.tags,
                phases=(*outcome.phases, interval),
            ),
        )
        return self._store.write(result, outcome.items)
