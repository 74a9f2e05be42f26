"""Speed and memory against peers: each script prints both sides of one run and writes JSON.

Run from the repository's folder, e.g. ``python -m benchmarks.encode``. Nothing here asserts a
wall-clock time.
"""
