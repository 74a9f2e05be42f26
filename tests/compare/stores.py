"""Results made up for the tests of comparisons; their scores are what their items give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from evalsuite import measures, stats
from evalsuite.compare import Selection, select
from evalsuite.result import OK, Items, Result, Score
from evalsuite.store import Store, read_result
from evalsuite.tables import items_digest

PACKAGES = {"evalsuite": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"}


def make_items(columns: Mapping[str, ArrayLike], **fields: Any) -> Items:
    """Return items named ``i000``, ``i001``, ... with the columns given."""
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    n = len(next(iter(arrays.values())))
    ids = fields.pop("ids", [f"i{i:03d}" for i in range(n)])
    status = np.asarray(fields.pop("status", [OK] * n))
    return Items(ids=ids, columns=arrays, status=status, **fields)


def write(
    root: Path,
    columns: Mapping[str, ArrayLike],
    *,
    task: str = "Alpha",
    model: str = "old",
    variant: str = "cpu,fp32",
    measure: str | None = None,
    fingerprint: str = "f" * 64,
    options: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    revision: str = "r1",
    version: int = 1,
    **fields: Any,
) -> Path:
    """Store a result with its items and return its file."""
    items = make_items(columns, **fields)
    main = measure or ("cosine_spearman" if "gold" in columns else next(iter(columns)))
    parsed = measures.parse(main)
    sample = items.sample(parsed)
    result = Result(
        task={
            "name": task,
            "version": version,
            "fingerprint": fingerprint,
            "protocol": "p",
            "protocol_version": 1,
            "redistributable": True,
        },
        model={
            "name": model,
            "revision": revision,
            "identity": f"test:{model}@{revision}",
            "kind": "encoder",
            "options": dict(options or {}),
        },
        settings={
            "device": "cpu",
            "dtype": "float32",
            "limit": None,
            "max_length": None,
            "search": "torch",
            "seed": 0,
            **(settings or {}),
        },
        variant=variant,
        scores={main: Score(float(stats.score(parsed, sample)), sample.n_rows)},
        main_measure=main,
        counts=items.counts(),
        evidence={},
        items_digest=items_digest(items),
        run={
            "device_name": "Test CPU",
            "cores": 2,
            "packages": PACKAGES,
            "tags": {},
            **(run or {}),
        },
    )
    path = Store(root).write(result, items).path
    assert path is not None
    return path


def sts(seed: int, n: int = 60, noise: float = 0.5) -> dict[str, Any]:
    """Return gold values, the same for every seed, and similarities that follow them."""
    gold = np.random.default_rng(0).uniform(0, 5, n)
    return {"gold": gold, "cosine": gold / 5 + noise * np.random.default_rng(seed).normal(size=n)}


def ndcg(seed: int, n: int = 80, shift: float = 0.0) -> dict[str, Any]:
    """Return values of nDCG: of one random base, with noise and a shift."""
    base = np.random.default_rng(0).uniform(0.2, 0.8, n)
    noise = np.random.default_rng(seed).normal(scale=0.05, size=n)
    return {"ndcg@10": np.clip(base + noise + shift, 0, 1)}


def selection(*paths: Path, label: str | None = None) -> Selection:
    """Return the results of a few files as one selection."""
    results = [read_result(path) for path in paths]
    one = Selection(
        f"{results[0].model['name']} ({results[0].variant})",
        {result.task_key: result for result in results},
    )
    return one if label is None else replace(one, label=label)


def pick(root: Path, text: str) -> Selection:
    """Select by name."""
    return select(text, root)
