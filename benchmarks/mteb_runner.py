"""One ``mteb.evaluate`` in a process of its own, over the items evalsuite loads.

Prints one JSON object as its last line: scores a task, and the seconds of loading and evaluating.
Data come from the same local files and through the same reader as evalsuite's; see
:mod:`benchmarks.mteb_tasks`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mteb_runner", description=__doc__)
    parser.add_argument("--tasks", required=True, help="task names, separated by commas")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dtype", default="fp32", help="fp32 or bf16 [fp32]")
    parser.add_argument("--batch-size", type=int, default=32, help="mteb's default is 32 [32]")
    parser.add_argument("--limit", type=int, help="cut each task as `evalsuite run --limit` does")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run mteb over the tasks and print what came out."""
    started = time.perf_counter()
    args = arguments(argv)
    import mteb
    from datasets import disable_progress_bars

    from benchmarks.encoding import DEFAULT_MODEL, load_sentence_transformer, model_folder
    from benchmarks.mteb_tasks import load_task

    disable_progress_bars()
    tasks = [load_task(name, args.data_dir, args.limit) for name in args.tasks.split(",")]
    model = load_sentence_transformer(model_folder(DEFAULT_MODEL), args.dtype)
    loaded = time.perf_counter()
    result = mteb.evaluate(
        model,
        tasks,
        encode_kwargs={"batch_size": args.batch_size},
        cache=None,
        overwrite_strategy="always",
        show_progress_bar=False,
        co2_tracker=False,
    )
    evaluated = time.perf_counter()
    scores = {
        task.task_name: {
            key: value
            for key, value in next(iter(task.scores.values()))[0].items()
            if isinstance(value, float)
        }
        for task in result.task_results
    }
    seconds = {"load_seconds": loaded - started, "evaluate_seconds": evaluated - loaded}
    print(json.dumps({"scores": scores, **seconds}))


if __name__ == "__main__":
    main()
