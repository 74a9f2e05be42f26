"""Vectors of texts, dense or sparse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import ModelError

Vectors = NDArray[np.float32]


def of_texts(texts: Sequence[str], model: Any) -> Any:
    """Return the vectors of all texts from one call, ``[n, dim]``.

    Args:
        texts: ``[n]``.
        model: Offers ``encode``, or ``fit`` and ``encode_sparse``.
    """
    if hasattr(model, "encode"):
        return model.encode(texts)
    model.fit(texts)
    return model.encode_sparse(texts)


def merged(found: NDArray[np.bool_], cached: Vectors | None, fresh: Vectors | None) -> Vectors:
    """Put cached and fresh vectors back in order, ``[n, dim]``.

    Args:
        found: Which were cached, ``[n]``.
        cached: Those vectors, or None.
        fresh: The others, or None.

    Raises:
        ModelError: They differ in size.
    """
    if cached is None or fresh is None:
        only = fresh if cached is None else cached
        assert only is not None  # every distinct string is cached or fresh
        return only
    if cached.shape[1] != fresh.shape[1]:
        raise ModelError("The model's vectors have another size than its cached ones.")
    out = np.empty((len(found), fresh.shape[1]), np.float32)
    out[found], out[~found] = cached, fresh
    return out
