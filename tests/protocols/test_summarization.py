"""The summarization protocol: mteb's own on the same vectors, and a golden run."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures, stats
from evalsuite.data.summaries import Summaries, make_summaries
from evalsuite.protocols.summarization import PROTOCOL
from evalsuite.result import EXCLUDED, Outcome
from evalsuite.task import task_from_table
from tests.protocols.theirs import Words, mteb_model, sts_benchmark

RAISE = "The same vectors score differently: raise the protocol version."
TABLE = {
    "name": "T",
    "version": 1,
    "protocol": "summarization",
    "main_measure": "mean_cosine_spearman",
    "title": "x",
}


class Fixed:
    """A model whose vectors follow a formula in whole numbers."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 5)[None, :]
        return np.asarray((n * k * k + 3 * n + k) % 101 - 50, dtype=np.float32)


def run(data: Summaries, model: Fixed | Words, **params: bool) -> Outcome:
    task = task_from_table({**TABLE, "params": params}, where="here")
    (outcome,) = PROTOCOL.run(task, data.ordered(), model)
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


def fixed_data() -> Summaries:
    rows = [
        (
            f"text {n}",
            [str(5 * n + i) for i in range(1 + n % 3)],
            [str(7 * n + 3 * i) for i in range(4 + n % 2)],
            [float((n * i + i * i) % 5) for i in range(4 + n % 2)],
        )
        for n in range(12)
    ]
    return make_summaries(rows, "here")


def real_data() -> Summaries:
    """Return runs of STS-B: second texts as summaries, rated by how much the first say the same.

    One text in ten has equal ratings, one in ten equal summaries.
    """
    pairs = list(sts_benchmark("test"))
    rows = []
    for number, start in enumerate(range(0, len(pairs) - 16, 16)):
        part = pairs[start : start + 12 + number % 5]
        human = [first for _, first, _, _ in part[: 1 + number % 4]]
        machine = [second for _, _, second, _ in part]
        gold = [rating for _, _, _, rating in part]
        if number % 10 == 3:
            gold = [2.0] * len(gold)
        if number % 10 == 7:
            machine = machine[:1] * len(machine)
        rows.append((f"text {number}", human, machine, gold))
    return make_summaries(rows, "here")


GOLDEN = {
    "mean_cosine_spearman": 0.05496529879658124,
    "mean_cosine_pearson": 0.1372241258061454,
    "mean_dot_spearman": 0.11858541225631421,
    "mean_dot_pearson": 0.15966576676614905,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(fixed_data(), Fixed()), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-9), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


@pytest.mark.parametrize(
    ("name", "p_values"), [("SummEvalSummarization.v2", False), ("SummEval", True)]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scores_equal_mtebs(name: str, p_values: bool) -> None:
    data = real_data()
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset

    task = mteb.get_task(name)
    columns = {
        "text": list(data.texts),
        "human_summaries": [list(texts) for texts in data.human],
        "machine_summaries": [list(texts) for texts in data.machine],
        "relevance": [ratings.tolist() for ratings in data.gold],
    }
    task.dataset, task.data_loaded = {"test": Dataset.from_dict(columns)}, True
    theirs = task.evaluate(mteb_model(Words()), "test", encode_kwargs={})["default"]
    outcome = run(data, Words(), average_p_values=p_values)
    for ours in GOLDEN:
        expected = theirs[ours.removeprefix("mean_")]
        assert scored(outcome, ours) == pytest.approx(expected, abs=1e-6), ours
    counts = outcome.items.counts()
    assert counts["items"] == len(data.ids)
    assert counts["excluded"] == sum(n % 10 in (3, 7) for n in range(len(data.ids)))


def test_excluded_texts_hold_nothing() -> None:
    items = run(real_data(), Words()).items
    for values in items.columns.values():
        assert np.isnan(values[items.status == EXCLUDED]).all()
        assert np.isfinite(values[items.status != EXCLUDED]).all()


def test_every_summary_is_encoded_in_one_call() -> None:
    calls: list[int] = []

    class Spy(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            calls.append(len(texts))
            return super().encode(texts)

    run(fixed_data(), Spy())
    sizes = fixed_data().counts()
    assert calls == [sizes["human_summaries"] + sizes["machine_summaries"]]
