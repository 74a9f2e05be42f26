"""A grid of layers and dimensions against one plain run of its model, and against a run a cell.

Each side is a whole evaluation in this process with nothing cached: the model is resolved and
loaded, texts are tokenised and encoded, every variant is scored with its interval and stored. The
plain run is of the model as it is; the runs of single cells go one after the other, each with no
cache, as they would without grids, and are timed once where there are several rounds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.encoding import DEFAULT_MODEL

PLAIN, GRID, SINGLES = "plain run", "grid", "single runs"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("elastic", __doc__, rounds=5)
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"model [{DEFAULT_MODEL}]")
    parser.add_argument("--task", default="STSBenchmark", help="task [STSBenchmark]")
    parser.add_argument("--layers", default="1..6", help="layers of the grid [1..6]")
    parser.add_argument("--dims", default="32,64,128,256,384", help="its dims")
    parser.add_argument("--dtype", default="fp32", help="dtype [fp32]")
    parser.add_argument("--limit", type=int, help="cut the task to N items")
    return parser.parse_args(argv)


def evaluate(args: argparse.Namespace, *specs: str) -> dict[str, Any]:
    """Run specs one after the other, each without any cache; return scores by variant."""
    from evalsuite import Evaluator

    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        for spec in specs:
            with tempfile.TemporaryDirectory() as cache:
                evaluator = Evaluator(
                    [args.task],
                    results=folder,
                    cache=Path(cache),
                    device="cpu",
                    dtype=args.dtype,
                    data_dir=args.data_dir if args.data_dir.is_dir() else None,
                    limit=args.limit,
                )
                for result in evaluator.run(spec):
                    scores[result.variant] = [result.items_digest, result.main_score, result.ci95]
    return scores


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    from evalsuite.models import resolve_grid

    grid = f"{args.model}?layer={args.layers}&dim={args.dims}"
    cells = [str(spec) for spec, _ in resolve_grid(grid)]
    evaluate(args, args.model)
    together = evaluate(args, grid)
    apart: list[dict[str, Any]] = []
    seconds = common.interleave(
        {SINGLES: lambda: apart.append(evaluate(args, *cells))}, 1
    ) | common.interleave(
        {PLAIN: partial(evaluate, args, args.model), GRID: partial(evaluate, args, grid)},
        args.rounds,
    )
    report = {
        "counted": "resolving, loading, tokenising, encoding, scoring with intervals and storing",
        "warm_up": "one plain run and one grid",
        "task": args.task,
        "variants": len(cells),
        "identical_results": together == apart[0],
        "sides": {name: common.timing(times) for name, times in seconds.items()},
        "ratios": [
            {"ours": GRID, "peer": PLAIN, **common.ratio(seconds[GRID], seconds[PLAIN])},
            {
                "ours": GRID,
                "peer": SINGLES,
                **common.ratio(seconds[GRID][-1:], seconds[SINGLES]),
            },
        ],
        "grid_over_plain": 1 / common.ratio(seconds[GRID], seconds[PLAIN])["ratio"],
    }
    rows = [(name, f"{side['median_seconds']:.3f}") for name, side in report["sides"].items()]
    common.print_table(("side", "s (median)"), rows)
    common.print_ratios(report["ratios"])
    print(f"{len(cells)} variants in {report['grid_over_plain']:.2f} times the time of a plain run")
    print(f"Results identical to single runs: {report['identical_results']}")
    common.write_json(args.out, "elastic", report)


if __name__ == "__main__":
    main()
