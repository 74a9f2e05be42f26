"""evalsuite: benchmarks for text embeddings and language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalsuite.evaluator import Evaluator
    from evalsuite.evaluator.as_mteb import as_mteb
    from evalsuite.registry import get_suite, get_task
    from evalsuite.store import load_results

__all__ = ["Evaluator", "as_mteb", "get_suite", "get_task", "load_results"]

_HOMES = {
    "Evaluator": "evalsuite.evaluator",
    "as_mteb": "evalsuite.evaluator.as_mteb",
    "get_suite": "evalsuite.registry",
    "get_task": "evalsuite.registry",
    "load_results": "evalsuite.store",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import evalsuite`` costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evalsuite' has no attribute {name!r}")
