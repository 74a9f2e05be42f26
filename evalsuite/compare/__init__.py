"""Which of several models is better, and how sure that is: read from their item tables.

``docs/compare.md`` says what is compared, how it is tested and how the output reads.
"""

from __future__ import annotations

from evalsuite.compare.comparison import Comparison, Question, Report, compare
from evalsuite.compare.pairing import Incomparable, Pair, pair
from evalsuite.compare.selection import Selection, select

__all__ = [
    "Comparison",
    "Incomparable",
    "Pair",
    "Question",
    "Report",
    "Selection",
    "compare",
    "pair",
    "select",
]
