"""The bitext mining protocol: mteb's own on the same vectors, and a golden run."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures, stats
from evalsuite.data.bitext import Bitext, make_bitext, make_subset
from evalsuite.engines.encode import EncodingEngine
from evalsuite.protocols.bitext_mining import PROTOCOL
from evalsuite.result import Outcome
from evalsuite.task import task_from_table
from tests.protocols.theirs import Words, mteb_model, sts_benchmark

RAISE = "The same vectors score differently: raise the protocol version."
TABLE = {
    "name": "T",
    "version": 1,
    "protocol": "bitext_mining",
    "main_measure": "bitext_f1",
    "title": "x",
}
THEIRS = {
    "bitext_f1": "f1",
    "accuracy": "accuracy",
    "bitext_precision": "precision",
    "bitext_recall": "recall",
}


class Fixed:
    """A model whose vectors follow a formula in whole numbers: the same on every machine."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 9)[None, :]
        return np.asarray((n * k * k + 3 * n + k) % 101 - 50, dtype=np.float32)


def run(data: Bitext, model: Any, **params: str) -> Outcome:
    engine = EncodingEngine(load=lambda: model)
    task = task_from_table({**TABLE, "params": params}, where="here")
    (outcome,) = PROTOCOL.run(task, data.ordered(), engine)
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


def fixed_data() -> Bitext:
    rows = [("ab"[n % 3 == 0], str(n), str(n + 13 * (n % 2) + n % 5 // 4)) for n in range(40)]
    return make_bitext(rows, "here")


def alike() -> dict[str, list[tuple[str, str]]]:
    """Return pairs of STS-B that mean the same, by the kind of their source.

    No two second texts are of the same words: mteb leaves ties to torch.
    """
    met: set[tuple[str, ...]] = set()
    kinds = {"main-captions": "deu-eng", "main-news": "fra-eng"}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in kinds.values()}
    for split in ("train", "dev"):
        for kind, first, second, gold in sts_benchmark(split):
            words = tuple(sorted(re.findall(r"\w+", second.lower())))
            if kind in kinds and gold >= 4.5 and words not in met:
                met.add(words)
                found[kinds[kind]].append((first, second))
    return found


GOLDEN = {
    "bitext_f1": 0.3315018315018315,
    "accuracy": 0.3873626373626373,
    "bitext_precision": 0.3035714285714286,
    "bitext_recall": 0.3873626373626373,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores(name: str) -> None:
    score = scored(run(fixed_data(), Fixed()), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-12), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


def test_scores_equal_mtebs_subset_by_subset() -> None:
    subsets = alike()
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict

    task = mteb.get_task("Tatoeba")
    task.dataset = {
        name: DatasetDict(
            test=Dataset.from_list([{"sentence1": a, "sentence2": b} for a, b in pairs])
        )
        for name, pairs in subsets.items()
    }
    task.data_loaded = True
    theirs = task.evaluate(
        mteb_model(Words()), "test", subsets_to_run=list(subsets), encode_kwargs={}
    )
    rows = [(name, *pair) for name, pairs in subsets.items() for pair in pairs]
    assert len(rows) > 600
    outcome = run(make_bitext(rows, "here"), Words())
    for ours, name in THEIRS.items():
        expected = np.mean([scores[name] for scores in theirs.values()])
        assert scored(outcome, ours) == pytest.approx(expected, abs=1e-6), ours
        assert 0.1 < expected < 0.999
    assert outcome.items.group is not None
    for subset, scores in theirs.items():
        found = outcome.items.columns["bitext_f1"][outcome.items.group == subset].mean()
        assert found == pytest.approx(scores["f1"], abs=1e-6)


def test_candidates_beyond_the_translations_equal_mtebs_bucc() -> None:
    pairs = alike()["deu-eng"]
    mteb = pytest.importorskip("mteb")
    candidates = [second for _, second in pairs] + [first + " now" for first, _ in pairs[::3]]
    # the first two texts share one translation, as happens in BUCC
    gold = [0, 0, *range(2, len(pairs))]
    split = {
        "sentence1": [first for first, _ in pairs],
        "sentence2": candidates,
        "gold": list(enumerate(gold)),
    }
    task = mteb.get_task("BUCC")
    task.dataset, task.data_loaded = {"de-en": {"test": split}}, True
    theirs = task.evaluate(mteb_model(Words()), "test", subsets_to_run=["de-en"], encode_kwargs={})[
        "de-en"
    ]
    data = Bitext([make_subset("de-en", [first for first, _ in pairs], candidates, gold)])
    outcome = run(data, Words())
    for ours, name in THEIRS.items():
        assert scored(outcome, ours) == pytest.approx(theirs[name], abs=1e-6), ours
    assert outcome.items.group is None


def test_everything_is_encoded_in_one_call() -> None:
    calls: list[int] = []

    class Spy(EncodingEngine):
        def encode(self, texts: Any, role: Any = None) -> Any:
            calls.append(len(texts))
            assert role is None
            return super().encode(texts, role)

    data = fixed_data()
    PROTOCOL.run(task_from_table(TABLE, where="here"), data, Spy(load=Fixed))
    assert calls == [80]


def test_the_order_of_the_rows_moves_nothing() -> None:
    rows = [(name, a, b) for name, pairs in alike().items() for a, b in pairs]
    tables = [run(make_bitext(order, "here"), Words()).items for order in (rows, rows[::-1])]
    assert tables[0].ids == tables[1].ids
    for name, values in tables[0].columns.items():
        assert values.tolist() == tables[1].columns[name].tolist(), name


def test_dot_products_see_the_length_of_vectors() -> None:
    """The longest candidate wins all."""

    class Long(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            return np.array([[n := 1.0 + float(text), 2 * n * n] for text in texts], np.float32)

    data = make_bitext([("", str(n), str(n)) for n in range(5)], "here")
    assert run(data, Long()).items.columns["correct"].sum() == 5
    assert run(data, Long(), similarity="dot").items.columns["correct"].sum() == 1


def test_equal_candidates_go_to_the_larger_id() -> None:
    data = make_bitext([("", "1", "7"), ("", "1.0", "7"), ("", "2", "2")], "here")

    class Same(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            return super().encode(["1" if text == "7" else text for text in texts])

    items = run(data, Same()).items
    tied = sorted(i for i, text in zip(data.ids, data.texts, strict=True) if text != "2")
    right = dict(zip(items.ids, items.columns["correct"].tolist(), strict=True))
    assert [right[i] for i in tied] == [0.0, 1.0]
    assert items.columns["bitext_f1"].sum() == pytest.approx(1 + 2 / 3)
