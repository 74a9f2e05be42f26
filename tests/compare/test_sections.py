"""What is said: tables, sentences, Markdown, JSON, and hostile names in all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalsuite.compare import Question, Report, compare
from evalsuite.compare.markdown import escaped, markdown
from evalsuite.compare.sections import p_value, sections
from evalsuite.compare.tojson import to_json
from tests.compare.stores import ndcg, selection, sts, write

HOSTILE = [
    "<script>alert(1)</script>",
    "../../x",
    "a|b",
    "`a`",
    "a\nb",
    "a\x1b[2Jb",
    "*a* _b_ [c](d) ![e](f)",
    "@everyone",
    "=cmd|' /C calc'!A0",
    "&lt;b&gt;",
    "~~a~~",
    "x" * 300,
]


def made(tmp_path: Path, model: str = "new", shift: float = -0.1, **asked: Any) -> Report:
    old = selection(
        write(tmp_path, ndcg(1), model="old", task="QuickRetrieval"),
        write(tmp_path, sts(1), model="old", task="QuickSTS"),
        write(tmp_path, sts(1), model="old", task="Left"),
    )
    settings = {"dtype": "bfloat16"}
    new = selection(
        write(
            tmp_path, ndcg(2, shift=shift), model=model, task="QuickRetrieval", settings=settings
        ),
        write(tmp_path, sts(1), model=model, task="QuickSTS", settings=settings),
    )
    return compare(old, [new], Question(**asked))


def said(report: Report) -> str:
    out = []
    for part in sections(report, {}):
        out.append(part.title)
        if part.table is not None:
            out += [" ; ".join(row) for row in (part.table.header, *part.table.rows)]
        out += part.lines
    return "\n".join(out)


def test_everything_is_said(tmp_path: Path) -> None:
    text = said(made(tmp_path, slice_by="gold", items=2))
    assert text.startswith("new (cpu,fp32) against the baseline old (cpu,fp32)\n")
    assert (
        "Task ; Measure ; Baseline ; Candidate ; Difference ; 95 % interval ; p (Holm) ; " in text
    )
    assert re.search(r"QuickRetrieval@1 ; ndcg@10 ; .* ; - worse ; 80 ; 80\n", text)
    assert re.search(r"QuickSTS@1 ; cosine_spearman ; .* ; = equal ; 60 ; 0\n", text)
    assert "mean of quick ; several" in text
    assert "after Holm over these 3 rows; sign flips (QuickRetrieval@1); paired bootstrap" in text
    assert "Baseline / candidate: dtype differs: float32 / bfloat16 (all tasks)." in text
    assert "Left@1 ; only the baseline has it" in text
    assert "Differences are candidate less baseline on the same items" in text
    assert "- worse: p under 0.05; = equal: no item changed." in text
    assert "new (cpu,fp32) by gold, cosine_spearman" in text
    assert "Items of QuickRetrieval@1 that changed most, ndcg@10" in text
    assert "No item changed what it adds to the score." in text


def test_one_measure_stands_in_the_title(tmp_path: Path) -> None:
    text = said(made(tmp_path, tasks=("QuickSTS",)))
    assert "against the baseline old (cpu,fp32), cosine_spearman\n" in text
    assert "Task ; Baseline ; Candidate" in text


def test_small_differences_get_more_decimals(tmp_path: Path) -> None:
    assert re.search(r" ; -0\.\d{4} ; \[-0\.\d{4}, -0\.\d{4}\]", said(made(tmp_path)))
    columns = ndcg(1)
    close = {"ndcg@10": columns["ndcg@10"] * 0.9999}
    old, new = (
        selection(write(tmp_path / "c", given, model=name))
        for name, given in (("old", columns), ("new", close))
    )
    assert re.search(r" ; -0\.\d{6} ; \[-0\.\d{6}, -0\.\d{6}\]", said(compare(old, [new])))


def test_p_values_name_the_least_that_draws_can_show(tmp_path: Path) -> None:
    report = made(tmp_path, n_resamples=999)
    rows = {row.measured.name: row for row in report.comparisons[0].rows}
    assert p_value(rows["QuickRetrieval@1"]) == "<0.006"
    assert p_value(rows["QuickSTS@1"]) == "1.000"
    many = made(tmp_path / "b").comparisons[0].rows[0]
    assert p_value(many) == "<0.001"


def test_slices_cut_by_the_score_are_warned_of(tmp_path: Path) -> None:
    assert "regression to the mean" in said(made(tmp_path, slice_by="cosine"))
    assert "regression to the mean" in said(made(tmp_path, slice_by="ndcg@10"))
    assert "regression to the mean" not in said(made(tmp_path, slice_by="gold"))


def test_too_few_resamples_are_warned_of(tmp_path: Path) -> None:
    assert "leave --resamples out" in said(made(tmp_path, n_resamples=100))
    assert "leave --resamples out" not in said(made(tmp_path, n_resamples=200))


def test_ranks_are_ranges(tmp_path: Path) -> None:
    models = [
        selection(write(tmp_path, ndcg(seed, shift=shift), model=name))
        for seed, name, shift in ((1, "a", 0.0), (2, "b", 0.0), (3, "c", -0.3))
    ]
    text = said(compare(models[0], models[1:]))
    assert re.search(r"a \(cpu,fp32\) ; 1-2 of 3 \(0\.\d{4}\)\n", text)
    assert re.search(r"c \(cpu,fp32\) ; 3 of 3 \(0\.\d{4}\)\n", text)


def test_nothing_comparable_is_said(tmp_path: Path) -> None:
    text = said(made(tmp_path, tasks=("Left",)))
    assert "Nothing is comparable." in text
    assert "Left@1 ; only the baseline has it" in text
    assert "How to read it" not in text


# ---- Markdown


def test_markdown_is_tables_and_paragraphs(tmp_path: Path) -> None:
    page = markdown(sections(made(tmp_path), {}))
    lines = page.splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("| Task |"))
    cells = lines[header].count("|")
    assert lines[header + 1].startswith("| --- | --- | ---: |")
    assert all(line.count("|") == cells for line in lines[header : header + 5])
    assert not [line for line in lines if line.startswith(("- ", "+ ", "= "))]
    assert "\\- worse: p under 0.05" in page


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_in_markdown(tmp_path: Path, name: str) -> None:
    page = markdown(sections(made(tmp_path, model=name, items=1), {}))
    assert "<script" not in page
    assert "\x1b" not in page
    assert re.search(r"(?<![\w;])@everyone", page) is None
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(re.sub(r"\\.", "", row).rstrip().endswith("|") for row in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("`a`", "\\`a\\`"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a\nb\rc", "a b c"),
        ("cosine_spearman", "cosine_spearman"),
        ("_a_", "\\_a\\_"),
        ("STS12@1", "STS12@1"),
        ("@team", "&#64;team"),
        ("[a](b)", "\\[a\\](b)"),
        ("\x00\x1b[2J", "\\[2J"),
    ],
)
def test_escapes(text: str, expected: str) -> None:
    assert escaped(text) == expected


# ---- JSON


@pytest.mark.parametrize("name", ["new", *HOSTILE])
def test_json_is_strict_and_whole(tmp_path: Path, name: str) -> None:
    report = made(tmp_path, model=name, slice_by="gold", items=1)
    text = json.dumps(to_json(report, {"QuickRetrieval@1": {}}), allow_nan=False)
    table = json.loads(text)
    assert table["baseline"] == "old (cpu,fp32)"
    (one,) = table["comparisons"]
    assert one["candidate"] == f"{name} (cpu,fp32)"
    assert [row["mark"] for row in one["rows"]] == ["worse", "equal", "worse"]
    assert one["not_compared"] == [
        {"task": "Left@1", "kind": "missing-candidate", "reason": "only the baseline has it"}
    ]
    assert one["differs"] == [
        {
            "what": "dtype differs: float32 / bfloat16",
            "tasks": ["QuickRetrieval@1", "QuickSTS@1"],
        }
    ]
    assert len(one["slices"]) == 4
    assert [len(task["items"]) for task in one["items"]] == [1, 0]
    row = one["rows"][0]
    assert row["ci95"][0] < row["difference"] < row["ci95"][1] < 0
    assert (row["n"], row["n_changed"], row["test"]) == (80, 80, "sign flips")
    assert table["ranks"] == []


def test_the_page_documents_every_field(tmp_path: Path) -> None:
    from tests.support import REPOSITORY

    page = (REPOSITORY / "docs" / "compare.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+)`", page))

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for child in value.values() for key in keys(child)}
        return {key for child in value for key in keys(child)} if isinstance(value, list) else set()

    a, b, c = (
        selection(write(tmp_path, sts(seed), model=name))
        for seed, name in ((1, "a"), (2, "b"), (3, "c"))
    )
    report = compare(a, [b, c], Question(slice_by="gold", items=1))
    item = report.comparisons[0].items["Alpha@1"][0].item  # type: ignore[index]
    table = to_json(report, {"Alpha@1": {item: "text"}})
    assert keys(table) | {"reason", "texts_left_out"} <= named
