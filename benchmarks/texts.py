"""Texts to encode: real ones from the data folder, or synthetic ones where there is none."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_LETTERS = np.array(list("etaoinshrdlu"))


def sts_sentences(data_dir: Path) -> list[str]:
    """Return the distinct sentences of STS-B, all three splits.

    The files are tab separated and quote nothing.
    """
    sentences: list[str] = []
    for split in ("train", "dev", "test"):
        path = data_dir / "stsbenchmark" / f"sts-{split}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                sentences += row[5:7]
    return distinct(sentences)


def scifact_documents(data_dir: Path) -> list[str]:
    """Return the distinct documents of SciFact, title and text joined."""
    path = data_dir / "scifact" / "corpus.jsonl"
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return distinct(f"{row['title']} {row['text']}".strip() for row in rows)


def distinct(texts: Iterable[str]) -> list[str]:
    """Return each text once, in order of first sight: nobody gains by encoding one twice."""
    return list(dict.fromkeys(texts))


def sample(texts: list[str], n: int, seed: int = 0) -> list[str]:
    """Return a fixed random sample, in random order."""
    order = np.random.default_rng(seed).permutation(len(texts))[:n]
    return [texts[i] for i in order]


def synthetic(n: int, mean_words: float, seed: int = 0) -> list[str]:
    """Return distinct random texts with lengths spread as in real ones (log-normal)."""
    rng = np.random.default_rng(seed)
    vocabulary = ["".join(rng.choice(_LETTERS, rng.integers(2, 9))) for _ in range(5000)]
    lengths = rng.lognormal(np.log(mean_words), 0.45, n).astype(int) + 1
    return [
        " ".join([str(i), *(vocabulary[w] for w in rng.integers(0, len(vocabulary), length))])
        for i, length in enumerate(lengths)
    ]


def load(data_dir: Path, short: int, long: int) -> tuple[dict[str, list[str]], str]:
    """Return ``short`` and ``long`` texts and what they are."""
    if (data_dir / "stsbenchmark").is_dir() and (data_dir / "scifact").is_dir():
        texts = {
            "short": sample(sts_sentences(data_dir), short),
            "long": sample(scifact_documents(data_dir), long),
        }
        return texts, "short: sentences of STS-B; long: documents of SciFact, title and text"
    texts = {"short": synthetic(short, 10), "long": synthetic(long, 110)}
    return texts, "synthetic: random words (no data folder)"
