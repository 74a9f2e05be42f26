"""The built wheel works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it into an empty folder."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def evalsuite(installed: Path, *args: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from evalsuite.cli import main"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; main({list(args)!r})"],
        cwd=installed.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_adds_one_top_level_name(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"evalsuite"}


def test_it_finds_its_catalogue(installed: Path) -> None:
    assert "QuickSTS@1" in evalsuite(installed, "list", "tasks")


def test_it_runs_the_quick_suite_and_writes_the_site(installed: Path, tmp_path: Path) -> None:
    results, site = tmp_path / "results", tmp_path / "site"
    out = evalsuite(installed, "run", "tfidf", "--results", str(results))
    assert "QuickRetrieval@1" in out
    evalsuite(installed, "leaderboard", "--results", str(results), "--out", str(site))
    assert "tfidf" in (site / "index.html").read_text(encoding="utf-8")
