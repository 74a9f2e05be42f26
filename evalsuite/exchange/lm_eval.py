"""Results files of lm-evaluation-harness, of any of its versions, as imported results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalsuite.errors import DataError
from evalsuite.exchange import files
from evalsuite.exchange.found import NO_RESULT, UNKNOWN, Found, Progress, Report, Selection, Skipped
from evalsuite.exchange.imported import import_all

TOOL = "lm-eval"
_NAME_KEYS = ("pretrained", "model", "path", "engine")  # of `model_args`, the first that is there
_SHOWN = (  # of `model_args`: kept readable; others move scores too and are kept as a hash
    "add_bos_token", "delta", "dtype", "enable_thinking", "gguf_file", "load_in_4bit",
    "load_in_8bit", "max_length", "peft", "prefix_token_id", "revision", "subfolder", "tokenizer",
)  # fmt: skip
_MOVES_NOTHING = (
    "batch_size", "device", "device_map", "gpu_memory_utilization", "low_cpu_mem_usage",
    "max_batch_size", "max_memory", "num_concurrent", "parallelize", "tensor_parallel_size",
    "trust_remote_code", "use_accelerate", "use_fast_tokenizer",
)  # fmt: skip
_SECRET = re.compile(r"key|secret|password|(^|_)(auth|hf|access)?_?token$", re.IGNORECASE)
_NO_METRIC = ("alias", "name", "sample_len", "sample_count")


def import_lm_eval(
    source: Path,
    results: Path,
    selection: Selection | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Report:
    """Import the results files of lm-evaluation-harness below a folder, or one file.

    Args:
        source: A results file, or a folder of them.
        results: Folder of the results.
        selection: What is wanted; everything by default.
        progress: Called with the number of files read and of all files.
        name: Name of the model, instead of the one in the files.

    Raises:
        UsageError: There is no such folder or file.
        NothingToReadError: It holds no results of the harness, or none that are asked for.
        StoreError: The results cannot be written.
    """

    def read(path: Path) -> Iterator[Found | Skipped]:
        table = files.load_object(path)
        if not isinstance(table.get("results"), dict) or not _is_ours(table):
            yield Skipped("", NO_RESULT)
            return
        yield from _found(table, name)

    return import_all(TOOL, source, read, results, selection or Selection(), progress)


def _is_ours(table: Mapping[str, Any]) -> bool:
    return isinstance(table.get("versions"), dict) or "lm_eval_version" in table


def _found(table: Mapping[str, Any], name: str | None) -> Iterator[Found]:
    config = _mapping(table, "config")
    arguments = _arguments(config.get("model_args"))
    model = name or _model_name(table, config, arguments)
    date = files.timestamp(table.get("date"))
    for task, metrics in table["results"].items():
        if not isinstance(metrics, dict):
            raise DataError("the results of a task are no object")
        scores, stderr = _scores(metrics)
        revision = _revision(table, config, files.text(task, "a task"))
        n, limit, fault = _sizes(table, config, task)
        notes = {"group_of": n_subtasks} if (n_subtasks := _subtasks(table, task)) else {}
        yield Found(
            file="",
            task=task,
            revision=revision,
            version=revision,
            split=_split(table, task),
            model=model,
            model_revision=_model_revision(config, arguments),
            scores=scores,
            main=_main(table, task, scores),
            n=n,
            limit=limit,
            stderr=stderr,
            options=_options(table, config, arguments),
            device=str(config.get("device") or UNKNOWN).partition(":")[0][:40],
            dtype=str(config.get("model_dtype") or UNKNOWN).removeprefix("torch.")[:40],
            date=date,
            tool_version=_tool_version(table),
            notes=notes,
            fault=fault or (None if scores else "no finite score"),
        )


def _mapping(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


# ---- scores


def _scores(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Return values and standard errors by measure.

    ``acc,none`` (``acc`` before version 0.4) is the measure ``acc``; other filters keep their name:
    ``exact_match,strict-match``.
    """
    scores: dict[str, float] = {}
    stderr: dict[str, float] = {}
    for key, value in metrics.items():
        finite = files.number(value)
        if finite is None or key in _NO_METRIC:
            continue
        metric, _, kind = key.partition(",")
        into = stderr if metric.endswith("_stderr") else scores
        suffix = "" if kind in ("", "none") else f",{kind}"
        into[files.text(metric.removesuffix("_stderr") + suffix, "a metric")] = finite
    return scores, stderr


