"""mteb's tasks with the items evalsuite loads, so that mteb asks nothing of the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalsuite.data import Labelled, LabelledSets, Pairs, Reranking, Retrieval
    from evalsuite.task import Task

# mteb's task of the same kind, for data of which it has no task
STAND_INS: Mapping[str, str] = {
    "pairs": "STSBenchmark",
    "retrieval": "SciFact",
    "reranking": "AskUbuntuDupQuestions",
    "labelled": "Banking77Classification",
    "labelled_sets": "TwentyNewsgroupsClustering.v2",
}


def pairs_dataset(data: Pairs, split: str) -> Any:
    """Return pairs as mteb's STS tasks hold them."""
    from datasets import Dataset, DatasetDict

    columns = {"sentence1": data.first, "sentence2": data.second, "score": data.gold.tolist()}
    return DatasetDict({split: Dataset.from_dict(columns)})


def labelled_dataset(data: Labelled, split: str) -> Any:
    """Return labelled texts as mteb's classification tasks hold them."""
    from datasets import Dataset, DatasetDict

    splits = {split: data.test, "train": data.train}  # of one split, the order it was read in
    return DatasetDict(
        {
            name: Dataset.from_dict({"text": list(part.texts), "label": part.labels.tolist()})
            for name, part in splits.items()
        }
    )


def retrieval_dataset(data: Retrieval, split: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return a corpus, queries and judgements as mteb's retrieval tasks hold them."""
    from datasets import Dataset

    corpus = {"id": data.documents.ids, "text": data.documents.texts[:]}
    queries = {"id": data.query_ids, "text": data.queries}
    relevant = {query: dict(grades) for query, grades in data.qrels.items()}
    parts = {
        "corpus": Dataset.from_dict(corpus),
        "queries": Dataset.from_dict(queries),
        "relevant_docs": relevant,
        "top_ranked": None,
    }
    return {"default": {split: parts}}


def reranking_dataset(data: Reranking, split: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return lists of candidates as mteb's reranking tasks hold them."""
    import numpy as np
    from datasets import Dataset

    ids = np.array([*data.documents.ids, "not in the corpus"], dtype=object)
    listed = np.split(ids[data.candidates.docs], data.candidates.indptr[1:-1])
    judged = zip(
        np.split(ids[data.judgements.docs], data.judgements.indptr[1:-1]),
        np.split(data.judgements.grades, data.judgements.indptr[1:-1]),
        strict=True,
    )
    grades = (dict(zip(docs.tolist(), given.tolist(), strict=True)) for docs, given in judged)
    corpus = {"id": list(data.documents.ids), "text": data.documents.texts[:]}
    parts = {
        "corpus": Dataset.from_dict(corpus),
        "queries": Dataset.from_dict({"id": list(data.query_ids), "text": list(data.queries)}),
        "relevant_docs": dict(zip(data.query_ids, grades, strict=True)),
        "top_ranked": {
            query: docs.tolist()
            for query, docs in zip(data.query_ids, listed, strict=True)
            if len(docs)
        },
    }
    return {"default": {split: parts}}


def clustering_dataset(data: LabelledSets, split: str) -> Any:
    """Return labelled texts as mteb's clustering tasks hold them."""
    from datasets import Dataset, DatasetDict

    labels = [list(levels) if len(levels) > 1 else levels[0] for levels in data.labels]
    columns = {"sentences": list(data.texts), "labels": labels}
    return DatasetDict({split: Dataset.from_dict(columns)})


def load_task(name: str, data_dir: Path, limit: int | None) -> Any:
    """Return mteb's task of that name, or its stand-in, with evalsuite's items in it."""
    from evalsuite import data, registry

    ours = registry.get_task(name)
    layout = registry.get_protocol(ours.protocol).layout
    loaded: Any = data.load(ours, layout, data_dir=data_dir, limit=limit, online=False).data
    task = _known(name) or _stand_in(ours, layout)
    build: Mapping[str, Callable[[Any, str], Any]] = {
        "labelled": labelled_dataset,
        "labelled_sets": clustering_dataset,
        "pairs": pairs_dataset,
        "retrieval": retrieval_dataset,
        "reranking": reranking_dataset,
    }
    task.dataset = build[layout](loaded, task.eval_splits[0])
    task.data_loaded = True
    return task


def _known(name: str) -> Any | None:
    import mteb

    try:
        return mteb.get_task(name)
    except KeyError:
        return None


def _stand_in(ours: Task, layout: str) -> Any:
    """Return mteb's task of the same kind, told of this task's name, split and parameters."""
    import mteb

    task: Any = mteb.get_task(STAND_INS[layout])
    task.metadata = task.metadata.model_copy(
        update={"name": ours.name, "eval_splits": [ours.split]}
    )
    if layout == "labelled":
        task.is_cross_validation = ours.params.get("cross_validation", False)
    if layout == "labelled_sets":
        task.max_document_to_embed = None
        task.max_fraction_of_documents_to_embed = ours.params.get("max_fraction") or None
    return task
