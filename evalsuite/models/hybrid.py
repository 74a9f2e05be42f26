"""Hybrid specs: ``hybrid(SPEC,SPEC,...)[?fusion=rrf&weights=0.3,0.7&depth=1000]``."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence

from evalsuite.engines.hybrid import FUSIONS
from evalsuite.errors import UsageError
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec, parse_spec, refuse_credentials

VERSION = 1
VERBS = ("encode", "encode_multi", "encode_sparse", "find")
DEPTH = 1000
_PREFIX = "hybrid("


def is_hybrid(text: str) -> bool:
    """Return whether a spec is a hybrid's."""
    return text.startswith(_PREFIX)


def split(text: str) -> tuple[list[str], Spec]:
    """Return the specs of the parts, and the spec of what is done with them.

    Raises:
        UsageError: Parentheses do not close, or something else than options follows them.
    """
    refuse_credentials(text)
    open_, parts, start = 1, [], len(_PREFIX)
    for place in range(start, len(text)):
        open_ += {"(": 1, ")": -1}.get(text[place], 0)
        if open_ == 0 or (open_ == 1 and text[place] == ","):
            parts.append(text[start:place].strip())
            start = place + 1
        if open_ == 0:
            break
    rest = text[start:]
    if open_ or (rest and not rest.startswith("?")):
        raise UsageError(
            f"'{text[:80]}': a hybrid is written hybrid(SPEC,SPEC)?option=value. Commas and "
            "parentheses within a part's options are written %2C, %28 and %29."
        )
    return parts, parse_spec("hybrid" + rest)


def resolve(text: str, resolve_part: Callable[[str], Resolved]) -> Resolved:
    """Resolve a hybrid.

    Args:
        text: Its spec.
        resolve_part: Resolves the spec of a part.

    Raises:
        UsageError: There are fewer than two parts, one cannot search, or an option cannot be.
    """
    specs, spec = split(text)
    spec.check_options(("fusion", "weights", "depth"))
    spec.choice("fusion", FUSIONS)
    spec.integer("depth")
    if len(specs) < 2:
        raise UsageError(f"'{text[:80]}': a hybrid has two parts or more, with commas between.")
    parts = [resolve_part(part) for part in specs]
    for part in parts:
        if not set(VERBS) & set(part.verbs):
            raise UsageError(f"'{part.name}' ranks no corpus, it offers {', '.join(part.verbs)}.")
        if part.of_task is not None:
            raise UsageError(
                f"'{part.name}' takes prompts of the task, which a hybrid's part is not told."
            )
    weights_of(spec.options, len(parts))
    labels = ",".join(_label(part) for part in parts)
    identity = {"version": VERSION, "parts": [[p.identity, dict(p.options)] for p in parts]}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def load(placement: Placement) -> Sequence[Resolved]:
        return parts

    return Resolved(
        name="+".join(part.name for part in parts),
        identity=digest,
        revision=digest[:12],
        load=load,
        verbs=("find",),
        options={**spec.options, **({"parts": labels} if "?" in labels else {})},
        native_dtype=next((p.native_dtype for p in parts if p.native_dtype), None),
        kind="hybrid",
        moved_by=tuple(sorted({package for part in parts for package in part.moved_by})),
        repeatable=all(part.repeatable for part in parts),
    )


def weights_of(options: Mapping[str, str], parts: int) -> list[float]:
    """Return the weight of each part; equal ones add up to 1.

    Raises:
        UsageError: They are not as many positive numbers as there are parts.
    """
    text = options.get("weights")
    if text is None:
        return [1 / parts] * parts
    try:
        weights = [float(weight) for weight in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != parts or not all(0 < weight < math.inf for weight in weights):
        raise UsageError(
            f"Model option weights={text[:60]!r}: {parts} positive numbers are needed, one a part, "
            "with commas between."
        )
    return weights


def _label(part: Resolved) -> str:
    options = "&".join(f"{key}={value}" for key, value in part.options.items())
    return f"{part.name}?{options}" if options else part.name
