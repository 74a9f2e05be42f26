"""Binary codes: packed bits, and exact search by Hamming distance.

Codes of n bits in the form of -1 and 1 have the inner product n - 2 * distance: cosine, dot product
and distances of such vectors all order as the Hamming distance does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.search import TopK, candidates

Floats = NDArray[np.float32]
Codes = NDArray[np.uint64]

# A block's words, differences and counts stay in a core's cache.
_BLOCK_QUERIES, _BLOCK_DOCUMENTS = 4, 8192


def pack(vectors: Floats) -> Codes:
    """Return the bits of vectors, 1 where a number is positive, ``[n, words of 64 bits]``.

    The last word is filled up with zeros, which add no distance.
    """
    packed = np.packbits(vectors > 0, axis=1)
    words = -(-packed.shape[1] // 8)
    codes = np.zeros((len(packed), 8 * words), np.uint8)
    codes[:, : packed.shape[1]] = packed
    return codes.view(np.uint64)


def distances(queries: Codes, by_word: Codes) -> NDArray[np.unsignedinteger]:
    """Return the Hamming distances of all pairs, ``[q, d]``.

    Args:
        queries: ``[q, words]``, a few.
        by_word: ``[words, d]``.
    """
    wide_enough = np.min_scalar_type(64 * len(by_word))
    found = np.zeros((len(queries), by_word.shape[1]), wide_enough)
    for start in range(0, by_word.shape[1], _BLOCK_DOCUMENTS):
        part = slice(start, start + _BLOCK_DOCUMENTS)
        for query, some in zip(queries.T, by_word[:, part], strict=True):
            found[:, part] += np.bitwise_count(query[:, None] ^ some)
    return found


def search(queries: Floats, shards: Iterable[Floats], k: int, tie_rank: NDArray[np.int64]) -> TopK:
    """Return the k documents with the smallest Hamming distance to each query.

    Scores are the number of bits less twice the distance.

    Args:
        queries: ``[q, bits]``; only the signs count.
        shards: Consecutive parts of the corpus, each ``[m, bits]``.
        k: Documents a query.
        tie_rank: ``[documents]`` order among equal distances, smallest first.
    """
    best, codes = TopK(len(queries), k, tie_rank), pack(queries)
    bits, offset = queries.shape[1], 0
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for shard in shards:
            by_word = np.ascontiguousarray(pack(shard).T)

            def keep(rows: slice, by_word: Codes = by_word, offset: int = offset) -> None:
                scores = np.float32(bits) - 2 * distances(codes[rows], by_word).astype(np.float32)
                counts, columns, values = candidates(scores, k, best.floor(rows))
                best.merge(rows.start, counts, columns + offset, values)

            list(threads.map(keep, _blocks(len(codes))))
            offset += len(shard)
    return best


def _blocks(queries: int) -> Iterator[slice]:
    for start in range(0, queries, _BLOCK_QUERIES):
        yield slice(start, min(start + _BLOCK_QUERIES, queries))
