"""What a text stands for: a path, a name with options, a tag."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from evalsuite.compare import select
from evalsuite.errors import EvalsuiteError, NothingToReadError, StoreError, UsageError
from evalsuite.result import Score
from evalsuite.store import Store, read_result
from tests.compare.stores import ndcg, sts, write
from tests.support import REPOSITORY

BF16 = {"dtype": "bfloat16"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a store of three models, one of them in several variants."""
    root = tmp_path / "results"
    for task, columns in (("Alpha", ndcg(1)), ("Beta", sts(1))):
        write(root, columns, task=task, model="org/old")
        write(root, columns, task=task, model="new")
        write(root, columns, task=task, model="new", variant="cpu,bf16", settings=BF16)
        write(
            root,
            columns,
            task=task,
            model="new",
            variant="cpu,bf16,dim=8",
            settings=BF16,
            options={"dim": "8"},
        )
    write(root, ndcg(1), model="tagged", run={"tags": {"step": "500", "note": "a|b"}})
    return root


def error(text: str, root: Path) -> tuple[str, str, int]:
    with pytest.raises(EvalsuiteError) as raised:
        select(text, root)
    return type(raised.value).__name__, str(raised.value), raised.value.exit_code


# ---- paths


def test_every_depth_of_a_tree(root: Path, tmp_path: Path) -> None:
    file = root / "org__old" / "r1" / "cpu,fp32" / "Alpha@1.json"
    for path in (file, file.parent, file.parents[1], file.parents[2]):
        one = select(str(path), tmp_path / "absent")
        assert one.label == "org/old (cpu,fp32)"
        assert list(one.results) == (["Alpha@1"] if path == file else ["Alpha@1", "Beta@1"])
    whole = tmp_path / "whole"
    write(whole, ndcg(1))
    assert select(str(whole), root).label == "old (cpu,fp32)"


def test_superseded_results_are_not_read(root: Path) -> None:
    write(root, ndcg(2), model="tagged")  # moves the first one aside
    assert len(select("tagged", root).results) == 1
    moved = next((root / "superseded").iterdir())
    assert select(str(moved), root).results["Alpha@1"].run["tags"]["step"] == "500"
    assert error(str(root / "superseded"), root)[0] == "NothingToReadError"


def test_a_path_goes_before_a_name(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "tagged", ndcg(3), model="other")
    assert select("tagged", root).label == "other (cpu,fp32)"


def test_a_folder_without_results_can_be_a_models(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints" / "tagged").mkdir(parents=True)
    assert select("./checkpoints/tagged", root).label == "tagged (cpu,fp32)"
    assert select("checkpoints/tagged?dtype=fp32", root).label == "tagged (cpu,fp32)"
    (tmp_path / "empty").mkdir()
    name, text, code = error("empty", root)
    assert (name, code) == ("NothingToReadError", 4)
    assert "No results under 'empty'" in text


def test_several_models_are_an_error_that_lists_what_to_type(root: Path) -> None:
    name, text, code = error(str(root), root)
    assert (name, code) == ("UsageError", 2)
    assert "stands for 5 sets of results" in text
    typed = shlex.split(text.partition("Type one of: ")[2].removesuffix(".").replace(",", ", "))
    assert len(typed) >= 5
    chosen = root / "new" / "r1" / "cpu,bf16,dim=8"
    assert str(chosen) in text
    assert select(str(chosen), root).label == "new (cpu,bf16,dim=8)"


# ---- names


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("new?dtype=bf16", "cpu,bf16"),
        ("new?dtype=bfloat16", "cpu,bf16"),
        ("new?dtype=fp32&device=cpu", "cpu,fp32"),
        ("new?dim=8", "cpu,bf16,dim=8"),
        ("new?dim=8&dtype=bf16&seed=0", "cpu,bf16,dim=8"),
        ("new?variant=cpu,bf16,dim=8", "cpu,bf16,dim=8"),
        ("new?revision=r1&variant=cpu,fp32", "cpu,fp32"),
        ("org/old", "cpu,fp32"),
    ],
)
def test_names_with_options(root: Path, text: str, variant: str) -> None:
    one = select(text, root)
    assert one.label.endswith(f" ({variant})")
    assert {result.variant for result in one.results.values()} == {variant}
    assert one.problems == ()


