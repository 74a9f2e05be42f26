"""TREC run files: ``query Q0 document rank score tag``, one retrieved document a line.

As trec_eval does, a ranking is read from the scores alone, as float32, the larger id first among
equal ones; the column of ranks is for people. A float32 score reads back as it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evalsuite.data.layouts import hash_fields
from evalsuite.data.local import lines
from evalsuite.errors import DataError, UsageError
from evalsuite.result import Ranking
from evalsuite.store import write_atomically

SUFFIX = ".trec"


@dataclass(frozen=True)
class Run:
    """What one run file says.

    Attributes:
        name: The file's name, for messages.
        tag: The last column: what made the run.
        scores: Query id to document id to score, rounded to float32.
    """

    name: str
    tag: str
    scores: Mapping[str, Mapping[str, float]] = field(repr=False)

    def best(self, top: int | None = None) -> dict[str, list[str]]:
        """Return the best documents of each query, best first; all of them without ``top``."""
        return {
            query: sorted(found, key=lambda doc: (found[doc], doc), reverse=True)[:top]
            for query, found in self.scores.items()
        }

    def check_queries(self, known: Iterable[str]) -> None:
        """Check that every query of the run is known.

        Raises:
            DataError: One is not; the message names up to three.
        """
        unknown = sorted(self.scores.keys() - set(known))
        if unknown:
            shown = ", ".join(repr(query[:60]) for query in unknown[:3])
            raise DataError(
                f"'{self.name}' ranks {len(unknown)} queries the task does not have: {shown}. Was "
                "it made on other data or on another split?"
            )


def lists_digest(lists: Mapping[str, Iterable[str]]) -> str:
    """Return the sha256 of which documents each query has, whatever their order."""
    digest = hashlib.sha256()
    for query in sorted(lists):
        digest.update(hash_fields(query) + hash_fields(*sorted(lists[query])))
    return digest.hexdigest()


def read(path: Path) -> Run:
    """Read a run file.

    Raises:
        DataError: It is missing, empty, or a line has another shape, a score that is no finite
            number, another tag than the first, or a document the query already has.
    """
    scores: dict[str, dict[str, float]] = {}
    tag = ""
    for number, line in enumerate(lines(path), start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 6:
            raise DataError(
                f"{path}:{number} has {len(cells)} columns. A TREC run has six: query Q0 document "
                "rank score tag."
            )
        query, _, document, _, score, own = cells
        found = scores.setdefault(query, {})
        if document in found:
            raise DataError(f"{path}:{number} names '{document[:60]}' a second time for its query.")
        found[document] = _number(score, path, number)
        tag = tag or own
        if own != tag:
            raise DataError(
                f"{path}:{number} has the tag '{own[:40]}', the first line '{tag[:40]}': one file "
                "holds one run."
            )
    if not scores:
        raise DataError(f"The run file '{path}' holds no ranking.")
    return Run(path.name, tag, scores)


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not abs(value) <= np.finfo(np.float32).max:
        raise DataError(f"{path}:{line} has the score {text[:40]!r}, which is no finite number.")
    return float(np.float32(value))


def write(path: Path, ranking: Ranking, tag: str) -> None:
    """Write a ranking.

    Args:
        path: The file; it appears whole or not at all.
        ranking: What was found.
        tag: Names the run; without blanks.

    Raises:
        DataError: An id holds blanks, which no run file can.
        StoreError: The file cannot be written.
    """
    _check_ids(ranking.query_ids)
    ends = np.cumsum(ranking.counts)
    parts: list[str] = []
    for query, end, count in zip(ranking.query_ids, ends, ranking.counts, strict=True):
        documents = [ranking.document_ids[i] for i in ranking.docs[end - count : end]]
        _check_ids(documents)
        scores = ranking.scores[end - count : end]
        parts += [
            f"{query} Q0 {document} {rank} {score!s} {tag}\n"
            for rank, (document, score) in enumerate(zip(documents, scores, strict=True), start=1)
        ]
    write_atomically(path, "".join(parts).encode("utf-8"))


def _check_ids(ids: Sequence[str]) -> None:
    for identifier in ids:
        if identifier.split() != [identifier]:
            raise DataError(
                f"The id {identifier[:60]!r} is empty or holds blanks, which part the columns of a "
                "TREC run file. Run without --runs."
            )


def find(place: Path, task: str) -> Path:
    """Return the run file a path stands for: itself, or the one of a task in a folder.

    Raises:
        UsageError: There is none, or more than one.
    """
    if place.is_file():
        return place
    if not place.is_dir():
        raise UsageError(f"--rerank: there is no file or folder '{place}'.")
    found = sorted(place.glob(f"*.{task}{SUFFIX}"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"'{path.name}'" for path in found[:5])
        raise UsageError(
            f"--rerank: '{place}' holds {len(found)} runs of {task}: {names}. Name one."
        )
    raise UsageError(
        f"--rerank: '{place}' holds no run of {task}. One is written by `evalsuite run bm25 "
        f"-t {task} --runs {place}`."
    )
