"""The clustering protocol: mteb's own on the same vectors, and a golden run on fixed ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from evalsuite import Evaluator, data, measures, registry, stats
from evalsuite.data import LabelledSets
from evalsuite.data.labelled_sets import make_labelled_sets
from evalsuite.errors import DataError, UsageError
from evalsuite.protocols import clustering as module
from evalsuite.protocols.clustering import PROTOCOL
from evalsuite.result import Outcome
from evalsuite.task import Task, task_from_table
from tests.protocols.theirs import Words, mteb_model
from tests.support import DATA, canonical, task_toml, write_lines

RAISE = "The same vectors score differently: raise the protocol version."
SMALL = {"max_fraction": 0.0, "texts_per_experiment": 200, "n_experiments": 3}


def make_task(**params: Any) -> Task:
    table = {
        "name": "T",
        "version": 1,
        "protocol": "clustering",
        "main_measure": "v_measure",
        "measures": ["homogeneity", "completeness", "ami", "ari"],
        "title": "x",
        "params": params,
    }
    return task_from_table(table, where="here")


def make_data(rows: Sequence[tuple[Any, Any]], **options: Any) -> LabelledSets:
    return make_labelled_sets(((text, label, None) for text, label in rows), options, "here")


class Fixed:
    """A model whose vectors follow a formula in whole numbers."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        n = np.array([float(text) for text in texts])[:, None]
        k = np.arange(1, 9)[None, :]
        return np.asarray((n * k * k + 3 * n + k) % 13 + 4 * (n % 4 == k % 4), dtype=np.float32)


def levelled(n: int = 60) -> LabelledSets:
    return make_data([(str(i), ["abcd"[i % 4], f"{i % 4}.{i % 3}"]) for i in range(n)])


def in_sets() -> LabelledSets:
    rows = [([str(i + s) for i in range(30)], ["abcd"[(i + s) % 4] for i in range(30)])
            for s in (0, 100, 200)]  # fmt: skip
    return make_data(rows)


def run(task: Task | None = None, rows: LabelledSets | None = None, model: Any = None) -> Outcome:
    task = task or make_task(**SMALL)
    (outcome,) = PROTOCOL.run(task, rows or levelled(), model or Fixed())
    return outcome


def scored(outcome: Outcome, name: str) -> float:
    measure = measures.parse(name)
    return float(stats.score(measure, outcome.items.sample(measure)))


SETS = {"sampling": "sets", "batch_size": 500}
GOLDEN: Sequence[tuple[dict[str, Any], str, float]] = (
    (SMALL, "v_measure", 0.24504186505001255),
    (SMALL, "homogeneity", 0.24404597734705957),
    (SMALL, "completeness", 0.2460539109670007),
    (SMALL, "ami", 0.18778895617054123),
    (SMALL, "ari", 0.09521499197014804),
    ({**SMALL, "max_depth": 1}, "v_measure", 0.06457403013071851),
    ({**SMALL, "max_fraction": 0.5}, "v_measure", 0.39467614759677844),
    (SETS, "v_measure", 0.08340537991955528),
    (SETS, "ami", -0.061463025001059074),
)


@pytest.mark.parametrize(("params", "name", "expected"), GOLDEN)
def test_golden_scores(params: dict[str, Any], name: str, expected: float) -> None:
    score = scored(run(make_task(**params), in_sets() if params is SETS else levelled()), name)
    assert score == pytest.approx(expected, rel=0, abs=1e-9), f"{name} = {score!r}. {RAISE}"


def test_the_golden_values_belong_to_this_version() -> None:
    assert PROTOCOL.version == 1, "Write new golden values for the new protocol version."


def test_the_draws_of_this_version() -> None:
    rng = random.Random(module.SEED)
    places = module.sample(20, 0.0, 6, rng)
    gold = np.array([[0, 0, 1, 1, 2, 2], [0, -1, 1, -1, 1, 0]])
    drawn = [one.texts.tolist() for one in module.draw(gold, 2, 5, rng)]
    assert (places.tolist(), drawn) == DRAWN, f"{places.tolist(), drawn}. {RAISE}"


