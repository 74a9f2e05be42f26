"""Results made up for the tests of the gate, and running the command on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalsuite import measures, stats
from evalsuite.compare import Selection, select
from evalsuite.gate import Policy, policy_from_table
from evalsuite.result import OK, Items, Result, Score
from evalsuite.store import Store
from evalsuite.tables import items_digest
from tests.conftest import Ran

NDCG = "ndcg@10"
SPEARMAN = "cosine_spearman"
RNG = np.random.default_rng(20)
GOLD = np.round(RNG.uniform(0, 5, 400), 1)
COSINE = np.clip(GOLD / 5 + RNG.normal(0, 0.2, 400), 0, 1)
NDCGS = np.round(RNG.uniform(0, 1, 400), 3)


def result(
    model: str = "old",
    task: str = "Alpha",
    columns: dict[str, ArrayLike] | None = None,
    *,
    main: str = NDCG,
    version: Any = 1,
    fingerprint: str = "f" * 64,
    ids: Sequence[str] | None = None,
    status: Sequence[str] | None = None,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> tuple[Result, Items]:
    """Return a result with its items; its scores are those of the items.

    Args:
        model: Name.
        task: Name.
        columns: Item columns; the measures are those they hold.
        main: The main measure.
        version: Of the task.
        fingerprint: Of the task.
        ids: Of the items.
        status: Of the items.
        settings: Keys that differ.
        changes: Fields of the result that differ.
    """
    held = {k: np.asarray(v, dtype=float) for k, v in (columns or {NDCG: NDCGS}).items()}
    n = len(next(iter(held.values())))
    items = Items(ids or [f"i{i:04}" for i in range(n)], held, np.array(status or [OK] * n))
    names = [SPEARMAN] if "cosine" in held else list(held)
    scores = {}
    for name in names:
        measure = measures.parse(name)
        scores[name] = Score(float(stats.score(measure, items.sample(measure))), n)
    fields: dict[str, Any] = {
        "task": {"name": task, "version": version, "fingerprint": fingerprint},
        "model": {"name": model, "identity": f"id-{model}", "revision": "v1", "options": {}},
        "settings": {"device": "cpu", "dtype": "float32", "limit": None, **(settings or {})},
        "variant": "cpu,fp32",
        "scores": scores,
        "main_measure": main,
        "counts": items.counts(),
        "evidence": {},
        "items_digest": items_digest(items),
        "run": {"date": model, "device_name": "Test CPU", "packages": {"numpy": "2.4.6"}},
        **changes,
    }
    return Result(**fields), items


def write(root: Path, model: str = "old", task: str = "Alpha", *args: Any, **changes: Any) -> Path:
    """Store a result as :func:`result` makes it and return its file."""
    path = Store(root).write(*result(model, task, *args, **changes)).path
    assert path is not None
    return path


def shifted(by: float, scale: float = 0.05) -> NDArray[np.float64]:
    """Return nDCG with another mean and, where it has, with noise."""
    noise = np.random.default_rng(5).normal(0, scale, len(NDCGS))
    return NDCGS + by + (noise - noise.mean() if by else 0.0)


def pair_of_models(root: Path, by: float = 0.0, task: str = "Alpha", scale: float = 0.05) -> Path:
    """Store ``old`` and ``new``, whose mean differs by so much, and return the root."""
    write(root, "old", task, {NDCG: NDCGS})
    write(root, "new", task, {NDCG: shifted(by, scale)})
    return root


def alter(path: Path, **changes: Any) -> None:
    """Change fields of a result file; dotted names reach into tables."""
    table = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        inner = table
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    path.write_text(json.dumps(table))


def policy(**table: Any) -> Policy:
    """Return a policy; an empty ``[default]`` unless tables are given."""
    return policy_from_table(table or {"default": {}}, "gate.toml")


def sides(root: Path, candidate: str = "new", baseline: str = "old") -> tuple[Selection, Selection]:
    """Return the selections of candidate and baseline."""
    ours = select(candidate, root)
    return ours, select(baseline, root, like=ours)


def run_gate(
    run_cli: Callable[..., Ran],
    folder: Path,
    *args: str,
    policy: str = "[default]",
    candidate: str = "new",
    baseline: str = "old",
) -> Ran:
    """Run a gate and check that every report was written and agrees with the exit code.

    Args:
        run_cli: The fixture.
        folder: Where reports are written; ``results`` below it is read.
        args: Further options.
        policy: Content of the policy file.
        candidate: What is judged.
        baseline: What it is measured against.
    """
    reports = {name: folder / f"gate.{name}" for name in ("xml", "json", "md")}
    for report in reports.values():
        report.unlink(missing_ok=True)
    (folder / "gate.toml").write_text(policy)
    ran = run_cli(
        "gate", "--baseline", baseline, "--policy", folder / "gate.toml",
        "--results", folder / "results", "--junit", reports["xml"], "--json", reports["json"],
        "--summary", reports["md"], *args, "--", candidate,
    )  # fmt: skip
    table = json.loads(reports["json"].read_bytes())
    assert table["exit_code"] == ran.code
    suite = ET.fromstring(reports["xml"].read_bytes())[0]
    assert int(suite.get("tests", "0")) >= 1
    bad = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
    assert bool(bad) == bool(ran.code) or table["verdict"] == "nothing-compared"
    assert reports["md"].read_text().startswith("### ")
    if table["error"] is None:
        first = "".join(c if c.isprintable() else "\ufffd" for c in table["headline"])
        assert ran.out.splitlines()[0] == first
    return ran
