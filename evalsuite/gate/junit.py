"""A gate as JUnit XML, as GitHub, GitLab and Jenkins read it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from evalsuite.gate.report import Report
from evalsuite.gate.text import details, sides
from evalsuite.gate.verdict import ERROR, INCONCLUSIVE, REGRESSION, SKIPPED, Row

_CLASS = "evalsuite.gate"
# What XML 1.0 cannot hold, escaped or not.
_INVALID = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> bytes:
    """Return the XML of one test suite with one test case a row.

    Regressions are failures, and so is an undecided row where the policy says so; where it only
    warns the row is skipped with its reason: neither passed nor failed.
    """
    suite = ET.Element("testsuite", name=_CLASS)
    properties = ET.SubElement(suite, "properties")
    for name, value in sides(report):
        ET.SubElement(properties, "property", name=_valid(name), value=_valid(value))
    for row in report.rows:
        suite.append(_case(row))
    if report.failure is not None or not report.rows:
        case = ET.SubElement(suite, "testcase", classname=_CLASS, name="gate", time="0.000")
        ET.SubElement(case, "error", type=report.verdict, message=_valid(report.headline))
    said = [report.headline, *report.notes, report.explanation]
    ET.SubElement(suite, "system-out").text = _valid("\n".join(filter(None, said)))
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    for name, n in counts.items():
        suite.set(name, str(n))
    suite.set("time", f"{sum(row.seconds for row in report.rows):.3f}")
    root = ET.Element("testsuites", dict(suite.attrib))
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(row: Row) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=_valid(f"{_CLASS}.{row.task}"),
        name=_valid(row.measure),
        time=f"{row.seconds:.3f}",
    )
    kind = {REGRESSION: "failure", ERROR: "error", SKIPPED: "skipped"}.get(row.verdict)
    if row.verdict == INCONCLUSIVE:
        kind = {"fail": "failure", "warn": "skipped", "pass": None}[row.rule.inconclusive]
    if kind is not None:
        found = ET.SubElement(case, kind, message=_valid(f"{row.verdict}: {row.reason}"))
        if kind != "skipped":
            found.set("type", row.verdict)
            found.text = _valid(row.reason)
    ET.SubElement(case, "system-out").text = _valid("\n".join(details(row)))
    return case


def _valid(text: str) -> str:
    """Replace what XML cannot hold; ElementTree escapes the rest."""
    return _INVALID.sub("\N{REPLACEMENT CHARACTER}", text)
