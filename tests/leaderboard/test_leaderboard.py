"""The site as a whole: what stands on its pages, and which files it touches."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from evalsuite import leaderboard
from evalsuite.errors import NothingToReadError, StoreError, UsageError
from evalsuite.registry import Suite
from tests.leaderboard.synthetic import SUITE_TASKS, write_result

VOID = {"meta", "link", "input", "img", "source", "br"}
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags, links and text of a page; fails where tags are not balanced."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def values(self, *names: str) -> Iterator[str]:
        for _, attributes in self.tags:
            yield from (value for name in names if (value := attributes.get(name)))

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture(autouse=True)
def _suite(monkeypatch: pytest.MonkeyPatch) -> None:
    suites = {
        "pair": Suite("pair", "Two tasks", SUITE_TASKS),
        "empty": Suite("empty", "No result", ("Gamma",)),
    }
    monkeypatch.setattr(leaderboard, "suites", lambda: suites)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "site"


def index(root: Path, out: Path) -> Page:
    return Page(leaderboard.build([root], out))


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_links_resolve(out: Path) -> None:
    site = out.resolve()
    for path in sorted(site.rglob("*.html")):
        page = Page(path)
        ids = set(page.values("id"))
        for link in page.values("href", "src", "srcset"):
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme == "https"
                continue
            if parts.path:
                target = (path.parent / unquote(parts.path, errors="surrogateescape")).resolve()
                assert target.is_file(), link
                assert target.is_relative_to(site)
            else:
                assert parts.fragment in ids, link


def test_first_page_shows_scores_means_and_provenance(root: Path, out: Path) -> None:
    write_result(root, "good", "Alpha", 0.81234)
    write_result(root, "good", "Beta", 0.6)
    page = index(root, out)
    assert page.path == out / "index.html"
    assert "0.8123[0.7123, 0.9123]n=3, 1 failed" in page.words
    assert "0.70622 of 2" in page.words
    assert "cpu float32" in page.words
    model = Page(out / "models" / "good@v1.html").words
    for shown in ("test:good@1", "numpy 2.4.6", "Test CPU", "team blue", "evalsuite run good"):
        assert shown in model
    task = Page(out / "tasks" / "Alpha@1.html").words
    for shown in ("The task Alpha", "CC0-1.0", "f" * 64, "https://example.org/data"):
        assert shown in task


def test_one_table_a_suite_with_results(root: Path, out: Path) -> None:
    write_result(root, task="Alpha")
    assert index(root, out).count("table") == 1
    write_result(root, task="Lonely")
    page = index(root, out)
    assert page.count("table") == 2
    assert "Other tasks" in page.text
    assert "empty" not in page.text
    assert "No result yet on 1 task of the suite: Beta." in page.text


def test_limited_runs_stand_apart(root: Path, out: Path) -> None:
    write_result(root, "whole")
    write_result(root, "cut", limit=50)
    page = index(root, out)
    assert page.count("table") == 2
    full, limited = page.text.split("limited runs (limit=50)")
    assert "whole" in full
    assert "cut" not in full
    assert "cut" in limited
    assert "whole" not in limited
    assert Page(out / "tasks" / "Alpha@1.html").count("table") == 2


def test_limited_runs_alone_have_no_plot(root: Path, out: Path) -> None:
    write_result(root, limit=5)
    assert index(root, out).count("img") == 0
    assert_links_resolve(out)


def test_fingerprints_are_named_where_a_task_has_several(root: Path, out: Path) -> None:
    write_result(root, "one", fingerprint="a" * 64)
    write_result(root, "two", fingerprint="b" * 64)
    page = index(root, out)
    assert "fingerprint aaaaaaaa" in page.words
    assert "fingerprint bbbbbbbb" in page.words
    assert "not comparable" in page.text
    assert Page(out / "tasks" / "Alpha@1.html").count("table") == 2


def test_malformed_files_are_noted_without_where_they_lay(root: Path, out: Path) -> None:
    write_result(root)
    write_result(root, "broken").write_text("{", encoding="utf-8")
    shapeless = write_result(root, "shapeless")
    table = json.loads(shapeless.read_text(encoding="utf-8"))
    shapeless.write_text(json.dumps({**table, "counts": []}), encoding="utf-8")
    page = index(root, out)
    assert "2 files could not be read" in page.text
    assert "broken/v1/cpu,fp32/Alpha@1.json" in page.text
    assert "`counts` is no object" in page.text
    assert str(root) not in page.text


@pytest.mark.parametrize(
    ("block", "key", "value"),
    [
        ("model", "name", 3),
        ("task", "version", "1"),
        ("task", "fingerprint", None),
        ("settings", "limit", "50"),
        ("counts", "failed", [1]),
        ("scores", "recall@10", {"value": float("nan"), "n": 3}),
        ("scores", "recall@10", {"value": "inf", "n": 3}),
        ("scores", "recall@10", {"value": 0.5, "n": 3, "ci95": [0.1]}),
        ("scores", "recall@10", {"value": 0.5, "n": 3, "ci95": [0.1, "nan"]}),
    ],
)
def test_values_no_page_can_show_make_a_file_malformed(
    root: Path, out: Path, block: str, key: str, value: object
) -> None:
    path = write_result(root)
    table = json.loads(path.read_text(encoding="utf-8"))
    table[block][key] = value
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(NothingToReadError, match="No readable result"):
        leaderboard.build([root], out)
    assert not out.exists()


def test_nothing_to_read(root: Path, out: Path) -> None:
    root.mkdir()
    with pytest.raises(NothingToReadError):
        leaderboard.build([root], out)
    with pytest.raises(UsageError):
        leaderboard.build([root / "missing"], out)


@pytest.mark.filterwarnings("error")
def test_hostile_strings_are_escaped_and_stay_inside(root: Path, out: Path) -> None:
    names = [
        EVIL,
        "../../x",
        "y" * 300,
        "日本語",
        "a\ud800\x00\u202eb",
        '"><img src=x onerror=1>',
        "$\\x$",
    ]
    for name in names:
        write_result(root, name)
        write_result(root, "model", name, title=EVIL, reference="javascript:alert(1)")
    path = write_result(root, "z")
    table = json.loads(path.read_text(encoding="utf-8"))
    table["run"]["tags"] = {EVIL: EVIL}
    table["run"]["date"] = table["variant"] = table["settings"]["device"] = EVIL
    path.write_text(json.dumps(table), encoding="utf-8")
    before = {path for path in out.parent.rglob("*") if path.is_file()}
    leaderboard.build([root], out, title=EVIL)
    after = {path for path in out.parent.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(out) for path in after - before)
    assert_links_resolve(out)
    for path in out.rglob("*.svg"):
        assert not list(ElementTree.parse(path).iter("script"))
    for path in out.rglob("*.html"):
        page = Page(path)
        assert page.count("script") == 1
        assert "javascript:" not in "".join(page.values("href"))
        assert not list(page.values("onerror", "style"))
        assert EVIL in page.text


def test_same_results_same_bytes(root: Path, tmp_path: Path) -> None:
    for number in range(3):
        for task in SUITE_TASKS:
            write_result(root, f"model{number}", task, 0.1 * number)
    copy = tmp_path / "elsewhere"
    shutil.copytree(root, copy)
    leaderboard.build([root], tmp_path / "one")
    leaderboard.build([copy], tmp_path / "two")
    first = tree(tmp_path / "one")
    assert first == tree(tmp_path / "two")
    leaderboard.build([root], tmp_path / "one")
    assert first == tree(tmp_path / "one")
    assert b"<dc:date>" not in first["plots/pair.svg"]


def test_links_resolve_and_copies_are_the_files(root: Path, out: Path) -> None:
    path = write_result(root, "org/model")
    write_result(root, "org/model", "Other#1?")
    leaderboard.build([root], out)
    assert_links_resolve(out)
    copy = out / "results" / path.relative_to(root)
    assert copy.read_bytes() == path.read_bytes()


def test_roots_that_share_a_path_are_numbered(root: Path, tmp_path: Path, out: Path) -> None:
    other = tmp_path / "other"
    write_result(root, score=0.4)
    write_result(other, score=0.6)
    leaderboard.build([root, other, root], out)
    assert_links_resolve(out)
    relative = "model/v1/cpu,fp32/Alpha@1.json"
    assert {name for name in tree(out) if name.startswith("results/")} == {
        f"results/0/{relative}",
        f"results/1/{relative}",
    }
    assert "repeat 2" in (out / "index.html").read_text(encoding="utf-8")


def test_models_whose_names_differ_in_case_have_pages_of_their_own(root: Path, out: Path) -> None:
    write_result(root, "Model", variant="a")
    write_result(root, "model", variant="b")
    leaderboard.build([root], out)
    assert len({path.name.lower() for path in (out / "models").iterdir()}) == 2


def test_other_folders_are_refused(root: Path, out: Path) -> None:
    write_result(root)
    out.mkdir()
    (out / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        leaderboard.build([root], out)
    with pytest.raises(UsageError, match="not a folder"):
        leaderboard.build([root], out / "thesis.tex")
    assert tree(out) == {"thesis.tex": b"years of work"}


def test_stale_pages_go_and_foreign_files_stay(root: Path, out: Path) -> None:
    write_result(root, "kept")
    stale = write_result(root, "stale", "Solo")
    leaderboard.build([root], out)
    (out / "CNAME").write_text("example.org", encoding="utf-8")
    stale.unlink()
    leaderboard.build([root], out)
    names = set(tree(out))
    assert not [name for name in names if "stale" in name or "Solo" in name]
    assert not (out / "results" / "stale").exists()
    assert {"CNAME", "models/kept@v1.html"} <= names


def test_a_marker_cannot_name_files_outside(root: Path, out: Path, tmp_path: Path) -> None:
    write_result(root)
    leaderboard.build([root], out)
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "victim").write_text("mine", encoding="utf-8")
    (out / "link").symlink_to(tmp_path / "linked")
    names = ["../victim", str(victim), "link/victim", 3]
    (out / ".evalsuite-site").write_text(json.dumps({"files": names}), encoding="utf-8")
    leaderboard.build([root], out)
    assert victim.exists()
    assert (tmp_path / "linked" / "victim").exists()


def test_a_linked_folder_is_not_written_through(root: Path, out: Path, tmp_path: Path) -> None:
    write_result(root)
    leaderboard.build([root], out)
    shutil.rmtree(out / "models")
    (tmp_path / "linked").mkdir()
    (out / "models").symlink_to(tmp_path / "linked")
    with pytest.raises(StoreError, match="outside"):
        leaderboard.build([root], out)
    assert not any((tmp_path / "linked").iterdir())


def test_pages_load_nothing_from_elsewhere(root: Path, out: Path) -> None:
    write_result(root)
    page = index(root, out)
    policy = next(
        attributes["content"]
        for _, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "style" not in {tag for tag, _ in page.tags}
    assert all(image.get("alt") for tag, image in page.tags if tag == "img")
    for name in ("style.css", "script.js"):
        assert "//" not in (out / name).read_text(encoding="utf-8").replace("// ", "")


def test_import_loads_no_model_library() -> None:
    code = (
        "import sys, evalsuite.leaderboard\n"
        "heavy = {'torch', 'transformers', 'datasets', 'mteb', 'matplotlib', 'pandas'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
