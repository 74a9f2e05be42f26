"""The transfer protocol: SentEval's loops written out, on real texts, and a golden run."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from evalsuite import data, measures, stats
from evalsuite.data.examples import Examples, Split, make_examples
from evalsuite.protocols import transfer
from evalsuite.protocols.transfer import PROTOCOL
from evalsuite.registry import get_task
from evalsuite.result import Outcome
from evalsuite.task import Task, task_from_table
from tests.protocols.theirs import Words
from tests.support import DATA

RAISE = "The same vectors score differently: raise the protocol version."
TABLE = {
    "name": "T",
    "version": 1,
    "protocol": "transfer",
    "main_measure": "accuracy",
    "title": "x",
}
Rows = list[tuple[Any, ...]]


def make_task(**changes: Any) -> Task:
    return task_from_table({**TABLE, **changes}, where="here")


def run(examples: Examples, model: Any, **params: int) -> Outcome:
    (outcome,) = PROTOCOL.run(make_task(params=params), examples.ordered(), model)
    return outcome


def scored(outcome: Outcome, name: str = "accuracy") -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


class Fixed:
    """A model whose vectors follow a formula of the number a text begins with."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text.split()[0]) for text in texts])[:, None]
        k = np.arange(1, 9)[None, :]
        return np.asarray(np.sin(n * k) + 0.5 * np.cos((n % 4) * k), dtype=np.float32)


def fixed_rows(start: int, n: int, texts: int = 1) -> Rows:
    """Return numbered texts of one to five words with a label that is hard to tell."""
    return [
        (
            *(f"{i + side / 4}" + " word" * (i % 5) for side in range(texts)),
            "ab"[(i % 4 > 1) != (i % 7 == 0)],
        )
        for i in range(start, start + n)
    ]


def fixed(kind: str) -> Examples:
    if kind == "one split":
        return make_examples(fixed_rows(0, 120), None, None, "here")
    if kind == "train, test":
        return make_examples(fixed_rows(0, 90), None, fixed_rows(90, 40), "here")
    dev, test = fixed_rows(90, 30, 2), fixed_rows(120, 40, 2)
    return make_examples(fixed_rows(0, 90, 2), dev, test, "here")


