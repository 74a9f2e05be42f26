"""Protocols: one module a family of tasks; none imports another."""
