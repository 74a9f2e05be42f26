"""Item tables as they are stored: Arrow columns of ids and numbers, never texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.result import Items

if TYPE_CHECKING:
    import pyarrow as pa

_TIMED = "evalsuite.timed"  # names the columns that vary from run to run


def items_table(items: Items) -> pa.Table:
    """Return the Arrow table of an item table: ids and numbers, never texts."""
    import pyarrow as pa

    n = len(items.ids)
    replicate = np.zeros(n, np.int64) if items.replicate is None else items.replicate
    columns = {
        "item": _texts(items.ids),
        "replicate": _numbers(replicate, pa.int64()),
        "status": _texts(items.status.tolist()),
    }
    for name in ("group", "cluster"):
        if (values := getattr(items, name)) is not None:
            columns[name] = _texts(values.tolist())
    for name, numbers in items.columns.items():
        columns[name] = _numbers(numbers.astype(np.float64), pa.float64())
    table = pa.Table.from_arrays(list(columns.values()), names=list(columns))
    if items.timed:
        table = table.replace_schema_metadata({_TIMED: ",".join(sorted(items.timed))})
    return table


# Arrays are built from their buffers: `pa.array` imports pandas, which takes longer than all else.


def _texts(values: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    encoded = [value.encode("utf-8") for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(values), *buffers)


def _numbers(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [None, buffer])


def items_digest(items: Items) -> str:
    """Return the sha256 of an item table's content, timed columns left out."""
    digest = hashlib.sha256()
    for name in sorted(set(items.columns) - items.timed):
        values = np.ascontiguousarray(items.columns[name], dtype=np.float64)
        digest.update(name.encode() + b"\0" + values.tobytes())
    rows = zip(items.ids, items.status.tolist(), strict=True)
    lines = "".join(f"{identifier}\0{status}\n" for identifier, status in rows)
    digest.update(lines.encode("utf-8", "surrogatepass"))
    for name in ("group", "cluster", "replicate"):
        if (values := getattr(items, name)) is not None:
            digest.update("\0".join([name, *map(str, values)]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def items_from_table(table: pa.Table) -> Items:
    """Return the items an Arrow table holds; the inverse of :func:`items_table`.

    Raises:
        KeyError: A column is missing.
        ValueError: A column is of another kind or length.
    """
    timed = (table.schema.metadata or {}).get(_TIMED.encode(), b"").decode()
    lists = {name: table.column(name).to_pylist() for name in table.column_names}
    replicate = np.array(lists.pop("replicate"), dtype=np.int64)
    return Items(
        ids=lists.pop("item"),
        status=np.array(lists.pop("status"), dtype=str),
        group=_strings(lists.pop("group", None)),
        cluster=_strings(lists.pop("cluster", None)),
        replicate=replicate if replicate.any() else None,
        columns={name: np.array(values, dtype=np.float64) for name, values in lists.items()},
        timed=frozenset(timed.split(",")) - {""},
    )


def _strings(values: list[str] | None) -> NDArray[np.str_] | None:
    return None if values is None else np.array(values, dtype=str)
