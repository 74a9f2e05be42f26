"""The regression protocol: mteb's own on the same vectors, and a golden run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures, stats
from evalsuite.data.labelled import Labelled, make_labelled
from evalsuite.protocols.regression import PROTOCOL, draw
from evalsuite.result import Outcome
from evalsuite.task import task_from_table
from tests.protocols.theirs import Words, mteb_model, sts_benchmark

RAISE = "The same vectors score differently: raise the protocol version."
TABLE = {
    "name": "T",
    "version": 1,
    "protocol": "regression",
    "main_measure": "kendalltau",
    "title": "x",
}


class Fixed:
    """A model whose vectors follow a formula in whole numbers."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 5)[None, :]
        return np.asarray((n * k * k + 3 * n + k) % 101 - 50, dtype=np.float32)


def run(data: Labelled, model: Any, **params: int) -> Outcome:
    task = task_from_table({**TABLE, "params": params}, where="here")
    (outcome,) = PROTOCOL.run(task, data.ordered(), model)
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


def fixed_data() -> Labelled:
    rows = [(str(n), (7 * n) % 10 + n / 4) for n in range(90)]
    return make_labelled([row for n, row in enumerate(rows) if n % 3], [*rows[::3]], "here")


def real_data() -> Labelled:
    """Return pairs of STS-B, joined, with their gold similarity."""
    train, test = (
        [(f"{a} {b}", gold) for _, a, b, gold in sts_benchmark(split)] for split in ("dev", "test")
    )
    return make_labelled(train, test, "here")


GOLDEN = {
    "kendalltau": 0.066666667,
    "mse": 62.646138136,
    "rmse": 7.913280355,
    "mae": 6.489492586,
    "r2": 0.001903699,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(fixed_data(), Fixed(), n_samples=40, n_experiments=3), name)
    assert score == pytest.approx(GOLDEN[name], rel=1e-5), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


@pytest.mark.parametrize("n_samples", [500, 2048])
def test_scores_equal_mtebs(n_samples: int) -> None:
    data = real_data()
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict

    def table(split: Any) -> Any:
        values = [float(data.names[label]) for label in split.labels]
        return Dataset.from_dict({"text": list(split.texts), "value": values})

    task = mteb.get_task("RuSciBenchYearPublRegression")
    task.n_samples, task.data_loaded = n_samples, True
    task.dataset = {"yearpubl_en": DatasetDict(train=table(data.train), test=table(data.test))}
    theirs = task.evaluate(
        mteb_model(Words()), "test", subsets_to_run=["yearpubl_en"], encode_kwargs={}
    )["yearpubl_en"]
    outcome = run(data, Words(), n_samples=n_samples)
    for name in GOLDEN:
        assert scored(outcome, name) == pytest.approx(theirs[name], abs=1e-6), name
    each = [scores["kendalltau"] for scores in theirs["scores_per_experiment"]]
    assert len(set(each)) == (10 if n_samples == 500 else 1)
    replicates = outcome.items.replicate
    assert (replicates is None) == (n_samples == 2048)
    assert outcome.items.counts()["ok"] == len(data.test) * len(set(each))


def test_every_text_is_encoded_in_one_call() -> None:
    calls: list[list[str]] = []

    class Spy(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            calls.append(texts)
            return super().encode(texts)

    outcome = run(fixed_data(), Spy(), n_samples=20, n_experiments=2)
    assert len(calls) == 1
    assert 20 + 30 <= len(calls[0]) <= 40 + 30
    assert outcome.items.counts()["ok"] == 60


def test_draws_are_even_over_the_numbers() -> None:
    numbers = np.arange(1000.0)
    drawn = draw(numbers, 100, 4)
    for places in drawn:
        assert np.bincount(places // 100).tolist() == [10] * 10
    assert len({tuple(places) for places in drawn}) == 4
    assert [places.tolist() for places in draw(numbers, 1000, 4)] == [list(range(1000))]