def test_a_bare_name_means_no_options(root: Path) -> None:
    _, text, code = error("new", root)
    assert code == 2
    assert "'new?variant=cpu,bf16', 'new?variant=cpu,fp32'." in text
    assert "dim=8" not in text


def test_choices_can_be_typed(root: Path) -> None:
    write(root, ndcg(1), model="odd", variant="cpu,fp32,p=a&b%", options={"p": "a&b%"})
    write(root, ndcg(1), model="odd", variant="cpu,fp32,p=x y", options={"p": "x y"})
    write(root, ndcg(1), model="odd", variant="cpu,fp32,p=x y", options={"p": "x y"}, revision="q")
    _, text, code = error("odd", root)
    assert code == 2
    assert "without options" in text
    typed = [word.strip(",.") for word in shlex.split(text.partition("Type one of: ")[2])]
    assert len({select(word, root).label for word in typed}) == 2
    assert len(typed) == 3


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nev", "Did you mean 'new'?"),
        ("new?dmi=8", "Unknown model option 'dmi'. Did you mean 'dim'?"),
        ("new?dim=9", "no results of 'new' with these options. Type one of:"),
        ("new?dim", "?option=value"),
        ("new?dim=8&dim=8", "?option=value"),
        ("./nothing", "No file or folder at './nothing'"),
        ("gone.json", "No file or folder at 'gone.json'"),
        ("", "Unknown path or model"),
        ("a\0b", "Unknown path or model"),
        ("x" * 5000, "Unknown path or model"),
        ("../../x", "No file or folder"),
        ("<script>", "Unknown path or model"),
        ("tag:step", "tag:KEY=VALUE"),
        ("tag:=1", "tag:KEY=VALUE"),
        ("tag:step=501", "Did you mean 'step=500'?"),
    ],
)
def test_what_nothing_is_named(root: Path, text: str, part: str) -> None:
    name, said, code = error(text, root)
    assert (name, code) == ("UsageError", 2)
    assert part in said


def test_limited_results_stand_back(root: Path) -> None:
    limit = {"limit": 5}
    write(root, ndcg(1), model="org/old", variant="cpu,fp32,limit=5", settings=limit)
    assert select("org/old", root).label == "org/old (cpu,fp32)"
    assert select("org/old?limit=5", root).label == "org/old (cpu,fp32,limit=5)"
    write(root, ndcg(1), model="small", variant="cpu,fp32,limit=5", settings=limit)
    assert select("small", root).label == "small (cpu,fp32,limit=5)"


def test_hostile_names_are_found(root: Path) -> None:
    for name in ("<script>alert(1)</script>", "../../x", "a|b", "a\x1b[2Jb", "x?y=1", "tag:a"):
        write(root, ndcg(1), model=name)
    for name in ("<script>alert(1)</script>", "../../x", "a|b", "a\x1b[2Jb", "x?y=1"):
        assert select(name, root).label == f"{name} (cpu,fp32)"


# ---- tags


def test_tags(root: Path) -> None:
    assert select("tag:step=500", root).label == "tagged (cpu,fp32), step=500"
    assert select("tag:note=a|b", root).label == "tagged (cpu,fp32), note=a|b"


def test_no_tags_at_all(tmp_path: Path) -> None:
    write(tmp_path, ndcg(1))
    with pytest.raises(NothingToReadError, match="--tag KEY=VALUE"):
        select("tag:step=1", tmp_path)


# ---- like another one


def test_like_keeps_what_is_most_like(root: Path) -> None:
    narrow = select("new?dim=8", root)
    assert select(str(root), root, like=narrow).label == "new (cpu,bf16,dim=8)"
    assert select(str(root / "new"), root, like=narrow).label == "new (cpu,bf16,dim=8)"
    assert select("new", root, like=narrow).label == "new (cpu,bf16)"  # same settings
    assert select("new", root, like=select("org/old", root)).label == "new (cpu,fp32)"


def test_like_does_not_guess_among_models(root: Path) -> None:
    write(root.parent / "other", ndcg(1), model="unknown")
    stranger = select(str(root.parent / "other"), root)
    with pytest.raises(UsageError, match="stands for 5 sets"):
        select(str(root), root, like=stranger)


# ---- files that cannot be read


