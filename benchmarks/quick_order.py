"""Does the quick suite order encoders as real data do? Reads the results in ``results/``.

Prints the tables of docs/quick.md: the mean score of each encoder on the quick task and on the real
tasks of its kind, and Kendall's tau between the two orders.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import kendalltau

from evalsuite import get_suite, load_results
from evalsuite.result import Result

RETRIEVAL = ("SciFact", "NFCorpus")
LEXICAL = ("bm25", "tfidf")

Scores = Mapping[str, Mapping[str, float]]
"""Encoder to task to main score."""


def encoder_name(result: Result) -> str | None:
    """Return how the tables name an encoder, or None if it is not one of them."""
    if result.settings["limit"] is not None:
        return None
    if result.model["name"] in (*LEXICAL, "random"):
        return str(result.model["name"])
    if result.settings["dtype"] != "bfloat16":
        return None
    options = ", ".join(f"{key} {value}" for key, value in result.model["options"].items())
    return f"MiniLM, {options}" if options else "MiniLM"


def read(folder: Path) -> Scores:
    """Return every encoder's main scores."""
    scores: dict[str, dict[str, float]] = {}
    for result in load_results(folder):
        name = encoder_name(result)
        if name is not None:
            scores.setdefault(name, {})[str(result.task["name"])] = result.main_score
    return scores


def table(scores: Scores, quick: str, real: Sequence[str]) -> str:
    """Return one Markdown table with its tau, best encoder on the real data first."""
    means = {
        encoder: (sum(row[task] for task in real) / len(real), row[quick])
        for encoder, row in scores.items()
        if quick in row and all(task in row for task in real)
    }
    ordered = sorted(means.items(), key=lambda item: -item[1][0])
    lines = [f"| encoder | mean of {len(real)} real tasks | {quick} |", "|---|---|---|"]
    lines += [f"| {encoder} | {real:.4f} | {quick:.4f} |" for encoder, (real, quick) in ordered]
    tau = kendalltau(*zip(*means.values(), strict=True)).statistic
    return "\n".join([*lines, "", f"Kendall's tau over {len(means)} encoders: {tau:.2f}"])


def main(argv: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    scores = read(parser.parse_args(argv).results)
    print(table(scores, "QuickSTS", get_suite("sts").all_tasks()))
    print()
    print(table(scores, "QuickRetrieval", RETRIEVAL))


if __name__ == "__main__":
    main()
