"""Own results as mteb's files: mteb itself loads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import NothingToReadError, StoreError, UsageError
from evalsuite.exchange import Selection, export_mteb, import_mteb
from evalsuite.result import Result
from evalsuite.store import load_results
from tests.exchange.trees import STSB, mteb_tree, own_result

REVISION = "aaaaaaaaaaaa-cpu,fp32"


@pytest.fixture(scope="module")
def mteb(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:  # importing it makes a folder
        patch.setenv("MTEB_CACHE", str(tmp_path_factory.mktemp("mteb")))
        return pytest.importorskip("mteb")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_mteb_loads_what_was_written(mteb: Any, root: Path, tmp_path: Path) -> None:
    own = own_result(root, "STSBenchmark", score=0.8203219876)
    own_result(root, "SciFact", score=0.6451234567)
    out = tmp_path / "cache"
    done = export_mteb(root, out)
    assert (done.results, done.skipped, done.exit_code) == (2, {}, 0)
    cache = mteb.ResultCache(out)
    table = cache.load_task_result("STSBenchmark", "org/own", REVISION)
    assert table.main_score == 0.820322
    assert table.dataset_revision == STSB
    assert table.mteb_version is None
    assert table.evaluation_time == 1.25
    assert table.date.isoformat() == "2026-01-02T03:04:05+00:00"
    (entry,) = table.scores["test"]
    assert (entry["hf_subset"], entry["languages"]) == ("default", ["eng-Latn"])
    assert entry["cosine_pearson"] == 0.410161
    assert entry["evalsuite"]["fingerprint"] == own.task["fingerprint"]
    assert entry["evalsuite"]["n"] == 2
    assert entry["evalsuite"]["ci95"] == pytest.approx([0.7203219876, 0.9203219876])
    (entry,) = cache.load_task_result("SciFact", "org/own", REVISION).scores["test"]
    assert (entry["ndcg_at_10"], entry["recall_at_100"]) == (0.645123, 0.322562)
    loaded = cache.load_results(require_model_meta=True)
    (model,) = loaded.model_results
    assert (model.model_name, model.model_revision) == ("org/own", REVISION)
    task = mteb.get_task("STSBenchmark")
    checked = table.validate_and_filter_scores(task)
    assert checked.get_score() == 0.820322  # no split or subset is missing


def test_mteb_reads_the_model(mteb: Any, root: Path, tmp_path: Path) -> None:
    own_result(root, model="bm25")
    export_mteb(root, tmp_path / "cache", org="my-org")
    (path,) = (tmp_path / "cache").rglob("model_meta.json")
    meta = mteb.models.ModelMeta.model_validate_json_resolved(path.read_text())
    assert (meta.name, meta.revision) == ("my-org/bm25", REVISION)
    assert path.parent.parent.name == meta.model_name_as_path()
    assert meta.n_parameters is None


def test_what_mteb_saves_again_keeps_our_facts(mteb: Any, root: Path, tmp_path: Path) -> None:
    own_result(root)
    export_mteb(root, tmp_path / "cache")
    (path,) = (tmp_path / "cache").rglob("STSBenchmark.json")
    mteb.results.TaskResult.from_disk(path).to_disk(path)
    (entry,) = json.loads(path.read_text())["scores"]["test"]
    assert entry["evalsuite"]["identity"] == "a" * 64


def test_variants_have_revisions_of_their_own(root: Path, tmp_path: Path) -> None:
    variants = ("cpu,fp32", "cpu,bf16", "cpu,fp32,dim=128")
    for score, variant in enumerate(variants, start=1):
        own_result(root, score=score / 10, variant=variant)
    assert export_mteb(root, tmp_path / "cache").results == 3
    found = {path.parent.name: path for path in (tmp_path / "cache").rglob("STSBenchmark.json")}
    assert set(found) == {f"aaaaaaaaaaaa-{variant}" for variant in variants}
    for name, path in found.items():
        meta = json.loads((path.parent / "model_meta.json").read_text())
        assert meta["revision"] == name


def test_what_is_left_out_is_counted(root: Path, tmp_path: Path) -> None:
    own_result(root)
    own_result(root, "STS12", limit=50, variant="cpu,fp32,limit=50")
    own_result(root, "STS12-raw")
    own_result(root, "Nobodys")
    own_result(root, "STS13", fingerprint="e" * 64)
    own_result(root, "STS14", version=7)
    import_mteb(mteb_tree(tmp_path / "tree"), root)
    done = export_mteb(root, tmp_path / "cache")
    assert done.results == 1
    assert done.skipped == {
        "imported, not run here": 1,
        "cut to a few items by --limit": 1,
        "on a task mteb does not have": 3,
        "with another fingerprint than the catalogue's task": 1,
    }


def test_filters(root: Path, tmp_path: Path) -> None:
    for model in ("org/a", "org/b"):
        for task in ("STS12", "SciFact"):
            own_result(root, task, model=model)
    out = tmp_path / "cache"
    assert export_mteb(root, out, models=["*/a"], tasks=["STS*"]).results == 1
    (path,) = out.rglob("STS12.json")
    assert path.parent.parent.name == "org__a"
    with pytest.raises(NothingToReadError, match="none is asked for"):
        export_mteb(root, out, models=["nobody"])


@pytest.mark.parametrize(
    "name", ["../../x", "a b", "<script>", "x" * 300, "/abs/path", "é/ü", "a__b", "\udc80"]
)
def test_hostile_names_stay_inside(mteb: Any, root: Path, tmp_path: Path, name: str) -> None:
    own_result(root, model=name)
    out = tmp_path / "cache"
    export_mteb(root, out)
    (path,) = out.rglob("STSBenchmark.json")
    assert len(path.relative_to(out / "results").parts) == 3
    meta = mteb.models.ModelMeta.model_validate_json_resolved(
        (path.parent / "model_meta.json").read_text()
    )
    assert mteb.ResultCache(out).load_task_result("STSBenchmark", meta.name, meta.revision)
    (entry,) = json.loads(path.read_text())["scores"]["test"]
    assert entry["evalsuite"]["model"] == name.replace("\udc80", "?")


def test_there_and_back(root: Path, tmp_path: Path) -> None:
    own: list[Result] = [
        own_result(root, task, score=score, variant=variant)
        for task, score in (("STSBenchmark", 0.81234567), ("SICK-R", -0.05), ("SciFact", 0.7))
        for variant in ("cpu,fp32", "cpu,bf16")
    ]
    export_mteb(root, tmp_path / "cache")
    back = tmp_path / "back"
    report = import_mteb(tmp_path / "cache", back, Selection(shared=True))
    assert (report.imported, report.exit_code) == (len(own), 0)
    returned = {(r.task_key, r.model["revision"]): r for r in load_results(back)}
    for before in own:
        after = returned[before.task_key, f"aaaaaaaaaaaa-{before.variant}"]
        assert after.main_measure == before.main_measure
        assert set(after.scores) == set(before.scores)
        for name, score in before.scores.items():
            assert after.scores[name].value == round(score.value, 6)
        assert (after.origin or {})["same_as"]["fingerprint"] == before.task["fingerprint"]


def test_bad_places(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No results folder"):
        export_mteb(root, tmp_path / "cache")
    own_result(root)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not a folder"):
        export_mteb(root, tmp_path / "file")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "results").write_text("x")
    with pytest.raises(StoreError, match="Name another place"):
        export_mteb(root, tmp_path / "taken")


def test_unreadable_results_are_named(root: Path, tmp_path: Path) -> None:
    path = own_result(root).path
    assert path is not None
    (path.parent / "Broken@1.json").write_text("{")
    done = export_mteb(root, tmp_path / "cache")
    assert (done.results, done.exit_code) == (1, 3)
    assert "Broken@1.json" in done.problems[0]
