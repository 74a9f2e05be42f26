"""Names here and elsewhere, and why the catalogue may say that tasks are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite import registry
from evalsuite.exchange import names
from tests.support import DATA, REPOSITORY

TASKS = [registry.get_task(name) for name in registry.task_files()]
SHARED = [task for task in TASKS if task.same_as]


@pytest.mark.parametrize(
    ("measure", "metric"),
    [
        ("ndcg@10", "ndcg_at_10"),
        ("recall@1000", "recall_at_1000"),
        ("map@5", "map_at_5"),
        ("cosine_spearman", "cosine_spearman"),
    ],
)
def test_measures_there_and_back(measure: str, metric: str) -> None:
    assert names.mteb_metric(measure) == metric
    assert names.measure_of(metric) == measure


@pytest.mark.parametrize("metric", ["hit_rate_at_10", "ndcg_at_0", "nauc_ndcg_at_10_max", "map"])
def test_metrics_without_a_name_here_keep_theirs(metric: str) -> None:
    assert names.measure_of(metric) == metric


def test_no_foreign_task_is_two_of_ours() -> None:
    keys = [key for task in TASKS for key in task.same_as]
    assert len(set(keys)) == len(keys)
    assert {key: task for key in keys for task in TASKS if key in task.same_as} == (
        names.shared_tasks()
    )


def test_every_task_of_mteb_says_so() -> None:
    on_the_hub = {task.name for task in TASKS if "hub" in task.data}
    of_our_own = {"STSBenchmark-isotropy", "STSBenchmark-alignment"}
    assert {task.name for task in SHARED} == on_the_hub - of_our_own
    for task in SHARED:
        revision, config = task.data["hub"]["revision"], task.data["hub"].get("config")
        name = task.name.removesuffix("-en")  # mteb scores English there as a subset
        subset = "" if name == task.name else f",subset={config}"
        assert task.same_as[0] == f"mteb:{name}@{revision}{subset}"


def test_mteb_has_these_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path))
    mteb: Any = pytest.importorskip("mteb")
    for task in SHARED:
        metadata = mteb.get_task(names.parse_key(task.same_as[0])[1]).metadata
        revisions = {names.parse_key(key)[2] for key in task.same_as}
        config = task.data["hub"].get("config")
        subsets = [config] if config in metadata.hf_subsets else metadata.hf_subsets
        assert any(revision.startswith(metadata.revision) for revision in revisions)
        if subsets != ["default"]:
            part = names.mteb_part(task.split, sorted(subsets))
            assert metadata.revision + part in revisions
        assert task.split in metadata.eval_splits
        assert metadata.main_score == names.mteb_metric(task.main_measure)


PUBLISHED = (
    DATA / "reference" / "mteb_results" / "sentence-transformers__all-MiniLM-L6-v2"
    / "8b3219a92973c328a8e22fadcfa821b5dc75636a"
)  # fmt: skip
OURS = REPOSITORY / "results" / "all-MiniLM-L6-v2"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no sample of mteb's results")
@pytest.mark.skipif(not OURS.is_dir(), reason="no results of this project")
def test_published_scores_of_the_same_data_are_ours() -> None:
    """The same weights on the same data: the revisions listed hold the data we have.

    The reciprocal rank is left out: mteb counted ties otherwise then.
    """
    checked = set()
    for path in OURS.glob("*/cpu,fp32/*.json"):
        own = json.loads(path.read_text())
        published = PUBLISHED / f"{own['task']['name']}.json"
        if not published.is_file():
            continue
        table = json.loads(published.read_text())
        key = names.foreign_key("mteb", table["task_name"], table["dataset_revision"])
        assert str(names.shared_tasks()[key]) == path.stem
        (entry,) = table["scores"]["test"]
        for measure, score in own["scores"].items():
            there = entry.get(names.mteb_metric(measure))  # older files lack some measures
            if there is not None and not measure.startswith("mrr"):
                assert score["value"] == pytest.approx(there, abs=3e-5), (path.stem, measure)
        assert names.mteb_metric(own["main_measure"]) in entry
        checked.add(key)
    assert "mteb:SciFact@0228b52cf27578f30900b9e5271d331663a030d7" in checked
    assert len(checked) == 10


def test_fingerprints_are_those_of_real_runs() -> None:
    for path in OURS.glob("*/cpu,fp32/*.json"):
        own = json.loads(path.read_text())["task"]
        task = names.catalogue_task(own["name"], own["version"])
        assert task is not None
        if registry.get_protocol(task.protocol).version == own["protocol_version"]:
            assert names.known_fingerprint(task) == own["fingerprint"]


def test_tasks_nobody_knows() -> None:
    assert names.catalogue_task("Nobodys", 1) is None
    assert names.catalogue_task("STS12", 99) is None
    assert names.known_fingerprint(registry.get_task("FEVER")) is None  # no digest is known
