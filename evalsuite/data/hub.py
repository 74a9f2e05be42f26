"""Data from the hub, at pinned revisions: the local cache first, then the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from evalsuite.data import summaries
from evalsuite.data.bitext import Bitext, Subset, make_bitext, make_subset
from evalsuite.data.examples import Examples, Row, columns_of, make_examples
from evalsuite.data.labelled import TRAIN, Labelled, make_labelled
from evalsuite.data.labelled_sets import LabelledSets, make_labelled_sets
from evalsuite.data.layouts import Documents, Pairs, Retrieval
from evalsuite.data.local import clean, document_text, make_pairs
from evalsuite.data.reranking import Reranking, lists_of_tables
from evalsuite.data.summaries import Summaries, make_summaries
from evalsuite.errors import DataError

if TYPE_CHECKING:
    import datasets


def snapshot(source: Mapping[str, Any], *, online: bool = True) -> Path:
    """Return the local folder of a data repository at its pinned revision.

    Args:
        source: ``path`` (repository or local folder) and ``revision``.
        online: Ask the network for what the cache lacks.

    Raises:
        DataError: It is neither cached nor to be had.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if Path(source["path"]).is_dir():
        return Path(source["path"])
    where = {"repo_id": source["path"], "revision": source["revision"], "repo_type": "dataset"}
    try:
        return Path(huggingface_hub.snapshot_download(**where, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    reason = "it is not in the local cache"
    try:
        if online:
            return Path(huggingface_hub.snapshot_download(**where))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason += f", and the hub cannot be asked ({type(error).__name__})"
    raise DataError(
        f"the data set '{source['path']}' (revision {source['revision'][:12]}) is not to be had: "
        f"{reason}."
    )


def read_pairs(folder: Path, source: Mapping[str, Any], split: str) -> Pairs:
    """Read pairs; ``columns`` defaults to ``sentence1``, ``sentence2``, ``score``.

    A row holds a pair, or one row holds the lists of all, as mteb's pair classification has them.

    Raises:
        DataError: A column is missing, or the columns are not of one length.
    """
    names = {"first": "sentence1", "second": "sentence2", "gold": "score"}
    names |= source.get("columns", {})
    table = _split(folder, source.get("config"), split)
    columns = _columns(table, [names[key] for key in ("first", "second", "gold")], source["path"])
    if len(table) == 1 and all(isinstance(column[0], list) for column in columns):
        columns = [column[0] for column in columns]
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"'{source['path']}': its lists of texts and golds differ in length.")
    return make_pairs(list(zip(*columns, strict=True)), None, source["path"])


def read_labelled(folder: Path, source: Mapping[str, Any], split: str) -> Labelled:
    """Read labelled texts; ``columns`` defaults to ``text`` and ``label``.

    Raises:
        DataError: A split or a column is missing.
    """
    names = {"text": "text", "label": "label"} | dict(source.get("columns", {}))
    splits = []
    for name in dict.fromkeys((TRAIN, split)):
        table = _split(folder, source.get("config"), name, strict=True)
        columns = _columns(table, [names["text"], names["label"]], source["path"])
        splits.append(list(zip(*columns, strict=True)))
    return make_labelled(splits[0], splits[1] if len(splits) > 1 else None, source["path"])


def read_examples(folder: Path, source: Mapping[str, Any], split: str) -> Examples:
    """Read examples; ``dev`` names the split settings are chosen by, if there is one.

    Raises:
        DataError: A split or a column is missing.
    """
    names = list(columns_of(source).values())

    def rows(name: str) -> list[Row]:
        table = _split(folder, source.get("config"), name, strict=True)
        return list(zip(*_columns(table, names, source["path"]), strict=True))

    dev = rows(source["dev"]) if "dev" in source else None
    return make_examples(rows(TRAIN), dev, None if split == TRAIN else rows(split), source["path"])


def read_bitext(folder: Path, source: Mapping[str, Any], split: str) -> Bitext:
    """Read pairs of texts, by subset.

    ``columns`` defaults to ``sentence1`` and ``sentence2``. A subset is a value of the column
    ``subset``, or one of ``configs``. Where there is a column ``gold``, one row holds the lists of
    all texts and ``gold`` lists places from 1, as BUCC has them.

    Raises:
        DataError: A column is missing, or a place is none of a text.
    """
    names = {"first": "sentence1", "second": "sentence2"} | dict(source.get("columns", {}))
    wanted = [names[key] for key in ("subset", "first", "second", "gold") if key in names]
    tables = {
        config or "": _columns(_split(folder, config, split), wanted, source["path"])
        for config in source.get("configs", [source.get("config")])
    }
    if "gold" in names:
        return Bitext([_aligned(name, *columns) for name, columns in tables.items()])
    rows: list[tuple[Any, ...]] = []
    for name, columns in tables.items():
        pairs = zip(*columns, strict=True)
        rows += pairs if "subset" in names else ((name, *pair) for pair in pairs)
    return make_bitext(rows, source["path"])


def read_summaries(folder: Path, source: Mapping[str, Any], split: str) -> Summaries:
    """Read texts with their summaries; ``columns`` defaults to those of mteb.

    Raises:
        DataError: A column is missing.
    """
    names = dict(summaries.COLUMNS) | dict(source.get("columns", {}))
    table = _split(folder, source.get("config"), split)
    columns = _columns(table, [names[key] for key in summaries.COLUMNS], source["path"])
    return make_summaries(zip(*columns, strict=True), source["path"])


def _aligned(name: str, first: list[Any], second: list[Any], gold: list[Any]) -> Subset:
    """Build a subset from lists of texts and pairs of places; texts without a pair are left out.

    Raises:
        DataError: A place is none of a text.
    """
    texts, candidates = ([clean(str(text)) for text in side[0]] for side in (first, second))
    pairs = np.asarray(gold[0], dtype=np.int64).reshape(-1, 2) - 1
    if (
        not len(pairs)
        or pairs.min() < 0
        or (pairs.max(axis=0) >= (len(texts), len(candidates))).any()
    ):
        raise DataError(f"'{name}': its `gold` does not list places of its texts.")
    return make_subset(name, [texts[i] for i in pairs[:, 0]], candidates, pairs[:, 1].tolist())


def read_labelled_sets(folder: Path, source: Mapping[str, Any], split: str) -> LabelledSets:
    """Read texts to cluster, a text or a set of them a row, and keep those the options say.

    ``columns`` defaults to ``sentences`` and ``labels``.

    Raises:
        DataError: The split or a column is missing.
    """
    names = {"text": "sentences", "label": "labels"} | dict(source.get("columns", {}))
    table = _split(folder, source.get("config"), split, strict=True)
    columns = _columns(table, [names["text"], names["label"]], source["path"])
    rows = ((text, label, None) for text, label in zip(*columns, strict=True))
    return make_labelled_sets(rows, source, source["path"])


def read_retrieval(folder: Path, source: Mapping[str, Any], split: str) -> Retrieval:
    """Read the configurations ``corpus``, ``queries`` and ``default`` or ``qrels``."""
    import datasets

    prefix = f"{source['config']}-" if source.get("config") else ""
    known = datasets.get_dataset_config_names(str(folder))
    qrels_name = f"{prefix}qrels" if f"{prefix}qrels" in known else "default"
    corpus = _split(folder, f"{prefix}corpus", split)
    queries = _split(folder, "query" if "query" in known else f"{prefix}queries", split)
    qrels: dict[str, dict[str, int]] = {}
    judged = _split(folder, qrels_name, split)
    for query, document, grade in zip(
        judged["query-id"][:], judged["corpus-id"][:], judged["score"][:], strict=True
    ):
        qrels.setdefault(str(query), {})[str(document)] = int(grade)
    texts = dict(zip(_ids(queries), (clean(t) for t in queries["text"][:]), strict=True))
    kept = [identifier for identifier in texts if identifier in qrels]
    documents = Documents(_ids(corpus), HubTexts(corpus))
    return Retrieval(documents, kept, [texts[identifier] for identifier in kept], qrels)


def read_reranking(folder: Path, source: Mapping[str, Any], split: str) -> Reranking:
    """Read the configurations of :func:`read_retrieval`, and ``top_ranked`` with the candidates.

    Raises:
        DataError: There are no candidates, or one is no document of the corpus.
    """
    import datasets

    prefix = f"{source['config']}-" if source.get("config") else ""
    known = datasets.get_dataset_config_names(str(folder))
    if f"{prefix}top_ranked" not in known:
        raise DataError(f"'{source['path']}' has no configuration '{prefix}top_ranked'.")
    qrels_name = f"{prefix}qrels" if f"{prefix}qrels" in known else "default"
    corpus = _split(folder, f"{prefix}corpus", split)
    queries = _split(folder, "query" if "query" in known else f"{prefix}queries", split)
    ranked, judged = (
        _split(folder, name, split).with_format("arrow")[:]
        for name in (f"{prefix}top_ranked", qrels_name)
    )
    documents = Documents(_ids(corpus), HubTexts(corpus))
    texts = [clean(text) for text in queries["text"][:]]
    return lists_of_tables(documents, (_ids(queries), texts), ranked, judged, source["path"])


class HubTexts(Sequence[str]):
    """Document texts of a memory-mapped data set."""

    def __init__(self, table: datasets.Dataset) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, int):
            return document_text(self._table[index])
        rows = self._table[index]
        titles = rows.get("title") or [""] * len(rows["text"])
        return [
            document_text({"title": title, "text": text})
            for title, text in zip(titles, rows["text"], strict=True)
        ]


