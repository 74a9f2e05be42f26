"""The multilabel classification protocol: mteb's own on the same vectors, and a golden run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from evalsuite import measures, stats
from evalsuite.data.labelled import Labelled, labels_of, make_labelled
from evalsuite.protocols.multilabel_classification import PROTOCOL, draw
from evalsuite.result import Outcome
from evalsuite.task import task_from_table
from tests.protocols.theirs import Words, mteb_model
from tests.support import DATA

RAISE = "The same vectors score differently: raise the protocol version."
TABLE = {
    "name": "T",
    "version": 1,
    "protocol": "multilabel_classification",
    "main_measure": "accuracy",
    "title": "x",
}
THEIRS = {"accuracy": "accuracy", "lrap": "lrap", "hamming": "hamming", "multilabel_f1": "f1"}


class Fixed:
    """A model whose vectors follow a formula in whole numbers."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        by = np.array([[15.0, 10.0, 6.0]])
        return np.asarray(n * by % 30 + n * n / 997, dtype=np.float32)


def run(data: Labelled, model: Any, **params: int) -> Outcome:
    task = task_from_table({**TABLE, "params": params}, where="here")
    (outcome,) = PROTOCOL.run(task, data.ordered(), model)
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


def fixed_data() -> Labelled:
    rows = [
        (str(n), [name for name, by in (("a", 2), ("b", 3), ("c", 5)) if n % by == 0])
        for n in range(90)
    ]
    return make_labelled([row for n, row in enumerate(rows) if n % 4], rows[::4], "here")


def trec() -> Labelled:
    """Return TREC's questions, each with its coarse class and some with others of its words."""
    folder = DATA / "trec_qc"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    splits = []
    for name in ("train", "test"):
        rows = []
        for line in (folder / f"{name}.txt").read_text(encoding="latin-1").splitlines():
            label, _, text = line.partition(" ")
            labels = [label.partition(":")[0], text.split()[0].lower()[:3]]
            rows.append((text, [] if len(text) % 11 == 0 else labels))
        splits.append(rows)
    known = {name for _, labels in splits[1] for name in labels}
    splits[0] = [
        (text, [x for x in labels if x in known or x == "can"]) for text, labels in splits[0]
    ]
    return make_labelled(splits[0], splits[1], "here")


GOLDEN = {
    "accuracy": 0.8173913043478261,
    "lrap": 0.9557971014492754,
    "hamming": 0.9108695652173913,
    "multilabel_f1": 0.8759992295286413,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(fixed_data(), Fixed()), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-9), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


@pytest.mark.parametrize("per_label", [8, 30])
@pytest.mark.filterwarnings("ignore:unknown class")
def test_scores_equal_mtebs(per_label: int) -> None:
    data = trec()
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict

    def table(split: Any) -> Any:
        sets = [labels_of(data.names[label]) for label in split.labels]
        return Dataset.from_dict({"text": list(split.texts), "label": sets})

    task = mteb.get_task("MultiEURLEXMultilabelClassification", hf_subsets=["en"])
    task.samples_per_label, task.data_loaded = per_label, True
    task.dataset = {"en": DatasetDict(train=table(data.train), test=table(data.test))}
    theirs = task.evaluate(mteb_model(Words()), "test", encode_kwargs={})["en"]
    outcome = run(data, Words(), samples_per_label=per_label)
    for ours, name in THEIRS.items():
        assert scored(outcome, ours) == pytest.approx(theirs[name], abs=1e-6), ours
        assert 0.05 < theirs[name] < 0.95
    each = [scores["lrap"] for scores in theirs["scores_per_experiment"]]
    lrap, replicate = outcome.items.columns["lrap"], outcome.items.replicate
    assert [lrap[replicate == i].mean() for i in range(10)] == pytest.approx(each, abs=1e-9)
    assert len(set(each)) == 10


def test_resamples_of_f1_are_those_of_written_out_rows() -> None:
    items = run(fixed_data(), Fixed(), n_experiments=1).items
    columns = {name: items.columns[name] for name in ("gold_labels", "predicted_labels")}
    rng = np.random.default_rng(0)
    weights = np.stack([np.bincount(rng.integers(0, 23, 23), minlength=23) for _ in range(5)])
    found = measures.parse("multilabel_f1").aggregate(columns, weights.astype(float))
    for times, score in zip(weights, found, strict=True):
        sets = [np.repeat(values.astype(int), times) for values in columns.values()]
        gold, predicted = ((values[:, None] >> np.arange(3)) & 1 for values in sets)
        expected = f1_score(gold, predicted, average="macro", zero_division=0)
        assert score == pytest.approx(expected, abs=1e-12)


def test_every_text_is_encoded_in_one_call() -> None:
    calls: list[list[str]] = []

    class Spy(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            calls.append(texts)
            return super().encode(texts)

    outcome = run(fixed_data(), Spy(), n_experiments=2)
    assert len(calls) == 1
    assert outcome.items.counts()["ok"] == 46


def test_each_label_is_met_as_often_as_asked_for() -> None:
    labels = [["a"], ["b", "c"], ["c"], []] * 20
    for places in draw(labels, 4, 3):
        met = [name for place in places for name in labels[place]]
        assert met.count("a") == 4
        assert met.count("b") == 4
        assert 4 <= met.count("c") <= 8
        assert all(labels[place] for place in places)
