"""Endpoints, against a real server that misbehaves on demand."""
