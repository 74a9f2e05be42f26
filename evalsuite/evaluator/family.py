"""What the models of a grid share: a task's items, one forward pass, what a run's machine is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from evalsuite import data, hardware, stats
from evalsuite.engines.encode import EncodingEngine
from evalsuite.engines.layers import AllLayers, LayerCaches, OneLayer
from evalsuite.evaluator import engine
from evalsuite.models import Placement, Resolved
from evalsuite.protocol import Protocol
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.evaluator import Evaluator


class Family:
    """Models that differ in layer and dimensions at most; most often a single one.

    Args:
        plan: The evaluator.
        models: The models, in the order they run.
    """

    def __init__(self, plan: Evaluator, models: Sequence[Resolved]) -> None:
        self._plan, self._models = plan, models
        self._loaded: tuple[Task, data.Loaded] | None = None
        self._layers: dict[str | None, OneLayer] = {}
        self.draws = stats.KeptDraws() if len(models) > 1 else None
        self._machines: dict[frozenset[str], dict[str, Any]] = {}

    def items(self, task: Task, protocol: Protocol) -> data.Loaded:
        """Return the items of a task, loaded once for all models."""
        if self._loaded is None or self._loaded[0] != task:
            plan = self._plan
            loaded = data.load(task, protocol.layout, data_dir=plan.data_folder, limit=plan.limit)
            self._loaded = task, loaded
        return self._loaded[1]

    def machine(self, device: str, packages: Iterable[str]) -> dict[str, Any]:
        """Return the provenance of the machine, looked up once."""
        names = frozenset(packages)
        if names not in self._machines:
            self._machines[names] = hardware.environment(device, names)
        return self._machines[names]

    def build(self, verb: str, model: Resolved, placement: Placement) -> Any:
        """Return a model behind the engine of a verb."""
        is_cell = len(self._models) > 1 and any(model is one for one in self._models)
        if verb != "encode" or not is_cell or model.load_layers is None:
            return engine.build(verb, model, placement, self._plan)
        if not self._layers:
            self._layers = self._one_pass(placement)
        return replace(self._layers[model.options.get("layer")], finish=model.finish)

    def _one_pass(self, placement: Placement) -> dict[str | None, OneLayer]:
        """Return the engine of each layer; they share one encoder."""
        by_layer = {model.options.get("layer"): model for model in self._models}
        engines = [engine.encoding(model, placement, self._plan) for model in by_layer.values()]
        first = next(iter(by_layer.values()))
        load = partial(first.load, placement)
        if first.load_layers is not None and None not in by_layer:
            load = partial(first.load_layers, [int(layer or 0) for layer in by_layer], placement)
        common = {
            each.name: getattr(engines[0], each.name)
            for each in fields(EncodingEngine)
            if each.name not in ("load", "cache", "meter")
        }
        caches = [one.cache for one in engines]
        every = AllLayers(load=load, cache=LayerCaches(parts=caches), **common)
        return {
            layer: OneLayer(load=load, cache=cache, every=every, place=place, **common)
            for place, (layer, cache) in enumerate(zip(by_layer, caches, strict=True))
        }
