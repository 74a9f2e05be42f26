"""Kinds of mteb's tasks: which protocol runs each, with which parameters, on which items.

A kind is the abstract class a task of mteb's derives from. A task runs by our protocol where that
computes the same: its class changes nothing of the scoring, and its main score is one we have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evalsuite import measures, registry
from evalsuite.bridges.mteb import convert
from evalsuite.errors import UsageError
from evalsuite.foreign import measure_of

_LOADING = frozenset({"load_data", "dataset_transform", "fast_load"})


def _nothing(task: Any) -> dict[str, Any]:
    return {}


def _always(task: Any) -> bool:
    return True


@dataclass(frozen=True)
class Kind:
    """How tasks of one kind are run here.

    Attributes:
        protocol: What runs them.
        convert: Returns the items of ``(task, subset, split)``.
        measures: Computed beside the main one.
        params: Returns the protocol's parameters of a task.
        holds: Whether a task asks nothing the protocol lacks.
        free: Methods a task's class may have of its own without moving its main score.
        one_part: Whether only tasks of one subset and split score alike.
        names: mteb's metrics to our measures, where more than the cutoff is written otherwise.
    """

    protocol: str
    convert: Callable[[Any, str, str], Any]
    measures: tuple[str, ...]
    params: Callable[[Any], Mapping[str, Any]] = _nothing
    holds: Callable[[Any], bool] = _always
    free: frozenset[str] = _LOADING
    one_part: bool = False
    names: Mapping[str, str] = field(default_factory=dict)

    def main_measure(self, task: Any) -> str:
        """Return our name of a task's main score."""
        metric = task.metadata.main_score
        return self.names.get(metric, measure_of(metric))


def _symmetric(task: Any) -> bool:
    """Whether both sides of a pair are encoded alike."""
    return task.input1_prompt_type is None and task.input2_prompt_type is None


def _classification_params(task: Any) -> dict[str, Any]:
    if task.is_cross_validation:
        return {
            "samples_per_label": task.samples_per_label,
            "cross_validation": True,
            "folds": task.n_splits,
        }
    return {"samples_per_label": task.samples_per_label, "n_experiments": task.n_experiments}


def _is_logistic_regression(task: Any) -> bool:
    """Whether the classifier is mteb's usual one, with mteb's usual seed."""
    classifier = task.evaluator_model
    usual = type(classifier).__name__ == "LogisticRegression" and classifier.max_iter == 100
    return usual and task.seed == 42


def _regression_params(task: Any) -> dict[str, Any]:
    return {"n_samples": task.n_samples, "n_experiments": task.n_experiments}


def _is_linear_regression(task: Any) -> bool:
    usual = type(task.evaluator_model).__name__ == "LinearRegression" and task.seed == 42
    return usual and not task.is_cross_validation


def _ranking_params(task: Any) -> dict[str, Any]:
    return {"ignore_identical_ids": True} if task.ignore_identical_ids else {}


def _keeps_first(task: Any) -> bool:
    return not task.skip_first_result


def _clustering_params(task: Any) -> dict[str, Any]:
    texts, share = task.max_document_to_embed, task.max_fraction_of_documents_to_embed
    return {
        "n_experiments": task.n_clusters,
        "texts_per_experiment": task.max_documents_per_cluster,
        "batch_size": task.k_mean_batch_size,
        "max_depth": task.max_depth or 0,
        **({"max_texts": texts} if texts else {"max_fraction": float(share or 0.0)}),
    }


def _draws_as_we_do(task: Any) -> bool:
    """Whether loading the data leaves alone the generator that draws texts to cluster."""
    return bool(task.seed == 42 and task.metadata.name not in _DRAWN_WHEN_LOADED)


_DRAWN_WHEN_LOADED = {"ArxivClusteringP2P.v2"}


def _summarization_params(task: Any) -> dict[str, Any]:
    return {"average_p_values": _SUMMARY_EVALUATORS[task.evaluator.__name__]}


