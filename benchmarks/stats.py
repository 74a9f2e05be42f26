"""Resampling against SciPy's, and a whole ``evalsuite gate``.

* a mean of 100,000 items, 10,000 resamples: ``stats.bootstrap`` against ``scipy.stats.bootstrap``
  (percentile, vectorised, in its batches of 20), at 10,000 items as well;
* Spearman of 1,500 and 9,927 pairs, 10,000 resamples: against ``scipy.stats.bootstrap`` with
  ``scipy.stats.spearmanr``, which takes one resample at a time and is timed on 200 of them, its
  time scaled up;
* ``evalsuite gate`` as a process, on twenty tasks of two models made for this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from benchmarks import common
from evalsuite import measures, stats
from evalsuite.result import OK, Items, Result, Score
from evalsuite.stats import Sample
from evalsuite.store import Store
from evalsuite.tables import items_digest

MEAN, SPEARMAN = measures.parse("ndcg@10"), measures.parse("cosine_spearman")
PEER_RESAMPLES = 200


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("stats", __doc__, rounds=3)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--means", type=common.integers, default=[10_000, 100_000])
    parser.add_argument("--pairs", type=common.integers, default=[1_500, 9_927])
    parser.add_argument("--gate-items", type=int, default=3_000, help="a task of the gate")
    return parser.parse_args(argv)


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peer(columns: tuple[Any, ...], statistic: Any, resamples: int, *, vectorised: bool) -> Any:
    """Return SciPy's interval."""
    bootstrap: Any = scipy_stats.bootstrap
    batch = 20 if vectorised else None
    options = {"vectorized": vectorised, "batch": batch, "paired": len(columns) > 1}
    rng = np.random.default_rng(0)
    return bootstrap(
        columns, statistic, n_resamples=resamples, method="percentile", rng=rng, **options
    )


def case(
    sample: Sample, measure: measures.Measure, args: argparse.Namespace, statistic: Any
) -> dict[str, Any]:
    """Time both sides, interleaved; SciPy's slow one on fewer resamples."""
    columns = tuple(sample.columns.values())
    slow = len(columns) > 1
    theirs = min(PEER_RESAMPLES, args.resamples) if slow else args.resamples
    seconds = common.interleave(
        {
            "evalsuite": lambda: stats.bootstrap_interval(
                measure, sample, seed=0, n_resamples=args.resamples
            ),
            "scipy": lambda: peer(columns, statistic, theirs, vectorised=not slow),
        },
        args.rounds,
    )
    seconds["scipy"] = [s * args.resamples / theirs for s in seconds["scipy"]]
    return {
        "items": sample.n_rows,
        "resamples": args.resamples,
        "resamples_timed_of_scipy": theirs,
        "sides": {name: common.timing(s) for name, s in seconds.items()},
        "ratios": common.compare(seconds, ["evalsuite"], ["scipy"]),
    }


def spearman(x: Any, y: Any) -> float:
    """Return SciPy's correlation."""
    return float(scipy_stats.spearmanr(x, y).statistic)


def mean(x: Any, axis: int = -1) -> Any:
    """Return NumPy's mean."""
    return np.mean(x, axis=axis)


def write_results(root: Path, model: str, noise: float, n: int) -> None:
    """Store twenty results: ten rankings of means, ten correlations."""
    for number in range(20):
        rng = np.random.default_rng(number)
        gold, base = np.round(rng.random(n) * 20) / 4, rng.random(n)
        other = np.random.default_rng([number, len(model)]).normal(size=n) * noise
        measure = MEAN if number % 2 else SPEARMAN
        columns = (
            {"ndcg@10": np.clip(base + other, 0, 1)}
            if number % 2
            else {"gold": gold, "cosine": gold + 2 * base + other}
        )
        items = Items([f"i{i}" for i in range(n)], columns, np.full(n, OK))
        score = float(stats.score(measure, items.sample(measure)))
        task = {"name": f"T{number}", "version": 1, "fingerprint": f"{number:064x}"}
        result = Result(
            task=task | {"redistributable": False, "type": "", "title": ""},
            model={"name": model, "identity": model, "revision": "r", "options": {}},
            settings={"device": "cpu", "dtype": "float32", "limit": None, "seed": 0},
            variant="cpu,fp32",
            scores={measure.name: Score(score, n)},
            main_measure=measure.name,
            counts=items.counts(),
            evidence={},
            items_digest=items_digest(items),
            run={"date": "", "packages": {}, "tags": {}, "model": model},
        )
        Store(root).write(result, items)


def run_gate(args: argparse.Namespace) -> dict[str, Any]:
    """Time the whole process of a gate on twenty tasks."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_results(root / "results", "old", 0.0, args.gate_items)
        write_results(root / "results", "new", 0.01, args.gate_items)
        (root / "policy.toml").write_text("[default]\nmax_drop = 0.01\n", encoding="utf-8")
        words = ["gate", "new", "--baseline", "old", "--policy", "policy.toml"]
        command = [sys.executable, "-m", "evalsuite", *words, "--results", "results"]
        environment = {**os.environ, "PYTHONPATH": str(common.ROOT)}

        def gate() -> None:
            done = subprocess.run(
                command, cwd=root, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"the gate failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

        return {
            "tasks": 20,
            "items_a_task": args.gate_items,
            **common.timing([timed(gate) for _ in range(args.rounds)]),
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    cases: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    for n in args.means:
        sample = Sample({"ndcg@10": rng.random(n)})
        cases[f"mean of {n} items"] = case(sample, MEAN, args, mean)
    for n in args.pairs:
        gold = np.round(rng.random(n) * 20) / 4
        sample = Sample({"gold": gold, "cosine": gold + rng.normal(size=n)})
        cases[f"Spearman of {n} pairs"] = case(sample, SPEARMAN, args, spearman)
    gate = run_gate(args)
    rows = [
        (title, *(f"{side['median_seconds']:.3f}" for side in one["sides"].values()))
        for title, one in cases.items()
    ]
    rows.append(("evalsuite gate, 20 tasks x 2 models", f"{gate['median_seconds']:.3f}", ""))
    common.print_table((f"{args.resamples} resamples (s)", "evalsuite", "scipy"), rows)
    report = {
        "counted": __doc__,
        "warm_up": "none; the first round counts",
        "cases": cases,
        "gate": gate,
    }
    common.write_json(args.out, "stats", report)


if __name__ == "__main__":
    main()
