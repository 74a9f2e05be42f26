"""Sections as GitHub-flavoured Markdown; no name in them is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterable

from evalsuite.compare.sections import Section, Table

_SPECIAL = re.compile(r"([\\`*{}\[\]|~#!]|(?<!\w)_|_(?!\w))")
_MENTION = re.compile(r"(?<!\w)@")
_START = re.compile(r"^([-+=]|\d+(?=[.)]))")  # of a list or an underlined title


def markdown(sections: Iterable[Section]) -> str:
    """Return the text of a Markdown page."""
    return "\n".join(_section(section) for section in sections)


def escaped(text: object) -> str:
    """Return text that reads in Markdown, and in a table's cell, as it stands."""
    plain = "".join(c if c.isprintable() else " " for c in str(text))
    entities = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MENTION.sub("&#64;", _SPECIAL.sub(r"\\\1", entities)).strip()


def _section(section: Section) -> str:
    parts = [f"### {escaped(section.title)}\n"]
    if section.table is not None:
        parts.append(_table(section.table))
    parts += [_START.sub(_unstarted, escaped(line)) + "\n" for line in section.lines]
    return "\n".join(parts)


def _unstarted(start: re.Match[str]) -> str:
    return start[1] + "\\" if start[1].isdecimal() else "\\" + start[1]


def _table(table: Table) -> str:
    rule = ["---:" if i in table.right else "---" for i in range(len(table.header))]
    rows = [map(escaped, table.header), rule, *(map(escaped, row) for row in table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
