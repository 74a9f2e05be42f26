"""Lexical baselines: BM25 and TF-IDF, fitted on the texts of the task at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from evalsuite.cost import Cost
from evalsuite.engines.encode import Role
from evalsuite.engines.meter import Meter
from evalsuite.errors import UsageError
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from scipy.sparse import csr_array

VERSION = 1


class SparseEncoder(Protocol):
    """A model that turns texts into sparse vectors after seeing the corpus."""

    def fit(self, corpus: Sequence[str]) -> None:
        """Learn vocabulary and term statistics from the corpus."""
        ...

    def encode_sparse(self, texts: Sequence[str], role: Role = None) -> csr_array:
        """Return ``[n, terms]``; relevance is the inner product of query and document rows."""
        ...


class _Counted:
    """Counts what sparse rows take in an index: four bytes a term, four its weight."""

    def __init__(self) -> None:
        self.meter = Meter()

    def _counted(self, rows: csr_array, role: Role) -> csr_array:
        self.meter.returned(rows.shape[0], 8 * rows.nnz, documents=role == "document")
        return rows


class TfIdf(_Counted):
    """TF-IDF vectors of scikit-learn (sublinear term frequency, unit length)."""

    def __init__(self) -> None:
        super().__init__()
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer: Any = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")

    def fit(self, corpus: Sequence[str]) -> None:
        """Learn document frequencies."""
        try:
            self._vectorizer.fit(corpus)
        except ValueError:  # not one word in the whole corpus
            self._vectorizer.fit(["empty"])

    def encode_sparse(self, texts: Sequence[str], role: Role = None) -> csr_array:
        """Return ``[n, terms]``; roles do not differ."""
        from scipy.sparse import csr_array

        return self._counted(csr_array(self._vectorizer.transform(texts)), role)


class Bm25(_Counted):
    """BM25 as bm25s computes it (Lucene's variant, English stop words, Snowball stemmer)."""

    def __init__(self) -> None:
        super().__init__()
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise UsageError(
                "The model 'bm25' needs the packages bm25s and PyStemmer: "
                "pip install 'evalsuite[bm25]'."
            ) from error
        self._bm25s: Any = bm25s
        self._stemmer: Any = Stemmer.Stemmer("english")
        self._vocabulary: dict[str, int] = {}
        self._weights: csr_array | None = None
        self._fitted: tuple[str, ...] = ()

    def _tokens(self, texts: Sequence[str]) -> list[list[str]]:
        tokens: list[list[str]] = self._bm25s.tokenize(
            list(texts),
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return tokens

    def fit(self, corpus: Sequence[str]) -> None:
        """Index the corpus: its BM25 weights are its document vectors."""
        from scipy.sparse import csc_array, csr_array

        tokens = self._tokens(corpus)
        self._fitted = tuple(corpus)
        if not any(tokens):
            self._weights = csr_array((len(tokens), 1))
            return
        index = self._bm25s.BM25()
        index.index(tokens, show_progress=False)
        scores = index.scores
        self._vocabulary = {str(term): int(i) for term, i in index.vocab_dict.items()}
        shape = (len(tokens), len(scores["indptr"]) - 1)
        parts = (scores["data"], scores["indices"], scores["indptr"])
        self._weights = csr_array(csc_array(parts, shape=shape))

    def encode_sparse(self, texts: Sequence[str], role: Role = None) -> csr_array:
        """Return term counts for queries, and the fitted rows for documents.

        Raises:
            ValueError: Documents that were not fitted have no BM25 weights.
        """
        from scipy.sparse import csr_array

        if self._weights is None:
            raise ValueError("fit the corpus first")
        if role != "query":
            row_of = {text: row for row, text in enumerate(self._fitted)}
            return self._counted(self._weights[[row_of[text] for text in texts]], role)
        rows, columns = [], []
        for row, words in enumerate(self._tokens(texts)):
            known = [self._vocabulary[word] for word in words if word in self._vocabulary]
            columns += known
            rows += [row] * len(known)
        ones = [1.0] * len(rows)
        return csr_array((ones, (rows, columns)), shape=(len(texts), self._weights.shape[1]))


def resolve_tfidf(spec: Spec) -> Resolved:
    """Resolve the TF-IDF baseline."""
    return _resolved(spec, "tfidf", TfIdf, ("scikit-learn",))


def resolve_bm25(spec: Spec) -> Resolved:
    """Resolve the BM25 baseline."""
    return _resolved(spec, "bm25", Bm25, ("bm25s", "PyStemmer"))


def _resolved(
    spec: Spec, name: str, model: type[SparseEncoder], packages: tuple[str, ...]
) -> Resolved:
    spec.check_options(())

    def load(placement: Placement) -> SparseEncoder:
        return model()

    return Resolved(
        name=name,
        identity=f"evalsuite:{name}@{VERSION}",
        revision=f"v{VERSION}",
        load=load,
        verbs=("encode_sparse",),
        kind="lexical",
        moved_by=packages,
        count=lambda _: Cost(0, 0),  # it looks terms up: nothing is multiplied with weights
    )
