"""Hybrid specs, from the words on a command line to a ranking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite import Evaluator, models
from evalsuite.data import Documents
from evalsuite.engines.find import find
from evalsuite.evaluator import engine as engines
from evalsuite.models import Placement
from evalsuite.models.hybrid import split
from tests.support import CORPUS, QUERIES, beir_task, pairs_task


def built(spec: str) -> Any:
    resolved = models.resolve(spec)
    plan = Evaluator(["QuickSTS"], cache=None)
    return engines.build(resolved.verbs[0], resolved, Placement(), plan)


def test_a_spec_is_split_at_its_own_commas() -> None:
    parts, spec = split("hybrid(bm25, hybrid(tfidf,random?seed=2&quantize=int8), ./a?b=c)?depth=5")
    assert parts == ["bm25", "hybrid(tfidf,random?seed=2&quantize=int8)", "./a?b=c"]
    assert dict(spec.options) == {"depth": "5"}


def test_identity_and_name_follow_the_parts() -> None:
    one = models.resolve("hybrid(tfidf,random)?fusion=minmax")
    other = models.resolve("hybrid(tfidf,random?seed=3)?fusion=minmax")
    turned = models.resolve("hybrid(random,tfidf)?fusion=minmax")
    assert one.name == other.name == "tfidf+random"
    assert len({one.identity, other.identity, turned.identity}) == 3
    assert one.options == {"fusion": "minmax"}
    assert other.options == {"fusion": "minmax", "parts": "tfidf,random?seed=3"}
    assert {"scikit-learn", "numpy"} <= set(one.moved_by)


def test_the_ranking_is_that_of_the_parts_fused() -> None:
    documents, queries = Documents(list(CORPUS), list(CORPUS.values())), list(QUERIES.values())
    ties = np.arange(6)
    specs = ["tfidf", "random?seed=2&quantize=binary"]
    parts = [find(queries, documents, built(spec), "cosine", 4, ties) for spec in specs]
    best = find(queries, documents, built(f"hybrid({','.join(specs)})?depth=4"), "cosine", 6, ties)
    for row, found in enumerate(best.indices):
        fused: dict[int, float] = {}
        for part in parts:
            for rank, document in enumerate(part.indices[row][part.indices[row] >= 0], start=1):
                fused[int(document)] = fused.get(int(document), 0) + 0.5 / (60 + rank)
        expected = sorted(fused, key=lambda d: (-np.float32(fused[d]), ties[d]))
        assert found[found >= 0].tolist() == expected


def test_on_the_command_line(tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    search, sts = beir_task(tmp_path), pairs_task(tmp_path)
    spec, where = "hybrid(tfidf,random?seed=2)?weights=2,1", ("--results", tmp_path / "results")
    first = run_cli("run", spec, "-t", search, *where)
    assert first.code == 0, first.err
    assert "hybrid(tfidf,random?seed=2)?weights=2,1" in first.out
    assert len(list((tmp_path / "results").rglob("MySearch@1.json"))) == 1
    again = run_cli("run", spec, "-t", search, *where)
    assert again.code == 0
    other = run_cli("run", spec, "-t", sts, *where)
    assert other.code != 0
    assert "offers find" in other.err + other.out
