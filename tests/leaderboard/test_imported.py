"""Imported results on the site: marked in words, never the best, in the column they share."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evalsuite import leaderboard
from evalsuite.exchange import import_lm_eval, import_mteb
from evalsuite.leaderboard import entries, plots, tables
from evalsuite.registry import suites
from tests.exchange.trees import entry, lm_eval_table, mteb_table, mteb_tree, own_result, write
from tests.leaderboard.test_leaderboard import Page

LEGEND = "† imported from mteb, not run here"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "site"


def sections(root: Path) -> dict[str, tables.Section]:
    read, problems = entries.load([root])
    assert problems == []
    return {section.name: section for section in tables.sections(read, suites().values())}


def mteb_import(root: Path, *scores: float, task: str = "STSBenchmark") -> None:
    for number, score in enumerate(scores):
        table = mteb_table(task, scores={"test": [entry(score)]})
        place = mteb_tree(root.parent / "tree", table, model=f"org__m{number}")
        import_mteb(place, root)


def test_the_column_is_shared_and_the_best_is_own(root: Path) -> None:
    own_result(root, score=0.3, model="low")
    own_result(root, score=0.5, model="high")
    mteb_import(root, 0.9, 0.1)
    (table,) = sections(root)["sts"].tables
    (column,) = table.columns
    assert column.best == 0.5
    assert column.fingerprint is None
    assert [(row.entry.result.model["name"], row.imported) for row in table.rows] == [
        ("high", False),
        ("low", False),
        ("org/m0", True),
        ("org/m1", True),
    ]
    assert table.best_mean is None


def test_imported_means_are_never_the_best(root: Path) -> None:
    tasks = suites()["sts"].all_tasks()
    for score, model in ((0.3, "low"), (0.5, "high")):
        for task in tasks:
            own_result(root, task, score=score, model=model)
    revisions = {name: _revision(name) for name in tasks}
    folder = mteb_tree(
        root.parent / "tree",
        *(mteb_table(n, r, scores={"test": [entry(0.9)]}) for n, r in revisions.items()),
    )
    import_mteb(folder, root)
    (table,) = sections(root)["sts"].tables
    assert table.rows[-1].imported
    assert table.rows[-1].mean == pytest.approx(0.9)
    assert table.best_mean == pytest.approx(0.5)


def _revision(name: str) -> str:
    from evalsuite.registry import get_task

    return get_task(name).same_as[0].partition("@")[2]


def test_an_imported_column_displaces_no_own_one(root: Path) -> None:
    own_result(root, score=0.3, fingerprint="e" * 64)  # run on other data
    mteb_import(root, 0.9, 0.8, 0.7)
    (table,) = sections(root)["sts"].tables
    own, imported = table.columns
    assert (own.fingerprint, own.in_mean) == ("e" * 8, True)
    assert (imported.best, imported.in_mean) == (None, False)


def test_without_a_known_digest_own_results_must_agree(root: Path) -> None:
    table = mteb_table("ArguAna", _revision("ArguAna"), scores={"test": [entry(ndcg_at_10=0.5)]})
    import_mteb(mteb_tree(root.parent / "tree", table), root)
    (column,) = sections(root)["beir"].tables[0].columns
    assert column.key[2] == ""
    own_result(root, "ArguAna", model="a", fingerprint="1" * 64)
    (column,) = sections(root)["beir"].tables[0].columns
    assert column.key[2] == "1" * 64
    own_result(root, "ArguAna", model="b", fingerprint="2" * 64)
    columns = sections(root)["beir"].tables[0].columns
    assert [column.fingerprint for column in columns] == ["1" * 8, "2" * 8, ""]


def test_they_are_not_drawn(root: Path) -> None:
    mteb_import(root, 0.9)
    assert plots.draw(sections(root)["sts"]) is None
    own_result(root, score=0.5)
    picture = plots.draw(sections(root)["sts"])
    assert picture is not None
    assert "Shown: 1 of 1 rows" in picture.caption
    assert b"org/m0" not in picture.light


def test_pages_mark_them_in_words(root: Path, out: Path) -> None:
    own_result(root, score=0.5, model="mine")
    mteb_import(root, 0.9)
    leaderboard.build([root], out)
    page = Page(out / "index.html")
    assert LEGEND in page.words
    text = (out / "index.html").read_text(encoding="utf-8")
    rows = {name: row for row in re.findall(r"<tr>.*?</tr>", text, re.S)
            for name in ("mine", "org/m0") if name in row}  # fmt: skip
    assert "†" not in rows["mine"]
    assert "best" not in rows["org/m0"]
    assert rows["org/m0"].count("†") == 2  # name and cell; a mean is missing
    assert "imported from mteb" in rows["org/m0"]
    assert "n not stated" in rows["org/m0"]
    assert "no interval" in rows["org/m0"]
    (href,) = re.findall(r'href="(results/[^"]+)"', rows["org/m0"])
    copy = json.loads((out / href).read_text())
    assert copy["origin"]["file"] == "STSBenchmark.json"
    for path in out.rglob("*.html"):
        page = Page(path)
        assert (LEGEND in page.words) == ("†" in page.text)
    (model,) = (Page(path) for path in out.glob("models/org__m0*"))
    assert "imported from mteb" in model.words
    assert "Origin" in model.words
    assert "not stated" in model.words
    task = Page(out / "tasks" / "STSBenchmark@1.html")
    assert "Protocolsts 1" in task.words  # of the own result
    assert task.text.count("★") == 0  # a single own result is not the best of anything


def test_a_site_of_imported_results_only(root: Path, out: Path) -> None:
    mteb_import(root, 0.9, 0.8)
    mteb_import(root, 0.4, task="Banking77Classification")
    file = write(root.parent / "lm" / "results.json", lm_eval_table())
    import_lm_eval(file, root)
    leaderboard.build([root], out)
    page = Page(out / "index.html")
    for part in (
        "org/m0", "org/m1", "org/lm", "STSBenchmark@1", "lm-eval:piqa@1.0,5-shot",
        "mteb:Banking77Classification@b0fddb56ed78", "† imported from lm-eval or mteb",
    ):  # fmt: skip
        assert part in page.words
    assert "★ best" not in page.words
    assert not (out / "plots").exists()


def test_limited_imports_stand_apart(root: Path) -> None:
    table = lm_eval_table(**{"n-samples": {"piqa": {"original": 100, "effective": 10}}})
    import_lm_eval(write(root.parent / "lm" / "results.json", table), root)
    assert [t.limit for t in sections(root)["Other tasks"].tables] == [10]


def test_malformed_imports_are_noted(root: Path, out: Path) -> None:
    mteb_import(root, 0.9, 0.8)
    first, second = sorted(root.rglob("*@*.json"))
    table = json.loads(first.read_text())
    first.write_text(json.dumps({**table, "origin": {"tool": "mteb"}}))
    table["task"]["version"] = 1.5
    table["origin"]["file"] = "x"
    second.write_text(json.dumps(table))
    own_result(root)
    leaderboard.build([root], out)
    words = Page(out / "index.html").words
    assert "2 files could not be read" in words
    assert "`task.version` is no whole number" in words
