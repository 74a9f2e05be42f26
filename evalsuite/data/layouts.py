"""The kinds of data protocols take, and the digest of their content.

A digest covers ids, texts and golds sorted by id, never files: hub, zip and local copies of the
same items agree.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import DataError

DIGEST_LENGTH = 32


def hash_fields(*fields: str) -> bytes:
    """Return the sha256 of fields; no two lists of fields share their bytes."""
    parts = [text.encode("utf-8") for text in fields]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()


def content_digest(items: Iterable[tuple[str, bytes]]) -> str:
    """Return the sha256 of item digests in the order of their ids."""
    digest = hashlib.sha256()
    for identifier, content in sorted(items):
        digest.update(hash_fields(identifier) + content)
    return digest.hexdigest()


def chosen(ids: Iterable[str], limit: int) -> set[str]:
    """Return ``limit`` of the ids: those whose hash is smallest, whatever their order."""
    return set(sorted(ids, key=lambda identifier: hash_fields(identifier))[:limit])


def check_unique(ids: Sequence[str], what: str) -> None:
    """Raise if an id occurs twice.

    Raises:
        DataError: It does; the message names up to three such ids.
    """
    if len(set(ids)) < len(ids):
        twice = [identifier for identifier, n in Counter(ids).items() if n > 1][:3]
        shown = ", ".join(f"'{identifier[:60]}'" for identifier in twice)
        raise DataError(f"Duplicate {what} ids: {shown}. Every {what} needs an id of its own.")


def content_ids(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return ids for rows that have none, from their content, so that row order does not matter."""
    seen: Counter[str] = Counter()
    ids = []
    for row in rows:
        identifier = hash_fields(*row).hex()[:12]
        seen[identifier] += 1
        times = seen[identifier]
        ids.append(identifier if times == 1 else f"{identifier}-{times}")
    return ids


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts with a gold similarity.

    Attributes:
        ids: ``[n]``.
        first: ``[n]`` texts.
        second: ``[n]`` texts.
        gold: ``[n]`` similarities.
    """

    ids: Sequence[str]
    first: Sequence[str]
    second: Sequence[str]
    gold: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check ids and golds."""
        check_unique(self.ids, "pair")
        if not np.isfinite(self.gold).all():
            raise DataError("A gold similarity is not a finite number.")

    def digest(self) -> str:
        """Content digest."""
        rows = zip(self.ids, self.first, self.second, self.gold.tolist(), strict=True)
        return content_digest((i, hash_fields(a, b, repr(gold))) for i, a, b, gold in rows)

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        return {"pairs": len(self.ids)}

    def ordered(self) -> Self:
        """Return the pairs in the order of their ids, so that file order moves nothing."""
        return self._taken(sorted(range(len(self.ids)), key=self.ids.__getitem__))

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the pairs."""
        kept = chosen(self.ids, limit)
        return self._taken([i for i, identifier in enumerate(self.ids) if identifier in kept])

    def _taken(self, index: Sequence[int]) -> Self:
        return replace(
            self,
            ids=[self.ids[i] for i in index],
            first=[self.first[i] for i in index],
            second=[self.second[i] for i in index],
            gold=self.gold[index],
        )


@dataclass(frozen=True)
class Documents:
    """A corpus: ids in memory, texts possibly on disk.

    Attributes:
        ids: ``[n]``.
        texts: ``[n]``; title and text joined. Slicing may read from disk.
    """

    ids: Sequence[str]
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def shards(self, size: int) -> Iterator[Sequence[str]]:
        """Yield the texts in consecutive runs of ``size``."""
        for start in range(0, len(self.ids), size):
            yield self.texts[start : start + size]


@dataclass(frozen=True)
class Retrieval:
    """Queries to be answered from a corpus, with graded judgements.

    Attributes:
        documents: The corpus.
        query_ids: ``[q]``.
        queries: ``[q]`` texts.
        qrels: Query id to document id to grade.
    """

    documents: Documents
    query_ids: Sequence[str]
    queries: Sequence[str]
    qrels: Mapping[str, Mapping[str, int]] = field(repr=False)

    def __post_init__(self) -> None:
        """Check ids and that something is judged."""
        if not len(self.documents):
            raise DataError("The corpus holds no documents.")
        check_unique(self.documents.ids, "document")
        check_unique(self.query_ids, "query")
        if not any(identifier in self.qrels for identifier in self.query_ids):
            raise DataError("No query has a judgement: is the qrels file of another data set?")

    def digest(self) -> str:
        """Content digest."""
        documents = content_digest(
            (identifier, hash_fields(text))
            for start, shard in enumerate(self.documents.shards(65536))
            for identifier, text in zip(self.documents.ids[start * 65536 :], shard, strict=False)
        )
        queries = content_digest(
            (i, hash_fields(text)) for i, text in zip(self.query_ids, self.queries, strict=True)
        )
        judgements = content_digest(
            (query, hash_fields(*(f"{d}\x1f{grades[d]}" for d in sorted(grades))))
            for query, grades in self.qrels.items()
        )
        return hashlib.sha256(f"{documents}{queries}{judgements}".encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        return {
            "documents": len(self.documents),
            "queries": len(self.query_ids),
            "judged_queries": sum(query in self.qrels for query in self.query_ids),
            "judgements": sum(len(grades) for grades in self.qrels.values()),
        }

    def ordered(self) -> Self:
        """Return the queries in the order of their ids, so that file order moves nothing."""
        return self._taken(sorted(range(len(self.query_ids)), key=self.query_ids.__getitem__))

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the judged queries, over the whole corpus."""
        kept = chosen((i for i in self.query_ids if i in self.qrels), limit)
        index = [i for i, identifier in enumerate(self.query_ids) if identifier in kept]
        qrels = {query: grades for query, grades in self.qrels.items() if query in kept}
        return replace(self._taken(index), qrels=qrels)

    def _taken(self, index: Sequence[int]) -> Self:
        return replace(
            self,
            query_ids=[self.query_ids[i] for i in index],
            queries=[self.queries[i] for i in index],
        )
