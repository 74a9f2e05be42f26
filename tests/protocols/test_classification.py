"""The classification protocol: mteb's own on the same vectors, and a golden run on fixed ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evalsuite import measures, stats
from evalsuite.data.labelled import Labelled, make_labelled
from evalsuite.errors import DataError, UsageError
from evalsuite.protocols import classification as module
from evalsuite.protocols.classification import PROTOCOL
from evalsuite.result import Outcome
from evalsuite.task import Task, task_from_table
from tests.support import TextModel

RAISE = "The same vectors score differently: raise the protocol version."
NAMES = (
    *("accuracy", "f1", "f1_weighted", "precision", "precision_weighted"),
    *("recall", "recall_weighted"),
)


def make_task(**changes: Any) -> Task:
    table = {
        "name": "T",
        "version": 1,
        "protocol": "classification",
        "main_measure": "accuracy",
        "title": "x",
        **changes,
    }
    return task_from_table(table, where="here")


class Fixed:
    """A model whose vectors follow a formula of the number a text is."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 9)[None, :]
        return np.asarray(np.sin(n * k) + 0.5 * np.cos((n % 4) * k), dtype=np.float32)


def fixed_data() -> Labelled:
    train = [(str(n), "abcd"[n % 4]) for n in range(60)]
    test = [(f"{n}.3", "abcd"[n % 4]) for n in range(27) if n not in (3, 7, 11)]
    return make_labelled(train, test, "here")


def run(task: Task | None = None, data: Labelled | None = None, model: Any = None) -> Outcome:
    (outcome,) = PROTOCOL.run(task or make_task(), data or fixed_data(), model or Fixed())
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


GOLDEN = {
    "accuracy": 0.2333333333333333,
    "f1": 0.2270305683308779,
    "f1_weighted": 0.2248954514124793,
    "precision": 0.23696428571428574,
    "precision_weighted": 0.24426256613756614,
    "recall": 0.24761904761904757,
    "recall_weighted": 0.2333333333333333,
    "mcc": -0.0277062913011276,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-12), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


def test_the_draws_of_this_version() -> None:
    labels = np.array([0, 1, 2] * 4)
    drawn = [
        module.undersampled(labels, order, 2).tolist()
        for order, _ in zip(module.orders(12), range(3), strict=False)
    ]
    assert drawn == DRAWN, f"{drawn}. {RAISE}"


DRAWN = [[10, 9, 0, 8, 5, 1], [3, 7, 10, 2, 0, 5], [8, 11, 3, 0, 10, 7]]


def test_orders_are_a_list_shuffled_again_and_again() -> None:
    """As mteb does it, with a new generator each time."""
    places = list(range(101))
    for order, _ in zip(module.orders(101), range(12), strict=False):
        np.random.RandomState(42).shuffle(places)
        assert order.tolist() == places


@pytest.mark.parametrize("per_label", [1, 3, 1000])
def test_undersampled_takes_the_first_of_each_label(per_label: int) -> None:
    rng = np.random.default_rng(per_label)
    labels = rng.integers(0, 6, 200)
    order = rng.permutation(200)
    taken: list[int] = []
    for place in order.tolist():
        if sum(labels[other] == labels[place] for other in taken) < per_label:
            taken.append(place)
    assert module.undersampled(labels, order, per_label).tolist() == taken


# ---- mteb's own run of a task


def mteb_scores(data: Labelled, split: str = "test", **settings: Any) -> dict[str, Any]:
    """Return what mteb's classification says of the same texts and vectors."""
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict, disable_progress_bars
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta

    disable_progress_bars()

    class Model(AbsEncoder):
        def __init__(self) -> None:
            self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "org/fixed"})

        def encode(self, inputs: Any, **options: Any) -> Any:
            return TextModel().encode([text for batch in inputs for text in batch["text"]])

    def table(part: Any) -> Any:
        return Dataset.from_dict({"text": list(part.texts), "label": part.labels.tolist()})

    task = mteb.get_task("Banking77Classification")
    for name, value in settings.items():
        setattr(task, name, value)
    task.dataset = DatasetDict({"train": table(data.train), "test": table(data.test)})
    task.data_loaded = True
    scores: dict[str, Any] = task.evaluate(Model(), split, encode_kwargs={})["default"]
    return scores


def random_data(n_labels: int, n_train: int, n_test: int | None) -> Labelled:
    rng = random.Random(n_labels)
    numbered = [
        (f"{kind} {n}", rng.randrange(n_labels))
        for kind, size in (("train", n_train), ("test", n_test or 0))
        for n in range(size)
    ]
    return make_labelled(numbered[:n_train], numbered[n_train:] if n_test else None, "here")


@pytest.mark.parametrize("n_labels", [2, 5])
@pytest.mark.parametrize("per_label", [8, 3])
def test_equals_mteb(n_labels: int, per_label: int) -> None:
    data = random_data(n_labels, 120, 90).ordered()
    params = {"samples_per_label": per_label, "n_experiments": 6}
    theirs = mteb_scores(data, samples_per_label=per_label, n_experiments=6)
    names = (*NAMES, "ap") if n_labels == 2 else NAMES
    outcome = run(make_task(params=params), data, TextModel())
    for name in names:
        assert scored(outcome, name) == pytest.approx(theirs[name], abs=1e-12), name
    each = [experiment["accuracy"] for experiment in theirs["scores_per_experiment"]]
    assert len(set(each)) > 1
    correct, replicate = outcome.items.columns["correct"], outcome.items.replicate
    ours = [float(correct[replicate == i].mean()) for i in range(6)]
    assert ours == pytest.approx(each, abs=1e-12)


