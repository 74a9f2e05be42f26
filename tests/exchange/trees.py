"""Made-up files of mteb and lm-evaluation-harness, and own results of catalogue tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite import registry
from evalsuite.exchange import names
from evalsuite.result import Items, Result, Score
from evalsuite.store import Store, slug

STSB = "b0fddb56ed78048fa8b90373c8a3cfc37b684831"
META = {"name": "org/model", "max_tokens": float("inf")}  # as static models have


def entry(score: Any = 0.75, subset: str = "default", **metrics: Any) -> dict[str, Any]:
    """Return one entry of a TaskResult."""
    return {
        "main_score": score,
        "cosine_spearman": score,
        "cosine_pearson": 0.5,
        "hf_subset": subset,
        "languages": ["eng-Latn"],
        **metrics,
    }


def mteb_table(task: str = "STSBenchmark", revision: Any = STSB, **changes: Any) -> dict[str, Any]:
    """Return a TaskResult of mteb 1.11 or later."""
    return {
        "dataset_revision": revision,
        "task_name": task,
        "mteb_version": "2.26.24",
        "scores": {"test": [entry()]},
        "evaluation_time": 1.5,
        "kg_co2_emissions": None,
        "date": 1_700_000_000.25,
        **changes,
    }


def write(path: Path, table: Any) -> Path:
    """Write JSON, NaN and Infinity bare as mteb does; a string as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table if isinstance(table, str) else json.dumps(table)
    path.write_text(text, encoding="utf-8")
    return path


def mteb_tree(
    folder: Path, *tables: dict[str, Any], model: str = "org__model", revision: str = "r1"
) -> Path:
    """Write one revision's folder of results and return it."""
    place = folder / model / revision
    write(place / "model_meta.json", {**META, "name": model.replace("__", "/")})
    for table in tables or (mteb_table(),):
        write(place / f"{slug(str(table['task_name']))}.json", table)
    return place


def lm_eval_table(**changes: Any) -> dict[str, Any]:
    """Return a results file of lm-evaluation-harness 0.4."""
    return {
        "results": {
            "piqa": {
                "alias": "piqa",
                "sample_len": 1838,
                "acc,none": 0.63,
                "acc_stderr,none": 0.011,
                "acc_norm,none": 0.62,
                "acc_norm_stderr,none": "N/A",
            },
        },
        "group_subtasks": {"piqa": []},
        "configs": {"piqa": {"metric_list": [{"metric": "acc_norm"}], "validation_split": "dev"}},
        "versions": {"piqa": 1.0},
        "n-shot": {"piqa": 5},
        "n-samples": {"piqa": {"original": 1838, "effective": 1838}},
        "config": {
            "model": "hf",
            "model_args": "pretrained=org/lm,dtype=float16,device_map=auto",
            "model_dtype": "torch.float16",
            "model_sha": "0123456789abcdef0123456789abcdef01234567",
            "device": "cuda:0",
            "limit": None,
        },
        "git_hash": "abc123",
        "date": 1_700_000_000.0,
        "lm_eval_version": "0.4.9",
        "model_name": "org/lm",
        **changes,
    }


def own_result(
    root: Path,
    task: str = "STSBenchmark",
    *,
    score: float = 0.123456789,
    model: str = "org/own",
    variant: str = "cpu,fp32",
    fingerprint: str | None = None,
    limit: int | None = None,
    version: int | None = None,
) -> Result:
    """Store an own result of two items, of a catalogue task or of one nobody knows."""
    known = registry.get_task(task) if task in registry.task_files() else None
    measures = known.measures if known else ("ndcg@10", "recall@10")
    expected = names.known_fingerprint(known) if known else None
    others = {name: Score(score / 2, 2) for name in measures[1:]}
    result = Result(
        task={
            "name": task,
            "version": version or (known.version if known else 1),
            "fingerprint": fingerprint or expected or "f" * 64,
            "protocol": known.protocol if known else "nobodys",
            "protocol_version": 1,
            "split": "test",
            "type": known.type if known else "",
            "title": "x",
        },
        model={
            "name": model,
            "identity": "a" * 64,
            "revision": "aaaaaaaaaaaa",
            "options": {},
            "kind": "encoder",
        },
        settings={"device": "cpu", "dtype": "float32", "limit": limit, "seed": 0},
        variant=variant,
        scores={measures[0]: Score(score, 2, (score - 0.1, score + 0.1)), **others},
        main_measure=measures[0],
        counts={"items": 2, "ok": 2, "failed": 0, "excluded": 0},
        evidence={},
        items_digest="d",
        run={
            "date": "2026-01-02T03:04:05+00:00",
            "packages": {"evalsuite": "0.1.0"},
            "phases": [{"name": "encode", "seconds": 1.25, "items": 2}],
        },
    )
    items = Items(["a", "b"], {"x": np.zeros(2)}, np.array(["ok", "ok"]))
    return Store(root).write(result, items)
