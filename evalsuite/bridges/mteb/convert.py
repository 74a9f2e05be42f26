"""From the data of mteb's tasks to ours: a function a kind, of one subset and split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalsuite.data import Bitext, Documents, Labelled, LabelledSets, Pairs, Reranking, Retrieval
from evalsuite.data.bitext import make_subset
from evalsuite.data.labelled import make_labelled
from evalsuite.data.labelled_sets import make_labelled_sets
from evalsuite.data.local import clean, document_text, make_pairs
from evalsuite.data.reranking import from_retrieval
from evalsuite.data.summaries import Summaries, make_summaries
from evalsuite.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def _splits(task: Any, subset: str) -> Any:
    """Return the splits of a subset; data of a single one may lack the level of subsets."""
    return task.dataset.get(subset, task.dataset)


def _rows(task: Any, subset: str, split: str) -> Dataset:
    """Return one split.

    Raises:
        DataError: The data lack it.
    """
    splits = _splits(task, subset)
    if split not in splits:
        raise DataError(f"the subset '{subset}' has no split '{split}', only {', '.join(splits)}.")
    return splits[split]


def _columns(table: Dataset, *names: str) -> list[list[Any]]:
    """Return columns as lists.

    Raises:
        DataError: One is missing.
    """
    if absent := [name for name in names if name not in table.column_names]:
        known = ", ".join(table.column_names)
        raise DataError(f"there is no column '{absent[0]}', only {known}.")
    return [list(table[name]) for name in names]


def sts(task: Any, subset: str, split: str) -> Pairs:
    """Return pairs with their similarity, on the scale of the data."""
    table = _rows(task, subset, split)
    columns = _columns(table, *task.column_names, "score")
    return make_pairs(list(zip(*columns, strict=True)), None, f"the subset '{subset}'")


def pair_classification(task: Any, subset: str, split: str) -> Pairs:
    """Return pairs with 1 where they match; older data hold all of them in one row of lists."""
    names = (task.input1_column_name, task.input2_column_name, task.label_column_name)
    columns = _columns(_rows(task, subset, split), *names)
    if all(len(column) == 1 and isinstance(column[0], list) for column in columns):
        columns = [column[0] for column in columns]
    return make_pairs(list(zip(*columns, strict=True)), None, f"the subset '{subset}'")


def classification(task: Any, subset: str, split: str) -> Labelled:
    """Return texts to learn from, in their order, and texts to label."""
    names = (task.input_column_name, task.label_column_name)
    splits = [task.train_split] if task.is_cross_validation else [task.train_split, split]
    rows = [list(zip(*_columns(_rows(task, subset, name), *names), strict=True)) for name in splits]
    return make_labelled(rows[0], rows[1] if len(rows) > 1 else None, f"the subset '{subset}'")


def retrieval(task: Any, subset: str, split: str) -> Retrieval:
    """Return a corpus, the queries that are judged, and their judgements."""
    data = _ranked(task, subset, split)
    if data["top_ranked"] and not task.metadata.type.endswith("Reranking"):
        raise DataError("mteb ranks given candidates of this task: it is none of retrieval.")
    documents = Documents(
        [str(identifier) for identifier in data["corpus"]["id"]],
        [document_text(row) for row in data["corpus"]],
    )
    qrels = {str(q): _grades(row) for q, row in data["relevant_docs"].items() if row}
    texts = zip(map(str, data["queries"]["id"]), _queries(data["queries"]), strict=True)
    kept = {identifier: clean(text) for identifier, text in texts if identifier in qrels}
    return Retrieval(documents, list(kept), list(kept.values()), qrels)


def reranking(task: Any, subset: str, split: str) -> Reranking:
    """Return the queries of a retrieval task with the candidates given for them.

    Raises:
        DataError: There are none.
    """
    ranked = _ranked(task, subset, split)["top_ranked"]
    if not ranked:
        raise DataError(f"the subset '{subset}' has no candidates to rank.")
    lists = {str(query): [str(doc) for doc in docs] for query, docs in ranked.items()}
    return from_retrieval(retrieval(task, subset, split), lists, f"The subset '{subset}'")


def clustering(task: Any, subset: str, split: str) -> LabelledSets:
    """Return texts to cluster, in their order, with labels of one or more levels.

    Raises:
        DataError: Labels are numbers and some text lacks one: mteb leaves that text out.
    """
    columns = _columns(_rows(task, subset, split), task.input_column_name, task.label_column_name)
    labels = [label if isinstance(label, list) else [label] for label in columns[1]]
    numbers = all(isinstance(name, int) for names in labels for name in names)
    if numbers and (len(set(map(len, labels))) > 1 or any(-1 in names for names in labels)):
        raise DataError("some texts have no label, which mteb leaves out of numbered labels only.")
    rows = ((text, label, None) for text, label in zip(columns[0], labels, strict=True))
    return make_labelled_sets(rows, {}, f"the subset '{subset}'")


def _ranked(task: Any, subset: str, split: str) -> Any:
    """Return corpus, queries and judgements in mteb's present form."""
    task.convert_v1_dataset_format_to_v2(num_proc=None)
    return _rows(task, subset, split)


def _grades(row: Any) -> dict[str, int]:
    return {str(document): int(grade) for document, grade in row.items()}


def _queries(table: Dataset) -> list[str]:
    """Return what a model reads of each query: instructions and turns of a talk joined to it."""
    from mteb._create_dataloaders import _retrieval_texts
    from mteb.types import PromptType

    return list(_retrieval_texts(table, PromptType.query))


def summarization(task: Any, subset: str, split: str) -> Summaries:
    """Return texts with summaries by people and by machines, and the ratings of these."""
    names = (
        task.text_column_name,
        task.human_summaries_column_name,
        task.machine_summaries_column_name,
        task.relevancy_column_name,
    )
    columns = _columns(_rows(task, subset, split), *names)
    return make_summaries(zip(*columns, strict=True), f"the subset '{subset}'")


def bitext(task: Any, subset: str, split: str) -> Bitext:
    """Return the texts of one pair of languages; the translation of a text stands in its row."""
    parallel = task.parallel_subsets
    table = task.dataset[split] if parallel else _rows(task, subset, split)
    names = subset.split("-") if parallel else ("sentence1", "sentence2")
    first, second = ([clean(str(text)) for text in side] for side in _columns(table, *names))
    gold = [int(pair[1]) for pair in table["gold"]] if "gold" in table.column_names else None
    return Bitext([make_subset(subset, first, second, gold or range(len(second)))])
