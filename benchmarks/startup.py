"""Seconds of the commands that only inform: evalsuite's against mteb's.

Every command is a process of its own, timed from start to exit, as a user waits for it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common

PAIRS = {
    "help": (("evalsuite", "--help"), ("mteb", "--help")),
    "list": (("evalsuite", "list", "tasks"), ("mteb", "available-tasks")),
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("startup", __doc__, rounds=10)
    parser.add_argument("--cases", type=common.words, default=list(PAIRS), help="help,list")
    return parser.parse_args(argv)


def script(name: str) -> str | None:
    """Return the path of an installed console script beside this Python, or None."""
    path = Path(sys.executable).parent / name
    return str(path) if path.exists() else None


def run(command: Sequence[str]) -> None:
    """Run a command to its end."""
    path = script(command[0])
    if path is None:
        raise SystemExit(f"'{command[0]}' is not installed beside this Python.")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    subprocess.run(
        [path, *command[1:]],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    cases: dict[str, dict[str, Any]] = {}
    rows, ratios = [], []
    for title in args.cases:
        present = [command for command in PAIRS[title] if script(command[0])]
        work = {" ".join(command): partial(run, command) for command in present}
        for warm in work.values():
            warm()
        seconds = common.interleave(work, args.rounds)
        ours, *peers = seconds
        compared = common.compare(seconds, [ours], peers)
        cases[title] = {
            "sides": {name: common.timing(values) for name, values in seconds.items()},
            "ratios": compared,
        }
        ratios += compared
        rows += [(n, f"{side['median_seconds']:.3f}") for n, side in cases[title]["sides"].items()]
    common.print_table((f"command ({args.rounds} rounds)", "s (median)"), rows)
    common.print_ratios(ratios)
    report = {
        "counted": __doc__,
        "warm_up": "one run of every command, not timed",
        "cases": cases,
    }
    common.write_json(args.out, "startup", report)


if __name__ == "__main__":
    main()
