"""A whole ``evalsuite run`` against ``mteb.evaluate`` on the same files.

Each side runs in a process of its own. Two times are reported: the whole process, from start to
exit, data loading counted on both sides; and evaluation alone, which for mteb is the call of
``mteb.evaluate`` and for evalsuite the sum of its results' phases less the loading of the model.
Cold: no results and an empty vector cache. Warm: results removed, vector cache kept. mteb's own
vector cache does not keep models apart and is off by default, so that the warm run is compared
with mteb's cold one. mteb runs at its default batch size 32 and at the others given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common

STS = ("STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R")
RETRIEVAL = ("SciFact", "NFCorpus")
OTHERS = (
    *("Cranfield", "CISI", "Banking77Classification", "TREC", "MR", "CR", "SUBJ", "MPQA", "SST2"),
    *("AGNewsTestClustering", "WordSim353"),
)
TASKS = {"sts": STS, "nine": STS + RETRIEVAL, "twenty": STS + RETRIEVAL + OTHERS}
MODEL = "all-MiniLM-L6-v2"
EVALSUITE = (sys.executable, "-m", "benchmarks.evalsuite_runner")

Run = dict[str, Any]
"""``{"seconds": whole process, "evaluate_seconds": ..., "scores": {task: {measure: value}}}``."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("suite", __doc__, rounds=1)
    parser.add_argument("--set", choices=TASKS, default="sts", help="which tasks [sts]")
    parser.add_argument("--tasks", type=common.words, help="these tasks, instead of a set")
    parser.add_argument("--dtypes", type=common.words, default=["fp32", "bf16"])
    parser.add_argument("--peer-dtypes", type=common.words, help="of mteb [as --dtypes]")
    parser.add_argument("--batch-sizes", type=common.integers, default=[32, 16], help="of mteb")
    parser.add_argument("--limit", type=int, help="cut each task to N items, on both sides")
    args = parser.parse_args(argv)
    args.tasks = args.tasks or list(TASKS[args.set])
    args.peer_dtypes = args.peer_dtypes or args.dtypes
    if args.set != "sts":  # a file for each set
        args.out = args.out.with_stem(f"{args.out.stem}-{args.set}")
    return args


