"""Engines: everything between a protocol's verb and a model's arithmetic."""