def _ids(table: datasets.Dataset) -> list[str]:
    return [str(i) for i in table["_id" if "_id" in table.column_names else "id"][:]]


def _columns(table: datasets.Dataset, names: Sequence[str], where: str) -> list[list[Any]]:
    """Return columns as lists.

    Raises:
        DataError: One is missing.
    """
    if absent := [name for name in names if name not in table.column_names]:
        known = ", ".join(table.column_names)
        raise DataError(f"'{where}' has no column '{absent[0]}', only {known}.")
    return [table[name][:] for name in names]


def _state(folder: Path) -> str:
    """Return a hash of the files' names, sizes and times.

    ``datasets`` finds what it has prepared by the folder's name, even after its files have changed.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    seen = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(seen).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _split(
    folder: Path, config: str | None, split: str, *, strict: bool = False
) -> datasets.Dataset:
    """Return a split; where there is but one and not ``strict``, that one, whatever its name."""
    import datasets

    prepared = Path(datasets.config.HF_DATASETS_CACHE) / "evalsuite" / _state(folder)
    try:
        found = datasets.load_dataset(str(folder), config, cache_dir=str(prepared))
    except (ValueError, OSError, datasets.exceptions.DatasetGenerationError) as error:
        raise DataError(
            f"Cannot read '{config or 'default'}' of '{folder.name}': {error}"
        ) from error
    name = split if split in found else next(iter(found))
    if name != split and (strict or len(found) > 1):
        raise DataError(f"'{folder.name}' has no split '{split}', only {', '.join(found)}.")
    return found[name]
