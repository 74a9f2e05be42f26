"""Results made up for the tests of the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.result import Items, Result, Score
from evalsuite.store import Store

SUITE_TASKS = ("Alpha", "Beta")


def write_result(
    root: Path,
    model: str = "model",
    task: str = "Alpha",
    score: float = 0.5,
    *,
    fingerprint: str = "f" * 64,
    limit: int | None = None,
    version: int = 1,
    variant: str | None = None,
    measure: str = "ndcg@10",
    **task_fields: Any,
) -> Path:
    """Store one result of three items and return its file."""
    cut = "" if limit is None else f",limit={limit}"
    result = Result(
        task={
            "name": task,
            "version": version,
            "fingerprint": fingerprint,
            "title": f"The task {task}",
            "type": "Retrieval",
            "protocol": "retrieval",
            "protocol_version": 1,
            "split": "test",
            "languages": ["eng"],
            "licence": "CC0-1.0",
            "redistributable": True,
            "reference": "https://example.org/data",
            **task_fields,
        },
        model={
            "name": model,
            "revision": "v1",
            "identity": f"test:{model}@1",
            "kind": "encoder",
            "options": {},
        },
        settings={"device": "cpu", "dtype": "float32", "limit": limit, "seed": 0},
        variant=variant or f"cpu,fp32{cut}",
        scores={
            measure: Score(score, 3, (round(score - 0.1, 6), round(score + 0.1, 6))),
            "recall@10": Score(score / 2, 3),
        },
        main_measure=measure,
        counts={"items": 3, "ok": 2, "failed": 1, "excluded": 0},
        evidence={},
        items_digest=f"{score}",
        run={
            "date": "2026-01-02T03:04:05+00:00",
            "device_name": "Test CPU",
            "packages": {"numpy": "2.4.6"},
            "command": ["evalsuite", "run", model],
            "tags": {"team": "blue"},
            "phases": [],
        },
    )
    items = Items(["a", "b", "c"], {"ndcg@10": np.zeros(3)}, np.array(["ok", "ok", "failed"]))
    path = Store(root).write(result, items).path
    assert path is not None
    return path
