"""Rerankers: checkpoints that score a document for a query, known from their files alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evalsuite.errors import ModelError, UsageError, unknown_name
from evalsuite.models import counting, files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

ACTIVATIONS = ("identity", "sigmoid")
SCORINGS = ("yes-no", "query-likelihood")
MOVED_BY = ("torch", "transformers", "sentence-transformers")
_CLASSIFIER = ("as", "activation")
_LANGUAGE_MODEL = ("as", "scoring", "template", "yes", "no")

TEMPLATES: Mapping[str, str] = {
    "yes-no": (
        "Query: {query}\nDocument: {document}\n"
        "Does the document answer the query? Answer yes or no:"
    ),
    "query-likelihood": (
        "Passage: {document}\nPlease write a question based on this passage.\nQuestion: {query}"
    ),
    "qwen3": (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that "
        "answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    ),
}
"""Plain ones, after UPR (Sachan et al. 2022), and that of Qwen3-Reranker's model card."""

Span = tuple[int, int]


@dataclass(frozen=True)
class PairTemplate:
    """What is put around a query and a document.

    Attributes:
        text: Holds ``{query}`` and ``{document}``, each once.
    """

    text: str

    def fill(self, query: str, document: str) -> tuple[str, Span, Span]:
        """Return the filled template, and where query and document stand in it, in characters."""
        query_first = self.text.index("{query}") < self.text.index("{document}")
        names = ("{query}", "{document}") if query_first else ("{document}", "{query}")
        values = (query, document) if query_first else (document, query)
        before, _, rest = self.text.partition(names[0])
        between, _, after = rest.partition(names[1])
        first = (len(before), len(before) + len(values[0]))
        start = first[1] + len(between)
        second = (start, start + len(values[1]))
        whole = before + values[0] + between + values[1] + after
        return (whole, first, second) if query_first else (whole, second, first)


def template(spec: Spec) -> PairTemplate:
    """Return the template a spec asks for, or the plain one of its scoring.

    Raises:
        UsageError: It lacks a part, has it twice, or shows the query before the document that the
            query's likelihood shall depend on.
    """
    scoring = spec.options["scoring"]
    asked = spec.options.get("template", scoring)
    if "{" not in asked and asked not in TEMPLATES:
        reason = unknown_name("template", asked, TEMPLATES)
        raise UsageError(f"{reason} One of your own holds {{query}} and {{document}}.")
    text = TEMPLATES.get(asked, asked)
    for part in ("{query}", "{document}"):
        if text.count(part) != 1:
            raise UsageError(f"template={asked!r}: {part} stands in it {text.count(part)} times.")
    if scoring == "query-likelihood" and text.index("{query}") < text.index("{document}"):
        raise UsageError(
            f"template={asked!r}: for scoring=query-likelihood {{query}} stands after {{document}}."
        )
    return PairTemplate(text)


def is_reranker(spec: Spec, folder: Path) -> bool:
    """Whether a checkpoint is to be run as a reranker: asked for, or plainly nothing else.

    That is a CrossEncoder of sentence-transformers, or a classifier with a single label.
    """
    if "as" in spec.options:
        return spec.options["as"] == "reranker"
    if (folder / "modules.json").is_file():
        own = files.read_json(folder / "config_sentence_transformers.json")
        return bool(own.get("model_type") == "CrossEncoder")
    config = files.read_json(folder / "config.json")
    return _head(config) == "ForSequenceClassification" and _labels(config) == 1


def _head(config: Mapping[str, Any]) -> str:
    """Return what a checkpoint's architecture ends with, ``For...``, or an empty string."""
    name = next(iter(config.get("architectures") or ()), "")
    return "For" + name.rpartition("For")[2] if "For" in name else ""


def _labels(config: Mapping[str, Any]) -> int:
    labels = config.get("id2label")
    return len(labels) if labels else int(config.get("num_labels", 2))


def resolve_folder(spec: Spec, folder: Path, name: str) -> Resolved:
    """Resolve a reranker in a folder.

    Raises:
        UsageError: An option cannot be.
        ModelError: The checkpoint has no head that scores, or no usable weights.
    """
    config = files.read_json(folder / "config.json")
    head = _head(config)
    if head == "ForSequenceClassification":
        spec.check_options(_CLASSIFIER)
        spec.choice("activation", ACTIVATIONS)
        if _labels(config) != 1:
            raise ModelError(
                f"'{name}' tells {_labels(config)} labels apart; a reranker has one, its score."
            )
    elif head == "ForCausalLM":
        check_language_model(spec)
    else:
        raise ModelError(
            f"'{name}' has no head that scores: a reranker's architecture is "
            "...ForSequenceClassification with one label, or ...ForCausalLM."
        )
    identity = files.content_identity(folder)
    return Resolved(
        name=name,
        identity=identity,
        revision=identity[:12],
        load=partial(_load, spec, folder, head),
        verbs=("score_pairs",),
        options=spec.options,
        native_dtype=files.native_dtype(folder),
        kind="reranker",
        moved_by=MOVED_BY,
        count=lambda _: counting.of_weights(folder),
    )


def check_language_model(spec: Spec) -> None:
    """Check the options of a language model as a reranker.

    Raises:
        UsageError: One cannot be, or ``scoring`` is missing.
    """
    spec.check_options(_LANGUAGE_MODEL)
    if spec.choice("scoring", SCORINGS) is None:
        raise UsageError(
            f"'{spec.name}' is a language model: say how it scores, scoring=yes-no (how much more "
            "likely it answers yes than no) or scoring=query-likelihood (how likely it writes the "
            "query after the document)."
        )
    for word in ("yes", "no"):
        if word in spec.options and spec.options["scoring"] != "yes-no":
            raise UsageError(f"{word}= is for scoring=yes-no.")
    template(spec)


def _load(spec: Spec, folder: Path, head: str, placement: Placement) -> Any:
    if head == "ForCausalLM":
        from evalsuite.models.prompted import load_language_model

        return load_language_model(spec, folder, placement)
    from evalsuite.models.cross_encoder import load_cross_encoder

    return load_cross_encoder(spec, folder, placement)
