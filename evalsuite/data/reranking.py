"""Lists to rerank: each query with its own candidates and their grades.

Lists are kept as arrays of positions (CSR), since there can be a hundred million candidates. Their
order moves nothing: candidates are kept in the order of their documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from evalsuite.data import runs
from evalsuite.data.layouts import (
    Documents,
    Retrieval,
    check_unique,
    chosen,
    content_digest,
    content_ids,
    hash_fields,
)
from evalsuite.data.local import clean, json_lines, read_beir
from evalsuite.errors import DataError, UsageError
from evalsuite.measures.ir import Judgements

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Documents to be ranked for each query.

    Attributes:
        indptr: ``[q + 1]``; query i owns ``docs[indptr[i]:indptr[i + 1]]``.
        docs: ``[n]`` positions of documents, ascending within a query, none twice.
    """

    indptr: Ints
    docs: Ints

    def __len__(self) -> int:
        return len(self.docs)

    def rows(self) -> Ints:
        """Return the query of each candidate, ``[n]``."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def taken(self, rows: Ints) -> Candidates:
        """Return the candidates of some queries, in that order."""
        indptr, entries = csr_rows(self.indptr, rows)
        return Candidates(indptr, self.docs[entries])


def csr_rows(indptr: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the bounds of some rows put one after the other, and the entries they hold."""
    counts = np.diff(indptr)[rows]
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return bounds, np.arange(bounds[-1]) + np.repeat(indptr[rows] - bounds[:-1], counts)


def judgements_of(judgements: Judgements, rows: Ints) -> Judgements:
    """Return the judgements of some queries, in that order."""
    indptr, entries = csr_rows(judgements.indptr, rows)
    return replace(
        judgements,
        indptr=indptr,
        docs=judgements.docs[entries],
        grades=judgements.grades[entries],
    )