@pytest.mark.parametrize("n", [100, 103])
def test_cross_validation_equals_mteb(n: int) -> None:
    data = random_data(2, n, None).ordered()
    theirs = mteb_scores(data, "train", is_cross_validation=True)
    task = make_task(split="train", params={"cross_validation": True})
    outcome = run(task, data, TextModel())
    for name in (*NAMES, "ap"):
        assert scored(outcome, name) == pytest.approx(theirs[name], abs=1e-12), name
    assert sorted(outcome.items.ids) == sorted(data.test.ids)
    assert outcome.items.replicate is None
    assert outcome.items.group is not None
    assert set(outcome.items.group) == {f"fold {i}" for i in range(5)}


# ---- what the item table holds


def test_every_text_is_encoded_in_one_call() -> None:
    calls: list[list[str]] = []

    class Spy(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            calls.append(texts)
            return super().encode(texts)

    data = fixed_data()
    outcome = run(data=data, model=Spy())
    (texts,) = calls
    assert len(set(texts)) == len(texts)
    assert set(data.test.texts) <= set(texts) <= {*data.train.texts, *data.test.texts}
    assert outcome.phases[0].items == len(texts)
    assert len(outcome.items.ids) == 10 * 24
    assert outcome.items.replicate is not None
    assert np.bincount(outcome.items.replicate).tolist() == [24] * 10


def test_the_order_of_test_texts_moves_nothing_that_of_training_texts_does() -> None:
    data = random_data(3, 80, 50)
    train = [(t, data.names[c]) for t, c in zip(data.train.texts, data.train.labels, strict=True)]
    test = [(t, data.names[c]) for t, c in zip(data.test.texts, data.test.labels, strict=True)]

    def predictions(train: Sequence[Any], test: Sequence[Any]) -> dict[Any, Any]:
        items = run(data=make_labelled(train, test, "here"), model=TextModel()).items
        assert items.replicate is not None
        keys = zip(items.ids, items.replicate.tolist(), strict=True)
        return dict(zip(keys, items.columns["predicted"].tolist(), strict=True))

    base = predictions(train, test)
    assert predictions(train, test[::-1]) == base
    assert predictions(train[::-1], test) != base


def test_sparse_vectors_label_as_their_dense_ones() -> None:
    class Sparse:
        def fit(self, texts: list[str]) -> None:
            self.texts = texts

        def encode_sparse(self, texts: list[str]) -> csr_array:
            assert texts == self.texts
            return csr_array(Fixed().encode(texts))

    dense, sparse = run().items, run(model=Sparse()).items
    assert dense.columns["predicted"].tolist() == sparse.columns["predicted"].tolist()


def test_scarce_labels_are_counted() -> None:
    train = [(str(n), "abc"[min(n // 20, 2)]) for n in range(43)]
    data = make_labelled(train, [("0.3", "a"), ("50.3", "d")], "here")
    outcome = run(data=data)
    assert outcome.evidence["labels_with_fewer_samples"] == 1
    assert outcome.evidence["labels_without_training_texts"] == 1
    assert outcome.items.columns["predicted"].max() <= 2
    assert scored(outcome, "accuracy") <= 0.5


def test_fits_that_did_not_converge_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run().evidence["fits_not_converged"] == 0
    monkeypatch.setattr(module, "MAX_ITERATIONS", 2)
    assert run().evidence["fits_not_converged"] == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"samples_per_label": 0}}, "`samples_per_label` must be at least 1"),
        ({"params": {"n_experiments": 0}}, "`n_experiments` must be at least 1"),
        ({"params": {"folds": 1}}, "`folds` must be at least 2"),
        ({"params": {"cross_validation": True}}, 'say `split = "train"`'),
        ({"main_measure": "ap"}, "`ap` needs two labels, not 4"),
    ],
)
def test_parameters_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(make_task(**changes))


def test_too_little_to_learn_from() -> None:
    task = make_task(split="train", params={"cross_validation": True})
    few = make_labelled([("1", "a"), ("2", "b"), ("3", "a")], None, "here")
    with pytest.raises(DataError, match="3 texts are too few for 5 folds"):
        run(task, few)
    rare = make_labelled([("0", "b"), *((str(n), "a") for n in range(1, 9))], None, "here")
    with pytest.raises(DataError, match="learns from texts of one label"):
        run(task, rare)


def test_measures_and_parameters_are_checked_before_anything_runs() -> None:
    PROTOCOL.check(make_task(measures=[*NAMES, "mcc", "ap"], params={"samples_per_label": 16}))
    with pytest.raises(UsageError, match="does not compute 'ndcg@10'"):
        PROTOCOL.check(make_task(main_measure="ndcg@10"))
    with pytest.raises(UsageError, match="no parameter `shots`"):
        PROTOCOL.check(make_task(params={"shots": 1}))
