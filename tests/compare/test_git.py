"""Results as they were at a git ref."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from evalsuite.compare import pair, select
from evalsuite.compare.git import snapshot
from evalsuite.errors import NothingToReadError, StoreError, UsageError
from tests.compare.stores import ndcg, sts, write

IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ("git", "-C", str(folder), *words),
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **IDENTITY},
    )
    return done.stdout.strip()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return results in a repository: two models at the tag v1, one altered and one gone since."""
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    results = repository / "benchmarks" / "results"
    for model in ("old", "gone"):
        write(results, ndcg(1), model=model)
        write(results, sts(1), model=model, task="Beta")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "first")
    git(repository, "tag", "v1")
    git(repository, "rm", "-q", "-r", "benchmarks/results/gone")
    write(results, ndcg(2, shift=0.1), model="old")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "second")
    write(results, ndcg(3, shift=0.2), model="old")  # not committed
    return results


def test_a_ref_has_its_own_results(results: Path) -> None:
    now = select("old", results)
    for ref in ("HEAD", "main", "HEAD~1", "v1"):
        then = select(f"git:{ref}", results, like=now)
        assert then.label == f"old (cpu,fp32) at {ref}"
        assert list(then.results) == ["Alpha@1", "Beta@1"]
    scores = [
        select(text, results, like=now).results["Alpha@1"].main_score
        for text in ("old", "git:HEAD", "git:v1")
    ]
    assert len(set(scores)) == 3
    pairs, apart = pair(now, select("git:v1", results, like=now))
    assert [one.task for one in pairs] == ["Alpha@1", "Beta@1"]
    assert not apart
    assert (pairs[1].candidate_items.columns["cosine"] == sts(1)["cosine"]).all()


def test_the_work_tree_is_left_alone(results: Path) -> None:
    before = git(results, "status", "--porcelain")
    select("git:v1:benchmarks/results/gone", results)
    assert git(results, "status", "--porcelain") == before
    assert not (results / "gone").exists()


def test_a_part_of_the_tree(results: Path) -> None:
    for folder in ("benchmarks/results/gone", "./benchmarks/results/gone/r1/cpu,fp32"):
        assert select(f"git:v1:{folder}", results).label == "gone (cpu,fp32) at v1"
    file = "benchmarks/results/gone/r1/cpu,fp32/Beta@1.json"
    one = select(f"git:v1:{file}", results)
    assert list(one.results) == ["Beta@1"]
    assert pair(one, one)[0][0].task == "Beta@1"


def test_several_models_name_what_to_type(results: Path) -> None:
    with pytest.raises(UsageError) as raised:
        select("git:v1", results)
    text = "git:v1:benchmarks/results/gone/r1/cpu,fp32"
    assert text in str(raised.value)
    assert select(text, results).label == "gone (cpu,fp32) at v1"
    assert select("git:HEAD", results).label == "old (cpu,fp32) at HEAD"


def test_results_that_are_gone_from_the_disk(results: Path) -> None:
    results.rename(results.with_name("moved"))
    assert select("git:HEAD", results).label == "old (cpu,fp32) at HEAD"


def test_superseded_results_are_not_read(results: Path) -> None:
    assert len(select("git:HEAD", results).results) == 2
    assert any((results / "superseded").rglob("*.json"))
    git(results, "add", "-A")
    git(results, "commit", "-q", "-m", "third")
    assert len(select("git:HEAD", results).results) == 2


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("git:--output=x", "names no git ref"),
        ("git:-h", "names no git ref"),
        ("git:", "names no git ref"),
        ("git::x", "names no git ref"),
        ("git:absent", "fetch-depth: 0"),
        ("git:HEAD^{tree}", "knows no commit"),
        ("git:HEAD --all", "knows no commit"),
        ("git:HEAD;touch x", "knows no commit"),
        ("git:$(touch x)", "knows no commit"),
        ("git:HEAD:absent", "There is no 'absent' in git at 'HEAD'"),
        ("git:HEAD:../../etc", "is no path below the top"),
        ("git:HEAD:/etc/passwd", "is no path below the top"),
        ("git:a\0b", "names no git ref"),
    ],
)
def test_refs_that_cannot_be(
    results: Path, monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    monkeypatch.chdir(results)
    with pytest.raises(UsageError, match="git") as raised:
        select(text, results)
    assert part in str(raised.value)
    assert not list(results.glob("x")) + list(results.glob("*output*"))


def test_a_folder_without_results(results: Path) -> None:
    (results.parents[1] / "docs").mkdir()
    (results.parents[1] / "docs" / "a.txt").write_text("a")
    git(results, "add", "-A")
    git(results, "commit", "-q", "-m", "docs")
    with pytest.raises(NothingToReadError):
        select("git:HEAD:docs", results)


def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write(tmp_path, ndcg(1))
    with pytest.raises(UsageError, match="in no git repository"):
        select("git:HEAD", tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="not installed"):
        select("git:HEAD", tmp_path)


def test_links_and_damaged_files_of_a_commit(results: Path) -> None:
    folder = results / "old" / "r1" / "cpu,fp32"
    (folder / "Link@1.json").symlink_to("/etc/passwd")
    (folder / "Bad@1.json").write_text("{")
    (folder / "Beta@1.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    git(results, "add", "-A")
    git(results, "commit", "-q", "-m", "bad")
    one = select("git:HEAD", results)
    assert list(one.results) == ["Alpha@1", "Beta@1"]
    assert one.unreadable == 1
    assert (
        "'git:HEAD:benchmarks/results/old/r1/cpu,fp32/Bad@1.json' is not a result file"
        in one.problems[0]
    )
    _, apart = pair(one, one)
    assert [(left.task, left.kind) for left in apart] == [("Beta@1", "unreadable")]
    (folder / "Alpha@1.json").write_text("{")
    (folder / "Beta@1.json").write_text("{")
    git(results, "add", "-A")
    git(results, "commit", "-q", "-m", "worse")
    with pytest.raises(StoreError, match="None of 3 result files"):
        select("git:main", results)


def test_a_snapshot_is_read_once(results: Path) -> None:
    one, again = (snapshot("v1", None, results) for _ in range(2))
    assert one is again
    assert sum(name.endswith(".parquet") for name in one.objects) == 4
    (path,) = one.write(["old/r1/cpu,fp32/Alpha@1.json", "absent"])
    assert one.name(path) == "old/r1/cpu,fp32/Alpha@1.json"
    assert len([file for file in one.folder.rglob("*") if file.is_file()]) == 1