_SUMMARY_EVALUATORS = {"SummarizationEvaluator": False, "DeprecatedSummarizationEvaluator": True}
_SUMMARIES = {
    f"{similarity}_{correlation}": f"mean_{similarity}_{correlation}"
    for similarity in ("cosine", "dot")
    for correlation in measures.CORRELATIONS
}
_BITEXT = {name: f"bitext_{name}" for name in ("f1", "precision", "recall")}
_RANKED = ("ndcg@10", "map@10", "recall@10", "recall@100", "precision@10", "mrr@10")
_RETRIEVAL = Kind(
    "retrieval",
    convert.retrieval,
    _RANKED,
    _ranking_params,
    _keeps_first,
    _LOADING | {"task_specific_scores"},
)
_RERANKING = replace(_RETRIEVAL, protocol="reranking", convert=convert.reranking)
KINDS: Mapping[str, Kind] = {
    "AbsTaskSTS": Kind(
        "sts",
        convert.sts,
        tuple(f"{s}_{c}" for s in measures.SIMILARITIES for c in measures.CORRELATIONS),
        holds=_symmetric,
    ),
    "AbsTaskPairClassification": Kind(
        "pair_classification",
        convert.pair_classification,
        ("max_ap", "max_accuracy", "max_f1", "cosine_ap", "cosine_accuracy", "cosine_f1"),
        holds=_symmetric,
    ),
    "AbsTaskClassification": Kind(
        "classification",
        convert.classification,
        ("accuracy", "f1", "f1_weighted"),
        _classification_params,
        _is_logistic_regression,
    ),
    "AbsTaskRegression": Kind(
        "regression",
        convert.classification,
        ("kendalltau", "r2", "mse", "rmse"),
        _regression_params,
        _is_linear_regression,
    ),
    "AbsTaskRetrieval": _RETRIEVAL,
    "AbsTaskReranking": _RERANKING,
    "AbsTaskClustering": Kind(
        "clustering",
        convert.clustering,
        ("v_measure",),
        _clustering_params,
        _draws_as_we_do,
        one_part=True,  # in mteb, the draws of a part depend on the parts before it
    ),
    "AbsTaskSummarization": Kind(
        "summarization",
        convert.summarization,
        tuple(_SUMMARIES.values()),
        _summarization_params,
        lambda task: task.evaluator.__name__ in _SUMMARY_EVALUATORS,
        _LOADING | {"evaluator"},
        names=_SUMMARIES,
    ),
    "AbsTaskBitextMining": Kind(
        "bitext_mining",
        convert.bitext,
        tuple(_BITEXT.values()),
        names=_BITEXT,
    ),
}
"""Name of the abstract class to the kind; the names of those that are missing run in mteb."""


def base_of(task: Any) -> type:
    """Return the abstract class of mteb's a task derives from."""
    classes = type(task).__mro__
    return next(one for one in classes if one.__name__.startswith("AbsTask"))


def of(task: Any) -> Kind | None:
    """Return how one of mteb's tasks is run here, or None where mteb has to run it."""
    base = base_of(task)
    kind = KINDS.get(base.__name__)
    if kind is _RETRIEVAL and task.metadata.type.endswith("Reranking"):
        kind = _RERANKING
    if kind is None or not kind.holds(task) or _own_methods(task, base) - kind.free:
        return None
    parts = len(task.hf_subsets) * len(task.eval_splits)
    if kind.one_part and parts > 1:
        return None
    return kind if _computes(kind.protocol, kind.main_measure(task)) else None


def _own_methods(task: Any, base: type) -> set[str]:
    """Return the methods of the abstract class that a task's class has its own of."""
    classes = type(task).__mro__
    below = classes[: classes.index(base)]
    return {
        name
        for one in below
        for name, value in vars(one).items()
        if callable(value) and not name.startswith("__") and hasattr(base, name)
    }


def _computes(protocol: str, measure: str) -> bool:
    """Whether a protocol offers a measure."""
    try:
        columns = measures.parse(measure).columns
    except UsageError:
        return False
    offered = set(registry.get_protocol(protocol).columns)
    return {column.partition("@")[0] for column in columns} <= offered