def test_unreadable_files_beside_others_are_named(root: Path) -> None:
    folder = root / "org__old" / "r1" / "cpu,fp32"
    (folder / "Bad@1.json").write_text("{")
    table = json.loads((folder / "Beta@1.json").read_text())
    (folder / "Other@1.json").write_text(json.dumps({**table, "schema": 99}))
    table["scores"]["cosine_spearman"]["value"] = "nan"
    (folder / "Nan@1.json").write_text(json.dumps(table))
    (root / "new" / "r1" / "cpu,fp32" / "Bad@1.json").write_text("{")
    for text in ("org/old", str(folder)):
        one = select(text, root)
        assert len(one.results) == 2
        assert one.unreadable == len(one.problems) == 3
        said = " ".join(one.problems)
        assert "is not a result file" in said
        assert "schema 99" in said
        assert "no finite number" in said
    assert select("new?dtype=bf16", root).problems == ()


@pytest.mark.parametrize(
    "part",
    [
        {"run": []},
        {"task": {"name": 3, "version": 1, "fingerprint": "f"}},
        {"model": {"name": ["x"], "identity": "i", "revision": "r"}},
        {"model": {"name": "x", "identity": "i"}},
        {"model": {"name": "x", "identity": "i", "revision": "r", "options": 3}},
        {"variant": 7},
        {"items_digest": None},
        {"run": {"packages": "all"}},
        {"scores": {"ndcg@10": {"value": 1e999, "n": 1}}},
    ],
)
def test_nothing_readable_is_an_error(tmp_path: Path, part: dict[str, object]) -> None:
    path = write(tmp_path, ndcg(1))
    path.write_text(json.dumps({**json.loads(path.read_text()), **part}))
    with pytest.raises(StoreError, match=r"Alpha@1\.json"):
        select(str(path), tmp_path)
    path.with_name("Beta@1.json").write_text("[]")
    with pytest.raises(StoreError, match=r"None of 2 result files can be read"):
        select(str(tmp_path), tmp_path)


def test_two_results_of_one_task(root: Path) -> None:
    file = root / "org__old" / "r1" / "cpu,fp32" / "Alpha@1.json"
    copy = root / "org__old" / "r1" / "cpu,fp32 copy" / "Alpha@1.json"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    with pytest.raises(UsageError) as raised:
        select("org/old", root)
    assert str(file) in str(raised.value)
    assert str(copy) in str(raised.value)


def test_imported_results_are_left_out(tmp_path: Path) -> None:
    own = read_result(write(tmp_path, ndcg(1)))
    origin = {"tool": "mteb", "task": "T", "revision": "r", "file": "a.json"}
    foreign = {
        **{name: getattr(own, name) for name in ("task", "model", "settings", "variant")},
        **{name: getattr(own, name) for name in ("main_measure", "evidence", "run")},
    }
    store = Store(tmp_path)
    result = type(own)(
        **foreign, scores={"ndcg@10": Score(0.5, 0)}, counts={}, items_digest="", origin=origin
    )
    store.write_imported(store.path("old", "r1", "cpu,fp32", "Foreign@1"), result)
    one = select("old", tmp_path)
    assert list(one.results) == ["Alpha@1"]
    assert "is imported from mteb and has no items" in one.problems[0]
    assert one.unreadable == 0
    store.write_imported(store.path("theirs", "r1", "cpu,fp32", "Foreign@1"), result)
    with pytest.raises(NothingToReadError, match="imported and have no items"):
        select(str(tmp_path / "theirs"), tmp_path)


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    for text in ("model", "tag:a=b"):
        with pytest.raises(UsageError, match="No results folder"):
            select(text, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToReadError):
        select("model", tmp_path / "empty")


def test_the_dtypes_are_those_of_runs() -> None:
    from evalsuite.compare.selection import DTYPES
    from evalsuite.hardware import DTYPES as OF_RUNS

    assert dict(DTYPES) == dict(OF_RUNS)


def test_the_repositorys_results() -> None:
    results = REPOSITORY / "results"
    full = select("all-MiniLM-L6-v2?dtype=fp32", results)
    assert "STS12@1" in full.results
    assert select("all-MiniLM-L6-v2", results, like=full).results.keys() == full.results.keys()
    layer = select("all-MiniLM-L6-v2?layer=3", results)
    assert layer.label == "all-MiniLM-L6-v2 (cpu,bf16,layer=3)"
    assert select(str(results), results, like=layer).label == layer.label
