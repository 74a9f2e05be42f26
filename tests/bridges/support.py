"""Data sets of mteb's tasks in the layout of the hub's cache, and mteb's own word on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.theirs import Words, mteb_model
from tests.support import DATA, write_lines

REGISTERED = "sentence-transformers/all-MiniLM-L6-v2"

Rows = list[dict[str, Any]]
Configs = Mapping[str, Mapping[str, Rows]]
"""Configuration to split to rows."""


def publish(cache: Path, name: str, configs: Configs) -> Path:
    """Write the data of one of mteb's tasks, at its pinned revision, as the hub's cache has it."""
    mteb = pytest.importorskip("mteb")
    source: Mapping[str, str] = mteb.get_task(name).metadata.dataset
    repository = cache / f"datasets--{source['path'].replace('/', '--')}"
    folder = repository / "snapshots" / source["revision"]
    card = ["---", "configs:"]
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            write_lines(folder / config / f"{split}.jsonl", rows)
            card += [f"  - split: {split}", f"    path: {config}/{split}.jsonl"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]))
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(source["revision"])
    return folder


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub; ``datasets`` has prepared nothing."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "prepared")
    return tmp_path / "hub"


def theirs(name: str, model: Any = None, **chosen: Any) -> dict[str, Mapping[str, Any]]:
    """Return mteb's scores of each subset (of each split, where there are several)."""
    mteb = pytest.importorskip("mteb")
    from evalsuite.bridges.mteb import items

    task = mteb.get_task(name, **chosen)
    items.fetch(task)
    (result,) = mteb.evaluate(
        model or mteb_model(Words()),
        task,
        cache=None,
        overwrite_strategy="always",
        show_progress_bar=False,
        co2_tracker=False,
    ).task_results
    several = len(result.scores) > 1
    return {
        f"{split}/{entry['hf_subset']}" if several else entry["hf_subset"]: entry
        for split, entries in result.scores.items()
        for entry in entries
    }


def real(*parts: str) -> Path:
    """Return the path of real data; skip the test where they are not here."""
    path: Path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    return path


def some_pairs(prefix: str, n: int = 12) -> Rows:
    """Return pairs that share more words the higher their score."""
    words = [f"{prefix}{i}" for i in range(40)]
    return [
        {
            "sentence1": " ".join(words[i : i + 6]),
            "sentence2": " ".join([*words[i : i + i % 5], *words[20 + i : 26 + i]]),
            "score": float(i % 5) + 0.1 * (i % 3),
        }
        for i in range(n)
    ]


def some_labelled(prefix: str, n: int) -> Rows:
    """Return texts whose words tell their label now and then."""
    return [
        {"text": f"{prefix}{i % 3} {prefix}{i % 7} {prefix}word{i}", "label": f"label{i % 3}"}
        for i in range(n)
    ]


def ranked(prefix: str) -> tuple[Rows, Rows, Rows]:
    """Return a corpus, queries and judgements."""
    corpus = [
        {"_id": f"{prefix}d{i}", "title": f"{prefix}{i % 4}", "text": f"{prefix}{i % 5} and {i}"}
        for i in range(20)
    ]
    queries = [{"_id": f"{prefix}q{i}", "text": f"{prefix}{i} {i}"} for i in range(5)]
    grades = [
        {"query-id": f"{prefix}q{i}", "corpus-id": f"{prefix}d{j}", "score": 1 + (j % 2)}
        for i in range(4)
        for j in range(i, 20, 4)
    ]
    return corpus, queries, grades


def means(entries: Iterable[Mapping[str, Any]], metric: str) -> float:
    """Return the mean of a metric over subsets."""
    values = [float(entry[metric]) for entry in entries]
    return sum(values) / len(values)


def summaries() -> Rows:
    """Return texts with summaries, as SummEval has them."""
    return [
        {
            "text": f"w{n} a text",
            "human_summaries": [f"w{n} human", f"human {n}"],
            "machine_summaries": [f"w{n} machine", f"w{n + 1} other", f"x{n} y"],
            "relevance": [1.0 + n, 2.0, 3.5],
        }
        for n in range(5)
    ]


def sets() -> Rows:
    """Return sets of texts to cluster, a set a row: mteb's first kind of clustering."""
    texts = [f"w{i % 3} w{i % 7} number{i}" for i in range(30)]
    return [
        {"sentences": texts[n : n + 15], "labels": [f"label{i % 3}" for i in range(n, n + 15)]}
        for n in (0, 15)
    ]
