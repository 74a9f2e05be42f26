"""Isotropy and alignment: the definitions written out on real texts, and a golden run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import measures, stats
from evalsuite.data import Pairs
from evalsuite.data.layouts import content_ids
from evalsuite.protocols import alignment, isotropy
from evalsuite.result import Outcome
from evalsuite.task import task_from_table
from tests.protocols.theirs import Words, sts_benchmark
from tests.support import TextModel

RAISE = "The same vectors score differently: raise the protocol version."
NAMES = ("isoscore", "mean_cosine", "uniformity", "partition_ratio")
Floats = NDArray[np.float64]


def run(pairs: Pairs, model: Any, protocol: str = "isotropy", **params: Any) -> Outcome:
    module, main = (alignment, "alignment") if protocol == "alignment" else (isotropy, "isoscore")
    table = {"name": "T", "version": 1, "protocol": protocol, "main_measure": main, "title": "x"}
    task = task_from_table({**table, "params": params}, where="here")
    found: list[Outcome] = module.PROTOCOL.run(task, pairs.ordered(), model)
    return found[0]


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


def made(rows: list[tuple[str, str, float]]) -> Pairs:
    first, second, gold = (list(side) for side in zip(*rows, strict=True))
    ids = content_ids((a, b) for a, b, _ in rows)
    return Pairs(ids, first, second, np.array(gold, dtype=np.float64))


def real() -> Pairs:
    return made([(a, b, gold) for _, a, b, gold in sts_benchmark("test")])


def numbered() -> Pairs:
    return made([(str(n), str(n * 7 % 50 + 0.5), n % 6) for n in range(40)])


class Fixed:
    """A model whose vectors follow a formula of the number a text is."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        return np.asarray(np.sin(n * np.arange(1, 7)[None, :]) + 0.3, dtype=np.float32)


GOLDEN = {
    "isoscore": 0.991102301,
    "mean_cosine": 0.136227804,
    "uniformity": -2.335210581,
    "partition_ratio": 0.212418445,
    "alignment": 1.613986519,
}


def test_golden_scores() -> None:
    found = {name: scored(run(numbered(), Fixed()), name) for name in NAMES}
    found["alignment"] = scored(run(numbered(), Fixed(), "alignment"), "alignment")
    assert found == pytest.approx(GOLDEN, rel=0, abs=1e-6), f"{found}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert isotropy.PROTOCOL.version == 1, "Write new golden values for the new protocol version."
    assert alignment.PROTOCOL.version == 1, "Write new golden values for the new protocol version."


# ---- the definitions, written out


def vectors_of(pairs: Pairs, model: Any) -> Floats:
    texts = sorted({*pairs.first, *pairs.second})
    return np.asarray(model.encode(texts), dtype=np.float64)


def rudman(vectors: Floats) -> float:
    """IsoScore by the steps of the paper's algorithm."""
    d = vectors.shape[1]
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    spectrum = np.var(vectors @ axes.T, axis=0, ddof=1)
    scaled = np.sqrt(d) * spectrum / np.linalg.norm(spectrum)
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    share = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float((d * share - 1) / (d - 1))


def mu_and_viswanath(vectors: Floats) -> float:
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    sums = [np.exp(vectors @ (sign * axis)).sum() for axis in axes.T for sign in (1, -1)]
    return float(min(sums) / max(sums))


def ethayarajh(vectors: Floats) -> float:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(len(units), 1)
    return float(np.mean([units[i] @ units[j] for i, j in zip(first, second, strict=True)]))


def wang_and_isola(vectors: Floats) -> float:
    import torch

    units = torch.nn.functional.normalize(torch.from_numpy(vectors))
    return float(torch.pdist(units, p=2).pow(2).mul(-2).exp().mean().log())


@pytest.mark.parametrize("dim", [16, 300])
def test_scores_equal_the_definitions_on_real_texts(
    monkeypatch: pytest.MonkeyPatch, dim: int
) -> None:
    monkeypatch.setattr(isotropy, "ROWS_A_BLOCK", 100)
    pairs = real().limited(400)
    outcome = run(pairs, Words(dim))
    vectors = vectors_of(pairs, Words(dim))
    expected = {
        "isoscore": rudman(vectors),
        "mean_cosine": ethayarajh(vectors),
        "uniformity": wang_and_isola(vectors),
        "partition_ratio": mu_and_viswanath(vectors),
    }
    assert {name: scored(outcome, name) for name in NAMES} == pytest.approx(expected, abs=1e-9)
    assert len(outcome.items.ids) == len(vectors)


