"""The reports: JUnit parsed back, strict JSON, Markdown in which no name is markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from evalsuite.errors import NothingToReadError, UsageError
from evalsuite.gate import Asked, Report, Side, decide
from evalsuite.gate.files import WRITERS, check_paths, json_bytes, to_json, write_reports
from evalsuite.gate.junit import junit
from evalsuite.gate.markdown import cell, markdown
from tests.gate.stores import NDCG, NDCGS, pair_of_models, policy, shifted, sides, write

HOSTILE = [
    "<script>alert(1)</script>", "a|b", "`rm -rf`", "@everyone", "[x](https://evil.example)",
    "https://evil.example", "www.evil.example", "mail me@evil.example", "![i](x)", "*b* _i_ ~s~",
    "a\nb", "a\r\n::error::b", "\x00\x1b[2J", "\udc80", "\ufffe", "]]>", "</system-out>", "&lt;",
    "=1+1", "+1", "-1", "@SUM(A1)", "\\|", "\\", "#12", "$x$", "x" * 300, "\u202eabc", "-->",
    "é日本", "- x", "# x", "1. x", "    x", "```", "<!--", "[x]: y", "http://x\ty", "a@b@c.d",
]  # fmt: skip
LINKED = re.compile(r"://|www\.|(?<![A-Za-z0-9])@\w|@[^\s@\0]*\.|#\d|\$\w", re.IGNORECASE)
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results that give a row of every verdict."""
    tmp_path = tmp_path_factory.mktemp("results")
    pair_of_models(tmp_path, 0.0, "Alpha")
    pair_of_models(tmp_path, -0.1, "Beta")
    pair_of_models(tmp_path, 0.001, "Delta", 0.2)
    pair_of_models(tmp_path, 0.001, "Eta", 0.2)
    for task in ("Gamma", "Zeta"):
        write(tmp_path, "old", task)
    return tmp_path


@pytest.fixture(scope="module")
def report(root: Path) -> Report:
    """Return a gate with a row of every verdict."""
    table = {
        "default": {"max_drop": 0.005},
        "task": {"Zeta": {"require": False}, "Eta": {"inconclusive": "fail"}},
    }
    return decide(*sides(root), policy(**table), Asked("new", "old"))


def hostile(report: Report, name: str) -> Report:
    """Return a report in which everything that comes from files or from the user is hostile."""
    rows = tuple(
        replace(row, task=name, measure=name, reason=name, notes=(name,)) for row in report.rows
    )
    side = Side(name, name, (name,), (name,))
    asked = replace(report.policy, file=name) if report.policy else None
    return Report(side, side, asked, rows, (name,), name)


# ---- JUnit


def test_junit_has_one_case_a_row_with_its_verdict(report: Report) -> None:
    suites = ET.fromstring(junit(report))
    (suite,) = suites
    assert (suites.tag, suite.tag) == ("testsuites", "testsuite")
    for element in (suites, suite):
        counts = {name: element.get(name) for name in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "6", "failures": "2", "errors": "1", "skipped": "2"}
        assert float(element.get("time", "")) > 0
    cases = {case.get("classname"): case for case in suite.iter("testcase")}
    assert set(cases) == {f"evalsuite.gate.{row.task}" for row in report.rows}
    kinds = {
        str(name).rpartition(".")[2]: [child.tag for child in case if child.tag != "system-out"]
        for name, case in cases.items()
    }
    assert kinds == {
        "Alpha@1": [],
        "Beta@1": ["failure"],
        "Gamma@1": ["error"],
        "Delta@1": ["skipped"],
        "Eta@1": ["failure"],
        "Zeta@1": ["skipped"],
    }
    for case in cases.values():
        assert case.get("name") == NDCG
        assert float(case.get("time", "")) >= 0
    failure = cases["evalsuite.gate.Beta@1"].find("failure")
    assert failure is not None
    assert failure.get("type") == "regression"
    assert "it fell by 0.1" in failure.get("message", "")
    assert "inconclusive: a drop" in ET.tostring(cases["evalsuite.gate.Delta@1"]).decode()


