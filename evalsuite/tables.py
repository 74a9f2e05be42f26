"""Item tables as they are stored: Arrow columns of ids and numbers, never texts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.result import Items

if TYPE_CHECKING:
    import pyarrow as pa

_TIMED = "evalsuite.timed"  # names the columns that vary from run to run


def items_table(items: Items) -> pa.Table:
    """Return the Arrow table of an item table: ids and numbers, never texts."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "item": list(items.ids),
        "replicate": np.zeros(len(items.ids), np.int64)
        if items.replicate is None
        else items.replicate,
        "status": items.status.astype(object),
    }
    for name in ("group", "cluster"):
        if (values := getattr(items, name)) is not None:
            columns[name] = values.astype(object)
    table = pa.table({**columns, **items.columns})
    if items.timed:
        table = table.replace_schema_metadata({_TIMED: ",".join(sorted(items.timed))})
    return table


def items_digest(items: Items) -> str:
    """Return the sha256 of an item table's content, timed columns left out."""
    digest = hashlib.sha256()
    for name in sorted(set(items.columns) - items.timed):
        values = np.ascontiguousarray(items.columns[name], dtype=np.float64)
        digest.update(name.encode() + b"\0" + values.tobytes())
    for identifier, status in zip(items.ids, items.status, strict=True):
        digest.update(f"{identifier}\0{status}\n".encode("utf-8", "surrogatepass"))
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
    arrays = {name: table.column(name).to_numpy() for name in table.column_names}
    replicate = arrays.pop("replicate").astype(np.int64)
    return Items(
        ids=arrays.pop("item").tolist(),
        status=arrays.pop("status").astype(str),
        group=_strings(arrays.pop("group", None)),
        cluster=_strings(arrays.pop("cluster", None)),
        replicate=replicate if replicate.any() else None,
        columns={name: values.astype(np.float64) for name, values in arrays.items()},
        timed=frozenset(timed.split(",")) - {""},
    )


def _strings(values: Any) -> Any:
    return None if values is None else values.astype(str)
