"""The pair classification protocol: against mteb on the same vectors, and a golden run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures
from evalsuite.data import Pairs
from evalsuite.measures.pairs import SIMILARITIES, STATISTICS
from evalsuite.protocols.pair_classification import PROTOCOL
from evalsuite.result import Items
from evalsuite.task import task_from_table

TASK = task_from_table(
    {
        "name": "T",
        "version": 1,
        "protocol": "pair_classification",
        "main_measure": "max_ap",
        "title": "x",
    },
    where="here",
)
RAISE = "The same vectors score differently: raise the protocol version."
NAMES = [f"{s}_{m}" for s in ("max", *SIMILARITIES) for m in STATISTICS]


class Fixed:
    """A model whose vectors follow a formula in whole numbers: the same on every machine."""

    def encode(self, texts: list[str], role: str | None = None) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 9)[None, :]
        return np.asarray((n * k * k + 3 * n + k) % 13 - 5, dtype=np.float32)


def fixed_pairs() -> Pairs:
    numbers = range(40)
    return Pairs(
        [f"i{n:02}" for n in numbers],
        [str(n) for n in numbers],
        [str((7 * n + 3) % 40) for n in numbers],
        np.array([float((5 * n) % 11 < 4) for n in numbers]),
    )


def run_items() -> Items:
    (outcome,) = PROTOCOL.run(TASK, fixed_pairs(), Fixed())
    return outcome.items


def scored(items: Items, name: str) -> float:
    measure = measures.parse(name)
    return float(measure.aggregate(items.sample(measure).columns, None))


GOLDEN = {
    "max_ap": 0.36550818894940945,
    "max_accuracy": 0.65,
    "max_f1": 0.5531914893617021,
    "cosine_ap": 0.35752639067856457,
    "cosine_accuracy": 0.625,
    "cosine_f1": 0.5531914893617021,
    "dot_ap": 0.36550818894940945,
    "dot_accuracy": 0.65,
    "dot_f1": 0.5531914893617021,
    "euclidean_ap": 0.3635604019588768,
    "euclidean_accuracy": 0.625,
    "euclidean_f1": 0.5306122448979592,
    "manhattan_ap": 0.3631546160671659,
    "manhattan_accuracy": 0.625,
    "manhattan_f1": 0.5416666666666666,
}


@pytest.mark.parametrize("name", NAMES)
def test_golden_scores(name: str) -> None:
    score = scored(run_items(), name)
    assert score == pytest.approx(GOLDEN[name], rel=0, abs=1e-12), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


def test_the_table_holds_golds_and_similarities() -> None:
    items = run_items()
    assert list(items.columns) == ["gold", "cosine", "dot", "euclidean", "manhattan"]
    assert items.ids == fixed_pairs().ids
    assert items.counts() == {"items": 40, "ok": 40, "failed": 0, "excluded": 0}
    vectors = Fixed().encode([*fixed_pairs().first, *fixed_pairs().second]).astype(float)
    assert items.columns["dot"].tolist() == (vectors[:40] * vectors[40:]).sum(axis=1).tolist()


def test_both_sides_are_encoded_in_one_call_without_a_role() -> None:
    calls: list[Any] = []

    class Spy(Fixed):
        def encode(self, texts: list[str], role: str | None = None) -> NDArray[np.float32]:
            calls.append((len(texts), role))
            return super().encode(texts)

    PROTOCOL.run(TASK, fixed_pairs(), Spy())
    assert calls == [(80, None)]


def test_scores_equal_mtebs_on_the_same_vectors() -> None:
    """Whole vectors, so that pairs tie exactly there too; mteb takes the vectors in float64."""
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset
    from mteb.timing import TimingStack

    class Theirs:
        mteb_model_meta = None

        def encode(self, inputs: Any, **options: Any) -> NDArray[np.float64]:
            texts = [text for batch in inputs for text in batch["text"]]
            return Fixed().encode(texts).astype(np.float64)

        def similarity(self, a: Any, b: Any) -> Any:
            raise NotImplementedError

        def similarity_pairwise(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
            norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
            return np.asarray((a * b).sum(axis=1) / norms)

    data = fixed_pairs()
    rows = {
        "sentence1": list(data.first),
        "sentence2": list(data.second),
        "labels": data.gold.astype(int).tolist(),
    }
    theirs = mteb.get_task("TwitterSemEval2015")._evaluate_subset(
        Theirs(),
        Dataset.from_dict(rows),
        hf_split="test",
        hf_subset="default",
        encode_kwargs={"batch_size": 16},
        timer=TimingStack(),
    )
    items = run_items()
    for name in NAMES:
        assert scored(items, name) == pytest.approx(theirs[name], abs=1e-6), name
