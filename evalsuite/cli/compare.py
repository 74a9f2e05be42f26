"""``evalsuite compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli.output import echo_json, echo_table, json_option, printable
from evalsuite.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from evalsuite.compare import Question, Report, Selection
    from evalsuite.compare.sections import Section
    from evalsuite.result import Result

EPILOG = """\b
Examples:
  evalsuite compare all-MiniLM-L6-v2?dtype=fp32 all-MiniLM-L6-v2?dtype=bf16
  evalsuite compare bm25 tfidf all-MiniLM-L6-v2 --suite quick
  evalsuite compare git:main results/my-model --plot forest.svg
  evalsuite compare tag:step=500 tag:step=1000 -t STSBenchmark --slice gold --items=5
\b
A MODEL is a result file or a folder of results; git:REF or git:REF:FOLDER, the results as that
commit holds them; NAME[?option=value&...], e.g. my-model?dim=128 or my-model?variant=cpu,bf16;
or tag:KEY=VALUE, what `run --tag` was given.
\b
Exit codes: 0 done, 2 wrong usage, 3 a result cannot be read (the rest is compared), 4 nothing is
comparable.
"""
_NAMED_PROBLEMS = 20
EXIT_UNREADABLE, EXIT_NOTHING = 3, 4


@click.command(epilog=EPILOG)
@click.argument("baseline", metavar="BASELINE")
@click.argument("candidates", nargs=-1, required=True, metavar="MODEL...")
@click.option("--results", default="results", show_default=True, help="Folder of the results.")
@click.option("--suite", "-s", "suites", multiple=True, help="Only this suite.")
@click.option("--task", "-t", "tasks", multiple=True, help="Only this task.")
@click.option("--measure", "-m", help="Measure to compare (default: each task's main measure).")
@click.option("--slice", "slice_by", metavar="COLUMN", help="Cut tasks by a column, or by group.")
@click.option(
    "--items",
    is_flag=False,
    flag_value="10",
    metavar="[N]",
    help="List the N items that changed most (10); put it last or write --items=N.",
)
@click.option("--plot", type=click.Path(), metavar="FILE", help="Draw a forest plot (.png, .svg).")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown instead of text.")
@click.option("--resamples", type=click.IntRange(100, 1_000_000), help="Bootstrap draws.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@click.option(
    "--data-dir", type=click.Path(), help="Folder of your data: --items shows their texts."
)
@json_option
def compare(
    baseline: str,
    candidates: tuple[str, ...],
    results: str,
    suites: tuple[str, ...],
    tasks: tuple[str, ...],
    measure: str | None,
    slice_by: str | None,
    items: str | None,
    plot: str | None,
    as_markdown: bool,
    resamples: int | None,
    seed: int,
    data_dir: str | None,
    as_json: bool,
) -> int:
    """Compare every MODEL with the BASELINE, item by item: what differs, and how sure that is.

    The first argument is the baseline; a difference is the model's score less the baseline's. With
    more than two models, all are ranked as well.
    """
    from evalsuite.compare import compare as compared
    from evalsuite.compare.plots import check_plot, save_plot

    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other.")
    if plot is not None:
        check_plot(Path(plot))
    if data_dir is not None and not Path(data_dir).is_dir():
        raise UsageError(f"No data folder at '{data_dir}' (--data-dir).")
    question = _question(suites, measure, slice_by, items, seed, resamples)
    selections = _selections((baseline, *candidates), Path(results))
    question = replace(question, tasks=_task_names(tasks, selections))
    report = compared(selections[0], selections[1:], question)
    texts, untold = _texts(report, Path(data_dir) if data_dir else None)
    if as_json:
        from evalsuite.compare.tojson import to_json

        echo_json({**to_json(report, texts), "texts_left_out": untold})
    else:
        _print(report, texts, untold, as_markdown=as_markdown)
    if plot is not None and not report.empty:
        save_plot(report, Path(plot))
        click.echo(f"Plot: {printable(plot)}", err=True)
    if report.empty:
        click.echo("Error: nothing is comparable; the reasons stand above.", err=True)
        return EXIT_NOTHING
    return EXIT_UNREADABLE if report.unreadable else 0


def _question(
    suites: Sequence[str],
    measure: str | None,
    slice_by: str | None,
    items: str | None,
    seed: int,
    resamples: int | None,
) -> Question:
    from evalsuite import measures
    from evalsuite.compare import Question
    from evalsuite.registry import get_suite

    if items is not None and not (items.isascii() and items.isdecimal() and int(items) > 0):
        raise UsageError(f"--items {items!r} is no positive number. Write --items=10.")
    return Question(
        suites=tuple(get_suite(name) for name in suites),
        measure=measures.parse(measure) if measure else None,
        slice_by=slice_by,
        items=int(items or 0),
        seed=seed,
        n_resamples=resamples,
    )


def _selections(texts: Sequence[str], results: Path) -> list[Selection]:
    """Look up every model; one that stands for several is read as most like the others."""
    from evalsuite.compare import select

    found: dict[int, Selection] = {}
    errors: dict[int, UsageError] = {}
    for number, text in enumerate(texts):
        try:
            found[number] = select(text, results)
        except UsageError as error:
            errors[number] = error
    for number, failed in errors.items():
        if not found:
            raise failed
        found[number] = select(texts[number], results, like=found[min(found)])
    labels = [one.label for one in found.values()]
    return [
        replace(found[number], label=f"{found[number].label} [{text}]")
        if labels.count(found[number].label) > 1
        else found[number]
        for number, text in enumerate(texts)
    ]


def _task_names(tasks: Sequence[str], selections: Sequence[Selection]) -> tuple[str, ...]:
    """Return the names of the tasks asked for, which results or the catalogue must know.

    Raises:
        UsageError: One is unknown.
    """
    from evalsuite.registry import get_task, task_files

    known = {key for selection in selections for key in selection.results}
    known |= {key.rpartition("@")[0] for key in known} | set(task_files())
    names = []
    for name in tasks:
        if name.endswith(".toml") and name not in known:
            name = str(get_task(name))
        elif name not in known and name.partition("@")[0] not in task_files():
            raise unknown_name("task", name, known)
        names.append(name)
    return tuple(names)


# ---- texts


def _texts(
    report: Report, data_dir: Path | None
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return the texts of the listed items that may be shown, and why those of others are not."""
    from evalsuite.cli.texts import item_texts

    wanted: dict[str, tuple[Result, set[str]]] = {}
    for comparison, pairs in zip(report.comparisons, report.pairs, strict=True):
        for pair in pairs:
            items = (comparison.items or {}).get(pair.task, ())
            ids = wanted.setdefault(pair.task, (pair.baseline, set()))[1]
            ids.update(item.item for item in items)
    texts: dict[str, dict[str, str]] = {}
    untold: dict[str, str] = {}
    for task, (result, names) in wanted.items():
        found = item_texts(result, names, data_dir) if names else {}
        if isinstance(found, str):
            untold[task] = found
        elif found:
            texts[task] = found
    return texts, untold


# ---- printing


def _print(
    report: Report,
    texts: dict[str, dict[str, str]],
    untold: dict[str, str],
    *,
    as_markdown: bool,
) -> None:
    from evalsuite.compare.sections import Section, sections

    parts = sections(report, texts)
    if untold:
        reasons = tuple(f"{task}: {reason}." for task, reason in untold.items())
        parts.append(Section("Texts left out", None, reasons))
    if as_markdown:
        from evalsuite.compare.markdown import markdown

        click.echo(markdown(parts), nl=False)
    else:
        for number, part in enumerate(parts):
            _print_section(part, first=number == 0)
    for text in report.problems[:_NAMED_PROBLEMS]:
        click.echo(f"Left out: {printable(text)}", err=True)
    if len(report.problems) > _NAMED_PROBLEMS:
        click.echo(f"Left out: {len(report.problems)} files in all; see --json.", err=True)


def _print_section(section: Section, *, first: bool) -> None:
    if not first:
        click.echo()
    click.echo(click.style(printable(section.title), bold=True))
    if section.table is not None:
        click.echo()
        echo_table(section.table.header, section.table.rows, right=section.table.right)
        click.echo()
    for line in section.lines:
        click.echo(printable(line))
