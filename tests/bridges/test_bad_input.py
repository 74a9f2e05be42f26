"""What cannot be right of mteb's tasks, benchmarks and models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import evalsuite
from evalsuite import Evaluator, data, get_suite, get_task, models, registry
from evalsuite.bridges.mteb import library
from evalsuite.bridges.mteb.metadata import metadata_of
from evalsuite.errors import DataError, ModelError, UsageError
from evalsuite.models import Placement
from tests.bridges.support import REGISTERED, Rows, publish, ranked, sets, some_pairs
from tests.protocols.theirs import Words
from tests.support import TextModel

pytest.importorskip("mteb")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("STSBenchmrak", "Did you mean 'mteb:STSBenchmark'"),
        ("zzzzqqqq", "`mteb available-tasks` lists"),
        ("STS22.v2?subset=xx", "has no subset 'xx', only ar, "),
        ("STS22.v2?split=dev", "does not score the split 'dev', only test"),
        ("STS22.v2?langs=en", "unknown option 'langs'. Known: subset, split, similarity"),
        ("STS22.v2?subset", "options are written"),
        ("CIFAR10", "is of images: evalsuite runs texts only"),
        ("CQADupstackRetrieval", "run it as a suite, --suite mteb:CQADupstackRetrieval"),
        ("BiorxivClusteringP2P?similarity=dot", "takes no similarity"),
        ("SciFact@7", "'@7' is not available"),
    ],
)
def test_tasks_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        get_task(f"mteb:{name}")


def test_a_parameter_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="parameter `similarity` is 'max'"):
        Evaluator(["mteb:SciFact?similarity=max"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MTEB(engl, v2)", r"Did you mean 'mteb:MTEB\(eng, v2\)'"),
        ("STSBenchmark", "is a task, no suite: --task mteb:STSBenchmark"),
        ("zzzzqqqq", "`mteb available-benchmarks` lists"),
    ],
)
def test_suites_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_suite(f"mteb:{name}")


def test_without_mteb_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    library.load.cache_clear()
    try:
        for look_up in (lambda: library.task("STSBenchmark"), lambda: get_suite("mteb:BEIR")):
            with pytest.raises(UsageError, match=r"pip install 'evalsuite\[mteb\]'"):
                look_up()
    finally:
        library.load.cache_clear()


def test_data_that_are_nowhere(hub_cache: Path) -> None:
    task = get_task("mteb:STS13")
    with pytest.raises(DataError, match=r"STS13@1: mteb cannot load .* not in the hub cache: go"):
        data.load(task, "pairs")


def test_data_that_are_malformed(hub_cache: Path) -> None:
    corpus, queries, grades = ranked("w")
    publish(hub_cache, "STSBenchmark", {"default": {"test": [{"sentence1": "a", "score": 1.0}]}})
    publish(hub_cache, "STS12", {"default": {"dev": some_pairs("w")}})
    publish(
        hub_cache,
        "SciFact",
        {
            "corpus": {"corpus": corpus},
            "queries": {"queries": queries},
            "default": {"test": [{**row, "query-id": "other"} for row in grades]},
        },
    )
    for name, message in (
        ("STSBenchmark", "no column 'sentence2', only"),
        ("STS12", "no split 'test', only dev"),
        ("SciFact", "No query has a judgement"),
    ):
        task = get_task(f"mteb:{name}")
        with pytest.raises(DataError, match=message):
            data.load(task, registry.get_protocol(task.protocol).layout)


def test_rankings_of_several_corpora_are_not_written(hub_cache: Path, tmp_path: Path) -> None:
    corpus, queries, grades = ranked("w")
    tables: dict[str, dict[str, Rows]] = {}
    for part in ("ara-ara", "ara-eng"):
        tables |= {
            f"{part}-corpus": {"test": corpus},
            f"{part}-queries": {"test": queries},
            f"{part}-qrels": {"test": grades},
        }
    publish(hub_cache, "XPQARetrieval", tables)
    task = "mteb:XPQARetrieval?subset=ara-ara,ara-eng"
    evaluator = Evaluator([task], results=tmp_path / "r", cache=None, runs=tmp_path / "runs")
    with pytest.raises(UsageError, match="ranks several corpora"):
        evaluator.run(Words())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mteb:sentence-transformers/all-MiniLM-L6-v3", "Did you mean 'mteb:sentence-transform"),
        (f"mteb:{REGISTERED}@0123", "revision 0123 not found"),
        (f"mteb:{REGISTERED}?dim=3", "takes no options"),
        ("mteb:mteb/baseline-bm25s", "only encoders with one dense vector"),
        ("mteb:qqqq/zzzz", "get_model_metas"),
    ],
)
def test_models_that_cannot_be(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        models.resolve(spec)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from mteb.models.model_meta import ModelMeta

    name = "Cohere/Cohere-embed-english-v3.0"
    monkeypatch.setattr(
        ModelMeta, "_missing_dependencies", staticmethod(lambda groups: ["cohere>=5"])
    )
    monkeypatch.delenv("MTEB_AUTO_INSTALL_EXTRAS", raising=False)
    resolved = models.resolve(f"mteb:{name}").seen_by(get_task("mteb:STSBenchmark"))
    with pytest.raises(ModelError, match=r"pip install .*mteb\[cohere\]"):
        resolved.load(Placement())


def test_code_of_a_checkpoint_runs_only_with_the_flag() -> None:
    resolved = models.resolve("mteb:BidirLM/BidirLM-0.6B-Embedding")
    task = get_task("mteb:STSBenchmark")
    with pytest.raises(ModelError, match="--trust-remote-code"):
        resolved.seen_by(task).load(Placement(dtype=resolved.native_dtype or ""))


def test_what_as_mteb_refuses() -> None:
    with pytest.raises(ModelError, match="'bm25' offers encode_sparse"):
        evalsuite.as_mteb("bm25")
    batches: Any = [{"image": [1]}]
    metadata = metadata_of(get_task("mteb:STSBenchmark"))
    encoder = evalsuite.as_mteb(TextModel())
    with pytest.raises(ModelError, match="encodes texts only"):
        encoder.encode(batches, task_metadata=metadata, hf_split="", hf_subset="")


def test_mteb_runs_a_task_whole(hub_cache: Path, tmp_path: Path) -> None:
    publish(hub_cache, "BiorxivClusteringP2P", {"default": {"test": sets()}})
    evaluator = Evaluator(
        ["mteb:BiorxivClusteringP2P"], results=tmp_path / "r", cache=None, limit=2
    )
    with pytest.raises(UsageError, match="--limit: mteb itself runs"):
        evaluator.run(Words())


def test_an_error_of_mtebs_is_one_message(hub_cache: Path, tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "labels"} for row in sets()]
    publish(hub_cache, "BiorxivClusteringP2P", {"default": {"test": rows}})
    with pytest.raises(ModelError, match=r"mteb\.evaluate failed, "):
        Evaluator(["mteb:BiorxivClusteringP2P"], results=tmp_path / "r", cache=None).run(Words())