GOLDEN: dict[str, dict[str, float]] = {
    "one split": {
        "accuracy": 0.65,
        "f1": 0.6491637533767678,
        "f1_binary": 0.6592046718576196,
    },
    "train, test": {
        "accuracy": 0.725,
        "f1": 0.7248280175109443,
        "f1_binary": 0.717948717948718,
    },
    "train, dev, test": {
        "accuracy": 0.425,
        "f1": 0.42464040025015637,
        "f1_binary": 0.41025641025641024,
    },
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_golden_scores(kind: str) -> None:
    outcome = run(fixed(kind), Fixed(), folds=4)
    found = {name: scored(outcome, name) for name in ("accuracy", "f1", "f1_binary")}
    assert found == pytest.approx(GOLDEN[kind], rel=0, abs=1e-9), f"{found}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


# ---- SentEval's loops, written out


def accuracy(train: Any, test: Any, c: float) -> tuple[float, Any]:
    """Return accuracy and predictions of a test set, both sets ``(vectors, labels)``."""
    classifier = LogisticRegression(C=c, random_state=1111).fit(*train)
    return classifier.score(*test), classifier.predict(test[0])


def folds(x: Any, y: Any, k: int) -> Any:
    cut = StratifiedKFold(n_splits=k, shuffle=True, random_state=1111)
    for train, test in cut.split(x, y):
        yield (x[train], y[train]), (x[test], y[test])


def best_by_folds(x: Any, y: Any, k: int, tried: list[float]) -> float:
    found = []
    for c in tried:
        each = [accuracy(train, test, c)[0] for train, test in folds(x, y, k)]
        found.append(round(100 * np.mean(each), 2))
    return tried[int(np.argmax(found))]


def prepared(split: Split, model: Any) -> tuple[Any, Any]:
    """Return vectors and labels in SentEval's order."""
    rows = sorted(
        zip(split.texts, split.labels.tolist(), strict=True),
        key=lambda row: (*(len(text.split()) for text in row[0]), row[1]),
    )
    sides = [
        model.encode([texts[side] for texts, _ in rows]) for side in range(len(split.texts[0]))
    ]
    labels = np.array([label for _, label in rows])
    if len(sides) == 1:
        return sides[0], labels
    return np.c_[np.abs(sides[0] - sides[1]), sides[0] * sides[1]], labels


def senteval(examples: Examples, model: Any, k: int) -> tuple[float, list[float], Any]:
    """Return the unrounded accuracy, each C chosen, and gold and predictions in some order."""
    x, y = prepared(examples.train, model)
    if examples.is_one_split:
        scores, chosen, pairs = [], [], []
        for train, test in folds(x, y, k):
            chosen.append(best_by_folds(train[0], train[1], k, [2**t for t in range(-2, 4)]))
            score, predicted = accuracy(train, test, chosen[-1])
            scores.append(score)
            pairs.append((test[1], predicted))
        gold, predicted = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return float(np.mean(scores)), chosen, (gold, predicted)
    test = prepared(examples.test, model)
    if examples.dev is None:
        best = best_by_folds(x, y, k, [2**t for t in range(-1, 6)])
    else:
        dev, tried = prepared(examples.dev, model), [2**t for t in range(-2, 4)]
        best = tried[int(np.argmax([round(100 * accuracy((x, y), dev, c)[0], 2) for c in tried]))]
    score, predicted = accuracy((x, y), test, best)
    return score, [best], (test[1], predicted)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_train", [350, 600])
@pytest.mark.parametrize("name", ["CR", "MPQA", "TREC", "SST2", "MRPC", "SICK-E"])
def test_scores_equal_sentevals_loops_on_real_data(name: str, n_train: int) -> None:
    task = get_task(f"SentEval-{name}")
    if not (DATA / task.data["local"]["folder"]).is_dir():
        pytest.skip(f"no real data for {task}")
    examples = data.load(task, "examples", data_dir=DATA).data
    assert isinstance(examples, Examples)
    kept = range(0, len(examples.train), len(examples.train) // n_train)
    part = examples.train.taken(list(kept))
    test = part if examples.is_one_split else examples.test
    examples = Examples(part, examples.dev, test, examples.names)
    model = Words(dim=24)
    score, chosen, (gold, predicted) = senteval(examples, model, 5)
    outcome = run(examples, model, folds=5)
    assert outcome.evidence["chosen_c"] == chosen
    assert scored(outcome) == pytest.approx(score, abs=1e-12)
    assert 0.3 < score < 0.95
    if len(examples.names) == 2 and not examples.is_one_split:
        expected = f1_score(gold, predicted)
        assert scored(outcome, "f1_binary") == pytest.approx(expected, abs=1e-12)


# ---- what the item table holds


@pytest.mark.parametrize("kind", GOLDEN)
def test_every_item_is_labelled_once(kind: str) -> None:
    examples = fixed(kind)
    outcome = run(examples, Fixed(), folds=4)
    assert sorted(outcome.items.ids) == sorted(examples.test.ids)
    gold = dict(zip(examples.test.ids, examples.test.labels.tolist(), strict=True))
    assert [gold[i] for i in outcome.items.ids] == outcome.items.columns["gold"].tolist()
    groups = None if outcome.items.group is None else sorted(set(outcome.items.group))
    assert groups == (["fold 0", "fold 1", "fold 2", "fold 3"] if kind == "one split" else None)


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = make_examples(fixed_rows(0, 400), None, None, "here")
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.append(run(examples, Fixed(), folds=4))
    one, three = found
    assert one.items.columns["predicted"].tolist() == three.items.columns["predicted"].tolist()
    assert one.evidence == three.evidence


@pytest.mark.parametrize("kind", GOLDEN)
def test_only_the_order_of_training_texts_of_equal_length_can_matter(kind: str) -> None:
    examples = fixed(kind)
    turned = Examples(
        examples.train.taken(transfer.sorted_places(examples.train).tolist()),
        None if examples.dev is None else examples.dev.taken(range(len(examples.dev))[::-1]),
        examples.test.taken(range(len(examples.test))[::-1]),
        examples.names,
    )
    base, again = (run(one, Fixed(), folds=4).items.ordered() for one in (examples, turned))
    assert list(base.ids) == list(again.ids)
    assert base.columns["predicted"].tolist() == again.columns["predicted"].tolist()


def test_every_text_is_encoded_in_one_call() -> None:
    calls: list[list[str]] = []

    class Spy(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            calls.append(texts)
            return super().encode(texts)

    outcome = run(fixed("train, dev, test"), Spy())
    (texts,) = calls
    assert len(texts) == 2 * 160 == outcome.phases[0].items


@pytest.mark.parametrize("kind", ["train, test", "train, dev, test"])
def test_sparse_vectors_label_as_their_dense_ones(kind: str) -> None:
    class Sparse:
        def fit(self, texts: list[str]) -> None:
            self.texts = texts

        def encode_sparse(self, texts: list[str]) -> csr_array:
            assert texts == self.texts
            return csr_array(Fixed().encode(texts))

    dense, sparse = (run(fixed(kind), model, folds=4) for model in (Fixed(), Sparse()))
    assert dense.items.columns["predicted"].tolist() == sparse.items.columns["predicted"].tolist()


def test_fits_that_did_not_converge_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = run(fixed("train, test"), Fixed(), folds=4).evidence
    assert (evidence["fits"], evidence["fits_not_converged"]) == (29, 0)
    monkeypatch.setattr(transfer, "MAX_ITERATIONS", 2)
    assert run(fixed("train, test"), Fixed(), folds=4).evidence["fits_not_converged"] == 29


def test_resamples_of_binary_f1_are_those_of_written_out_rows() -> None:
    columns = run(fixed("train, test"), Fixed(), folds=4).items.columns
    rng = np.random.default_rng(0)
    weights = np.stack([np.bincount(rng.integers(0, 40, 40), minlength=40) for _ in range(5)])
    found = measures.parse("f1_binary").aggregate(columns, weights.astype(float))
    for times, score in zip(weights, found, strict=True):
        gold, predicted = (np.repeat(columns[name], times) for name in ("gold", "predicted"))
        assert score == pytest.approx(f1_score(gold, predicted), abs=1e-12)
