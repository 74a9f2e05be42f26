"""``evalsuite gate``."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli.output import echo_table, printable
from evalsuite.errors import EvalsuiteError

if TYPE_CHECKING:
    from evalsuite.gate import Policy, Report

EPILOG = """\b
Examples:
  evalsuite gate ./checkpoint-500 --baseline ./checkpoint-400 --policy gate.toml
  evalsuite gate my-model --baseline git:main --policy gate.toml --junit gate.xml
  evalsuite gate 'my-model?dtype=bf16' --baseline 'my-model?dtype=fp32' --policy gate.toml --explain
\b
A policy to start with, gate.toml:
  [default]
  max_drop = 0.005
"""
STDOUT = "-"


@click.command(epilog=EPILOG)
@click.argument("candidate")
@click.option("--baseline", required=True, help="What the candidate must be no worse than.")
@click.option("--policy", required=True, type=click.Path(), help="TOML file: docs/gate.md.")
@click.option("--results", default="results", show_default=True, help="Folder of the results.")
@click.option("--junit", type=click.Path(), help="Write JUnit XML to this file.")
@click.option("--json", "json_", type=click.Path(), help="Write JSON to this file; - prints it.")
@click.option("--summary", type=click.Path(), help="Write Markdown to this file.")
@click.option("--explain", is_flag=True, help="Say what this policy would and would not catch.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all resampling.")
def gate(
    candidate: str,
    baseline: str,
    policy: str,
    results: str,
    junit: str | None,
    json_: str | None,
    summary: str | None,
    explain: bool,
    seed: int,
) -> int:
    """Say whether CANDIDATE is no worse than the baseline, by a policy.

    CANDIDATE and the baseline are each a path of results, git:REF, a model's name or tag:KEY=VALUE.
    Leaves with 0 (passed, or undecided and only warned of), 1 (regression), 2 (usage or policy), 3
    (something required is missing or unreadable) or 4 (nothing comparable). Reports are written
    before.
    """
    from evalsuite.gate.files import check_paths, json_bytes, write_reports

    asked = {"--junit": junit, "--json": json_, "--summary": summary}
    paths = {
        option: Path(name)
        for option, name in asked.items()
        if name is not None and (option, name) != ("--json", STDOUT)
    }
    check_paths(paths)
    report = _gate(candidate, baseline, policy, results, seed)
    problems = write_reports(report, paths)
    try:
        if json_ == STDOUT:
            click.echo(json_bytes(report), nl=False)
        elif report.failure is None:
            _print(report, explain)
    except BrokenPipeError:  # the reader has gone, e.g. `| head`: the verdict stands
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for problem in problems:
        click.echo(f"Error: {printable(problem)}", err=True)
    if isinstance(report.failure, EvalsuiteError):
        raise report.failure  # printed as every error is
    if report.failure is not None:  # a bug of ours, which is no regression
        traceback.print_exception(report.failure)
    return report.exit_code or (3 if problems else 0)


def _gate(candidate: str, baseline: str, policy: str, results: str, seed: int) -> Report:
    """Return the report; whatever keeps it from being made is part of it."""
    from evalsuite.compare import select
    from evalsuite.gate import Asked, Report, Side, decide, load_policy

    checked: Policy | None = None
    try:
        checked = load_policy(Path(policy))
        ours = select(candidate, Path(results))
        theirs = select(baseline, Path(results), like=ours)
        return decide(ours, theirs, checked, Asked(candidate, baseline, seed))
    except Exception as error:  # reports are written first, whatever it is
        sides = Side(candidate, candidate), Side(baseline, baseline)
        return Report(*sides, policy=checked, failure=error, seed=seed)


def _print(report: Report, explain: bool) -> None:
    from evalsuite.gate.text import COLUMNS, NUMBERS, cells, legend, remarks
    from evalsuite.gate.verdict import PASS

    click.echo(printable(report.headline))
    click.echo(f"Candidate: {printable(report.candidate.label)}")
    click.echo(f"Baseline:  {printable(report.baseline.label)}")
    click.echo()
    if report.rows:
        echo_table(COLUMNS, [cells(row) for row in report.rows], right=NUMBERS)
        click.echo(legend(report))
        click.echo()
    for row in report.rows:
        if row.verdict != PASS:
            click.echo(printable(f"{row.verdict}: {row.name}: {row.reason.rstrip('.')}."))
    for note in remarks(report):
        click.echo(f"Note: {printable(note)}")
    if explain:
        click.echo()
        click.echo(printable(report.explanation))
