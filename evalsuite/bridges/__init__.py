"""Bridges to other tools: their tasks, suites and models by name; the only importers of them."""
