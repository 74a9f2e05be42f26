"""Which texts run together, and in which shape.

The shape a text is run in depends on that text alone. Padded, its length is its own rounded up to a
small multiple, and a batch never mixes padded lengths; unpadded, texts are laid end to end and
nothing but products of single tokens spans them. Where the number of rows could change the last
bits as well (CUDA, and low precision on CPUs), rows are filled up.
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
        mixed: Whether texts of different lengths share a batch, laid end to end.
    """

    multiple: int = 4
    least_tokens: int = 0
    fixed_tokens: int = 0
    mixed: bool = False

    def unpadded(self) -> ShapeRule:
        """Return the rule for a model that runs texts laid end to end.

        A product of a handful of rows takes another path through oneDNN than one of many.
        """
        return ShapeRule(multiple=1, least_tokens=max(16, self.least_tokens), mixed=True)

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

    def copies(self, lengths: NDArray[np.int64]) -> int:
        """Return how many copies of its last text fill up a mixed batch."""
        return max(0, -(-(self.least_tokens - int(lengths.sum())) // int(lengths[-1])))


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
    """Yield batches as (padded length of the longest, indices of its texts), longest first.

    Longest first, so that memory runs out at once or not at all.

    Args:
        lengths: Tokens of each text, ``[n]``.
        rule: The shape rule.
        budget: Tokens a batch may hold, padding included.
    """
    padded = rule.padded(lengths)
    order = np.argsort(-padded, kind="stable")
    groups = [order] if rule.mixed else np.split(order, np.flatnonzero(np.diff(padded[order])) + 1)
    for group in groups:
        ends = np.cumsum(padded[group])
        start = 0
        while start < len(group):
            length, before = int(padded[group[start]]), ends[start] - padded[group[start]]
            size = (
                max(1, int(np.searchsorted(ends, before + budget, side="right")) - start)
                if rule.mixed
                else rule.capacity(length, budget)
            )
            yield length, group[start : start + size]
            start += size
