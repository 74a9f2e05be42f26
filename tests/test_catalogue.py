"""The catalogue: every task and suite loads, and says of the hub what mteb says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite import data, registry
from evalsuite.exchange.names import parse_key
from evalsuite.foreign import mteb_metric
from evalsuite.task import Task, load_task

TASKS = registry.data_folder("tasks")
DATA = Path(os.environ.get("EVALSUITE_DATA", Path(__file__).parents[2] / "shared" / "data"))
FILES = sorted(TASKS.glob("*/*.toml"))
SHIPPED = {"QuickSTS", "QuickRetrieval"}  # their data lie beside the TOML
WORDS = {
    *("WordSim353", "WordSim353-Similarity", "WordSim353-Relatedness", "SimLex999", "MEN", "RG65"),
    *("MC30", "MTurk287", "MTurk771", "RareWords", "SimVerb3500", "VERB143", "YP130"),
}
LABELLED = {"Banking77Classification", "TREC", "SST2", "MR", "CR", "SUBJ", "MPQA"}
SENTEVAL = {
    f"SentEval-{name}" for name in ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC", "SICK-E")
}
ISOTROPY = {"STSBenchmark-isotropy", "STSBenchmark-alignment"}  # on the pairs of STSBenchmark
# collections small enough to be in the folder of real data
REAL = {
    *(f"STS{year}{end}" for year in range(12, 17) for end in ("", "-raw")),
    *("STSBenchmark", "SICK-R", "SciFact", "NFCorpus"),
    *("Cranfield", "CISI", "ADI", "NPL", "MRPC"),
    *WORDS,
    *LABELLED,
    *SENTEVAL,
    *ISOTROPY,
    *("AGNewsTestClustering", "TRECHierarchicalClustering", "UnifiedEmotionTestClustering"),
}


def tasks() -> Mapping[str, Task]:
    return {path.stem: load_task(path) for path in FILES}


def loaded(name: str) -> data.Loaded:
    task = registry.get_task(name)
    layout = registry.get_protocol(task.protocol).layout
    return data.load(task, layout, data_dir=DATA if DATA.is_dir() else TASKS, online=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_task_is_sound(path: Path) -> None:
    task = load_task(path)
    assert task.name == path.stem
    assert registry.get_task(task.name) == task
    registry.get_protocol(task.protocol).check(task)
    assert task.title
    assert len(task.title) <= 120
    assert "\n" not in task.title
    assert task.licence
    assert task.languages
    assert all(re.fullmatch("[a-z]{3}", code) for code in task.languages)
    assert task.redistributable == (task.name in SHIPPED)
    assert len(task.measures) > 1 or task.protocol == "alignment"
    assert task.reference.startswith(("https://", "http://")) or task.name in SHIPPED
    if "hub" in task.data:
        assert re.fullmatch(r"[0-9a-f]{40}", task.data["hub"]["revision"])
    assert all(isinstance(n, int) and n > 0 for k, n in task.expect.items() if k != "digest")


def test_names_are_unique_whatever_their_case() -> None:
    names = [path.stem.lower() for path in FILES]
    assert len(set(names)) == len(names)
    assert len(registry.task_files()) == len(FILES)


def test_the_digest_is_known_where_the_data_are() -> None:
    known = {name for name, task in tasks().items() if "digest" in task.expect}
    assert known == REAL | SHIPPED


@pytest.mark.parametrize("name", sorted(registry.suites()))
def test_suite_names_existing_tasks_once(name: str) -> None:
    suite = registry.get_suite(name)
    members = suite.all_tasks()
    assert suite.title
    assert members
    assert len(set(members)) == len(members)
    assert set(members) <= set(registry.task_files())


def test_suites_are_the_published_ones() -> None:
    assert set(registry.get_suite("quick").tasks) == SHIPPED
    assert set(registry.get_suite("sts").tasks) == {
        "STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R",
    }  # fmt: skip
    assert set(registry.get_suite("wordsim").tasks) == WORDS
    assert set(registry.get_suite("classification").tasks) == LABELLED
    assert set(registry.get_suite("senteval").tasks) == SENTEVAL
    assert set(registry.get_suite("pair-classification").tasks) == {
        "SprintDuplicateQuestions", "TwitterSemEval2015", "TwitterURLCorpus",
    }  # fmt: skip
    beir = registry.get_suite("beir")
    assert len(beir.tasks) == 14
    (forums,) = beir.groups
    assert forums.name == "CQADupStack"
    assert len(forums.tasks) == 12


def test_the_forums_count_as_one_child_of_beir() -> None:
    beir = registry.get_suite("beir")
    scores = dict.fromkeys(beir.tasks, 0.5) | dict.fromkeys(beir.groups[0].tasks, 0.2)
    assert beir.mean(scores) == pytest.approx((14 * 0.5 + 0.2) / 15)
    del scores["CQADupstackTexRetrieval"]
    assert beir.mean(scores) is None


def test_hub_copies_are_mtebs() -> None:
    """One test, since importing mteb takes seconds."""
    mteb = pytest.importorskip("mteb")
    wrong: list[str] = []
    for name, task in tasks().items():
        if "hub" not in task.data or name in ISOTROPY:
            continue
        theirs: Any = mteb.get_task(parse_key(task.same_as[0])[1])
        ours = {
            "path": task.data["hub"]["path"],
            "revision": task.data["hub"]["revision"],
            "splits": [task.split],
            "main": mteb_metric(task.main_measure),
            "ignores identical ids": bool(task.params.get("ignore_identical_ids")),
            "samples a label": task.params.get("samples_per_label", 8),
        }
        expected = {
            "path": theirs.metadata.dataset["path"],
            "revision": theirs.metadata.dataset["revision"],
            "splits": theirs.metadata.eval_splits,
            "main": theirs.metadata.main_score,
            "ignores identical ids": bool(getattr(theirs, "ignore_identical_ids", False)),
            "samples a label": getattr(theirs, "samples_per_label", 8),
        }
        config = task.data["hub"].get("config")
        assert config == theirs.metadata.dataset.get("name") or config in theirs.hf_subsets
        wrong += [
            f"{name}: {key} is {ours[key]}, mteb has {expected[key]}"
            for key in ours
            if ours[key] != expected[key]
        ]
    assert not wrong, "\n".join(wrong)
    members = {task.metadata.name for task in mteb.get_benchmark("BEIR").tasks}
    assert members - {"CQADupstackRetrieval"} == set(registry.get_suite("beir").tasks)
    for suite, benchmark in (("clustering", "MTEB(eng, v2)"), ("clustering-v1", "MTEB(eng, v1)")):
        theirs = mteb.get_benchmark(benchmark).tasks
        names = {task.metadata.name for task in theirs if task.metadata.type == "Clustering"}
        assert names == set(registry.get_suite(suite).tasks)


@pytest.mark.parametrize("name", sorted(ISOTROPY))
def test_isotropy_is_measured_on_the_pairs_of_sts_benchmark(name: str) -> None:
    assert registry.get_task(name).data == registry.get_task("STSBenchmark").data


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_data_have_their_digest(name: str) -> None:
    found = loaded(name)
    assert found.source == "local"
    assert found.digest == registry.get_task(name).expect["digest"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")
@pytest.mark.parametrize("name", sorted(REAL))
def test_real_data_have_their_digest(name: str) -> None:
    task = registry.get_task(name)
    if not (DATA / task.data["local"]["folder"]).is_dir():
        pytest.skip(f"no folder '{task.data['local']['folder']}' in {DATA}")
    found = loaded(name)
    assert found.source == "local"
    assert found.digest == task.expect["digest"]
    counts = found.data.counts()
    assert {key: counts[key] for key in task.expect if key != "digest"} == {
        key: value for key, value in task.expect.items() if key != "digest"
    }
