"""The bridge to mteb: ``mteb:NAME`` for its tasks, benchmarks and models.

mteb loads the data; protocols of evalsuite run them where there is one for their kind, and
``mteb.evaluate`` where there is none.
"""

from __future__ import annotations

from evalsuite.bridges.mteb import items, models, tasks
from evalsuite.registry import Bridge

BRIDGE = Bridge(task=tasks.task, suite=tasks.suite, resolve=models.resolve, items=items.load)