DRAWN = ([3, 0, 8, 7, 16, 2], [[4, 4, 5, 0, 2], [0, 1, 3, 0, 1], [4, 4, 0, 4, 5], [0, 5, 4, 2, 0]])


# ---- mteb's own runs


def theirs(rows: LabelledSets, encoder: Any, **settings: Any) -> dict[str, Any]:
    """Return what a new object of mteb's task says of the same texts and vectors."""
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict

    name = settings.pop("name", "BiorxivClusteringP2P.v2")
    task = type(mteb.get_task(name))()
    for key, value in settings.items():
        setattr(task, key, value)
    flat = [list(labels) if rows.levels > 1 else labels[0] for labels in rows.labels]
    table: dict[str, list[Any]] = {"sentences": list(rows.texts), "labels": flat}
    if name == "BiorxivClusteringP2P":
        members = [np.flatnonzero(rows.sets == number) for number in np.unique(rows.sets)]
        table = {key: [[column[i] for i in m] for m in members] for key, column in table.items()}
    task.dataset = DatasetDict({"test": Dataset.from_dict(table)})
    task.data_loaded = True
    with threadpool_limits(1):  # many times faster where cores are shared
        scores: dict[str, Any] = task.evaluate(mteb_model(encoder), "test", encode_kwargs={})
    found: dict[str, Any] = scores["default"]
    return found


def check(task: Task, rows: LabelledSets, their: dict[str, Any]) -> None:
    """Check the score, that of each experiment, and what mteb reports beside it."""
    outcome = run(task, rows, Words())
    for name in {"v_measure", "ami"} & set(their):
        assert scored(outcome, name) == pytest.approx(their[name], abs=1e-6), name
    each = their["v_measures"]
    levels = {"": each} if isinstance(each, list) else each
    assert len(set(np.concatenate(list(levels.values())))) > 1
    measure, items = measures.parse("v_measure"), outcome.items
    for level, values in levels.items():
        where = np.ones(len(items.ids), dtype=bool)
        if items.group is not None:
            where = items.group == f"level {int(level[-1]) + 1}"
        found = stats.draws.replicate_scores(measure, items.taken(where).sample(measure))
        assert found == pytest.approx(values, abs=1e-6), level


def real(name: str) -> tuple[Task, LabelledSets]:
    """Return a task of the catalogue with its data; skip the test where they are not here."""
    task = registry.get_task(name)
    if not (DATA / task.data["local"]["folder"]).is_dir():
        pytest.skip(f"no real data at {DATA}")
    loaded: Any = data.load(task, PROTOCOL.layout, data_dir=DATA).data
    return task, loaded


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("AGNewsTestClustering", {"max_fraction_of_documents_to_embed": None}),
        (
            "UnifiedEmotionTestClustering",
            {"max_fraction_of_documents_to_embed": None, "max_document_to_embed": 4096},
        ),
        ("TRECHierarchicalClustering", {"max_fraction_of_documents_to_embed": None}),
    ],
)
def test_draws_of_real_texts_equal_mtebs(name: str, settings: dict[str, Any]) -> None:
    task, rows = real(name)
    check(task, rows, theirs(rows, Words(), **settings))


@pytest.mark.parametrize("name", ["AGNewsTestClustering", "UnifiedEmotionTestClustering"])
def test_sets_of_real_texts_equal_mtebs(name: str) -> None:
    _, rows = real(name)
    cut = make_labelled_sets(
        ((text, labels[0], number % 4)
         for number, (text, labels) in enumerate(zip(rows.texts, rows.labels, strict=True))
         if number < 3000),
        {},
        "here",
    )  # fmt: skip
    check(make_task(**SETS), cut, theirs(cut, Words(), name="BiorxivClusteringP2P"))


FEW = {"n_clusters": 3, "max_documents_per_cluster": 200}


