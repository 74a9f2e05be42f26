"""What a protocol returns and what the store keeps.

An :class:`Outcome` is a table of per-item statistics with what was measured on the way; a
:class:`Result` is one outcome with its identity and provenance. ``docs/results.md`` documents every
field of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite import measures

SCHEMA_VERSION = 1
OK, FAILED, EXCLUDED = "ok", "failed", "excluded"


@dataclass(frozen=True)
class Items:
    """Per-item statistics, one row an item.

    Attributes:
        ids: Stable ids, ``[n]``.
        columns: Numbers, each ``[n]``; NaN in rows that are not ok.
        status: ``ok``, ``failed`` or ``excluded`` (by the protocol's own rule), ``[n]``.
        group: Part an item belongs to (language, subforum), or None.
        replicate: Training seed, draw or timing repeat; all 0 where there is none.
        timed: Names of the columns that vary from run to run.
    """

    ids: Sequence[str]
    columns: Mapping[str, NDArray[np.float64]]
    status: NDArray[np.str_]
    group: NDArray[np.str_] | None = None
    replicate: NDArray[np.int64] | None = None
    timed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check that the table accounts for every item exactly once."""
        lengths = {len(column) for column in self.columns.values()} | {len(self.status)}
        if lengths != {len(self.ids)}:
            raise ValueError("every column of an item table has one value an item")
        if self.replicate is None and len(set(self.ids)) != len(self.ids):
            raise ValueError("item ids are not unique")

    def counts(self) -> dict[str, int]:
        """Number of items of each status, and in all."""
        return {
            "items": len(self.ids),
            **{status: int((self.status == status).sum()) for status in (OK, FAILED, EXCLUDED)},
        }

    def scored(self, measure: measures.Measure) -> dict[str, NDArray[np.float64]]:
        """Columns a measure aggregates: excluded items left out, failed ones at their worst."""
        kept = self.status != EXCLUDED
        failed = (self.status == FAILED)[kept]
        columns = {}
        for name in measure.columns:
            values = self.columns[name][kept]
            is_gold = name == "gold"
            columns[name] = values if is_gold else np.where(failed, measure.worst, values)
        return columns


@dataclass(frozen=True)
class Phase:
    """One measured stretch of a run: seconds of wall time and items worked on."""

    name: str
    seconds: float
    items: int


@dataclass(frozen=True)
class Outcome:
    """What one variant of a protocol's run comes to.

    Attributes:
        items: The item table.
        phases: Measured stretches of the run.
        evidence: Named verdicts with their data.
        options: The variant's options; they join the model's identity.
    """

    items: Items
    phases: tuple[Phase, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """A measure's value with its 95 % interval (main measure only) and its number of items."""

    value: float
    n: int
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True)
class Result:
    """One variant's outcome with identity and provenance; immutable, written once.

    Attributes:
        task: Name, version, fingerprint, protocol and what the task is.
        model: Spec, name, identity and options.
        settings: Device type, dtype, seed, limit and whatever else could move a score.
        variant: Readable slug of the settings; part of the path.
        scores: Measure name to score.
        main_measure: The measure a table shows.
        counts: Items of each status.
        evidence: Named verdicts with their data.
        items_digest: sha256 of the item table's content.
        run: What varies from run to run: date, phases, packages, hardware, command, tags.
        path: Where it is stored, once it is.
    """

    task: Mapping[str, Any]
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    variant: str
    scores: Mapping[str, Score]
    main_measure: str
    counts: Mapping[str, int]
    evidence: Mapping[str, Any]
    items_digest: str
    run: Mapping[str, Any]
    path: Path | None = None

    @property
    def main_score(self) -> float:
        """Value of the main measure."""
        return self.scores[self.main_measure].value

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of the main measure."""
        return self.scores[self.main_measure].ci95

    @property
    def task_key(self) -> str:
        """Name with version, e.g. ``STS12@1``."""
        return f"{self.task['name']}@{self.task['version']}"

    def summary(self) -> dict[str, Any]:
        """The flat object ``--json`` prints for a run."""
        return {
            "task": self.task["name"],
            "version": self.task["version"],
            "model": self.model["name"],
            "variant": self.variant,
            "main_measure": self.main_measure,
            "main_score": self.main_score,
            "ci95": list(self.ci95) if self.ci95 else None,
            "scores": {name: score.value for name, score in self.scores.items()},
            "n_items": self.scores[self.main_measure].n,
            "counts": dict(self.counts),
            "device": self.settings["device"],
            "dtype": self.settings["dtype"],
            "result_path": str(self.path) if self.path else None,
        }
