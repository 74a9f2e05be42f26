"""Isotropy: how the vectors of many texts fill their space. The items are the distinct texts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import DataError, ModelError
from evalsuite.measures import isotropy
from evalsuite.protocol import Protocol
from evalsuite.result import OK, Items, Outcome, Phase
from evalsuite.task import Task

if TYPE_CHECKING:
    from evalsuite.data import Pairs

Floats = NDArray[np.float64]

ROWS_A_BLOCK = 1024


def of_texts(of_pairs: Floats) -> Floats:
    """Return what each text contributes to a mean over pairs; see :mod:`measures.isotropy`.

    Args:
        of_pairs: Mean over each text's own pairs, ``[n]``.
    """
    return np.asarray(2 * of_pairs - of_pairs.mean())


def unit_rows(vectors: Floats) -> Floats:
    """Scale rows to unit length; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1))


def over_pairs(units: Floats) -> tuple[Floats, Floats]:
    """Return the mean cosine and the mean potential of each text with every other, ``[n]`` each.

    Args:
        units: ``[n, dim]`` of unit length, or zero: its cosine with any is 0.
    """
    n = len(units)
    cosine, potential = np.empty(n), np.empty(n)
    for start in range(0, n, ROWS_A_BLOCK):
        found = units[start : start + ROWS_A_BLOCK] @ units.T
        rows = np.arange(len(found))
        found[rows, start + rows] = 0.0  # no text is a pair with itself
        where = slice(start, start + len(found))
        cosine[where] = found.sum(axis=1)
        # |u - v|^2 = 2 - 2 u.v
        energy = np.exp(2 * isotropy.POWER * (found - 1))
        energy[rows, start + rows] = 0.0
        potential[where] = energy.sum(axis=1)
    return cosine / (n - 1), potential / (n - 1)


def covariance(vectors: Floats) -> tuple[Floats, Floats]:
    """Return what each text contributes to tr(C) and to |C|_F^2, ``[n]`` each.

    C is divided by n: the factor of n / (n - 1) cancels where they are used.
    """
    centred = vectors - vectors.mean(axis=0)
    matrix = centred.T @ centred / len(centred)
    variance = np.einsum("nd,nd->n", centred, centred)
    along = np.einsum("nd,nd->n", centred @ matrix, centred)
    return variance, of_texts(along)


def partition(vectors: Floats) -> tuple[Floats, Floats]:
    """Return exp(c . x) of each vector x for the c with the smallest and the largest sum.

    Both are divided by the same number, so that none overflows.
    """
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    along = vectors @ directions
    along = np.hstack([along, -along])
    # sums of exponentials, in logarithms, around the largest term of each
    top = along.max(axis=0)
    sums = top + np.log(np.exp(along - top).sum(axis=0))
    least, most = int(sums.argmin()), int(sums.argmax())
    return np.exp(along[:, least] - top[most]), np.exp(along[:, most] - top[most])


def columns_of(vectors: NDArray[np.float32]) -> dict[str, Floats]:
    """Return the item columns of ``[n, dim]`` vectors, computed in float64."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums keep one order on any number of cores
        exact = vectors.astype(np.float64)
        cosine, potential = over_pairs(unit_rows(exact))
        variance, spread = covariance(exact)
        least, most = partition(exact)
    return {
        "mean_cosine": of_texts(cosine),
        "potential": of_texts(potential),
        "variance": variance,
        "spread": spread,
        "dimensions": np.full(len(exact), float(exact.shape[1])),
        "least": least,
        "most": most,
    }


def run(task: Task, data: Pairs, model: Any) -> list[Outcome]:
    """Encode every distinct text once and measure how the vectors lie.

    Raises:
        DataError: There are fewer than two texts.
        ModelError: The vectors have one dimension.
    """
    from evalsuite.data.layouts import content_ids

    texts = sorted({*data.first, *data.second})
    if len(texts) < 2:
        raise DataError(f"{task}: isotropy needs two or more distinct texts, not {len(texts)}.")
    started = time.perf_counter()
    vectors = model.encode(texts)
    encoded = time.perf_counter()
    if vectors.shape[1] < 2:
        raise ModelError(f"{task}: isotropy needs vectors of two or more dimensions.")
    ids = content_ids((text,) for text in texts)
    items = Items(ids=ids, columns=columns_of(vectors), status=np.full(len(texts), OK))
    phases = (
        Phase("encode", encoded - started, len(texts)),
        Phase("measure", time.perf_counter() - encoded, len(texts)),
    )
    return [Outcome(items, phases)]


PROTOCOL = Protocol(
    name="isotropy",
    version=1,
    layout="pairs",
    needs=("encode",),
    run=run,
    columns=isotropy.COLUMNS,
)