@pytest.mark.parametrize(
    ("ours", "settings"),
    [
        ({"max_fraction": 0.5}, {"max_fraction_of_documents_to_embed": 0.5}),
        ({"max_fraction": 1.0}, {"max_fraction_of_documents_to_embed": 1.0}),
        ({"max_texts": 40}, {"max_document_to_embed": 40}),
        ({"max_texts": 4000}, {"max_document_to_embed": 4000}),
        ({"max_fraction": 0.0, "max_depth": 1}, {"max_depth": 1}),
        ({"max_fraction": 0.0, "max_depth": 9}, {"max_depth": 9}),
        ({"max_fraction": 0.0, "batch_size": 50}, {"k_mean_batch_size": 50}),
    ],
)
def test_parameters_are_mtebs(ours: dict[str, Any], settings: dict[str, Any]) -> None:
    rows = levelled(120)
    settings = {"max_fraction_of_documents_to_embed": None, **FEW, **settings}
    params = {**SMALL, **ours}
    if "max_texts" in ours:
        del params["max_fraction"]
    check(make_task(**params), rows, theirs(rows, Words(), **settings))


def uneven(missing: int) -> list[tuple[str, list[Any]]]:
    """Return labels of two levels, or one where ``missing`` divides the place."""
    return [(f"text {i} w{i % 5}", [i % 3, i % 5] if i % missing else [i % 3]) for i in range(90)]


def test_unequal_depth_equals_mteb() -> None:
    """Words that lack a level are a class of their own in mteb; numbers are left out."""
    settings = {"max_fraction_of_documents_to_embed": None, **FEW}
    words = make_data([(text, [f"l{name}" for name in label]) for text, label in uneven(4)])
    check(make_task(**SMALL), words, theirs(words, Words(), **settings))
    numbers = make_data(uneven(4))
    whole = {labels: [int(name) for name in labels] for labels in numbers.labels}
    as_numbers = Numbered(numbers, whole)
    task = make_task(**SMALL, missing_level="leave_out")
    check(task, numbers, theirs(as_numbers, Words(), **settings))  # type: ignore[arg-type]
    assert run(task, numbers, Words()).evidence["texts_without_a_label"] == {"level 2": 23}


class Numbered:
    """The same texts with labels that are numbers."""

    levels = 2

    def __init__(self, rows: LabelledSets, whole: dict[tuple[str, ...], list[int]]) -> None:
        self.texts, self.sets = rows.texts, rows.sets
        self.labels = [whole[labels] for labels in rows.labels]


def test_a_set_of_one_label_scores_one() -> None:
    rows = make_data([([str(i) for i in range(9)], ["a"] * 9), (["1", "2", "3"], ["a", "b", "a"])])
    check(make_task(**SETS), rows, theirs(rows, Words(), name="BiorxivClusteringP2P"))


# ---- what the item table holds


def test_a_text_drawn_again_is_one_row_that_counts() -> None:
    items = run().items
    assert items.replicate is not None
    assert items.group is not None
    for level in ("level 1", "level 2"):
        for number in range(3):
            here = (items.group == level) & (items.replicate == number)
            ids = np.array(items.ids)[here].tolist()
            assert ids == sorted(set(ids))
            assert items.columns["count"][here].sum() == 200
            numbers = items.columns["predicted"][here]
            first = numbers[np.sort(np.unique(numbers, return_index=True)[1])]
            assert first.tolist() == list(range(len(first)))


def test_every_text_is_encoded_once_in_one_call() -> None:
    calls: list[list[str]] = []

    class Spy(Fixed):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            calls.append(texts)
            return super().encode(texts)

    outcome = run(make_task(**{**SMALL, "max_fraction": 0.5}), model=Spy())
    (texts,) = calls
    assert len(set(texts)) == len(texts) == 30
    assert [phase.items for phase in outcome.phases] == [30, 2 * 3 * 200]
    assert outcome.evidence["texts_outside_the_sample"] == 30
    assert outcome.items.n_items == 30 - outcome.evidence["texts_never_drawn"]


