"""Protocol: how one family of tasks is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
        defaults: Every parameter with its default.
        moved_by: Packages whose version can move a score.
    """

    name: str
    version: int
    layout: str
    needs: tuple[str, ...]
    run: Run
    defaults: Mapping[str, Any] = field(default_factory=dict)
    moved_by: tuple[str, ...] = ("numpy",)

    def check(self, task: Task) -> None:
        """Check a task's parameters against the defaults.

        Raises:
            UsageError: A parameter is unknown or of another type than its default.
        """
        for key, value in task.params.items():
            if key not in self.defaults:
                known = ", ".join(self.defaults) or "none"
                raise UsageError(
                    f"{task}: protocol '{self.name}' has no parameter `{key}`. Known: {known}."
                )
            if not isinstance(value, type(self.defaults[key])):
                kind = type(self.defaults[key]).__name__
                raise UsageError(f"{task}: parameter `{key}` must be of type {kind}.")
