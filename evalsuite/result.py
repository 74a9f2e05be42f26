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
from evalsuite.cost import Spent
from evalsuite.stats import Sample

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
        cluster: Larger thing an item comes from (its document) and is resampled with, or None.
        replicate: Training seed, draw or timing repeat; all 0 where there is none.
        timed: Names of the columns that vary from run to run.
    """

    ids: Sequence[str]
    columns: Mapping[str, NDArray[np.float64]]
    status: NDArray[np.str_]
    group: NDArray[np.str_] | None = None
    cluster: NDArray[np.str_] | None = None
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

    @property
    def n_items(self) -> int:
        """Number of items that count, each once, however many replicates and groups it is in."""
        kept = self.status != EXCLUDED
        return len(set(np.asarray(self.ids, dtype=object)[kept].tolist()))

    def sample(self, measure: measures.Measure) -> Sample:
        """Rows a measure aggregates: excluded items left out, failed ones at their worst.

        Raises:
            KeyError: The table lacks a column the measure reads.
        """
        kept = self.status != EXCLUDED
        failed = (self.status == FAILED)[kept]
        columns = {}
        for name in measure.columns:
            values = self.columns[name][kept]
            given = name in ("gold", measures.COUNT)
            columns[name] = values if given else np.where(failed, measure.worst, values)
        group = None if self.group is None else _codes(self.group[kept])
        replicate = None if self.replicate is None else _codes(self.replicate[kept])
        unit = None
        if self.cluster is not None:
            unit = _codes(self.cluster[kept], group)
        elif replicate is not None and replicate.any():
            unit = _codes(np.asarray(self.ids, dtype=object)[kept], group)
        return Sample(columns, unit, group, replicate)

    def ordered(self) -> Items:
        """Return the same table by group, item and replicate: tables of the same items line up."""
        keys: list[Any] = [] if self.replicate is None else [self.replicate]
        keys.append(_codes(np.asarray(self.ids, dtype=object)))
        if self.group is not None:
            keys.append(_codes(self.group))
        order = np.lexsort(keys)
        return self.taken(order)

    def taken(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Items:
        """Return some rows, or all in another order."""

        def of(values: Any) -> Any:
            return None if values is None else values[rows]

        return Items(
            ids=np.asarray(self.ids, dtype=object)[rows].tolist(),
            columns={name: values[rows] for name, values in self.columns.items()},
            status=self.status[rows],
            group=of(self.group),
            cluster=of(self.cluster),
            replicate=of(self.replicate),
            timed=self.timed,
        )


def _codes(values: Any, within: Any = None) -> NDArray[np.int64]:
    """Number distinct values from 0, those of each part apart."""
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    if within is None:
        return codes
    pairs = within * (codes.max(initial=0) + 1) + codes
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class Phase:
    """One measured stretch of a run: seconds of wall time and items worked on."""

    name: str
    seconds: float
    items: int


@dataclass(frozen=True)
class Ranking:
    """Documents found for each query, best first.

    Attributes:
        query_ids: ``[q]``.
        document_ids: ``[documents]``, what ``docs`` counts.
        counts: Documents found for each query, ``[q]``.
        docs: Positions of all of them, query after query, ``[n]``.
        scores: ``[n]``.
    """

    query_ids: Sequence[str]
    document_ids: Sequence[str]
    counts: NDArray[np.int64]
    docs: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def of_rows(
        cls,
        query_ids: Sequence[str],
        document_ids: Sequence[str],
        docs: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> Ranking:
        """Return a ranking of ``docs`` and ``scores``, both ``[q, k]``; -1 is no document."""
        found = docs >= 0
        return cls(query_ids, document_ids, found.sum(axis=1), docs[found], scores[found])


@dataclass(frozen=True)
class Outcome:
    """What one variant of a protocol's run comes to.

    Attributes:
        items: The item table.
        phases: Measured stretches of the run.
        evidence: Named verdicts with their data.
        options: The variant's options; they join the model's identity.
        ranking: What was found, where the protocol ranks; not stored with the result.
        scores: Scores of another tool, where there are no items.
    """

    items: Items
    phases: tuple[Phase, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    ranking: Ranking | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """A measure's value with its 95 % interval (main measure only) and its number of items.

    ``n`` is 0 where the source of an imported result does not state it.
    """

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
        origin: Tool, task, revision and file an imported result comes from; None for own results.
        cost: What the model costs, whatever it runs on; empty in results older than this.
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
    origin: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spent(self) -> Spent:
        """What it cost, as far as the file says."""
        return Spent.of(self.cost, self.run)

    @property
    def imported(self) -> bool:
        """Whether another tool made it: no fingerprint, no items, outside ranks and tests."""
        return self.origin is not None

    @property
    def main_score(self) -> float:
        """Value of the main measure."""
        return self.scores[self.main_measure].value

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of the main measure."""
        return self.scores[self.main_measure].ci95

    @property
    def cell(self) -> tuple[str, str]:
        """Layer and number of dimensions asked of the model, empty where its own were taken."""
        options = self.model.get("options") or {}
        return str(options.get("layer", "")), str(options.get("dim", ""))

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
            "cost": {
                **self.cost,
                "speed": self.run.get("speed"),
                "peak_memory_mib": self.run.get("peak_memory_mib"),
            },
            "result_path": str(self.path) if self.path else None,
        } | ({"origin": dict(self.origin)} if self.origin is not None else {})
