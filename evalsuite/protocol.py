"""Protocol: how one family of tasks is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsuite import measures
from evalsuite.errors import UsageError
from evalsuite.result import Outcome
from evalsuite.task import Task

Run = Callable[[Task, Any, Any], list[Outcome]]
"""``(task, its data, a model with a verb the protocol needs) -> one outcome a variant``."""


@dataclass(frozen=True)
class Protocol:
    """How one family of tasks is run: pure given (task, data, model).

    Attributes:
        name: What tasks call it.
        version: Raised whenever the same vectors could score differently.
        layout: Kind of data it takes.
        needs: Verbs, any one of which lets a model run it, preferred first.
        run: Turns a model into outcomes.
        columns: Item columns it fills, cutoffs left out; they say which measures it offers.
        defaults: Every parameter with its default.
        choices: Values a parameter can take, where they are few.
        moved_by: Packages whose version can move a score.
        origin: Where another tool computes the scores, and no item of them is known: returns that
            tool and its task, as imported results name them.
    """

    name: str
    version: int
    layout: str
    needs: tuple[str, ...]
    run: Run
    columns: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    moved_by: tuple[str, ...] = ("numpy",)
    origin: Callable[[Task], Mapping[str, str]] | None = None

    def check(self, task: Task) -> None:
        """Check a task's measures and parameters.

        Raises:
            UsageError: A measure is not this protocol's, or a parameter is unknown, of another type
                than its default or none of its choices.
        """
        for name in task.measures if self.origin is None else ():
            if {c.partition("@")[0] for c in measures.parse(name).columns} - set(self.columns):
                raise UsageError(f"{task}: protocol '{self.name}' does not compute '{name}'.")
        for key, value in task.params.items():
            if key not in self.defaults:
                known = ", ".join(self.defaults) or "none"
                raise UsageError(
                    f"{task}: protocol '{self.name}' has no parameter `{key}`. Known: {known}."
                )
            if not isinstance(value, type(self.defaults[key])):
                kind = type(self.defaults[key]).__name__
                raise UsageError(f"{task}: parameter `{key}` must be of type {kind}.")
            if value not in self.choices.get(key, (value,)):
                known = ", ".join(map(repr, self.choices[key]))
                raise UsageError(f"{task}: parameter `{key}` is {value!r}. Known: {known}.")
