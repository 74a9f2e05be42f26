"""How a gate reads: the same words in every report."""

from __future__ import annotations

from evalsuite.cost import short
from evalsuite.gate.costs import COSTS
from evalsuite.gate.report import Report, Side
from evalsuite.gate.verdict import Figures, Row, Spending, probability

COLUMNS = (
    "Verdict", "Task", "Measure", "Candidate", "Baseline", "Difference", "Interval", "p drop",
    "p no drop", "Detects", "n",
)  # fmt: skip
NUMBERS = range(3, len(COLUMNS))
MISSING = "–"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row of the table of :data:`COLUMNS`."""
    figures = row.figures
    if row.costs is not None:
        shown = (short(row.costs.candidate), short(row.costs.baseline), _times(row.costs))
        return (row.verdict, row.task, row.measure, *shown, *[MISSING] * (len(NUMBERS) - 3))
    if figures is None:
        return (row.verdict, row.task, row.measure, *[MISSING] * len(NUMBERS))
    return (
        row.verdict,
        row.task,
        row.measure,
        f"{figures.candidate:.4f}",
        f"{figures.baseline:.4f}",
        f"{figures.difference:+z.4f}",
        MISSING if figures.interval is None else "[{:+z.4f}, {:+z.4f}]".format(*figures.interval),
        MISSING if figures.p_drop_holm is None else probability(figures.p_drop_holm),
        MISSING if figures.p_no_drop is None else probability(figures.p_no_drop),
        MISSING if figures.detectable is None else f"{figures.detectable:.4f}",
        str(figures.n),
    )


def _times(costs: Spending) -> str:
    return MISSING if costs.ratio is None else f"×{costs.ratio:.4g}"


def legend(report: Report) -> str:
    """Say what the columns of the table mean."""
    of_costs = " Costs have the quotient instead." if any(row.costs for row in report.rows) else ""
    return _of_scores(report) + of_costs


def _of_scores(report: Report) -> str:
    levels = sorted({f.level for row in report.rows if (f := row.figures) and f.level})
    if not levels:
        return "Difference: candidate less baseline."
    shown = " or ".join(f"{100 * level:g} %" for level in levels)
    return (
        f"Difference: candidate less baseline, with its {shown} interval (both one-sided bounds at "
        "alpha). p drop: small where the drop is beyond what is allowed, after Holm's correction "
        "over the rows. p no drop: small where such a drop is ruled out. Detects: the true drop "
        "that would be caught with 80 % power."
    )


def remarks(report: Report) -> list[str]:
    """Return the notes of the rows, each once with the rows it is about, then the gate's."""
    about: dict[str, list[str]] = {}
    for row in report.rows:
        for note in row.notes:
            about.setdefault(note, []).append(row.name)
    said = [
        f"{note} ({names[0] if len(names) == 1 else f'{len(names)} rows'})"
        for note, names in about.items()
    ]
    return said + list(report.notes)


def rules(report: Report) -> list[str]:
    """Return the rules the rows had to meet, each once with the rows it is for."""
    held: dict[str, list[str]] = {}
    for row in report.rows:
        held.setdefault(rule(row), []).append(row.name)
    if len(held) == 1:
        return [f"all rows: {text}" for text in held]
    return [f"{', '.join(names)}: {text}" for text, names in held.items()]


def sides(report: Report) -> list[tuple[str, str]]:
    """Return what was compared, as names and values."""
    said = [("verdict", report.verdict), ("exit code", str(report.exit_code))]
    for name, one in (("candidate", report.candidate), ("baseline", report.baseline)):
        said += [(name, _label(one))]
        said += [(f"{name} models", "; ".join(one.models) or "none read")]
        said += [(f"{name} hardware", "; ".join(one.hardware) or "none read")]
    if report.policy is not None:
        said.append(("policy", f"{report.policy.file} (sha256 {report.policy.digest[:12]})"))
    said.append(("seed", str(report.seed)))
    return said


def _label(one: Side) -> str:
    return one.label if one.asked in one.label else f"{one.label}, asked for as {one.asked}"


def details(row: Row) -> list[str]:
    """Return everything about a row, a line each."""
    lines = [f"{row.name}: {row.verdict}", f"reason: {row.reason}", f"rule: {rule(row)}"]
    if row.figures is not None:
        lines += _figures(row.figures)
    if row.costs is not None:
        lines += [f"candidate: {row.costs.candidate:g}", f"baseline: {row.costs.baseline:g}"]
    return lines + [f"note: {note}" for note in row.notes]


def rule(row: Row) -> str:
    """Return a row's rule as the policy would write it."""
    if row.measure in COSTS and row.rule.max_slowdown is not None:
        return (
            f"max_slowdown = {row.rule.max_slowdown:g}, require = {str(row.rule.require).lower()}, "
            f"inconclusive = {row.rule.inconclusive}"
        )
    floor = f", floor = {row.rule.floor:g}" if row.rule.floor is not None else ""
    return (
        f"max_drop = {row.rule.max_drop:g}{floor}, alpha = {row.rule.alpha:g}, "
        f"require = {str(row.rule.require).lower()}, inconclusive = {row.rule.inconclusive}, "
        f"environment = {row.rule.environment}"
    )


def _figures(figures: Figures) -> list[str]:
    lines = [
        f"candidate: {figures.candidate:.6f}",
        f"baseline: {figures.baseline:.6f}",
        f"difference: {figures.difference:+z.6f}"
        + ("" if figures.higher_is_better else " (lower is better)"),
        f"items: {figures.n}, of which {figures.n_changed} changed",
    ]
    if figures.largest is not None:
        lines.append(f"largest change of an item: {figures.largest:.3g}")
    if figures.interval is not None and figures.level is not None:
        low, high = figures.interval
        lines.append(f"{100 * figures.level:g} % interval: [{low:+z.6f}, {high:+z.6f}]")
    if figures.p_drop is not None:
        lines.append(
            f"p of a drop beyond max_drop: {figures.p_drop:.4g}, {figures.p_drop_holm:.4g} after "
            f"Holm (in its place p has to reach {figures.alpha_holm:.4g}); test: {figures.test}"
        )
        lines.append(f"p of no such drop: {figures.p_no_drop:.4g}")
    if figures.detectable is not None:
        lines.append(f"caught with 80 % power: a true drop of {figures.detectable:.6f}")
    return lines
