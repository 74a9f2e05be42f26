"""mteb itself: imported on first use, quietly, and looked up by name."""

from __future__ import annotations

import difflib
import functools
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evalsuite.errors import UsageError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep mteb and datasets from warning and from drawing bars of their own."""
    from datasets.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    logger = logging.getLogger("mteb")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()


@functools.cache
def load() -> Any:
    """Import mteb.

    Raises:
        UsageError: It is not installed.
    """
    try:
        with quiet():
            import mteb
    except ModuleNotFoundError as error:
        if error.name != "mteb":
            raise
        raise UsageError(
            "mteb is not installed, and what begins with 'mteb:' is its. "
            "Run: pip install 'evalsuite[mteb]'."
        ) from None
    return mteb


def task(name: str, subsets: tuple[str, ...] = (), splits: tuple[str, ...] = ()) -> Any:
    """Return a new object of one of mteb's tasks, its data not loaded.

    It draws from a generator of its own, which goes on from use to use: each use needs a new one.

    Args:
        name: Its name in mteb.
        subsets: Subsets of its data it is cut to; all by default.
        splits: Splits that are scored; its own by default.

    Raises:
        UsageError: mteb has no such task, or the task no such subset or split.
    """
    mteb = load()
    with quiet():
        try:
            found = mteb.get_task(name)
        except KeyError:
            every = mteb.get_tasks(
                exclude_superseded=False, exclude_private=False, exclude_beta=False
            )
            raise unknown("task", name, (one.metadata.name for one in every)) from None
        _check(f"Task '{name}' of mteb has no subset", subsets, found.metadata.hf_subsets)
        _check(f"Task '{name}' of mteb does not score the split", splits, found.eval_splits)
        return mteb.get_task(name, hf_subsets=subsets or None, eval_splits=splits or None)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name mteb does not have.

    Args:
        kind: ``task``, ``benchmark`` or ``model``.
        name: What the user typed.
        known: Every name that would have been right.
    """
    folded = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.55)
    options = " or ".join(f"'mteb:{folded[one]}'" for one in near)
    where = {"task": "`mteb available-tasks`", "benchmark": "`mteb available-benchmarks`"}.get(
        kind, "`mteb.get_model_metas()`"
    )
    mend = f"Did you mean {options}?" if near else f"{where} lists those there are."
    return UsageError(f"mteb has no {kind} '{name[:80]}'. {mend}")


def _check(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            shown = ", ".join(sorted(known)[:20]) + (", ..." if len(known) > 20 else "")
            raise UsageError(f"{what} '{name[:40]}', only {shown}.")
