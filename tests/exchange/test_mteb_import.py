"""mteb's files as imported results: old and new, whole and broken."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import NothingToReadError, StoreError, UsageError
from evalsuite.exchange import Selection, files, import_mteb
from evalsuite.result import Result
from evalsuite.store import load_results, read_items
from tests.exchange.trees import STSB, entry, mteb_table, mteb_tree, own_result, write
from tests.support import DATA, task_toml

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def imported(tree: Path, root: Path, **selection: Any) -> list[Result]:
    report = import_mteb(tree, root, Selection(**selection))
    results = list(load_results(root))
    assert report.imported == len(results)
    assert report.n_malformed == 0
    return results


def test_a_task_of_ours_shares_its_row(tree: Path, root: Path) -> None:
    mteb_tree(tree)
    (result,) = imported(tree, root)
    assert result.path == root / "org__model" / "r1" / "imported,mteb" / "STSBenchmark@1.json"
    assert result.imported
    assert result.task_key == "STSBenchmark@1"
    assert result.task["fingerprint"] == ""
    assert (result.main_measure, result.main_score, result.ci95) == ("cosine_spearman", 0.75, None)
    assert {name: score.n for name, score in result.scores.items()} == {
        "cosine_spearman": 0,
        "cosine_pearson": 0,
    }
    assert (result.counts, result.items_digest) == ({}, "")
    assert result.settings["device"] == result.settings["dtype"] == "unknown"
    assert result.run["date"] == "2023-11-14T22:13:20+00:00"
    assert result.origin is not None
    shared = dict(result.origin).pop("same_as")
    assert shared["task"] == "STSBenchmark@1"
    assert len(shared["fingerprint"]) == 64
    assert {k: v for k, v in result.origin.items() if k != "same_as"} == {
        "tool": "mteb",
        "version": "2.26.24",
        "task": "STSBenchmark",
        "revision": STSB,
        "file": "org__model/r1/STSBenchmark.json",
    }
    with pytest.raises(StoreError, match="imported from mteb and has no items"):
        read_items(result.path)
    row = load_results(root).to_pandas().iloc[0]
    assert row["imported"] == "mteb"
    assert result.summary()["origin"]["tool"] == "mteb"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"task_name": "Banking77Classification"}, "mteb:Banking77Classification@b0fddb56ed78"),
        ({"dataset_revision": "0" * 40}, "mteb:STSBenchmark@000000000000"),
        ({"dataset_revision": None}, "mteb:STSBenchmark@unknown"),
        ({"dataset_revision": "None"}, "mteb:STSBenchmark@unknown"),
        ({"scores": {"validation": [entry()]}}, "mteb:STSBenchmark@b0fddb56ed78,split=validation"),
        ({"scores": {"test": [entry(subset="fr")]}}, "mteb:STSBenchmark@b0fddb56ed78,subset=fr"),
        ({"scores": {"train": [entry()], "test": [entry()]}}, "STSBenchmark@1"),
        ({"task_name": "MSMARCO", "dataset_revision": "c5a29a104738b98a9e76336939199e264163d4a0",
          "scores": {"test": [entry()], "dev": [entry(ndcg_at_10=0.75)]}}, "MSMARCO@1"),
        ({"task_name": "MSMARCO", "dataset_revision": "c5a29a104738b98a9e76336939199e264163d4a0",
          "scores": {"test": [entry()]}}, "mteb:MSMARCO@c5a29a104738"),
        ({"task_name": "MSMARCO", "dataset_revision": "c5a29a104738b98a9e76336939199e264163d4a0",
          "scores": {"dev": [entry(ndcg_at_10=0.75)]}}, "MSMARCO@1"),
    ],
)  # fmt: skip
def test_only_the_same_data_split_and_subset_are_the_same_task(
    tree: Path, root: Path, changes: dict[str, Any], key: str
) -> None:
    mteb_tree(tree, {**mteb_table(), **changes})
    (result,) = imported(tree, root)
    assert result.task_key == key
    assert ("same_as" in (result.origin or {})) == (not key.startswith("mteb:"))
    assert result.main_measure == (
        "main_score" if key.startswith("mteb:")
        else "ndcg@10" if key.startswith("MSMARCO") else "cosine_spearman"
    )  # fmt: skip


def test_several_subsets_are_one_mean_that_names_them(tree: Path, root: Path) -> None:
    subsets = [entry(0.2, "en-de", f1=0.5), entry(0.6, "en-fr")]
    mteb_tree(tree, mteb_table("STS17", scores={"test": subsets}))
    mteb_tree(tree, mteb_table("STS17", scores={"test": subsets[::-1]}), revision="r2")
    mteb_tree(tree, mteb_table("STS17", scores={"test": subsets[:1]}), revision="r3")
    first, second, third = imported(tree, root)
    assert first.main_score == pytest.approx(0.4)
    assert "f1" not in first.scores  # one of them lacks it
    assert first.evidence["mean_of_subsets"] == ["en-de", "en-fr"]
    assert first.task_key == second.task_key
    assert "2-subsets-" in first.task_key
    assert third.task_key.endswith(",subset=en-de")


def test_readers_show_a_few_of_many_measures(tree: Path, root: Path) -> None:
    many: dict[str, Any] = {f"nauc_map_at_{k}_std": 0.1 for k in range(100)} | {
        "ndcg_at_10": 0.75,
        "accuracy": 0.3,
    }
    mteb_tree(tree, mteb_table("Nobodys", scores={"test": [entry(**many)]}))
    (result,) = imported(tree, root)
    assert set(result.scores) == {
        "main_score", "ndcg@10", "accuracy", "cosine_spearman", "cosine_pearson",
    }  # fmt: skip


OLD: Mapping[str, Any] = {
    "sts": ({"test": {"cos_sim": {"pearson": 0.4, "spearman": 0.7}, "evaluation_time": 9.0,
                      "euclidean": {"pearson": 0.3, "spearman": 0.6}}}, "cosine_spearman", 0.7),
    "retrieval": ({"test": {"ndcg_at_10": 0.31, "map_at_10": 0.2, "evaluation_time": 9.0}},
                  "ndcg_at_10", 0.31),
    "classification": ({"test": {"accuracy": 0.5, "main_score": 0.44, "f1": 0.4}}, None, 0.44),
    "subsets": ({"test": {"en": {"accuracy": 0.5, "main_score": 0.5}, "evaluation_time": 9.0}},
                None, 0.5),
    "pairs": ({"test": {"cos_sim": {"ap": 0.6}, "max": {"ap": 0.65, "f1": 0.3}}}, "max_ap", 0.65),
    "clustering": ({"test": {"v_measure": 0.4, "v_measure_std": 0.1}}, "v_measure", 0.4),
    "two splits": ({"validation": {"main_score": 0.1}, "test": {"main_score": 0.2}}, None, 0.2),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_files_from_before_1_11(tree: Path, root: Path, name: str) -> None:
    splits, main, score = OLD[name]
    table = {"mteb_version": "0.0.2", "mteb_dataset_name": "Old", "dataset_revision": "x" * 12}
    write(tree / "org__model" / "r1" / "Old.json", {**table, **splits})
    (result,) = imported(tree, root)
    assert result.main_score == score
    assert result.evidence.get("main_score_is") == main
    assert result.task["name"] == "mteb:Old"


def test_old_and_new_files_agree(tree: Path, root: Path) -> None:
    mteb_tree(tree, mteb_table(scores={"test": [entry(0.7, euclidean_spearman=0.6)]}))
    old = {"mteb_dataset_name": "STSBenchmark", "dataset_revision": STSB, "mteb_version": "0.0.2"}
    scores = {"cos_sim": {"pearson": 0.5, "spearman": 0.7}, "euclidean": {"spearman": 0.6}}
    write(tree / "org__model" / "r2" / "STSBenchmark.json", {**old, "test": scores})
    one, other = imported(tree, root)
    assert one.task_key == other.task_key == "STSBenchmark@1"
    assert one.scores == other.scores


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([entry(NAN)], "main score is NaN or no number"),
        ([entry(-INF)], "main score is NaN or no number"),
        ([entry("0.5")], "main score is NaN or no number"),
        ([entry(10**400)], "main score is NaN or no number"),
        ([entry(None)], "no main score"),
        ([entry(0.5, "a"), entry(NAN, "b")], "main score is NaN or no number"),
    ],
)
def test_unusable_main_scores_are_skipped(
    tree: Path, root: Path, scores: list[Any], reason: str
) -> None:
    mteb_tree(tree, mteb_table(scores={"test": scores}), mteb_table("Other"))
    report = import_mteb(tree, root)
    assert (report.imported, report.skipped, report.exit_code) == (1, {reason: 1}, 0)


def test_nan_beside_a_good_main_score_is_dropped(tree: Path, root: Path) -> None:
    mteb_tree(tree, mteb_table(scores={"test": [entry(cosine_pearson=NAN, ap=INF, f1=True)]}))
    (result,) = imported(tree, root)
    assert set(result.scores) == {"cosine_spearman"}


DEEP = "[" * 100_000 + "]" * 100_000
MALFORMED: Mapping[str, tuple[Any, str]] = {
    "empty": ("", "no JSON"),
    "half": ('{"task_name": "x", "scores"', "no JSON"),
    "list": ([], "no JSON object"),
    "deep": ('{"task_name": ' + DEEP + "}", "nested too deeply"),
    "utf16": ("\ufeff{}".encode("utf-16").decode("latin-1"), "no JSON"),
    "number": ("1" * 5000, "no JSON"),
    "no scores": ({"task_name": "x"}, "no scores"),
    "no splits": (mteb_table(scores={}), "no scores"),
    "scores": (mteb_table(scores=[1]), "no scores"),
    "split": (mteb_table(scores={"test": {}}), "are no list"),
    "no entry": (mteb_table(scores={"test": []}), "are no list"),
    "entry": (mteb_table(scores={"test": [3]}), "is no object"),
    "subset": (mteb_table(scores={"test": [entry(subset=None)]}), "a subset is no name"),  # type: ignore[arg-type]
    "task": (mteb_table(7), "the task is no name"),  # type: ignore[arg-type]
    "long": (mteb_table("x" * 301), "longer than 300"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_named_and_the_rest_imported(tree: Path, root: Path, name: str) -> None:
    content, fault = MALFORMED[name]
    place = mteb_tree(tree, mteb_table("Good"))
    write(place / "Bad.json", content)
    report = import_mteb(tree, root)
    assert (report.imported, report.n_malformed, report.exit_code) == (1, 1, 3)
    ((file, said),) = report.malformed
    assert file == "org__model/r1/Bad.json"
    assert fault in said


def test_files_too_large_are_not_read(
    tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = mteb_tree(tree)
    with (place / "Huge.json").open("wb") as file:
        file.truncate(2**30)  # takes no room on the disk
    report = import_mteb(tree, root)
    assert report.malformed == [("org__model/r1/Huge.json", "larger than 64 MiB")]
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    assert import_mteb(tree, root / "other").n_malformed == 2


def test_fifty_levels_are_no_harm(tree: Path, root: Path) -> None:
    deep: Any = 1
    for _ in range(50):
        deep = {"x": [deep]}
    mteb_tree(tree, mteb_table(scores={"test": [entry(extra=deep)]}))
    assert len(imported(tree, root)) == 1


def test_what_is_no_file_is_not_opened(tree: Path, root: Path) -> None:
    place = mteb_tree(tree)
    os.mkfifo(place / "Pipe.json")
    (place / "Device.json").symlink_to("/dev/zero")
    (place / "Gone.json").symlink_to(tree / "nowhere")
    (place / "loop").symlink_to(tree)
    (place / "model_meta.json").unlink()
    os.mkfifo(place / "model_meta.json")
    (place / "Folder.json").mkdir()
    assert len(imported(tree, root)) == 1


def test_any_part_of_a_tree_can_be_named(tree: Path, tmp_path: Path) -> None:
    place = mteb_tree(tree / "remote" / "results")
    write(tree / "remote" / "paths.json", {"some": "thing"})
    write(tree / "remote" / ".git" / "x.json", "{")
    write(tree / "remote" / "list.json", {"task": 1})
    for number, part in enumerate((tree, tree / "remote" / "results", place.parent, place)):
        (result,) = imported(part, tmp_path / str(number))
        assert (result.model["name"], result.model["revision"]) == ("org/model", "r1")
    report = import_mteb(tree, tmp_path / "again")
    assert report.skipped == {"no result of this tool": 2}


def test_relative_folders(tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = mteb_tree(tree)
    monkeypatch.chdir(place)
    (result,) = imported(Path(), root)
    assert result.model["name"] == "org/model"
    assert result.model["revision"] == "r1"
    assert (result.origin or {})["file"] == "STSBenchmark.json"


def test_models_without_metadata_are_named_by_their_folder(tree: Path, root: Path) -> None:
    place = mteb_tree(tree, model="a__b", revision="0123456789abcdef0123456789abcdef01234567")
    for meta in ("{", '{"name": 3}', None):
        (place / "model_meta.json").unlink(missing_ok=True)
        if meta:
            write(place / "model_meta.json", meta)
        import_mteb(tree, root)
    (result,) = load_results(root)
    assert result.model["name"] == "a/b"
    assert result.model["revision"] == "0123456789ab"
    assert result.model["identity"].endswith("@0123456789abcdef0123456789abcdef01234567")


def test_experiments_are_variants(tree: Path, root: Path) -> None:
    place = mteb_tree(tree)
    write(place / "experiments" / "dim_128" / "STSBenchmark.json", mteb_table())
    write(place / "experiments" / "dim_128" / "model_meta.json", {"name": "org/model"})
    plain, cut = sorted(imported(tree, root), key=lambda result: result.variant)
    assert plain.variant == "imported,mteb"
    assert cut.variant == "imported,mteb,experiment=dim_128"
    assert plain.model["revision"] == cut.model["revision"] == "r1"


def test_filters(tree: Path, tmp_path: Path) -> None:
    own = task_toml(tmp_path / "Mine.toml", data="", same_as=["mteb:Banking77@v1"])
    tables = mteb_table(), mteb_table("STS12", "0" * 40), mteb_table("Banking77", "v1")
    mteb_tree(tree, *tables)
    mteb_tree(tree, *tables, model="other__model")
    selections: list[dict[str, Any]] = [
        {"models": ["org/*"]},
        {"tasks": ["STS*"]},
        {"shared": True},
        {"tasks": [str(own)], "models": ["org/model"]},
        {"tasks": [str(own), "STS12"], "shared": True},
    ]
    keys = {
        number: Counter(result.task_key for result in imported(tree, tmp_path / str(number), **how))
        for number, how in enumerate(selections)
    }
    assert keys == {
        0: {"STSBenchmark@1": 1, "mteb:STS12@000000000000": 1, "mteb:Banking77@v1": 1},
        1: {"STSBenchmark@1": 2, "mteb:STS12@000000000000": 2},
        2: {"STSBenchmark@1": 2},
        3: {"Mine@1": 1},
        4: {"Mine@1": 2},
    }
    with pytest.raises(NothingToReadError, match="--model, --task or --shared"):
        import_mteb(tree, tmp_path / "none", Selection(tasks=["Nothing"]))


def test_a_second_import_changes_nothing(tree: Path, root: Path) -> None:
    mteb_tree(tree)
    import_mteb(tree, root)
    before = {path: path.read_bytes() for path in root.rglob("*.json")}
    report = import_mteb(tree, root)
    assert (report.imported, report.unchanged) == (0, 1)
    assert {path: path.read_bytes() for path in root.rglob("*.json")} == before


def test_other_scores_replace_an_older_import(tree: Path, root: Path) -> None:
    place = mteb_tree(tree)
    import_mteb(tree, root)
    write(place / "STSBenchmark.json", mteb_table(scores={"test": [entry(0.5)]}))
    assert import_mteb(tree, root).imported == 1
    (result,) = load_results(root)
    assert result.main_score == 0.5
    assert len(list((root / "superseded").rglob("*.json"))) == 1


def test_two_files_for_one_result(tree: Path, root: Path) -> None:
    mteb_tree(tree / "results")
    mteb_tree(tree / "remote" / "results")
    report = import_mteb(tree, root)
    assert (report.imported, report.unchanged) == (1, 1)
    other = mteb_table(scores={"test": [entry(0.1)]})
    mteb_tree(tree / "zzz", other)
    report = import_mteb(tree, root / "fresh")
    assert report.skipped == {"another file gives other scores for the same result": 1}
    mteb_tree(tree / "zzz", {**other, "date": 1_800_000_000})
    report = import_mteb(tree, root / "newest")
    assert report.imported == 2  # the one that was made later stays
    (result,) = load_results(root / "newest")
    assert result.main_score == 0.1


def test_own_results_are_never_written_over(tree: Path, root: Path) -> None:
    own = own_result(root, model="org/model", variant="imported,mteb")
    assert own.path is not None
    before = own.path.read_bytes()
    mteb_tree(tree, revision="aaaaaaaaaaaa")
    report = import_mteb(tree, root)
    assert report.skipped == {"a result of evalsuite's own stands in its place": 1}
    assert own.path.read_bytes() == before


@pytest.mark.parametrize("name", ["../../x", "<script>alert(1)</script>", "a\0b", "x" * 300])
def test_hostile_names_stay_names(tree: Path, root: Path, name: str) -> None:
    place = mteb_tree(tree, mteb_table(name, name, scores={name: [entry(subset=name)]}))
    write(place / "model_meta.json", {"name": name})
    (result,) = imported(tree, root)
    assert result.path is not None
    assert len(result.path.relative_to(root).parts) == 4
    assert result.model["name"] == name
    assert (result.origin or {})["task"] == name


def test_nothing_there(tree: Path, root: Path) -> None:
    with pytest.raises(UsageError, match="No folder or file"):
        import_mteb(tree, root)
    tree.mkdir()
    with pytest.raises(NothingToReadError, match="No result of mteb under"):
        import_mteb(tree, root)
    write(tree / "x.json", {"anything": 1})
    with pytest.raises(NothingToReadError):
        import_mteb(tree, root)
    assert not root.exists()
    mteb_tree(tree)
    root.write_text("x")
    with pytest.raises(UsageError, match="is not a folder"):
        import_mteb(tree, root)


def test_progress_counts_files(tree: Path, root: Path) -> None:
    mteb_tree(tree, mteb_table(), mteb_table("Other"))
    seen: list[tuple[int, int]] = []
    import_mteb(tree, root, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


SAMPLE = DATA / "reference" / "mteb_results"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no sample of mteb's results")
def test_the_real_results(root: Path) -> None:
    report = import_mteb(SAMPLE, root)
    there = [path for path in SAMPLE.rglob("*.json") if path.name != "model_meta.json"]
    assert (report.imported, report.skipped, report.n_malformed) == (len(there), {}, 0)
    tables = {path.relative_to(SAMPLE).as_posix(): json.loads(path.read_text()) for path in there}
    shared = 0
    for result in load_results(root):
        table = tables[(result.origin or {})["file"]]
        if "scores" not in table:
            continue
        split = result.task["split"]
        scores = [one["main_score"] for one in table["scores"][split]]
        assert result.main_score == pytest.approx(sum(scores) / len(scores), abs=1e-8)
        shared += "same_as" in (result.origin or {})
    assert shared > 200
