"""Results of other tools read in, own results written out in formats other tools read.

``docs/exchange.md`` says what is kept, what is left out and why.
"""

from __future__ import annotations

from evalsuite.exchange.exported import Exported
from evalsuite.exchange.found import Report, Selection
from evalsuite.exchange.lm_eval import import_lm_eval
from evalsuite.exchange.model_card import export_model_card
from evalsuite.exchange.mteb_export import export_mteb
from evalsuite.exchange.mteb_import import import_mteb

__all__ = [
    "Exported",
    "Report",
    "Selection",
    "export_model_card",
    "export_mteb",
    "import_lm_eval",
    "import_mteb",
]
