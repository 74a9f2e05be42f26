"""The command line: thin, and importing the rest only inside the command that needs it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from evalsuite.errors import EvalsuiteError, unknown_name

INTERRUPTED = 130

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("evalsuite.cli.run:run", "Run models on a suite or on tasks and store the results."),
    "list": ("evalsuite.cli.catalogue:list_", "List tasks, suites or models."),
    "show": ("evalsuite.cli.catalogue:show", "Show a task or a stored result."),
    "compare": ("evalsuite.cli.compare:compare", "Say which models are better, and how sure."),
    "gate": ("evalsuite.cli.gate:gate", "Say whether a model is no worse than a baseline."),
    "leaderboard": ("evalsuite.cli.site:leaderboard", "Write results as a static site."),
    "export": ("evalsuite.cli.exchange:export", "Write results as mteb's files or a model card."),
    "import": ("evalsuite.cli.exchange:import_", "Read results of mteb or lm-eval."),
    "data": ("evalsuite.cli.data:data", "Verify or fetch the data of a suite."),
}

EPILOG = """\b
Examples:
  evalsuite run all-MiniLM-L6-v2
  evalsuite run ./checkpoint-500 bm25 --suite sts --data-dir DATA
  evalsuite leaderboard --results results --out site
"""


class LazyGroup(click.Group):
    """A group that imports a command when it is called; help shows the lines above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            UsageError: There is no such command.
        """
        if cmd_name not in COMMANDS:
            raise unknown_name("command", cmd_name, COMMANDS)
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evalsuite")
def cli() -> None:
    """Benchmark text embeddings: the reference's number, with its interval, faster.

    A MODEL is NAME[@REVISION][?option=value&...]: a built-in name, a name on the hub or a path.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with the exit code documented in docs/cli.md."""
    try:
        code: Any = cli.main(args, standalone_mode=False)
    except EvalsuiteError as error:
        click.echo(f"Error: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            "Interrupted. What is finished is stored; the same command goes on from there.",
            err=True,
        )
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone, e.g. `| head`
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
