"""The report files of a gate: JUnit XML, JSON and Markdown, each readable alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalsuite.errors import StoreError, UsageError
from evalsuite.gate.junit import junit
from evalsuite.gate.markdown import markdown
from evalsuite.gate.report import Report, Side
from evalsuite.gate.verdict import Row
from evalsuite.store import canonical_json, write_atomically

SCHEMA_VERSION = 1


def to_json(report: Report) -> dict[str, Any]:
    """Return the JSON object of a gate (``docs/gate.md``)."""
    policy = report.policy
    return {
        "schema": SCHEMA_VERSION,
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "headline": report.headline,
        "error": None if report.failure is None else str(report.failure),
        "candidate": _side(report.candidate),
        "baseline": _side(report.baseline),
        "policy": None
        if policy is None
        else {
            "file": policy.file,
            "sha256": policy.digest,
            "same_weights": policy.same_weights,
            "tolerance": policy.tolerance if policy.same_weights else None,
        },
        "seed": report.seed,
        "counts": report.counts,
        "rows": [_row(row) for row in report.rows],
        "notes": list(report.notes),
        "explanation": report.explanation,
    }


def _side(side: Side) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(side).items()}


def _row(row: Row) -> dict[str, Any]:
    figures = row.figures
    numbers = None
    if figures is not None:
        numbers = {**asdict(figures), "difference": figures.difference}
        numbers["interval"] = list(figures.interval) if figures.interval else None
    return {
        "task": row.task,
        "measure": row.measure,
        "verdict": row.verdict,
        "reason": row.reason,
        "rule": asdict(row.rule),
        "figures": numbers,
        "cost": None if row.costs is None else {**asdict(row.costs), "ratio": row.costs.ratio},
        "notes": list(row.notes),
    }


def json_bytes(report: Report) -> bytes:
    """Return strict JSON, the same bytes for the same results, policy and seed."""
    return canonical_json(to_json(report)).encode("ascii")


WRITERS: Mapping[str, Callable[[Report], bytes]] = {
    "--junit": junit,
    "--json": json_bytes,
    "--summary": markdown,
}


def check_paths(paths: Mapping[str, Path]) -> None:
    """Check that no two reports go to one file.

    Args:
        paths: Option to file.

    Raises:
        UsageError: Two options name the same file.
    """
    taken: dict[Path, str] = {}
    for option, path in paths.items():
        other = taken.setdefault(path.absolute(), option)
        if other != option:
            raise UsageError(f"{other} and {option} both name '{path}': give each its own file.")


def write_reports(report: Report, paths: Mapping[str, Path]) -> list[str]:
    """Write every report that can be written.

    Args:
        report: The gate.
        paths: Option to file.

    Returns:
        One sentence for each report that cannot be written.
    """
    problems = []
    for option, path in paths.items():
        content = WRITERS[option](report)
        try:
            write_atomically(path, content)
        except (StoreError, ValueError) as error:  # ValueError: a NUL byte in the name
            cause = getattr(error.__cause__, "strerror", None) or error
            problems.append(
                f"Cannot write the report '{path}': {cause}. Name another file with {option}."
            )
    return problems
