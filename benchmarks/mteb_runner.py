"""One ``mteb.evaluate`` in a process of its own, over the items evalsuite loads.

Prints one JSON object as its last line: scores a task, and the seconds of loading and evaluating.
Data come from the same local files and through the same reader as evalsuite's; they are put into
mteb's tasks (``task.dataset``, ``task.data_loaded``), so that mteb asks nothing of the hub.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalsuite.data import Labelled, Pairs, Retrieval


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mteb_runner", description=__doc__)
    parser.add_argument("--tasks", required=True, help="task names, separated by commas")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dtype", default="fp32", help="fp32 or bf16 [fp32]")
    parser.add_argument("--batch-size", type=int, default=32, help="mteb's default is 32 [32]")
    parser.add_argument("--limit", type=int, help="cut each task as `evalsuite run --limit` does")
    return parser.parse_args(argv)


def pairs_dataset(data: Pairs, split: str) -> Any:
    """Return pairs as mteb's STS tasks hold them."""
    from datasets import Dataset, DatasetDict

    columns = {"sentence1": data.first, "sentence2": data.second, "score": data.gold.tolist()}
    return DatasetDict({split: Dataset.from_dict(columns)})


def labelled_dataset(data: Labelled, split: str) -> Any:
    """Return labelled texts as mteb's classification tasks hold them."""
    from datasets import Dataset, DatasetDict

    splits = {"train": data.train, split: data.test}
    return DatasetDict(
        {
            name: Dataset.from_dict({"text": list(part.texts), "label": part.labels.tolist()})
            for name, part in splits.items()
        }
    )


def retrieval_dataset(data: Retrieval, split: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return a corpus, queries and judgements as mteb's retrieval tasks hold them."""
    from datasets import Dataset

    corpus = {"id": data.documents.ids, "text": data.documents.texts[:]}
    queries = {"id": data.query_ids, "text": data.queries}
    relevant = {query: dict(grades) for query, grades in data.qrels.items()}
    parts = {
        "corpus": Dataset.from_dict(corpus),
        "queries": Dataset.from_dict(queries),
        "relevant_docs": relevant,
        "top_ranked": None,
    }
    return {"default": {split: parts}}


def load_task(name: str, data_dir: Path, limit: int | None) -> Any:
    """Return mteb's task of that name with evalsuite's items in it."""
    import mteb

    from evalsuite import data, registry

    ours = registry.get_task(name)
    layout = registry.get_protocol(ours.protocol).layout
    loaded: Any = data.load(ours, layout, data_dir=data_dir, limit=limit, online=False).data
    task = mteb.get_task(name)
    split = task.eval_splits[0]
    build: Mapping[str, Callable[[Any, str], Any]] = {
        "labelled": labelled_dataset,
        "pairs": pairs_dataset,
        "retrieval": retrieval_dataset,
    }
    task.dataset = build[layout](loaded, split)
    task.data_loaded = True
    return task


def main(argv: Sequence[str] | None = None) -> None:
    """Run mteb over the tasks and print what came out."""
    started = time.perf_counter()
    args = arguments(argv)
    import mteb
    from datasets import disable_progress_bars

    from benchmarks.encoding import DEFAULT_MODEL, load_sentence_transformer, model_folder

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