def timed(command: Sequence[str], folder: Path, data_dir: Path) -> tuple[float, str, str]:
    """Run a process with every cache inside ``folder``; return its seconds and both outputs."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "MTEB_CACHE": str(folder / "mteb"),
        "EVALSUITE_CACHE": str(folder / "vectors"),
        "EVALSUITE_DATA": str(data_dir.resolve()),
    }
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, cwd=common.ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stderr[-4000:]}")
    return seconds, done.stdout, done.stderr


def run_ours(args: argparse.Namespace, dtype: str, folder: Path) -> Run:
    """Run evalsuite once; results are removed before, the vector cache is as it is."""
    results = folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    command = [*EVALSUITE, "run", MODEL, "--dtype", dtype, "--device", "cpu", "--json"]
    command += ["--results", str(results)]
    command += [word for task in args.tasks for word in ("--task", task)]
    command += ["--limit", str(args.limit)] if args.limit else []
    seconds, output, errors = timed(command, folder, args.data_dir)
    summaries = json.loads(output)
    stored = [json.loads(Path(s["result_path"]).read_text()) for s in summaries]
    phases = [phase for result in stored for phase in result["run"]["phases"]]
    loading = float(errors.splitlines()[-1])
    return {
        "seconds": seconds,
        "load_model_seconds": loading,
        "evaluate_seconds": sum(phase["seconds"] for phase in phases) - loading,
        "scores": {s["task"]: s["scores"] for s in summaries},
    }


def run_mteb(args: argparse.Namespace, dtype: str, batch_size: int) -> Run:
    """Run mteb once, with nothing cached."""
    command = [sys.executable, "-m", "benchmarks.mteb_runner", "--tasks", ",".join(args.tasks)]
    command += ["--data-dir", str(args.data_dir.resolve()), "--dtype", dtype]
    command += ["--batch-size", str(batch_size)]
    command += ["--limit", str(args.limit)] if args.limit else []
    with tempfile.TemporaryDirectory() as folder:
        seconds, output, _ = timed(command, Path(folder), args.data_dir)
    answer = json.loads(output.splitlines()[-1])
    return {
        "seconds": seconds,
        "evaluate_seconds": answer["evaluate_seconds"],
        "scores": answer["scores"],
    }


def run_round(args: argparse.Namespace, number: int) -> dict[str, Run]:
    """Run every side once, in an order that alternates; the warm run follows its cold one."""
    runs: dict[str, Run] = {}

    def ours(dtype: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for state in ("cold", "warm"):
                runs[f"evalsuite {dtype} {state}"] = run_ours(args, dtype, Path(folder))

    def peer(dtype: str, size: int) -> None:
        runs[f"mteb {dtype} batch {size}"] = run_mteb(args, dtype, size)

    steps: list[Callable[[], None]] = []
    for dtype in args.dtypes:
        steps.append(partial(ours, dtype))
        if dtype in args.peer_dtypes:
            steps += [partial(peer, dtype, size) for size in args.batch_sizes]
    for step in steps if number % 2 == 0 else reversed(steps):
        step()
    return runs


def score_differences(ours: Run, peer: Run) -> dict[str, dict[str, float]]:
    """Return |difference| of every measure both sides report."""
    found: dict[str, dict[str, float]] = {}
    for task, scores in ours["scores"].items():
        theirs = peer["scores"][task]
        names = {measure: measure.replace("@", "_at_") for measure in scores}
        found[task] = {
            measure: abs(scores[measure] - theirs[name])
            for measure, name in names.items()
            if name in theirs
        }
    return found


def compare_scores(args: argparse.Namespace, runs: dict[str, Run]) -> dict[str, Any]:
    """Print and return the scores of both sides; in mteb's first dtype where it lacks ours."""
    table: dict[str, Any] = {}
    for dtype in args.dtypes:
        ours = runs[f"evalsuite {dtype} cold"]
        theirs = dtype if dtype in args.peer_dtypes else args.peer_dtypes[0]
        peer = runs[f"mteb {theirs} batch {args.batch_sizes[0]}"]
        different = score_differences(ours, peer)
        rows = []
        for task, measures in different.items():
            main = next(iter(ours["scores"][task]))
            mine, theirs = ours["scores"][task][main], peer["scores"][task]["main_score"]
            largest = max(measures.values())
            rows.append((task, main, f"{mine:.6f}", f"{theirs:.6f}", f"{largest:.1e}"))
        header = (f"task ({dtype})", "measure", "evalsuite", "mteb", "max |diff|, all measures")
        common.print_table(header, rows)
        same = runs[f"evalsuite {dtype} warm"]["scores"] == ours["scores"]
        table[dtype] = {"differences": different, "warm_equals_cold": same}
    return table


def print_times(rounds: list[dict[str, Run]]) -> None:
    """Print both times of every side, medians over rounds."""
    rows = []
    for name in rounds[0]:
        whole, alone = (
            common.timing([r[name][key] for r in rounds])["median_seconds"]
            for key in ("seconds", "evaluate_seconds")
        )
        rows.append((name, f"{whole:.2f}", f"{alone:.2f}"))
    common.print_table(("side", "whole process (s)", "evaluation alone (s)"), rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    rounds = [run_round(args, number) for number in range(args.rounds)]
    ours = [name for name in rounds[0] if name.startswith("evalsuite")]
    peers = [name for name in rounds[0] if name.startswith("mteb")]
    print_times(rounds)
    ratios = {}
    for key, title in (("seconds", "whole process"), ("evaluate_seconds", "evaluation alone")):
        seconds = {name: [r[name][key] for r in rounds] for name in rounds[0]}
        ratios[key] = common.compare(seconds, ours, peers)
        print(title)
        common.print_ratios(ratios[key])
    report = {
        "counted": __doc__,
        "tasks": args.tasks,
        "limit": args.limit,
        "warm_up": "none: every process is fresh; files may be in the system's file cache",
        "rounds": rounds,
        "ratios": ratios,
        "scores": compare_scores(args, rounds[0]),
    }
    common.write_json(args.out, args.out.stem, report)


if __name__ == "__main__":
    main()
