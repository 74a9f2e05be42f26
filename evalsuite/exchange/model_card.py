"""Own results as the ``model-index`` of a Hugging Face model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.errors import NothingToReadError, UsageError, unknown_name
from evalsuite.exchange import names
from evalsuite.exchange.exported import DIGITS, Exported, why_not, write_text
from evalsuite.result import Result, Score
from evalsuite.store import load_results

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_YAML = (".yaml", ".yml")
_HUB_TYPES = {  # our types as the hub's kinds of task
    "STS": "sentence-similarity",
    "Retrieval": "text-retrieval",
}


def export_model_card(
    results: Path,
    out: Path,
    *,
    model: str | None = None,
    variant: str | None = None,
    revision: str | None = None,
) -> Exported:
    """Write one model's results as the metadata of its model card.

    An existing card keeps its text, its other metadata and other people's results.

    Args:
        results: Folder of the results.
        out: A card (``.md``), or a file for the metadata alone (``.yaml``).
        model: Name of the model; needed where there are several.
        variant: Variant of its runs; needed where there are several.
        revision: Revision of the model; needed where there are several.

    Raises:
        UsageError: It is not clear which model or variant is meant, or ``out`` is no card.
        NothingToReadError: There is no result to write.
        StoreError: The file cannot be written.
    """
    if out.suffix not in (".md", *_YAML):
        raise UsageError(f"'{out}' is neither .md nor .yaml.")
    loaded = load_results(results, strict=False)
    exported = Exported(out, problems=loaded.problems)
    own = []
    for result in loaded:
        reason = why_not(result)
        if reason is None:
            own.append(result)
        elif model in (None, result.model["name"]):
            exported.skipped[reason] += 1
    if not own:
        raise NothingToReadError(f"No full result of an own run under '{results}'.")
    own = _only(own, "model", lambda result: result.model["name"], model)
    own = _only(own, "revision", lambda result: result.model["revision"], revision)
    own = _only(own, "variant", lambda result: result.variant, variant)
    own, older = _newest(own)
    exported.skipped += older
    exported.results = len(own)
    write_text(out, _card(own, out))
    return exported


def _only(
    results: list[Result], what: str, key: Callable[[Result], str], wanted: str | None
) -> list[Result]:
    """Return the results of one model, revision or variant.

    Raises:
        UsageError: There are several and none was named, or another one was.
    """
    held = sorted({key(result) for result in results})
    if wanted is None and len(held) > 1:
        shown = ", ".join(f"'{name}'" for name in held[:8]) + (", ..." if len(held) > 8 else "")
        raise UsageError(f"There are several {what}s: {shown}. Name one with --{what}.")
    if wanted is not None and wanted not in held:
        raise unknown_name(what, wanted, held)
    return [result for result in results if key(result) == (wanted or held[0])]


def _newest(results: Sequence[Result]) -> tuple[list[Result], Counter[str]]:
    """Return the results in the newest version of each task, and what was left out."""
    newest: dict[str, Result] = {}
    for result in sorted(results, key=lambda result: (result.task["name"], result.task["version"])):
        newest[result.task["name"]] = result
    older = Counter({"in an older version of the task": len(results) - len(newest)})
    return list(newest.values()), older


def _card(results: Sequence[Result], out: Path) -> str:
    """Return the text of the file."""
    from huggingface_hub import ModelCard, ModelCardData

    ours = [entry for result in results for entry in _entries(result)]
    name = _text(results[0].model["name"])
    if out.suffix in _YAML:
        return ModelCardData(model_name=name, eval_results=ours).to_yaml() + "\n"
    card: Any = _existing(out) if out.exists() else ModelCard("---\n{}\n---\n")
    replaced = {_place(entry) for entry in ours}
    kept = [entry for entry in card.data.eval_results or () if _place(entry) not in replaced]
    card.data.model_name = card.data.model_name or name
    card.data.eval_results = kept + ours
    return str(card)


def _existing(path: Path) -> Any:
    from huggingface_hub import ModelCard

    try:
        return ModelCard(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' is no model card: {error}") from error
    except Exception as error:  # the YAML parser's own
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        raise UsageError(f"The metadata of '{path}' are no YAML: {error}") from error


def _place(entry: EvalResult) -> tuple[Any, ...]:
    return (*entry.unique_identifier, entry.metric_type)


def _entries(result: Result) -> list[EvalResult]:
    """Return one entry a measure."""
    from huggingface_hub import EvalResult

    task = names.catalogue_task(result.task["name"], result.task["version"])
    hub = task.data.get("hub", {}) if task else {}
    if task and names.known_fingerprint(task) not in (None, result.task["fingerprint"]):
        hub = {}  # other data than the catalogue's
    facts: dict[str, Any] = {
        "task_type": _HUB_TYPES.get(result.task.get("type", ""), "other"),
        "task_name": _text(result.task.get("type") or result.task["name"]),
        "dataset_type": hub.get("path", _text(result.task["name"])),
        "dataset_name": _text(result.task["name"]),
        "dataset_config": hub.get("config"),
        "dataset_split": _text(result.task.get("split", "")),
        "dataset_revision": hub.get("revision"),
        "dataset_args": {
            "evalsuite_task": result.task_key,
            "fingerprint": result.task["fingerprint"],
            "variant": _text(result.variant),
        },
    }
    main = result.main_measure
    ordered = sorted(result.scores.items(), key=lambda item: (item[0] != main, item[0]))
    return [EvalResult(**facts, **_metric(measure, score)) for measure, score in ordered]


def _metric(measure: str, score: Score) -> dict[str, Any]:
    metric = names.mteb_metric(measure)
    if score.ci95 is None:
        name, interval = f"{metric} (n={score.n})", {}
    else:
        low, high = (round(end, DIGITS) for end in score.ci95)
        name = f"{metric} (n={score.n}, 95 % interval {low:.4f} to {high:.4f})"
        interval = {"ci95": [low, high]}
    return {
        "metric_type": metric,
        "metric_value": round(score.value, DIGITS),
        "metric_name": name,
        "metric_args": {"n": score.n, **interval},
    }


def _text(text: str) -> str:
    """Return text that can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