@dataclass(frozen=True)
class Reranking:
    """Queries with candidates to be ranked, and graded judgements.

    Attributes:
        documents: Where candidates come from.
        query_ids: ``[q]``.
        queries: ``[q]`` texts.
        candidates: Of each query.
        judgements: Of each query; a query without any is excluded.
    """

    documents: Documents
    query_ids: Sequence[str]
    queries: Sequence[str]
    candidates: Candidates
    judgements: Judgements

    def __post_init__(self) -> None:
        """Check ids, and that something is judged."""
        check_unique(self.documents.ids, "document")
        check_unique(self.query_ids, "query")
        if not len(self.judgements.docs):
            raise DataError("No query has a judgement: are the candidates of another data set?")
        if not len(self.candidates):
            raise DataError("No query has a candidate.")

    def digest(self) -> str:
        """Content digest; documents nobody is to rank are part of it."""
        queries = sorted(range(len(self.query_ids)), key=self.query_ids.__getitem__)
        documents = sorted(range(len(self.documents)), key=self.documents.ids.__getitem__)
        place = np.empty(len(documents) + 1, np.int64)  # documents elsewhere come last
        place[np.array([*documents, len(documents)])] = np.arange(len(documents) + 1)
        texts = self.documents.texts[:]
        digest = hashlib.sha256()
        for ids, of in ((self.documents.ids, texts), (self.query_ids, self.queries)):
            rows = zip(ids, of, strict=True)
            digest.update(content_digest((i, hash_fields(text)) for i, text in rows).encode())
        order = np.array(queries, dtype=np.int64)
        some, judged = self.candidates.taken(order), judgements_of(self.judgements, order)
        ones = np.ones(len(some.docs), np.int32)
        for indptr, docs, grades in (
            (some.indptr, place[some.docs], ones),
            (judged.indptr, place[judged.docs], judged.grades),
        ):
            digest.update(_lists_digest(indptr, docs, grades))
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Sizes a task may expect."""
        return {
            "documents": len(self.documents),
            "queries": len(self.query_ids),
            "judged_queries": int(self.judged().sum()),
            "candidates": len(self.candidates),
            "relevant": int((self.judgements.grades > 0).sum()),
        }

    def judged(self) -> NDArray[np.bool_]:
        """Return which queries have a judgement, ``[q]``."""
        return np.diff(self.judgements.indptr) > 0

    def ordered(self) -> Self:
        """Return the queries in the order of their ids, so that file order moves nothing."""
        return self._taken(sorted(range(len(self.query_ids)), key=self.query_ids.__getitem__))

    def limited(self, limit: int) -> Self:
        """Return ``limit`` of the judged queries."""
        judged: list[int] = np.flatnonzero(self.judged()).tolist()
        kept = chosen((self.query_ids[i] for i in judged), limit)
        return self._taken([i for i in judged if self.query_ids[i] in kept])

    def _taken(self, index: Sequence[int]) -> Self:
        rows = np.array(index, dtype=np.int64)
        return replace(
            self,
            query_ids=[self.query_ids[i] for i in index],
            queries=[self.queries[i] for i in index],
            candidates=self.candidates.taken(rows),
            judgements=judgements_of(self.judgements, rows),
        )


def _lists_digest(indptr: Ints, docs: Ints, grades: NDArray[np.int32]) -> bytes:
    """Return the sha256 of lists of graded documents, whatever the order within a list."""
    known = np.unique(grades)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    entries = (rows * (docs.max(initial=0) + 1) + docs) * len(known)
    entries += np.searchsorted(known, grades)
    digest = hashlib.sha256()
    for array in (indptr, known, np.sort(entries)):
        digest.update(np.ascontiguousarray(array, "<i8").tobytes())
    return digest.digest()


def make_reranking(
    documents: Documents,
    query_ids: Sequence[str],
    queries: Sequence[str],
    candidates: tuple[Ints, Ints],
    judged: tuple[Ints, Ints, NDArray[np.int32]],
) -> Reranking:
    """Build lists from flat arrays.

    A candidate named twice for a query counts once; of a document judged twice, the last grade.

    Args:
        documents: Where candidates come from.
        query_ids: ``[q]``.
        queries: ``[q]`` texts.
        candidates: Query and document of each, as positions, ``[n]`` each.
        judged: Query, document and grade of each judgement, ``[m]`` each; the position of a
            document that is not among ``documents`` is their number.
    """
    stride = len(documents) + 1
    pairs: Ints = np.unique(candidates[0] * stride + candidates[1])
    owners, docs_of = np.divmod(pairs, stride)
    keys: Ints = judged[0] * stride + judged[1]
    order = np.argsort(keys, kind="stable")
    again = np.append(np.diff(keys[order]) == 0, False) & (judged[1][order] < len(documents))
    kept = order[~again]
    judgements = Judgements(
        _bounds(judged[0][kept], len(query_ids)),
        judged[1][kept],
        judged[2][kept].astype(np.int32),
        len(documents),
    )
    return Reranking(
        documents,
        query_ids,
        queries,
        Candidates(_bounds(owners, len(query_ids)), docs_of),
        judgements,
    )


def _bounds(rows: Ints, n: int) -> Ints:
    """Return the CSR bounds of ascending row numbers."""
    return np.searchsorted(rows, np.arange(n + 1)).astype(np.int64)


def lists_of_tables(
    documents: Documents,
    queries: tuple[Sequence[str], Sequence[str]],
    ranked: pa.Table,
    judged: pa.Table,
    where: str,
) -> Reranking:
    """Build lists from Arrow tables, as mteb's data sets on the hub have them.

    Queries without a judgement are not part of the task.

    Args:
        documents: The corpus.
        queries: Ids and texts of all queries.
        ranked: ``query-id`` and ``corpus-ids``, a list a query.
        judged: ``query-id``, ``corpus-id`` and ``score``.
        where: Named in errors.

    Raises:
        DataError: A candidate is no document of the corpus.
    """
    query_ids, texts = queries
    asked = set(judged["query-id"].cast("string").unique().to_pylist())
    kept = [i for i, query in enumerate(query_ids) if query in asked]
    query_ids, texts = ([values[i] for i in kept] for values in (query_ids, texts))
    lists = ranked["corpus-ids"]
    docs = [chunk.flatten() for chunk in lists.chunks]
    sizes = [chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in lists.chunks]
    owner = np.repeat(_places(ranked["query-id"].chunks, query_ids), np.concatenate(sizes))
    place = _places(docs, documents.ids)[owner >= 0]
    if (place < 0).any():
        raise DataError(f"'{where}': a candidate is no document of the corpus.")
    rows = _places(judged["query-id"].chunks, query_ids)
    of = _places(judged["corpus-id"].chunks, documents.ids)
    grades = judged["score"].to_numpy().astype(np.int32)
    scored = rows, np.where(of < 0, len(documents), of), grades
    return make_reranking(documents, query_ids, texts, (owner[owner >= 0], place), scored)


def _places(chunks: Sequence[pa.Array], ids: Sequence[str]) -> Ints:
    """Return where each of some ids stands in a list of ids, -1 where it does not, ``[n]``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(ids, pa.string())
    found = [pc.index_in(chunk.cast(pa.string()), value_set=known) for chunk in chunks]
    return np.concatenate(
        [places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) for places in found]
    )


