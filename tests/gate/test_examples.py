"""The worked example of docs/gate.md is what the gate says of the results in this repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.parametrize(
    ("options", "name", "code"),
    [("dtype=bf16", "bf16", 0), ("dim=128", "dim128", 1), ("layer=3", "layer3", 1)],
)
def test_committed_reports_are_true(
    options: str,
    name: str,
    code: int,
    run_cli: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    ran = run_cli(
        *("gate", f"all-MiniLM-L6-v2?{options}", "--baseline", "all-MiniLM-L6-v2?dtype=fp32"),
        *("--policy", "docs/examples/gate.toml", "--results", "results"),
        *("--summary", tmp_path / "summary.md"),
    )
    assert ran.code == code
    committed = (EXAMPLES / f"gate-{name}.md").read_text(encoding="utf-8")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == committed
    verdict = ran.out.splitlines()[0]
    assert verdict in (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
