"""mteb's retrieval path (2.26), driven with ready vectors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import mteb
from datasets import Dataset, disable_progress_bars
from mteb._evaluators.retrieval_evaluator import RetrievalEvaluator
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.timing import TimingStack

from benchmarks.corpora import Problem
from evalsuite.measures.ir import DEFAULT_KS

_NAMES = {"NDCG": "ndcg", "MAP": "map", "Recall": "recall", "P": "precision", "MRR": "mrr"}


class ReadyVectors(AbsEncoder):
    """An encoder that hands out vectors without looking at the texts: the least it can cost."""

    def __init__(self, problem: Problem, similarity: Any) -> None:
        """Take the vectors of a problem and the similarity mteb compares them by."""
        self._problem = problem
        self._given = self._chunk = 0
        fields = {"name": "benchmark/ready-vectors", "similarity_fn_name": similarity}
        self.mteb_model_meta = ModelMeta.create_empty(overwrites=fields)

    def restart(self, chunk: int) -> None:
        """Begin again with the first chunk of documents."""
        self._given, self._chunk = 0, chunk

    def encode(self, inputs: Any, *, prompt_type: Any = None, **options: Any) -> Any:
        """Return the vectors of the queries, or of the next chunk of documents."""
        if prompt_type == mteb.types.PromptType.query:
            return self._problem.queries
        start, self._given = self._given, self._given + self._chunk
        return self._problem.documents[start : self._given]


@contextmanager
def relieved(bare: bool) -> Iterator[None]:
    """Leave out the rewriting of texts and the abstention curves where ``bare``."""
    with ExitStack() as stack:
        if bare:
            wrappers = "mteb.models.search_wrappers.create_dataloader"
            curves = "mteb._evaluators.retrieval_metrics.evaluate_abstention"
            stack.enter_context(mock.patch(wrappers, return_value=None))
            stack.enter_context(mock.patch(curves, return_value={}))
        yield


class Mteb:
    """mteb's search and scoring at one setting."""

    def __init__(
        self,
        problem: Problem,
        chunk: int = 50_000,
        *,
        bare: bool = False,
        backend: str | None = None,
    ) -> None:
        """Build what mteb would have loaded; not timed."""
        disable_progress_bars()
        self._problem, self._bare, self._backend = problem, bare, backend
        self._chunk = len(problem.document_ids) if backend else chunk
        similarity = ScoringFunction.DOT_PRODUCT if bare else ScoringFunction.COSINE
        self._model: Any = ReadyVectors(problem, similarity)
        self._corpus = Dataset.from_dict({"id": problem.document_ids, "text": problem.document_ids})
        self._queries = Dataset.from_dict({"id": problem.query_ids, "text": problem.query_ids})
        self._metadata = mteb.get_task("SciFact").metadata
        self.scores: dict[str, float] = {}
        self.phases: list[list[float]] = []

    def _wrapper(self) -> Any:
        index = None
        if self._backend == "faiss":
            from mteb.models.search_encoder_index import FaissSearchIndex

            index = FaissSearchIndex(self._model)
        return SearchEncoderWrapper(self._model, self._chunk, index)

    def run(self) -> None:
        """Search and score once."""
        started = time.perf_counter()
        self._model.restart(self._chunk)
        evaluator = RetrievalEvaluator(
            self._corpus,
            self._queries,
            task_metadata=self._metadata,
            hf_split="test",
            hf_subset="default",
            top_k=max(DEFAULT_KS),
            timer=TimingStack(),
        )
        with relieved(self._bare):
            options: Any = {"batch_size": 32, "show_progress_bar": False}
            results = evaluator(self._wrapper(), encode_kwargs=options)
            searched = time.perf_counter()
            found = evaluator.evaluate(self._problem.qrels, results, DEFAULT_KS)
        self.phases.append([searched - started, time.perf_counter() - searched])
        means = {**found.ndcg, **found.map, **found.recall, **found.precision, **found.mrr}
        self.scores = {self._name(key): float(value) for key, value in means.items()}

    @staticmethod
    def _name(key: str) -> str:
        measure, _, k = key.partition("@")
        return f"{_NAMES[measure]}@{k}"