def from_retrieval(data: Retrieval, lists: Mapping[str, Iterable[str]], where: str) -> Reranking:
    """Return the queries of a retrieval task with candidates from elsewhere.

    Args:
        data: Corpus, queries and judgements.
        lists: Query id to ids of documents; queries of no list stay, without candidates.
        where: What names the candidates, for messages.

    Raises:
        DataError: A candidate is no document of the corpus.
    """
    index = {identifier: i for i, identifier in enumerate(data.documents.ids)}
    listed = [list(lists.get(query, ())) for query in data.query_ids]
    try:
        docs = np.array([index[doc] for row in listed for doc in row], dtype=np.int64)
    except KeyError as error:
        raise DataError(
            f"{where} names the document {str(error.args[0])[:60]!r}, which is not in the corpus. "
            "Was it made on other data?"
        ) from None
    rows = np.repeat(np.arange(len(listed)), [len(row) for row in listed])
    judgements = Judgements.from_qrels(data.query_ids, index, data.qrels)
    judged = np.repeat(np.arange(len(listed)), np.diff(judgements.indptr))
    return make_reranking(
        data.documents,
        data.query_ids,
        data.queries,
        (rows, docs),
        (judged, judgements.docs, judgements.grades),
    )


def read_jsonl(folder: Path, options: Mapping[str, Any], split: str) -> Reranking:
    """Read rows of a query, its positive and its negative texts, as the hub's older sets have them.

    As in mteb, every text of a row is a document of its own, negatives come first among equal
    scores, and a query without positives or without negatives is not scored: it is excluded.

    Options: ``file``; ``columns`` = {query, positive, negative} as keys, by default these.
    """
    path = folder / options["file"]
    return lists_of_texts(json_lines(path), options.get("columns", {}), str(path))


def lists_of_texts(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], where: str
) -> Reranking:
    """Build lists from rows of a query, positive and negative texts; ids come from the content.

    Raises:
        DataError: There are no rows, or a row lacks a query or a list of texts.
    """
    names = {key: columns.get(key, key) for key in ("query", "positive", "negative")}
    parsed = list(_texts(rows, names, where))
    if not parsed:
        raise DataError(f"{where} holds no queries.")
    query_ids = content_ids((query, *good, "", *bad) for query, good, bad in parsed)
    ids: list[str] = []
    texts: list[str] = []
    owners: list[int] = []
    grades: list[int] = []
    for number, (_, good, bad) in enumerate(parsed):
        if not good or not bad:
            continue
        for name, grade, some in (("apositive", 1, good), ("negative", 0, bad)):
            ids += [f"{name}_{query_ids[number]}_{i:05d}" for i in range(len(some))]
            texts += some
            owners += [number] * len(some)
            grades += [grade] * len(some)
    if not ids:
        raise DataError(f"{where}: no query has both positive and negative texts.")
    places, rows_of = np.arange(len(ids)), np.array(owners, dtype=np.int64)
    judged = rows_of, places, np.array(grades, dtype=np.int32)
    queries = [query for query, _, _ in parsed]
    return make_reranking(Documents(ids, texts), query_ids, queries, (rows_of, places), judged)


def _texts(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str], where: str
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the query, positives and negatives of each row.

    Raises:
        DataError: A row lacks one of them, or has it of another type.
    """
    for number, row in enumerate(rows, start=1):
        query, *lists = (row.get(names[key]) for key in ("query", "positive", "negative"))
        if not isinstance(query, str):
            raise DataError(f"{where}: row {number} has no text under '{names['query']}'.")
        for key, texts in zip(("positive", "negative"), lists, strict=True):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise DataError(f"{where}: row {number} has no list of texts under '{names[key]}'.")
        good, bad = ([clean(text) for text in texts or ()] for texts in lists)
        yield clean(query), good, bad


def read_beir_run(folder: Path, options: Mapping[str, Any], split: str) -> Reranking:
    """Read a BEIR folder and, as candidates, a TREC run file in it.

    Options: ``run``, the file; ``top``, how many documents of a query (all); ``qrels``.
    """
    path = folder / options["run"]
    top = options.get("top")
    if top is not None and (not isinstance(top, int) or top < 1):
        raise UsageError(f"`top` is a number of documents, at least 1, not {top!r}.")
    data = read_beir(folder, options, split=split)
    run = runs.read(path)
    run.check_queries(data.query_ids)
    return from_retrieval(data, run.best(top), f"'{path.name}'")


READERS: Mapping[str, Callable[[Path, Mapping[str, Any], str], Reranking]] = {
    "jsonl": read_jsonl,
    "beir": read_beir_run,
}