def test_junit_is_readable_alone(report: Report) -> None:
    text = junit(report).decode()
    for part in (
        "new (cpu,fp32)",
        "old (id-old)",
        "cpu, float32, Test CPU",
        "gate.toml",
        "90 % interval: [",
        "after Holm",
        "max_drop = 0.005, alpha = 0.05",
        "caught with 80 % power",
        "items: 400, of which 400 changed",
        report.headline,
    ):
        assert part.replace("<", "&lt;") in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_in_junit(report: Report, name: str) -> None:
    suites = ET.fromstring(junit(hostile(report, name)))
    cases = suites.findall("testsuite/testcase")
    assert len(cases) == len(report.rows)
    shown = NO_XML.sub("\ufffd", name)
    for case in cases:
        # a parser reads line breaks in attributes as blanks or keeps them, written as references
        assert case.get("name") == shown
        assert shown.replace("\r\n", "\n") in str(case.findtext("system-out")).replace("\r\n", "\n")


def test_a_gate_that_could_not_start_is_an_error_in_junit() -> None:
    for error in (UsageError("no such ref"), NothingToReadError("nothing here")):
        broken = Report(Side("a", "a"), Side("b", "b"), None, failure=error)
        (suite,) = ET.fromstring(junit(broken))
        assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
        found = suite.find("testcase/error")
        assert found is not None
        assert str(error) in found.get("message", "")


# ---- JSON


def test_json_holds_everything(report: Report) -> None:
    table = json.loads(json_bytes(report), parse_constant=pytest.fail)
    assert table["schema"] == 1
    assert (table["verdict"], table["exit_code"]) == ("regression", 1)
    assert table["headline"] == report.headline
    assert table["candidate"]["models"] == ["new (id-new)"]
    assert table["baseline"]["hardware"] == ["cpu, float32, Test CPU"]
    assert table["policy"]["file"] == "gate.toml"
    assert table["counts"]["regression"] == 1
    beta = table["rows"][0]
    assert (beta["task"], beta["measure"], beta["verdict"]) == ("Beta@1", NDCG, "regression")
    assert beta["rule"]["max_drop"] == 0.005
    figures = beta["figures"]
    for key in (
        "candidate", "baseline", "difference", "interval", "level", "n", "n_changed", "test",
        "p_drop", "p_drop_holm", "alpha_holm", "p_no_drop", "standard_error", "detectable",
    ):  # fmt: skip
        assert figures[key] is not None
    assert next(row for row in table["rows"] if row["task"] == "Gamma@1")["figures"] is None


def test_json_is_the_same_bytes_again(report: Report, root: Path) -> None:
    again = decide(*sides(root), report.policy or policy(), Asked("new", "old"))
    assert json_bytes(again) == json_bytes(report)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_survive_json(report: Report, name: str) -> None:
    content = json_bytes(hostile(report, name))
    assert json.loads(content.decode("ascii"))["rows"][0]["task"] == name


# ---- Markdown


def cells(line: str) -> list[str]:
    return [part.strip() for part in line.strip().strip("|").split("|")]


def test_markdown_is_a_table_with_reasons_and_what_was_compared(report: Report) -> None:
    text = markdown(report).decode()
    lines = text.splitlines()
    assert lines[0].startswith("### ❌ Gate: REGRESSION in 1 of 6 rows: Beta@1 ndcg@10")
    table = [line for line in lines if line.startswith("|")]
    assert len(cells(table[0])) == 11
    rows = [cells(line) for line in table[2:8]]
    assert {len(row) for row in rows} == {11}
    assert [row[0].split()[-1] for row in rows] == [
        "regression", "error", "inconclusive", "inconclusive", "pass", "skipped"
    ]  # fmt: skip
    for part in ("- **Gamma@1 ndcg@10**: error: only the baseline has it.", "new (cpu,fp32)"):
        assert part in text
    assert "max_drop = 0.005, alpha = 0.05" in text
    assert "Test CPU" in text


