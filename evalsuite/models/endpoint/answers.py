"""What an embeddings server answers, checked and put in order."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import ModelError


def vectors_of(answer: Any, n: int) -> NDArray[np.float32]:
    """Return the vectors of an answer in the order of its texts, ``[n, dim]``.

    Args:
        answer: ``{"data": [{"index": 0, "embedding": [...]}, ...]}``; a vector is a list of numbers
            or little-endian fp32 in base64.
        n: Texts asked for.

    Raises:
        ModelError: It is not one finite vector a text, all of one size.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise ModelError(
            "The endpoint's answer has no list 'data' of objects: it is no OpenAI-compatible "
            "embeddings server, or the URL is not what stands before /embeddings."
        )
    if len(data) != n:
        raise ModelError(f"The endpoint answered {len(data)} vectors for {n} texts.")
    places = [item.get("index") for item in data]
    if {place for place in places if type(place) is int} != set(range(n)):
        raise ModelError(f"The 'index' of the endpoint's {n} vectors is not 0 to {n - 1}.")
    rows = [_row(item.get("embedding"), place) for item, place in zip(data, places, strict=True)]
    if len({len(row) for row in rows}) != 1 or not len(rows[0]):
        raise ModelError("The endpoint's vectors are empty, or not all of one size.")
    return np.stack(rows)[np.argsort(places)]


def _row(value: Any, place: int) -> NDArray[np.float32]:
    """Return one vector.

    Raises:
        ModelError: It is none, or not finite.
    """
    try:
        if isinstance(value, str):
            row = np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
        elif isinstance(value, list):
            with np.errstate(over="ignore"):  # infinite then, and refused as such
                row = np.asarray(value, dtype=np.float32)
        else:
            raise ValueError("it is neither a list nor base64")
        if row.ndim != 1:
            raise ValueError("it is nested")
    except (TypeError, ValueError) as error:
        raise ModelError(f"Vector {place} of the endpoint's answer is unusable: {error}.") from None
    if not np.isfinite(row).all():
        raise ModelError(f"Vector {place} of the endpoint's answer holds null, NaN or infinity.")
    return row


def prompt_tokens(answer: Any) -> int:
    """Return the tokens an answer says were read, 0 where it does not."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return 0
    counts = (usage.get(key) for key in ("prompt_tokens", "total_tokens"))
    return next((count for count in counts if type(count) is int and count > 0), 0)
