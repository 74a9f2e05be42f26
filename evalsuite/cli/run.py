"""``evalsuite run``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from evalsuite import registry
from evalsuite.cli import grid
from evalsuite.cli.output import echo_json, echo_table, json_option, printable
from evalsuite.errors import EvalsuiteError, UsageError

if TYPE_CHECKING:
    from evalsuite.evaluator import Evaluator, Event
    from evalsuite.result import Result
    from evalsuite.task import Task

EPILOG = """\b
Examples:
  evalsuite run all-MiniLM-L6-v2                      the quick suite, offline
  evalsuite run bm25 tfidf --suite sts --data-dir D   two models, seven STS tasks
  evalsuite run ./ckpt?pooling=cls -t SciFact --dtype bf16
  evalsuite run all-MiniLM-L6-v2?dim=128 --task ./my-task.toml
  evalsuite run "all-MiniLM-L6-v2?layer=1..6&dim=32,64,384"   a grid in one pass
  evalsuite run all-MiniLM-L6-v2 -t mteb:STS22.v2     any task of mteb's (docs/mteb.md)
  evalsuite run "endpoint:http://127.0.0.1:8000/v1?model=NAME"   a server's (docs/endpoints.md)
  evalsuite run bm25 -t SciFact --runs runs           writes runs/bm25.SciFact.trec
  evalsuite run ./reranker -t SciFact --rerank runs   ranks its best 100 anew
\b
Exit codes: 0 done, 2 wrong usage, 3 a task failed (the rest is stored), 130 interrupted.
"""


@click.command(epilog=EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--suite", "-s", "suites", multiple=True, help="Suite to run (default: quick).")
@click.option("--task", "-t", "tasks", multiple=True, help="Task, or path of a task's TOML file.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--dtype", default="auto", show_default=True, help="auto (the checkpoint's), fp32, bf16, fp16."
)
@click.option("--data-dir", type=click.Path(), help="Folder of local data [$EVALSUITE_DATA].")
@click.option("--results", default="results", show_default=True, help="Folder of the results.")
@click.option("--batch-tokens", type=int, help="Tokens a batch holds; moves speed, not scores.")
@click.option("--max-length", type=int, help="Longest input in tokens; the model's own if unset.")
@click.option("--limit", type=int, help="Cut each task to N items; kept apart from full results.")
@click.option("--runs", metavar="FOLDER", help="Write rankings here, as TREC run files.")
@click.option("--rerank", metavar="RUN", help="Rank this run file's documents anew; or a folder.")
@click.option("--top", type=int, help="Documents of the run file a query  [default: 100].")
@click.option("--search", default="torch", show_default=True, help="torch, or faiss (exact).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@click.option("--force", is_flag=True, help="Run again; old results move to superseded/.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Note kept in the result.")
@click.option("--no-cache", is_flag=True, help="Keep no vectors on disk.")
@click.option("--trust-remote-code", is_flag=True, help="Let a checkpoint's own code run.")
@json_option
def run(models: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Run MODELs on a suite or on tasks and store one result a task the moment it ends.

    What is finished is not run again; an interrupted run goes on where it stopped.
    """
    tasks = options.pop("tasks")
    suites = options.pop("suites") or (() if tasks else ("quick",))
    names = _task_names(suites, tasks)
    tags = dict(_tag(text) for text in options.pop("tags"))
    if options.pop("no_cache"):
        options["cache"] = None
    with _progress_bar(quiet=as_json) as (on_progress, on_task, log):
        from evalsuite.evaluator import Evaluator

        evaluator = Evaluator(names, tags=tags, progress=on_progress, on_task=on_task, **options)
        events, errors = _run_all(evaluator, models, log)
    results = [event.result for _, event in events if event.result is not None]
    if as_json:
        echo_json([result.summary() for result in results])
    else:
        _print_scores(events, suites)
        if results:
            click.echo(f"\nResults: {evaluator.results}")
        if results and all(event.resumed for _, event in events):
            click.echo("Everything was finished before; --force runs it again.")
    for text in dict.fromkeys(map(str, errors)):
        click.echo(f"Error: {text}", err=True)
    return max((error.exit_code for error in errors), default=0)