def rendered(text: str) -> list[Any]:
    """Return the inline tokens of a page."""
    from markdown_it import MarkdownIt

    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [token for block in blocks for token in block.children or []]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_in_markdown(report: Report, name: str) -> None:
    text = markdown(hostile(report, name)).decode()
    plain = rendered(markdown(hostile(report, "plain")).decode())
    tokens = rendered(text)
    assert {token.type for token in tokens} <= {token.type for token in plain} | {"html_inline"}
    assert {t.content for t in tokens if t.type == "html_inline"} <= {"<!-- -->", "<sub>", "</sub>"}
    for kind in ("strong_open", "em_open", "softbreak", "link_open", "image", "code_inline"):
        counts = [sum(token.type == kind for token in page) for page in (tokens, plain)]
        assert counts[0] == counts[1]
    # what GitHub makes of text once Markdown is through: a comment between keeps words apart
    words = ["\0" if token.type == "html_inline" else token.content for token in tokens]
    assert not LINKED.search("".join(words).replace("ndcg@10", ""))
    assert len(text.splitlines()) == len(markdown(hostile(report, "plain")).decode().splitlines())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("NFCorpus@1", "NFCorpus@1"),
        ("cosine_spearman", "cosine_spearman"),
        ("all-MiniLM-L6-v2 (cpu,fp32)", "all-MiniLM-L6-v2 (cpu,fp32)"),
        ("=1+1", "'=1+1"),
        (" =1", "'=1"),
        ("-rf", "'-rf"),
        ("@all", "'&#64;<!-- -->all"),
        ("a|b", "a&#124;b"),
        ("<b>", "&lt;b&gt;"),
        ("_a_b_", "\\_a_b\\_"),
        ("a@b.org", "a&#64;<!-- -->b.org"),
        ("https://x", "https:<!-- -->//x"),
        ("WWW.x", "WWW<!-- -->.x"),
    ],
)
def test_cells(name: str, shown: str) -> None:
    assert cell(name) == shown


# ---- files


def test_every_report_that_can_be_written_is(report: Report, tmp_path: Path) -> None:
    paths = {
        "--junit": tmp_path / "new" / "gate.xml",
        "--json": tmp_path / "gate.xml" / "\0",
        "--summary": tmp_path / "gate.md",
    }
    problems = write_reports(report, paths)
    assert len(problems) == 1
    assert "Name another file with --json" in problems[0]
    ET.fromstring(paths["--junit"].read_bytes())
    assert paths["--summary"].read_bytes() == markdown(report)
    (tmp_path / "folder").mkdir()
    (problem,) = write_reports(report, {"--summary": tmp_path / "folder"})
    assert "Is a directory" in problem
    assert not list(tmp_path.glob(".writing-*"))


def test_two_reports_need_two_files(tmp_path: Path) -> None:
    check_paths({"--junit": Path("a"), "--json": Path("b")})
    with pytest.raises(UsageError, match=r"--junit and --json both name 'a'"):
        check_paths({"--junit": Path("a"), "--json": Path("a")})


@pytest.mark.parametrize("option", WRITERS)
def test_a_gate_that_could_not_start_has_every_report(option: str) -> None:
    broken = Report(Side("a", "a"), Side("b", "b"), None, failure=UsageError("no such ref"))
    assert b"no such ref" in WRITERS[option](broken)
    assert broken.exit_code == 2
    empty = Report(Side("a", "a"), Side("b", "b"), policy())
    assert b"NOTHING COMPARED" in WRITERS[option](empty)
    assert to_json(empty)["exit_code"] == 4


def test_lower_is_better_and_same_weights_read_well(tmp_path: Path) -> None:
    write(tmp_path, "old", "Alpha", {NDCG: NDCGS})
    write(tmp_path, "new", "Alpha", {NDCG: shifted(-0.1)})
    table: dict[str, Any] = {"same_weights": True, "default": {}}
    report = decide(*sides(tmp_path), policy(**table))
    assert "largest change of an item" in junit(report).decode()
    text = markdown(report).decode()
    assert "items differ by more than 0.0001, most: i0" in text
    assert to_json(report)["policy"]["tolerance"] == 1e-4
