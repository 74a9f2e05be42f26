"""Which texts run together, and in which shape.

The shape a text is run in depends on that text alone: its padded length is its own length rounded
up to a small multiple, and a batch never mixes padded lengths. Where the number of rows could
change the last bits as well (CUDA, and low precision on CPUs), rows are filled up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ShapeRule:
    """How a text's length becomes the shape it is run in.

    Attributes:
        multiple: Padded lengths are multiples of this.
        least_tokens: A batch is filled up with empty rows to at least so many tokens.
        fixed_tokens: Where not 0, every batch of a padded length has the same number of rows, as
            many as make up so many tokens; a larger budget changes nothing then.
    """

    multiple: int = 4
    least_tokens: int = 0
    fixed_tokens: int = 0

    def padded(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return padded lengths."""
        return np.maximum(1, -(-lengths // self.multiple)) * self.multiple

    def capacity(self, length: int, budget: int) -> int:
        """Return how many texts of a padded length fit the token budget; at least 1."""
        return max(1, min(budget, self.fixed_tokens or budget) // length)

    def rows(self, texts: int, length: int, budget: int) -> int:
        """Return the number of rows to run ``texts`` texts of a padded length in."""
        if self.fixed_tokens:
            return self.capacity(length, budget)
        return max(texts, -(-self.least_tokens // length))


def shape_rule(device: str, dtype: str) -> ShapeRule:
    """Return the rule under which results repeat bit for bit on a device.

    Measured on CPU (MKL and oneDNN, AVX-512 and AMX): in fp32, lengths in multiples of 4 give the
    same bits for any number of rows. In bf16 the kernels split long sums when a product has under
    512 rows, so smaller batches are filled up.
    """
    if device == "cuda":
        return ShapeRule(multiple=8, fixed_tokens=4096)
    return ShapeRule(multiple=4, least_tokens=0 if dtype == "float32" else 512)


def plan(
    lengths: NDArray[np.int64], rule: ShapeRule, budget: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield batches as (padded length, indices of its texts), longest first.

    Longest first, so that memory runs out at once or not at all.

    Args:
        lengths: Tokens of each text, ``[n]``.
        rule: The shape rule.
        budget: Tokens a batch may hold, padding included.
    """
    padded = rule.padded(lengths)
    order = np.argsort(-padded, kind="stable")
    values, starts = np.unique(-padded[order], return_index=True)
    for length, group in zip(-values, np.split(order, starts[1:]), strict=True):
        size = rule.capacity(int(length), budget)
        for start in range(0, len(group), size):
            yield int(length), group[start : start + size]
