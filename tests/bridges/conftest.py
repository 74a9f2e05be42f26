"""Fixtures of the tests of bridges."""

from __future__ import annotations

from tests.bridges.support import hub_cache

__all__ = ["hub_cache"]
