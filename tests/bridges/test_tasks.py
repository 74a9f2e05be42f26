"""Names of mteb's tasks and benchmarks, and what is wrong with some."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalsuite import Evaluator, data, get_suite, get_task, registry
from evalsuite.errors import DataError, EvalsuiteError, UsageError
from tests.bridges.support import publish, some_pairs
from tests.protocols.theirs import Words
from tests.support import pairs_task, task_toml

pytest.importorskip("mteb")


def test_a_task_says_what_mteb_says_of_it() -> None:
    task = get_task("mteb:STS22.v2?subset=en")
    assert str(task) == "mteb.STS22.v2-en@1"
    assert (task.protocol, task.main_measure, task.type) == ("sts", "cosine_spearman", "STS")
    assert task.languages == ("eng",)
    assert task.same_as == ("mteb:STS22.v2@d31f33a128469b20e357535c39b82fb3c3f6f2bd,subset=en",)
    assert get_task("mteb:ArguAna").params == {"ignore_identical_ids": True}
    assert get_task("mteb:STSBenchmark@1").name == "mteb.STSBenchmark"
    assert get_task("mteb:SciFact?similarity=dot").params == {"similarity": "dot"}


def test_names_are_path_safe_and_apart() -> None:
    asked = ["", "?subset=de", "?subset=de,en", "?subset=en,de", "?split=test", "?subset=de-en"]
    names = [get_task(f"mteb:STS22.v2{one}").name for one in asked]
    assert names[2] == names[3]  # the same part
    assert len(set(names)) == len(asked) - 1
    every = ",".join(get_task("mteb:BibleNLPBitextMining").data["mteb"]["subsets"][:40])
    long = get_task(f"mteb:BibleNLPBitextMining?subset={every}").name
    assert len(long) <= 80


def texts_of_benchmarks() -> Iterator[str]:
    yield from ("MTEB(eng, v2)", "MTEB(Multilingual, v2)", "BEIR")


@pytest.mark.parametrize("name", texts_of_benchmarks())
def test_every_task_of_a_benchmark_can_be_asked_for(name: str) -> None:
    """Their protocols take them: measures, parameters and types are right."""
    import mteb

    suite = get_suite(f"mteb:{name}")
    tasks = [get_task(one) for one in suite.all_tasks()]
    for task in tasks:
        registry.get_protocol(task.protocol).check(task)
    assert len({task.name for task in tasks}) == len(tasks)
    whole = [task for task in mteb.get_benchmark(name).tasks if not task.is_aggregate]
    for theirs, ours in zip(whole, (get_task(one) for one in suite.tasks), strict=True):
        assert ours.data["mteb"]["subsets"] == sorted(theirs.hf_subsets)
        assert ours.data["mteb"]["splits"] == sorted(theirs.eval_splits)


def test_a_mean_of_tasks_is_a_suite_and_one_child_of_others() -> None:
    suite = get_suite("mteb:CQADupstackRetrieval")
    assert len(suite.tasks) == 12
    beir = get_suite("mteb:BEIR")
    assert [group.name for group in beir.groups] == ["CQADupstackRetrieval"]
    scores = dict.fromkeys(beir.tasks, 1.0) | dict.fromkeys(suite.tasks, 0.0)
    assert beir.mean(scores) == pytest.approx(len(beir.tasks) / (len(beir.tasks) + 1))


def test_a_suite_has_a_mean(
    hub_cache: Path, tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mteb

    benchmark = mteb.get_benchmark("MTEB(eng, v2)")
    small = type(benchmark)(name="Small", tasks=mteb.get_tasks(tasks=["STSBenchmark", "STS12"]))
    monkeypatch.setattr(mteb, "get_benchmark", lambda name: small)
    for name in ("STSBenchmark", "STS12"):
        publish(hub_cache, name, {"default": {"test": some_pairs(name)}})
    ran = run_cli("run", "random", "-s", "mteb:Small", "--results", tmp_path / "r", "--no-cache")
    assert ran.code == 0, ran.err
    assert "mean of mteb:Small" in ran.out


def test_a_toml_task_can_take_its_data_from_mteb(hub_cache: Path, tmp_path: Path) -> None:
    publish(hub_cache, "STSBenchmark", {"default": {"test": some_pairs("w")}})
    path = task_toml(tmp_path / "Mine.toml", data="", main_measure="euclidean_pearson")
    text = path.read_text().replace("[data.local]", '[data.mteb]\ntask = "STSBenchmark"')
    path.write_text(text)
    (result,) = Evaluator([str(path)], results=tmp_path / "r", cache=None).run(Words())
    assert (result.task_key, result.run["data_source"]) == ("Mine@1", "mteb")
    path.write_text(text + 'revision = "0123456789abcdef"\n')
    with pytest.raises(DataError, match="is of revision 0123456789ab of the data, and this mteb"):
        data.load(get_task(str(path)), "pairs")
    path.write_text(text.replace('"sts"', '"pair_classification"').replace(
        "euclidean_pearson", "max_ap"))  # fmt: skip
    with pytest.raises(UsageError, match="none that protocol 'pair_classification' can run"):
        data.load(get_task(str(path)), "pairs")


def test_names_of_others_are_no_bridge() -> None:
    with pytest.raises(EvalsuiteError, match="Unknown task 'mtbe:STSBenchmark'"):
        get_task("mtbe:STSBenchmark")


def test_only_names_that_begin_with_mteb_import_it(tmp_path: Path) -> None:
    script = (
        "import sys, evalsuite\n"
        "evalsuite.get_task('STSBenchmark'), evalsuite.get_suite('sts'), evalsuite.registry\n"
        f"evalsuite.get_task({str(pairs_task(tmp_path))!r})\n"
        "assert 'mteb' not in sys.modules and 'torch' not in sys.modules\n"
        "evalsuite.get_task('mteb:STSBenchmark')\n"
        "assert 'mteb' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
