"""Whether a candidate is no worse than a baseline, by a policy: for CI, and failing closed.

``docs/gate.md`` says how a policy is written and how a verdict comes about.
"""

from __future__ import annotations

from evalsuite.gate.policy import Policy, Rule, load_policy, policy_from_table
from evalsuite.gate.report import Report, Side
from evalsuite.gate.rows import Asked, decide
from evalsuite.gate.verdict import Figures, Row

__all__ = [
    "Asked",
    "Figures",
    "Policy",
    "Report",
    "Row",
    "Rule",
    "Side",
    "decide",
    "load_policy",
    "policy_from_table",
]