def test_isoscore_equals_its_package() -> None:
    package = pytest.importorskip("IsoScore.IsoScore")
    vectors = vectors_of(real(), Words(64))
    expected = float(package.IsoScore(vectors))
    assert scored(run(real(), Words(64)), "isoscore") == pytest.approx(expected, abs=1e-6)


def test_alignment_is_that_of_wang_and_isola_over_pairs_that_mean_the_same() -> None:
    import torch

    pairs, model = real(), Words()
    outcome = run(pairs, model, "alignment")
    kept = [i for i, gold in enumerate(pairs.gold) if gold >= 4]
    sides = [
        torch.nn.functional.normalize(torch.from_numpy(model.encode([side[i] for i in kept])))
        for side in (pairs.first, pairs.second)
    ]
    expected = float((sides[0] - sides[1]).norm(p=2, dim=1).pow(2).mean())
    assert scored(outcome, "alignment") == pytest.approx(expected, abs=1e-6)
    assert outcome.items.counts() == {
        "items": 1379,
        "ok": len(kept),
        "failed": 0,
        "excluded": 1379 - len(kept),
    }
    assert scored(run(pairs, model, "alignment", least_gold=5.0), "alignment") < expected


# ---- invariants


def columns(vectors: Floats) -> dict[str, Floats]:
    return isotropy.columns_of(vectors.astype(np.float32))


def scores(vectors: Floats) -> dict[str, float]:
    found = columns(vectors)
    return {name: float(measures.parse(name).aggregate(found, None)) for name in NAMES}


def cloud(n: int = 400, dim: int = 12) -> Floats:
    rng = np.random.default_rng(3)
    return np.asarray(0.3 + rng.standard_normal((n, dim)) * np.linspace(0.2, 1.5, dim))


def test_rotation_moves_nothing_and_scale_only_the_partition() -> None:
    vectors = cloud()
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))
    base = scores(vectors)
    assert scores(vectors @ turn) == pytest.approx(base, abs=1e-5)
    scaled = scores(3 * vectors)
    assert scaled.pop("partition_ratio") < base.pop("partition_ratio")
    assert scaled == pytest.approx(base, abs=1e-5)


def test_extremes() -> None:
    one = np.ones((9, 4))
    assert scores(one)["isoscore"] == 0.0
    assert scores(one)["mean_cosine"] == pytest.approx(1.0)
    assert scores(one)["uniformity"] == pytest.approx(0.0, abs=1e-9)
    axes = np.vstack([np.eye(5), -np.eye(5)])
    assert scores(axes)["isoscore"] == pytest.approx(1.0)
    assert scores(axes)["partition_ratio"] == pytest.approx(1.0)
    assert scores(np.outer(np.arange(9.0), np.ones(4)))["isoscore"] == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(list(scores(1000 * cloud()).values())).all()
    zeros = np.vstack([cloud(), np.zeros(12)])
    assert np.isfinite(list(scores(zeros).values())).all()


@pytest.mark.parametrize("name", NAMES)
def test_resamples_spread_as_scores_of_texts_drawn_anew(name: str) -> None:
    """Scores of clouds of one distribution vary as the resamples of each say."""
    rng, n = np.random.default_rng(1), 1000

    def drawn() -> Floats:
        return 0.3 + rng.standard_normal((n, 12)) * np.linspace(0.2, 1.5, 12)

    true = np.std([scores(drawn())[name] for _ in range(200)])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=200).astype(np.float64)
    aggregate = measures.parse(name).aggregate
    resampled = np.mean([np.std(aggregate(columns(drawn()), weights)) for _ in range(8)])
    assert resampled == pytest.approx(true, rel=0.25)


def test_each_text_is_encoded_once_and_the_order_of_pairs_moves_nothing() -> None:
    model = TextModel()
    rows = [(a, b, 1.0) for a, b in (("x", "y"), ("y", "z"), ("z", "z"), ("w", "x"))]
    base = run(made(rows), model).items
    assert model.seen == ["w", "x", "y", "z"]
    again = run(made([(b, a, 2.0) for a, b, _ in rows[::-1]]), TextModel()).items
    assert list(base.ids) == list(again.ids)
    for name, values in base.columns.items():
        assert values.tolist() == again.columns[name].tolist()
