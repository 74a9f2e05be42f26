"""Grids: one spec that stands for several, a cell for each layer and number of dimensions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from evalsuite.errors import UsageError
from evalsuite.models.base import Resolved
from evalsuite.models.spec import Spec

AXES = ("layer", "dim")
MOST_CELLS = 4096

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_SIZE = re.compile(r"(-?\d+)x(\d+)")


def is_grid(options: Mapping[str, str]) -> bool:
    """Whether options stand for more than one model."""
    several = any("," in options.get(axis, "") or ".." in options.get(axis, "") for axis in AXES)
    return several or "sizes" in options


def cells(spec: Spec) -> list[Spec]:
    """Return the specs a spec stands for, layer by layer; a spec that is no grid is its only cell.

    ``layer`` and ``dim`` take values and ascending ranges ``FIRST..LAST``, parted by commas; every
    layer is combined with every dim. ``sizes=6x384,2x32`` names pairs of both instead.

    Raises:
        UsageError: A range or size is malformed, or there are too many cells.
    """
    if not is_grid(spec.options):
        return [spec]
    rest = {key: value for key, value in spec.options.items() if key not in (*AXES, "sizes")}
    pairs = _sizes(spec) if "sizes" in spec.options else _combined(spec)
    return [_cell(spec, rest | dict(pair)) for pair in dict.fromkeys(pairs)]


Pair = tuple[tuple[str, str], ...]


def _combined(spec: Spec) -> list[Pair]:
    """Return every layer with every dim."""
    axes = [(axis, _values(axis, spec.options[axis])) for axis in AXES if axis in spec.options]
    n = 1
    for _, values in axes:
        n *= len(values)
    if n > MOST_CELLS:
        raise UsageError(f"'{spec.text[:80]}' stands for {n:,} models; at most {MOST_CELLS:,} can.")
    names = [axis for axis, _ in axes]
    return [
        tuple(zip(names, chosen, strict=True))
        for chosen in itertools.product(*(values for _, values in axes))
    ]


def _sizes(spec: Spec) -> list[Pair]:
    """Return the pairs ``sizes`` names."""
    if any(axis in spec.options for axis in AXES):
        raise UsageError(
            "Model option sizes= names layers and dims itself: leave out layer= and dim=."
        )
    pairs: list[Pair] = []
    for part in spec.options["sizes"].split(","):
        match = _SIZE.fullmatch(part)
        if match is None:
            raise UsageError(f"Model option sizes: '{part[:40]}' is not LAYERxDIM, e.g. 4x128.")
        pairs.append((("layer", match[1]), ("dim", match[2])))
    return pairs


def _values(axis: str, text: str) -> list[str]:
    """Return the values of a list, its ranges written out."""
    values: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None and (".." in part or not part):
            raise UsageError(
                f"Model option {axis}={text[:60]!r}: '{part[:40]}' is not FIRST..LAST."
            )
        if match is None:
            values.append(part)
            continue
        first, last = int(match[1]), int(match[2])
        if first > last or last - first >= MOST_CELLS:
            raise UsageError(
                f"Model option {axis}={text[:60]!r}: the range {part[:40]} is empty or too long."
            )
        values += [str(value) for value in range(first, last + 1) if value]
    return values


def _cell(spec: Spec, options: Mapping[str, str]) -> Spec:
    head = spec.text.partition("?")[0]
    query = "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in options.items())
    return replace(spec, text=f"{head}?{query}", options=dict(sorted(options.items())))


def varied(model: Resolved, cell: Spec) -> Resolved:
    """Return a resolved cell of a grid as another cell of it.

    Raises:
        UsageError: The layer or dim of the cell cannot be.
    """
    layer = cell.integer("layer", signed=True)
    moving = {k: v for k, v in cell.options.items() if k in model.options or k in AXES}
    varied = replace(model, options=moving, finish=replace(model.finish, dim=cell.integer("dim")))
    if layer is None or model.load_layers is None:
        return varied
    return replace(
        varied,
        load=partial(model.load_layers, (layer,)),
        encoder_options={**(model.encoder_options or {}), "layer": cell.options["layer"]},
    )
