"""What a gate comes to: its rows, the verdict over all of them and the exit code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from evalsuite.compare import Selection
from evalsuite.errors import EvalsuiteError
from evalsuite.gate.policy import Policy
from evalsuite.gate.verdict import (
    ERROR,
    INCONCLUSIVE,
    PASS,
    REGRESSION,
    SKIPPED,
    Row,
    detects,
)

NOTHING = "nothing-compared"
EXIT_CODES = {PASS: 0, REGRESSION: 1, ERROR: 3, NOTHING: 4}


@dataclass(frozen=True)
class Side:
    """One side of a gate, as a reader of a report needs it.

    Attributes:
        asked: What the user typed.
        label: What the results are called; what was typed where there are none.
        models: Names with the start of the identity, e.g. ``bm25 (bm25:1)``.
        hardware: Device, dtype and processor, each combination once.
    """

    asked: str
    label: str
    models: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()


def side(asked: str, selection: Selection) -> Side:
    """Describe a selection."""
    results = list(selection.results.values())
    models = (f"{r.model['name']} ({str(r.model['identity'])[:12]})" for r in results)
    hardware = (
        f"{r.settings['device']}, {r.settings['dtype']}, {r.run.get('device_name', 'not stated')}"
        for r in results
    )
    return Side(
        asked, selection.label, tuple(dict.fromkeys(models)), tuple(dict.fromkeys(hardware))
    )


@dataclass(frozen=True)
class Report:
    """A gate's outcome.

    Attributes:
        candidate: What was judged.
        baseline: What it was measured against.
        policy: The policy, or None where it could not be read.
        rows: Every row of the policy, worst first.
        notes: What concerns no single row.
        explanation: What this policy would and would not catch on these data.
        failure: Why nothing could be compared at all, or None.
        seed: Seed of all resampling.
    """

    candidate: Side
    baseline: Side
    policy: Policy | None
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    explanation: str = ""
    failure: Exception | None = None
    seed: int = 0
    counts: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Count the rows of each verdict."""
        verdicts = [row.verdict for row in self.rows]
        kinds = (REGRESSION, ERROR, INCONCLUSIVE, PASS, SKIPPED)
        object.__setattr__(self, "counts", {kind: verdicts.count(kind) for kind in kinds})

    @property
    def undecided(self) -> tuple[Row, ...]:
        """Inconclusive rows whose policy minds: those set to ``warn`` or ``fail``."""
        return tuple(
            row
            for row in self.rows
            if row.verdict == INCONCLUSIVE and row.rule.inconclusive != "pass"
        )

    @property
    def fails_undecided(self) -> bool:
        """Whether an inconclusive row fails the gate."""
        return any(row.rule.inconclusive == "fail" for row in self.undecided)

    @property
    def verdict(self) -> str:
        """The verdict over all rows: the first of these that any row has.

        ``regression``, ``inconclusive`` where that fails, ``nothing-compared``, ``error``,
        ``inconclusive`` as a warning, ``pass``.
        """
        if self.failure is not None:
            return NOTHING if self.exit_code == EXIT_CODES[NOTHING] else ERROR
        if self.counts[REGRESSION]:
            return REGRESSION
        if self.fails_undecided:
            return INCONCLUSIVE
        if all(row.figures is None for row in self.rows):
            return NOTHING
        if self.counts[ERROR]:
            return ERROR
        return INCONCLUSIVE if self.undecided else PASS

    @property
    def exit_code(self) -> int:
        """Exit code of the command (``docs/gate.md``)."""
        if self.failure is not None:
            return self.failure.exit_code if isinstance(self.failure, EvalsuiteError) else 3
        if self.verdict == INCONCLUSIVE:
            return EXIT_CODES[REGRESSION] if self.fails_undecided else 0
        return EXIT_CODES[self.verdict]

    @property
    def headline(self) -> str:
        """The verdict and its reason in one sentence."""
        if self.failure is not None:
            return f"{self.verdict.upper().replace('-', ' ')}: {self.failure}"
        return {
            REGRESSION: self._of_regression,
            INCONCLUSIVE: self._of_inconclusive,
            NOTHING: self._of_nothing,
            ERROR: self._of_errors,
            PASS: self._of_pass,
        }[self.verdict]()

    def _of_regression(self) -> str:
        rows = self._with(REGRESSION)
        more = f"; {self._unjudged()}" if self.counts[ERROR] else ""
        return f"REGRESSION in {self._share(rows)}: {_first(rows)}{more}."

    def _of_inconclusive(self) -> str:
        means = "fails by the policy" if self.fails_undecided else "a warning"
        rows = self.undecided
        if self.fails_undecided:
            rows = tuple(row for row in rows if row.rule.inconclusive == "fail")
        more = f"; {self._unjudged()}" if self.counts[ERROR] else ""
        said = f"INCONCLUSIVE ({means}) in {self._share(rows)}"
        tested = [row for row in rows if row.figures]
        if not tested:
            return f"{said}: {_first(rows)}{more}."
        weakest = max(tested, key=_blindness)
        assert weakest.figures is not None
        which = weakest.name if len(rows) == 1 else f"the weakest is {weakest.name}"
        return f"{said}: {which}, where {detects(weakest.figures)}{more}."

    def _of_nothing(self) -> str:
        if not self.rows:
            return "NOTHING COMPARED: the baseline has no task and the policy names none."
        return f"NOTHING COMPARED: {_first(self.rows)}."

    def _of_errors(self) -> str:
        return f"ERROR: {self._unjudged()}: {_first(self._with(ERROR))}."

    def _of_pass(self) -> str:
        skipped = self.counts[SKIPPED]
        n = len(self.rows) - skipped
        what = "the row holds" if n == 1 else f"all {n} rows hold"
        also = f", {skipped} skipped" if skipped else ""
        open_ = self.counts[INCONCLUSIVE]
        passed = f" ({open_} undecided, which the policy lets pass)" if open_ else ""
        return f"PASS: {what}{also}{passed}."

    def _with(self, verdict: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)

    def _share(self, rows: Sequence[Row]) -> str:
        return f"{len(rows)} of {_counted(len(self.rows), 'row')}"

    def _unjudged(self) -> str:
        return f"{self._share(self._with(ERROR))} could not be judged"


def _blindness(row: Row) -> float:
    """Return the drop a row can show: infinite where it can show none."""
    shown = row.figures.detectable if row.figures else None
    return math.inf if shown is None else shown


def _first(rows: Sequence[Row]) -> str:
    return f"{rows[0].name}: {rows[0].reason.rstrip('.')}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" + "s" * (n != 1)
