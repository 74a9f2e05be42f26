"""mteb's result files, of any of its versions, as imported results.

``<org>__<model>/<revision>[/experiments/<name>]/<Task>.json`` below any folder: a cache of mteb's,
a checkout of its results repository, one model or one revision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalsuite.errors import DataError
from evalsuite.exchange import files, names
from evalsuite.exchange.found import NO_RESULT, UNKNOWN, Found, Progress, Report, Selection, Skipped
from evalsuite.exchange.imported import import_all

TOOL = "mteb"
MAIN = "main_score"
_META = "model_meta.json"
_EXPERIMENTS = "experiments"
_SPLITS = ("test", "dev", "validation")  # the first there is imported, but for tasks of ours
# Kept where a task is none of ours; a file holds up to 150 numbers.
_SHOWN = frozenset(map(names.measure_of, (
    MAIN, "accuracy", "f1", "ap", "max_ap", "cosine_ap", "v_measure", "map", "mrr", "lrap",
    "kendalltau", "ndcg_at_10", "map_at_10", "mrr_at_10", "recall_at_10", "recall_at_100",
    "precision_at_10", "cosine_spearman", "cosine_pearson", "euclidean_spearman",
    "manhattan_spearman",
)))  # fmt: skip
# Before mteb 1.11: nested names, and no main score but in classification.
_NESTED = {"cos_sim": "cosine", "manhattan": "manhattan", "euclidean": "euclidean", "dot": "dot"}
_OLD_MAIN = ("ndcg_at_10", "cosine_spearman", "max_ap", "v_measure", "map", "f1", "accuracy")


def import_mteb(
    source: Path,
    results: Path,
    selection: Selection | None = None,
    progress: Progress | None = None,
) -> Report:
    """Import mteb's results below a folder, one file after another.

    Args:
        source: A cache of mteb's, a checkout of its results repository or a part of either.
        results: Folder of the results.
        selection: What is wanted; everything by default.
        progress: Called with the number of files read and of all files.

    Raises:
        UsageError: There is no such folder.
        NothingToReadError: It holds no result of mteb, or none that is asked for.
        StoreError: The results cannot be written.
    """
    selection = selection or Selection()
    shared = names.shared_tasks(selection.own)
    reader = _Reader(selection, {key: task.split for key, task in shared.items()})
    return import_all(TOOL, source, reader.read, results, selection, progress)


@dataclass
class _Reader:
    """Reads one file; remembers the model of the folder it is in."""

    selection: Selection
    splits: Mapping[str, str]  # of the tasks that share a column with ours
    _folder: Path | None = None
    _model: tuple[str, str, Mapping[str, str]] = ("", "", MappingProxyType({}))

    def read(self, path: Path) -> Iterator[Found | Skipped]:
        """Yield the scores of one file.

        Raises:
            DataError: The file is malformed.
        """
        if path.name == _META:
            return
        model, revision, options = self._place(path.parent)
        if not self.selection.wants_model(model):
            return
        table = files.load_object(path)
        if "task_name" not in table and "mteb_dataset_name" not in table:
            yield Skipped("", NO_RESULT)
            return
        yield self._found(table, model, revision, options)

    def _found(
        self,
        table: Mapping[str, Any],
        model: str,
        model_revision: str,
        options: Mapping[str, str],
    ) -> Found:
        task = files.text(table.get("task_name", table.get("mteb_dataset_name")), "the task")
        splits = _splits(table)
        ours = self.splits.get(names.foreign_key(TOOL, task, str(table.get("dataset_revision"))))
        split = next((name for name in (ours, *_SPLITS) if name in splits), min(splits))
        entries = splits[split]
        scores, main, fault = _scores(entries)
        subsets = sorted(entry["hf_subset"] for entry in entries)
        revision, version = _revision(table.get("dataset_revision"), split, subsets)
        tool_version = table.get("mteb_version")
        notes: dict[str, Any] = {}
        if subsets != ["default"]:
            notes["mean_of_subsets"] = subsets if len(subsets) <= 20 else len(subsets)
        if len(splits) > 1:
            notes["other_splits"] = sorted(set(splits) - {split})
        if main is not None:
            notes["main_score_is"] = main  # an old file, which names none
        return Found(
            file="",
            task=task,
            revision=revision,
            version=version,
            split=split,
            model=model,
            model_revision=model_revision,
            scores=scores,
            main=MAIN,
            shown=_SHOWN,
            options=options,
            languages=_languages(entries),
            date=files.timestamp(table.get("date")),
            tool_version=tool_version[:100] if isinstance(tool_version, str) else None,
            notes=notes,
            fault=fault,
        )

    def _place(self, folder: Path) -> tuple[str, str, Mapping[str, str]]:
        """Return name and revision of a folder's model, and its options, from the names."""
        if folder != self._folder:
            self._folder, self._model = folder, _model_of(folder.resolve())
        return self._model


