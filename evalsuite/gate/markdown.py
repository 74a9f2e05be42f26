"""A gate as GitHub-flavoured Markdown, in which no name can be markup."""

from __future__ import annotations

import re

from evalsuite.gate.report import Report
from evalsuite.gate.text import COLUMNS, NUMBERS, cells, legend, remarks, rules, sides
from evalsuite.gate.verdict import ERROR, INCONCLUSIVE, PASS, REGRESSION, SKIPPED, Row

_SIGNS = {PASS: "✅", REGRESSION: "❌", INCONCLUSIVE: "⚠️", ERROR: "🚫", SKIPPED: "⏭️"}
_BREAK = "<!-- -->"  # keeps what GitHub would link from being one word
# What means something in Markdown, in HTML or to GitHub, and how it is written instead.
_ESCAPES = {
    **{c: f"&#{ord(c)};" for c in "|`*[]~\\"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "_": "\\_",
    **{c: f"&#{ord(c)};{_BREAK}" for c in "@#$"},
    "://": f":{_BREAK}//",
}
_ACTIVE = re.compile(
    r"[|`*\[\]~\\$&<>#]|://|(?i:www)(?=\.)"
    r"|(?<![A-Za-z0-9])[@_]|_(?![A-Za-z0-9])"  # inside a word neither means anything
    r"|@(?=[^\s@]*\.)"  # an address
)
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def markdown(report: Report) -> bytes:
    """Return the summary: verdict, table, the rows' reasons, notes and what was compared."""
    verdict = _SIGNS.get(report.verdict, _SIGNS[ERROR])
    lines = [f"### {verdict} Gate: {escaped(report.headline)}", ""]
    if report.rows:
        lines += [*_table(report), "", f"<sub>{escaped(legend(report))}</sub>", ""]
        listed = [row for row in report.rows if row.verdict != PASS]
        lines += [f"- **{escaped(row.name)}**: {row.verdict}: {_said(row)}" for row in listed]
        lines += [f"- Note: {escaped(note)}" for note in remarks(report)]
        lines += [f"- Rule of {escaped(text)}" for text in rules(report)] + [""]
    if report.explanation:
        lines += [escaped(report.explanation), ""]
    lines += ["| compared | |", "|---|---|"]
    lines += [f"| {name} | {cell(value)} |" for name, value in sides(report)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _table(report: Report) -> list[str]:
    rules = ["--:" if i in NUMBERS else "---" for i in range(len(COLUMNS))]
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'|'.join(rules)}|"]
    return head + [_row(cells(row)) for row in report.rows]


def _row(values: tuple[str, ...]) -> str:
    verdict, *names = values[:3]
    shown = [f"{_SIGNS[verdict]} {verdict}", *map(cell, names), *values[3:]]
    return f"| {' | '.join(shown)} |"


def _said(row: Row) -> str:
    return escaped(row.reason.rstrip(".")) + "."


def cell(name: str) -> str:
    """Return a name as a cell; one that a spreadsheet would run gets an apostrophe."""
    shown = escaped(name)
    return f"'{shown}" if name.lstrip()[:1] in tuple("=+-@") else shown


def escaped(text: str) -> str:
    """Return text on one line in which nothing is markup, a link, a mention or an issue."""
    return _ACTIVE.sub(_escape, _CONTROL.sub(_visible, text).strip())


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0], match[0] + _BREAK)  # else www


def _visible(match: re.Match[str]) -> str:
    return " " if match[0] in "\n\r\t\u2028\u2029" else "\N{REPLACEMENT CHARACTER}"