def test_sparse_vectors_cluster_as_their_dense_ones() -> None:
    class Sparse:
        def fit(self, texts: list[str]) -> None:
            self.texts = texts

        def encode_sparse(self, texts: list[str]) -> Any:
            assert texts == self.texts
            found: Any = csr_array(Fixed().encode(texts))
            found.indices, found.indptr = (
                places.astype(np.int64) for places in (found.indices, found.indptr)
            )
            return found

    assert scored(run(model=Sparse()), "v_measure") == pytest.approx(scored(run(), "v_measure"))


def test_global_random_state_moves_nothing() -> None:
    first = run().items.columns["predicted"].tolist()
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert run().items.columns["predicted"].tolist() == first


def test_the_order_of_texts_moves_score_and_digest() -> None:
    rows = [(f"text {i} w{i % 7}", "abc"[i % 3]) for i in range(80)]
    base, turned = make_data(rows), make_data(rows[::-1])
    assert base.digest() != turned.digest()
    scores = {scored(run(rows=one, model=Words()), "v_measure") for one in (base, turned)}
    assert len(scores) == 2


def test_cache_batches_and_resume_change_nothing(tmp_path: Path, tiny_bert: Path) -> None:
    words = ["dog", "cat", "guitar", "park", "sofa", "market", "run", "sleep", "stock", "fall"]
    rows = [
        {
            "text": f"a {words[n % 10]} in the {words[n * 7 % 9]}",
            "label": ["abc"[n % 3], str(n % 5)],
        }
        for n in range(60)
    ]
    write_lines(tmp_path / "texts" / "t.jsonl", rows)
    task = task_toml(
        tmp_path / "T.toml",
        data='folder = "texts"\nformat = "jsonl"\nfile = "t.jsonl"',
        protocol="clustering",
        main_measure="v_measure",
        extra="[params]\nmax_fraction = 0.5\ntexts_per_experiment = 99",
    )

    def canonicals(folder: str, **options: Any) -> str:
        evaluator = Evaluator([str(task)], results=tmp_path / folder, **options)
        (result,) = evaluator.run(str(tiny_bert))
        assert result.path is not None
        low, high = result.ci95 or (1.0, 0.0)
        assert low < result.main_score < high
        return canonical(result.path)

    first = canonicals("a", cache=None)
    cache = tmp_path / "cache"
    assert canonicals("b", cache=cache, batch_tokens=64) == first
    assert canonicals("c", cache=cache) == first
    assert canonicals("b", cache=cache) == first


# ---- what cannot be


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_experiments": 1}, "`n_experiments` must be at least 2"),
        ({"texts_per_experiment": 1}, "`texts_per_experiment` must be at least 2"),
        ({"texts_per_experiment": 3}, "12 labels need as many texts; `texts_per_experiment` is 3"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"max_texts": -1}, "`max_texts` must be at least 0"),
        ({"max_depth": -1}, "`max_depth` must be at least 0"),
        ({"max_fraction": 1.5}, "`max_fraction` must be between 0 and 1"),
        ({"max_fraction": 0.5, "max_texts": 9}, "say `max_texts` or `max_fraction`, not both"),
    ],
)
def test_parameters_that_cannot_be(params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(make_task(**{"max_fraction": 0.0, **params} if "max_texts" not in params else params))


def test_too_few_texts() -> None:
    with pytest.raises(DataError, match=r"`max_fraction = 0\.04` of 40 texts leaves 1 to cluster"):
        run(make_task(), levelled(40))
    with pytest.raises(DataError, match="labels of 2 levels; sets take one"):
        run(make_task(**SETS))


def test_measures_and_parameters_are_checked_before_anything_runs() -> None:
    PROTOCOL.check(make_task(**SMALL))
    with pytest.raises(UsageError, match="'sets'"):
        PROTOCOL.check(make_task(sampling="folds"))
    with pytest.raises(UsageError, match="no parameter `k`"):
        PROTOCOL.check(make_task(k=1))