def _model_of(folder: Path) -> tuple[str, str, Mapping[str, str]]:
    options = {}
    if folder.parent.name == _EXPERIMENTS:
        options = {"experiment": folder.name}
        folder = folder.parent.parent
    return _model_name(folder), folder.name or UNKNOWN, options


def _model_name(folder: Path) -> str:
    """Return the name in ``model_meta.json``, else the one the folder's name stands for."""
    try:
        return files.text(files.load_object(folder / _META).get("name"), "the model")
    except DataError:
        return folder.parent.name.replace("__", "/") or UNKNOWN


def _revision(value: Any, split: str, subsets: Sequence[str]) -> tuple[str, str]:
    """Return what two results must share, in full and short: data, split and subsets.

    The revision of the data stands alone where the subset is ``default``, as it does in `same_as`.
    """
    known = isinstance(value, str) and value not in ("", "None")
    revision = value[: files.MAX_NAME] if known else UNKNOWN
    rest = names.mteb_part(split, subsets)
    full = revision if subsets == ["default"] else revision + rest
    return full, revision[:12] + rest


def _splits(table: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each split.

    Raises:
        DataError: There are none, or one is malformed.
    """
    scores = table.get("scores") if "scores" in table else _converted(table)
    if not isinstance(scores, Mapping) or not scores:
        raise DataError("no scores")
    for split, entries in scores.items():
        files.text(split, "a split")
        if not isinstance(entries, list) or not entries:
            raise DataError(f"the scores of the split '{split[:40]}' are no list")
        for entry in entries:
            if not isinstance(entry, dict):
                raise DataError(f"an entry of the split '{split[:40]}' is no object")
            files.text(entry.get("hf_subset"), "a subset")
    return dict(scores)


def _converted(table: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what files from before mteb 1.11 hold, in the form of later ones."""
    splits = {}
    for split, scores in table.items():
        if isinstance(scores, dict):
            scores = {key: value for key, value in scores.items() if key != "evaluation_time"}
            nested = [k for k, v in scores.items() if isinstance(v, dict) and not _is_kind(k)]
            parts = {key: scores[key] for key in nested} or {"default": scores}
            splits[split] = [_flat(subset, part) for subset, part in parts.items()]
    return splits


def _is_kind(key: str) -> bool:
    return key in _NESTED or key in ("max", "similarity", "v_measures")


def _flat(subset: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry: ``cos_sim: {spearman}`` becomes ``cosine_spearman``."""
    flat: dict[str, Any] = {"hf_subset": subset, "languages": []}
    for key, value in scores.items():
        if isinstance(value, dict):
            flat |= {f"{_NESTED.get(key, key)}_{name}": child for name, child in value.items()}
        else:
            flat[key] = value
    if MAIN not in flat:
        main = next((name for name in _OLD_MAIN if name in flat), None)
        flat |= {MAIN: flat.get(main), "main_score_is": main} if main else {}
    return flat


def _scores(
    entries: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float], str | None, str | None]:
    """Return the means over the subsets, what an old file's main score is, and what is wrong."""
    for entry in entries:
        if entry.get(MAIN) is None:
            return {}, None, "no main score"
        if files.number(entry[MAIN]) is None:
            return {}, None, "main score is NaN or no number"
    scores = {}
    for metric in entries[0]:
        if metric.startswith("nauc_"):  # two thirds of a retrieval file, none of ours
            continue
        values = [files.number(entry.get(metric)) for entry in entries]
        present = [value for value in values if value is not None]
        if len(present) == len(values):
            scores[names.measure_of(metric)] = sum(present) / len(present)
    return scores, entries[0].get("main_score_is"), None


def _languages(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ISO 639-3 codes, scripts left out."""
    codes = set()
    for entry in entries:
        languages = entry.get("languages")
        if isinstance(languages, list):
            codes |= {code.partition("-")[0] for code in languages if isinstance(code, str)}
    return sorted(codes)
