"""``evalsuite export`` and ``evalsuite import``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalsuite.cli.output import echo_json, json_option, printable

if TYPE_CHECKING:
    from evalsuite.exchange import Exported, Report
    from evalsuite.exchange.found import Progress

EXPORT_EPILOG = """\b
Examples:
  evalsuite export mteb results mteb-cache
  evalsuite export model-card results README.md --model all-MiniLM-L6-v2 --variant cpu,fp32
"""
EXPORT_MTEB_EPILOG = """\b
Examples:
  evalsuite export mteb results mteb-cache
  evalsuite export mteb results mteb-cache --model './ckpt-*' --task 'STS*' --org my-org
"""
CARD_EPILOG = """\b
Examples:
  evalsuite export model-card results README.md --model bm25
  evalsuite export model-card results card.yaml --model all-MiniLM-L6-v2 --variant cpu,bf16
"""
IMPORT_EPILOG = """\b
Examples:
  evalsuite import mteb ~/.cache/mteb --results results --shared
  evalsuite import lm-eval output/results.json --results results
"""
IMPORT_MTEB_EPILOG = """\b
Examples:
  evalsuite import mteb ~/.cache/mteb --shared
  evalsuite import mteb results-repo --model 'intfloat/*' --task 'STS*' --results published
  evalsuite import mteb results-repo --task ./my-task.toml
"""
LM_EVAL_EPILOG = """\b
Examples:
  evalsuite import lm-eval output/results_2026-01-02T03-04-05.json
  evalsuite import lm-eval output --task hellaswag --results published
  evalsuite import lm-eval run.json --name my-org/checkpoint-500
"""
NAMED_FILES = 20  # malformed files printed; --json has up to 1,000

results_option = click.option(
    "--results", default="results", show_default=True, help="Folder of the results."
)
model_option = click.option(
    "--model", "models", multiple=True, help="Only this model, or a pattern such as 'org/*'."
)


@click.group(epilog=EXPORT_EPILOG)
def export() -> None:
    """Write own results in formats that others read."""


@click.group("import", epilog=IMPORT_EPILOG)
def import_() -> None:
    """Read results of other tools; they are marked as imported everywhere."""


@export.command("mteb", epilog=EXPORT_MTEB_EPILOG)
@click.argument("results", type=click.Path())
@click.argument("out", type=click.Path())
@model_option
@click.option("--task", "-t", "tasks", multiple=True, help="Only this task, or a pattern.")
@click.option(
    "--org", default="evalsuite", show_default=True, help="ORG/ of models that have none."
)
@json_option
def export_mteb(
    results: str,
    out: str,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    org: str,
    as_json: bool,
) -> int:
    """Write RESULTS into OUT, a folder that mteb loads as its cache.

    A model's variant is part of its revision there. Limited runs, imported results and tasks mteb
    does not have are left out and counted.
    """
    from evalsuite.exchange import export_mteb

    done = export_mteb(Path(results), Path(out), models=models, tasks=tasks, org=org)
    return _print_export(done, as_json)


@export.command("model-card", epilog=CARD_EPILOG)
@click.argument("results", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--model", help="Name of the model, where RESULTS hold several.")
@click.option("--revision", help="Its revision, where there are several.")
@click.option("--variant", help="Its variant, such as cpu,fp32, where there are several.")
@json_option
def model_card(
    results: str,
    out: str,
    model: str | None,
    revision: str | None,
    variant: str | None,
    as_json: bool,
) -> int:
    """Write one model's RESULTS into the metadata of OUT, a card (.md) or a YAML file.

    An existing card keeps its text, its other metadata and other people's results.
    """
    from evalsuite.exchange import export_model_card

    done = export_model_card(
        Path(results), Path(out), model=model, revision=revision, variant=variant
    )
    return _print_export(done, as_json)


@import_.command("mteb", epilog=IMPORT_MTEB_EPILOG)
@click.argument("folder", type=click.Path())
@results_option
@model_option
@click.option(
    "--task", "-t", "tasks", multiple=True, help="Only this task of mteb, a pattern, or your TOML."
)
@click.option("--shared", is_flag=True, help="Only tasks that share a column with one of ours.")
@json_option
def import_mteb(folder: str, results: str, as_json: bool, **wanted: Any) -> int:
    """Import mteb's results below FOLDER: a cache, its results repository or a part of either.

    They have no items and stand outside ranks, tests and gates.
    """
    from evalsuite.exchange import Selection, import_mteb

    with _progress_bar(quiet=as_json) as progress:
        report = import_mteb(Path(folder), Path(results), Selection(**wanted), progress)
    return _print_import(report, results, as_json)


@import_.command("lm-eval", epilog=LM_EVAL_EPILOG)
@click.argument("source", type=click.Path(), metavar="FILE|FOLDER")
@results_option
@model_option
@click.option("--task", "-t", "tasks", multiple=True, help="Only this task, or a pattern.")
@click.option("--shared", is_flag=True, help="Only tasks that share a column with one of ours.")
@click.option("--name", help="Name of the model, where the files hold a path.")
@json_option
def import_lm_eval(
    source: str, results: str, name: str | None, as_json: bool, **wanted: Any
) -> int:
    """Import results files of lm-evaluation-harness.

    They have no items and stand outside ranks, tests and gates.
    """
    from evalsuite.exchange import Selection, import_lm_eval

    with _progress_bar(quiet=as_json) as progress:
        report = import_lm_eval(
            Path(source), Path(results), Selection(**wanted), progress, name=name
        )
    return _print_import(report, results, as_json)


def _print_export(done: Exported, as_json: bool) -> int:
    if as_json:
        echo_json(done.to_json())
        return done.exit_code
    click.echo(f"Exported: {_counted(done.results, 'result')} to {printable(done.out)}")
    for reason, n in done.skipped.most_common():
        click.echo(f"Left out: {n} {reason}")
    for problem in done.problems:
        click.echo(f"Error: {printable(problem)}", err=True)
    return done.exit_code


def _print_import(report: Report, results: str, as_json: bool) -> int:
    if as_json:
        echo_json({**report.to_json(), "results": results})
        return report.exit_code
    click.echo(f"Imported: {_counted(report.imported, 'result')} to {printable(results)}")
    if report.unchanged:
        click.echo(f"Unchanged: {report.unchanged}, imported before")
    for reason, n in report.skipped.most_common():
        click.echo(f"Skipped: {n}, {reason}")
    for file, fault in report.malformed[:NAMED_FILES]:
        click.echo(f"Error: '{printable(file)}' is malformed: {printable(fault)}.", err=True)
    if report.n_malformed > NAMED_FILES:
        click.echo(f"Error: {report.n_malformed} files are malformed; see --json.", err=True)
    return report.exit_code


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" + "s" * (n != 1)


@contextmanager
def _progress_bar(*, quiet: bool) -> Iterator[Progress | None]:
    """Show a bar on standard error, on a terminal only: files read and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = ("files", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("files", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