def _run_all(
    evaluator: Evaluator, models: tuple[str, ...], log: Any
) -> tuple[list[tuple[str, Event]], list[EvalsuiteError]]:
    """Run every model; one that cannot be used does not keep the others from running."""
    events: list[tuple[str, Event]] = []
    errors: list[EvalsuiteError] = []
    for model in models:
        try:
            for event in evaluator.events(model):
                events.append((model, event))
                log(model, event)
                if event.failure is not None:
                    errors.append(event.failure.error)
        except EvalsuiteError as error:
            errors.append(error)
    return events, errors


def _task_names(suites: tuple[str, ...], tasks: tuple[str, ...]) -> list[str]:
    names = [name for suite in suites for name in registry.get_suite(suite).all_tasks()]
    return list(dict.fromkeys((*names, *tasks)))


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"--tag {text!r} is not KEY=VALUE.")
    return key, value


def _print_scores(events: list[tuple[str, Event]], suites: tuple[str, ...]) -> None:
    """Print a row a task and model, then each suite's mean where none of its tasks is missing."""
    rows, means = [], []
    for model in dict.fromkeys(model for model, _ in events):
        mine = [event for name, event in events if name == model]
        if grid.is_grid(mine):
            grid.echo(model, mine)
            grid.echo_means(model, _means(mine, suites))
            continue
        rows += [_score_row(event.model or model, event) for event in mine]
        for (suite, spec), (mean, result) in _means(mine, suites).items():
            where = result.settings["device"], result.settings["dtype"]
            means.append((f"mean of {suite}", spec or model, *where, f"{mean:.4f}", *[""] * 3))
    rows += means
    if rows:
        header = ("Task", "Model", "Device", "Dtype", "Score", "95 % interval", "Measure", "n")
        echo_table(header, rows, right=(4, 7))


def _means(
    events: list[Event], suites: tuple[str, ...]
) -> dict[tuple[str, str], tuple[float, Result]]:
    """Return the mean of each (suite, model) where none of its tasks is missing, and a result."""
    found: dict[tuple[str, str], tuple[float, Result]] = {}
    for suite in suites:
        for spec in dict.fromkeys(event.model for event in events):
            results = [event.result for event in events if event.model == spec and event.result]
            scores = {
                event.task: event.result.main_score
                for event in events
                if event.model == spec and event.result
            }
            tree = registry.get_suite(suite)
            keys = {name: str(registry.get_task(name)) for name in tree.all_tasks()}
            mean = tree.mean({name: scores[key] for name, key in keys.items() if key in scores})
            if mean is not None:
                found[suite, spec] = mean, results[0]
    return found


def _score_row(model: str, event: Event) -> tuple[str, ...]:
    result = event.result
    if result is None:
        return (event.task, model, "", "", "failed", "", "", "")
    score = result.scores[result.main_measure]
    interval = "[{:.4f}, {:.4f}]".format(*score.ci95) if score.ci95 else ""
    return (
        result.task_key,
        model,
        result.settings["device"],
        result.settings["dtype"],
        f"{score.value:.4f}",
        interval,
        result.main_measure,
        str(score.n or ""),
    )


@contextmanager
def _progress_bar(*, quiet: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Show a bar a task on standard error: texts encoded, rate and time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("texts"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    hidden = quiet or not console.is_terminal
    # redrawing takes the processor from the model: twice a second is enough
    with Progress(
        *columns, console=console, transient=True, disable=hidden, refresh_per_second=2
    ) as bar:
        current = bar.add_task("starting", total=None)

        def on_task(task: Task) -> None:
            bar.reset(current, description=printable(task), total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(current, completed=done, total=total)

        together: list[Event] = []

        def log(model: str, event: Event) -> None:
            together.append(event)
            if quiet or not event.last:
                return
            if any(one.failure is not None for one in together):
                text = "failed"
            elif all(one.resumed for one in together):
                text = "already finished"
            else:
                text = f"done in {event.seconds:.1f} s"
            together.clear()
            line = f"{printable(event.task)}  {printable(model)}  {text}"
            console.print(line, markup=False, soft_wrap=True)
            sys.stderr.flush()

        yield on_progress, on_task, log
