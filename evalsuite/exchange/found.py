"""What a reader finds in another tool's files, what of it is wanted, and what an import came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from evalsuite.errors import DataError
from evalsuite.exchange import names
from evalsuite.registry import get_task
from evalsuite.task import Task

UNKNOWN = "unknown"
NO_RESULT = "no result of this tool"
MAX_NAMED = 1000  # malformed files named in a report; further ones are counted
Progress = Callable[[int, int], None]
"""``(files read, files in all)``."""


@dataclass(frozen=True)
class Skipped:
    """Scores that were not imported, and why.

    Attributes:
        file: Path below what is imported.
        reason: Why, as a phrase; reasons are counted.
        malformed: Whether the file is to blame: it is named, and the import ends with exit code 3.
    """

    file: str
    reason: str
    malformed: bool = False


@dataclass(frozen=True)
class Found:
    """The scores of one model on one task of another tool.

    Attributes:
        file: Path below what is imported.
        task: The tool's name of the task.
        revision: What must be equal for two results of the task to be comparable there.
        version: Short form of it, the version of the task's own row.
        split: Split of the data.
        model: Name of the model.
        model_revision: Revision of the model, or ``unknown``.
        scores: Finite values by our measure names.
        main: The measure a table shows.
        n: Items a score rests on, 0 where not stated.
        limit: Items the task was cut to, or None.
        stderr: Standard errors the tool states.
        options: What else could move a score: experiment, precision, chat template.
        languages: ISO 639-3 codes.
        device: Device type, where stated.
        dtype: Dtype, where stated.
        date: When it was made, where stated, ISO 8601.
        tool_version: Version of the tool, where stated.
        notes: Further facts kept under ``evidence``.
        shown: Scores kept where the task is none of ours; all if None.
        fault: Why it cannot be imported, as a phrase, or None.
    """

    file: str
    task: str
    revision: str
    version: str
    split: str
    model: str
    model_revision: str
    scores: Mapping[str, float]
    main: str
    n: int = 0
    limit: int | None = None
    stderr: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    languages: Sequence[str] = ()
    device: str = UNKNOWN
    dtype: str = UNKNOWN
    date: str | None = None
    tool_version: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    shown: frozenset[str] | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Selection:
    """Which results of a tree are wanted.

    Attributes:
        models: Names or patterns (``org/*``); all if empty.
        tasks: Names or patterns of the tool's tasks, or paths of TOML files of tasks of one's own,
            which stand for the tasks in their ``same_as``; all if empty.
        shared: Only tasks that share a column with one of ours.
    """

    models: Sequence[str] = ()
    tasks: Sequence[str] = ()
    shared: bool = False

    @cached_property
    def own(self) -> list[Task]:
        """Tasks named by their TOML files."""
        return [get_task(name) for name in self.tasks if name.endswith(".toml")]

    @cached_property
    def task_patterns(self) -> list[str]:
        """Names and patterns of foreign tasks."""
        wanted = [name for name in self.tasks if not name.endswith(".toml")]
        return wanted + [names.parse_key(key)[1] for task in self.own for key in task.same_as]

    def wants_model(self, name: str) -> bool:
        """Whether a model is asked for."""
        return not self.models or any(fnmatchcase(name, pattern) for pattern in self.models)

    def wants_task(self, name: str) -> bool:
        """Whether a foreign task is asked for."""
        return not self.tasks or any(fnmatchcase(name, one) for one in self.task_patterns)


@dataclass
class Report:
    """What an import came to.

    Attributes:
        files: JSON files that were looked at.
        imported: Results stored.
        unchanged: Results that stood there already with the same scores.
        skipped: Number of scores left out, by reason.
        malformed: ``(file, fault)`` of the first 1,000 malformed files.
        n_malformed: Number of malformed files.
    """

    files: int = 0
    imported: int = 0
    unchanged: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    malformed: list[tuple[str, str]] = field(default_factory=list)
    n_malformed: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was recognised: other JSON files do not count."""
        skipped = self.skipped.total() - self.skipped[NO_RESULT]
        return not (self.imported or self.unchanged or skipped or self.n_malformed)

    @property
    def exit_code(self) -> int:
        """0, or 3 where files were malformed."""
        return DataError.exit_code if self.n_malformed else 0

    def leave_out(self, skipped: Skipped) -> None:
        """Count what was not imported."""
        if not skipped.malformed:
            self.skipped[skipped.reason] += 1
            return
        self.n_malformed += 1
        if len(self.malformed) < MAX_NAMED:
            self.malformed.append((skipped.file, skipped.reason))

    def to_json(self) -> dict[str, Any]:
        """The object ``--json`` prints."""
        return {
            "files": self.files,
            "imported": self.imported,
            "unchanged": self.unchanged,
            "skipped": dict(self.skipped.most_common()),
            "malformed": [{"file": file, "fault": fault} for file, fault in self.malformed],
            "n_malformed": self.n_malformed,
        }