def _main(table: Mapping[str, Any], task: str, scores: Iterable[str]) -> str:
    """Return the measure a table shows: the first the task declares, else the first in the file."""
    declared = _mapping(_mapping(table, "configs"), task).get("metric_list")
    if isinstance(declared, list) and declared and isinstance(declared[0], dict):
        wanted = declared[0].get("metric")
        for name in scores:
            if name.partition(",")[0] == wanted:
                return name
    return next(iter(scores), "acc")


def _sizes(
    table: Mapping[str, Any], config: Mapping[str, Any], task: str
) -> tuple[int, int | None, str | None]:
    """Return the number of items (0 if unstated), what they were cut to, and what is wrong."""
    counts = _mapping(_mapping(table, "n-samples"), task)
    effective, original = (_whole(counts.get(key)) for key in ("effective", "original"))
    limit = files.number(config.get("limit"))
    if effective is not None:
        return effective, effective if original is not None and effective < original else None, None
    if limit is None:
        return 0, None, None
    if limit < 1:
        return 0, None, "cut to a fraction of its items, their number not stated"
    return 0, int(limit), None


def _whole(value: Any) -> int | None:
    finite = files.number(value)
    return int(finite) if finite is not None and finite > 0 else None


# ---- task


def _revision(table: Mapping[str, Any], config: Mapping[str, Any], task: str) -> str:
    """Return the task's version with its number of examples, e.g. ``1.0,5-shot``."""
    version = _mapping(table, "versions").get(task)
    text = str(version)[:40] if isinstance(version, str | int | float) else UNKNOWN
    shots = _mapping(table, "n-shot").get(task, config.get("num_fewshot"))
    return text if (count := files.number(shots)) is None else f"{text},{int(count)}-shot"


def _split(table: Mapping[str, Any], task: str) -> str:
    config = _mapping(_mapping(table, "configs"), task)
    split = config.get("test_split") or config.get("validation_split")
    return split[:80] if isinstance(split, str) else UNKNOWN


def _subtasks(table: Mapping[str, Any], task: str) -> int:
    """Return how many tasks a group's score is the aggregate of; 0 for a task."""
    subtasks = _mapping(table, "group_subtasks").get(task)
    return len(subtasks) if isinstance(subtasks, list) else 0


# ---- model


def _arguments(value: Any) -> dict[str, str]:
    """Return ``model_args`` as text by key; secrets are dropped."""
    if isinstance(value, str):
        pairs = [part.partition("=")[::2] for part in value.split(",")]
    elif isinstance(value, dict):
        pairs = [(str(key), str(child)) for key, child in value.items()]
    else:
        pairs = []
    return {key.strip(): text.strip() for key, text in pairs if key and not _SECRET.search(key)}


def _model_name(
    table: Mapping[str, Any], config: Mapping[str, Any], arguments: Mapping[str, str]
) -> str:
    named = next((arguments[key] for key in _NAME_KEYS if arguments.get(key)), None)
    name = named or table.get("model_name") or config.get("model")
    return files.text(_without_folders(name) if isinstance(name, str) else name, "the model")


def _without_folders(name: str) -> str:
    """Return the last part of a path on somebody's disk; a name on the hub stays as it is."""
    path = name.replace("\\", "/").rstrip("/")
    is_path = path.startswith(("/", ".", "~")) or ":/" in path or path.count("/") > 1
    return path.rpartition("/")[2] if is_path else path


def _model_revision(config: Mapping[str, Any], arguments: Mapping[str, str]) -> str:
    for value in (config.get("model_sha"), arguments.get("revision"), config.get("model_revision")):
        if isinstance(value, str) and value:
            return value[:80]
    return UNKNOWN


def _options(
    table: Mapping[str, Any], config: Mapping[str, Any], arguments: Mapping[str, str]
) -> dict[str, str]:
    """Return what else could move a score; long values and unknown arguments as a hash."""
    options = {key: _without_folders(arguments[key])[:80] for key in _SHOWN if key in arguments}
    named = {*_SHOWN, *_MOVES_NOTHING, *_NAME_KEYS}
    others = sorted((key, value) for key, value in arguments.items() if key not in named)
    if others:
        options["other_args"] = _digest(others)
    for key in ("chat_template", "system_instruction"):
        if table.get(key):
            options[key] = _digest(table[key])
    if table.get("fewshot_as_multiturn"):
        options["fewshot_as_multiturn"] = "true"
    if config.get("gen_kwargs"):
        options["gen_kwargs"] = _digest(config["gen_kwargs"])
    return options


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:8]


# ---- provenance


def _tool_version(table: Mapping[str, Any]) -> str | None:
    for key in ("lm_eval_version", "git_hash"):
        if isinstance(table.get(key), str):
            return str(table[key])[:100]
    return None
