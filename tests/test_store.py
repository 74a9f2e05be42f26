"""The store: names, canonical text, atomic writes, resume keys, malformed files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalsuite.errors import NothingToReadError, StoreError, UsageError
from evalsuite.result import FAILED, OK, Items, Result, Score
from evalsuite.store import (
    Store,
    canonical_json,
    load_items,
    load_results,
    read_items,
    read_result,
    slug,
    write_atomically,
)
from evalsuite.tables import items_digest, items_from_table, items_table

HOSTILE = [
    "../../x", "<script>alert(1)</script>", "x" * 300, "y" * 300, "", ".", "..", "...", "/", "//",
    "/etc/passwd", "a/../b", "a\\b", "a\0b", "a\nb", "-rf", ".hidden", "C:\\x", "a b", "a_b", "é",
    "a/b", "a__b", "a_/b", "a/_b", "a___b", "\udc80", "\ufffd", "con", "superseded",
]  # fmt: skip
NAMES = st.text(max_size=120) | st.text("ab/_.-", max_size=8) | st.sampled_from(HOSTILE)


def make_items() -> Items:
    return Items(
        ids=["a", "b", "é"],
        columns={"gold": np.array([1.0, 2.0, 3.0]), "cosine": np.array([0.5, np.nan, -0.25])},
        status=np.array([OK, FAILED, OK]),
    )


def make_result(**changes: Any) -> Result:
    result = Result(
        task={"name": "T", "version": 1, "fingerprint": "f" * 64},
        model={"name": "org/model", "identity": "i" * 64, "revision": "r1", "options": {}},
        settings={"device": "cpu", "dtype": "float32"},
        variant="cpu,fp32",
        scores={"cosine_spearman": Score(0.1 + 0.2, 3, (0.1, 0.5)), "other": Score(1.0, 3)},
        main_measure="cosine_spearman",
        counts={"items": 3, "ok": 2, "failed": 1, "excluded": 0},
        evidence={},
        items_digest="d",
        run={"date": "2026-01-01T00:00:00+00:00", "tags": {}},
    )
    return replace(result, **changes)


# ---- names


@given(st.lists(NAMES, min_size=4, max_size=4))
def test_no_name_leaves_the_root(names: list[str]) -> None:
    root = Path("/results")
    path = Store(root).path(*names)
    assert len(path.relative_to(root).parts) == 4
    assert all(part not in (".", "..") for part in path.parts)
    assert all(len(part.encode()) <= 120 for part in path.relative_to(root).parts)
    assert all(c.isalnum() or c in "._=+,@-" for c in "".join(path.relative_to(root).parts))


@given(NAMES, NAMES)
@example("a/b", "a__b")
@example("a_/b", "a/_b")
@example("<script>", slug("<script>"))
@example("x" * 300, slug("x" * 300))
def test_distinct_names_have_distinct_slugs(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


def test_slugs_are_distinct_for_all_hostile_names() -> None:
    assert len({slug(name) for name in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize(
    "name", ["all-MiniLM-L6-v2", "STSBenchmark@1", "cpu,fp32,limit=50", "c9745ed1d9f2", "v1"]
)
def test_ordinary_names_stay_readable(name: str) -> None:
    assert slug(name) == name
    assert slug(f"org/{name}") == f"org__{name}"


# ---- text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_canonical_json_is_stable(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(dict(reversed(value.items()))) == text
    text.encode("ascii")


def test_canonical_json_rounds_to_nine_digits() -> None:
    assert json.loads(canonical_json({"x": (0.1 + 0.2, 1 / 3)})) == {"x": [0.3, 0.333333333]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_canonical_json_refuses_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be stored"):
        canonical_json({"x": [value]})


# ---- writing and reading


def test_round_trip(tmp_path: Path) -> None:
    written = Store(tmp_path).write(make_result(), make_items())
    assert written.path == tmp_path / "org__model" / "r1" / "cpu,fp32" / "T@1.json"
    back = read_result(written.path)
    assert back.main_score == 0.3
    assert back.ci95 == (0.1, 0.5)
    assert back.scores["other"] == Score(1.0, 3)
    assert back.task == written.task
    assert back.model == written.model
    table = read_items(written.path)
    assert table["item"].tolist() == ["a", "b", "é"]
    assert table["status"].tolist() == ["ok", "failed", "ok"]
    np.testing.assert_array_equal(table["cosine"], [0.5, np.nan, -0.25])
    frame = load_results(tmp_path).to_pandas()
    assert frame.loc[0, "main_score"] == 0.3
    assert frame.loc[0, "ci95_low"] == 0.1


def test_item_tables_come_back_whole() -> None:
    full = Items(
        ids=["a", "a", "b", "b"],
        columns={"score": np.array([1.0, np.nan, 0.5, -0.0]), "seconds": np.arange(4.0)},
        status=np.array([OK, FAILED, OK, OK]),
        group=np.array(["x", "x", "y", "y"]),
        cluster=np.array(["d1", "d1", "d2", "d2"]),
        replicate=np.array([0, 1, 0, 1]),
        timed=frozenset({"seconds"}),
    )
    back = items_from_table(items_table(full))
    assert items_digest(back) == items_digest(full)
    assert (back.timed, list(back.ids)) == (full.timed, full.ids)
    for name in ("group", "cluster", "replicate", "status"):
        assert getattr(back, name).tolist() == getattr(full, name).tolist(), name
    np.testing.assert_array_equal(back.columns["score"], full.columns["score"])
    other = replace(full, cluster=np.array(["d1", "d1", "d1", "d2"]))
    assert items_digest(other) != items_digest(full)
    slower = replace(full, columns={**full.columns, "seconds": np.ones(4)})
    assert items_digest(slower) == items_digest(full)


def test_items_are_checked_against_their_result(tmp_path: Path) -> None:
    items = make_items()
    result = Store(tmp_path).write(make_result(items_digest=items_digest(items)), items)
    assert items_digest(load_items(result)) == items_digest(items)
    assert result.path is not None
    table = result.path.with_suffix(".parquet")
    whole = pq.read_table(table)
    pq.write_table(whole.slice(0, 2), table)
    with pytest.raises(StoreError, match=r"not the item table its result.*--force"):
        load_items(result)
    pq.write_table(whole.drop_columns(["item"]), table)
    with pytest.raises(StoreError, match="malformed item table"):
        load_items(result)
    table.write_bytes(table.read_bytes()[:50])
    with pytest.raises(StoreError, match="Cannot read the item table"):
        load_items(result)
    table.unlink()
    with pytest.raises(StoreError, match="Cannot read the item table"):
        load_items(result)


def test_writing_again_keeps_the_old_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.write(make_result(), make_items())
    assert first.path is not None
    old = first.path.read_bytes(), first.path.with_suffix(".parquet").read_bytes()
    store.write(make_result(variant="cpu,fp32", counts={"items": 9}), make_items())
    kept = sorted((tmp_path / "superseded").glob("*/org__model/r1/cpu,fp32/T@1.*"))
    assert [path.suffix for path in kept] == [".json", ".parquet"]
    assert (kept[0].read_bytes(), kept[1].read_bytes()) == old
    assert read_result(first.path).counts == {"items": 9}
    assert [r.counts for r in load_results(tmp_path)] == [{"items": 9}]


def test_a_model_called_superseded_is_read(tmp_path: Path) -> None:
    model = {"name": "superseded", "identity": "i", "revision": "r", "options": {}}
    Store(tmp_path).write(make_result(model=model), make_items())
    assert [r.model["name"] for r in load_results(tmp_path)] == ["superseded"]


@pytest.mark.parametrize("call", ["os.fsync", "tempfile.mkstemp", "pathlib.Path.replace"])
def test_a_full_disk_is_one_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, refuse)
    with pytest.raises(StoreError, match=r"No space left on device.*--results"):
        Store(tmp_path).write(make_result(), make_items())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("moment", ["os.fsync", "pathlib.Path.replace"])
def test_kill_9_while_writing_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b"old")
    module, _, name = moment.rpartition(".")
    script = (
        "import os, pathlib, signal\nfrom evalsuite.store import write_atomically\n"
        f"{module}.{name} = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_atomically(pathlib.Path({str(path)!r}), b'new' * 10**6)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_find_compares_fingerprint_and_identity(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(make_result(), make_items()).path
    assert path is not None
    found = store.find(path, "f" * 64, "i" * 64)
    assert found is not None
    assert found.main_score == 0.3
    for fingerprint, identity, what in (
        ("g" * 64, "i" * 64, "another task fingerprint"),
        ("f" * 64, "j" * 64, "another model identity"),
    ):
        with pytest.raises(StoreError, match=rf"{what}.*--force"):
            store.find(path, fingerprint, identity)
    assert store.find(path.with_name("U@1.json"), "f", "i") is None


def test_a_result_without_its_table_is_not_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(make_result(), make_items()).path
    assert path is not None
    path.with_suffix(".parquet").unlink()
    assert store.find(path, "f" * 64, "i" * 64) is None
    with pytest.raises(StoreError, match="Cannot read the item table"):
        read_items(path)


def test_a_table_without_its_result_is_not_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(make_result(), make_items()).path
    assert path is not None
    path.unlink()  # killed between the two files
    assert store.find(path, "f" * 64, "i" * 64) is None
    with pytest.raises(NothingToReadError):
        load_results(tmp_path)


def valid_table(tmp_path: Path) -> dict[str, Any]:
    path = Store(tmp_path / "valid").write(make_result(), make_items()).path
    assert path is not None
    table: dict[str, Any] = json.loads(path.read_text())
    return table


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "3", '"text"', "{}", '{"schema": 1}', "\xff", "[" * 200_000,
        '{"schema": 1, "scores": []}', '{"schema": 1, "scores": {"x": 1}}',
    ],
)  # fmt: skip
def test_malformed_files_are_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "T@1.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"T@1\.json"):
        read_result(path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("task", {}), ("task", "x"), ("task", {"name": "T", "version": 1}), ("model", {}),
        ("model", None), ("settings", {}), ("main_measure", "absent"), ("scores", {}),
        ("scores", {"cosine_spearman": {"value": "x", "n": 1}}),
        ("scores", {"cosine_spearman": {"value": 1.0}}),
        ("scores", {"cosine_spearman": {"value": 1.0, "n": 1, "ci95": [1]}}),
        ("scores", {"cosine_spearman": {"value": float("nan"), "n": 1}}),
        ("unknown_key", 1),
    ],
)  # fmt: skip
def test_malformed_parts_are_one_error(tmp_path: Path, part: str, value: object) -> None:
    table = {**valid_table(tmp_path), part: value}
    path = tmp_path / "T@1.json"
    path.write_text(json.dumps(table))
    with pytest.raises(StoreError, match=r"T@1\.json"):
        read_result(path)


@pytest.mark.parametrize("missing", ["task", "model", "settings", "scores", "main_measure", "run"])
def test_a_missing_part_is_one_error(tmp_path: Path, missing: str) -> None:
    table = valid_table(tmp_path)
    del table[missing]
    path = tmp_path / "T@1.json"
    path.write_text(json.dumps(table))
    with pytest.raises(StoreError, match="malformed"):
        read_result(path)


@pytest.mark.parametrize(
    ("schema", "mend"), [(2, "update evalsuite"), (0, "--force"), ("1", "--force")]
)
def test_another_schema_version_names_the_mend(tmp_path: Path, schema: object, mend: str) -> None:
    path = tmp_path / "T@1.json"
    path.write_text(json.dumps({**valid_table(tmp_path), "schema": schema}))
    with pytest.raises(StoreError, match=mend):
        read_result(path)


def test_reading_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No results folder"):
        load_results(tmp_path / "absent")
    with pytest.raises(NothingToReadError):
        load_results(tmp_path)
    path = Store(tmp_path).write(make_result(), make_items()).path
    assert path is not None
    bad = path.with_name("U@1.json")
    bad.write_text("{")
    with pytest.raises(StoreError):
        load_results(tmp_path)
    lenient = load_results(tmp_path, strict=False)
    assert len(lenient) == 1
    assert len(lenient.problems) == 1
    path.unlink()
    assert load_results(tmp_path, strict=False).problems


# ---- imported results

ORIGIN = {"tool": "mteb", "task": "T", "revision": "r", "file": "a.json", "version": None}


def make_imported(**changes: Any) -> Result:
    scores = {"cosine_spearman": Score(0.5, 0)}
    return make_result(scores=scores, counts={}, origin=ORIGIN, **changes)


def test_own_results_say_nothing_of_an_origin(tmp_path: Path) -> None:
    written = Store(tmp_path).write(make_result(), make_items())
    assert written.path is not None
    assert "origin" not in json.loads(written.path.read_text())
    assert read_result(written.path).origin is None
    assert not written.imported
    assert "origin" not in written.summary()


def test_imported_results_there_and_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.path("m", "r", "imported,mteb", "T@1")
    store.write_imported(path, make_imported())
    assert not path.with_suffix(".parquet").exists()
    result = read_result(path)
    assert result.imported
    assert result.origin == ORIGIN
    assert [r.path for r in load_results(tmp_path)] == [path]
    assert list(load_results(tmp_path).to_pandas()["imported"]) == ["mteb"]
    with pytest.raises(StoreError, match=r"imported from mteb and has no items: run the model"):
        read_items(path)


def test_an_import_moves_an_older_one_aside_and_no_own_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.path("m", "r", "imported,mteb", "T@1")
    store.write_imported(path, make_imported())
    store.write_imported(path, make_imported(evidence={"new": 1}))
    assert read_result(path).evidence == {"new": 1}
    assert len(list((tmp_path / "superseded").rglob("T@1.json"))) == 1
    own = store.write(make_result(), make_items())
    assert own.path is not None
    with pytest.raises(StoreError, match="own; it is kept"):
        store.write_imported(own.path, make_imported())
    assert not read_result(own.path).imported
    with pytest.raises(ValueError, match="`write`"):
        store.write_imported(path, make_result())


def test_names_cut_off_are_found_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = [f"mteb:{'x' * 200}@{version}" for version in ("a", "b")]
    for key in keys:
        store.write_imported(store.path("m", "r", "v", key), make_imported())
    assert len(load_results(tmp_path)) == 2


@pytest.mark.parametrize(
    "origin", [3, "mteb", [], ["tool"], {}, {**ORIGIN, "tool": None} | {"file": 0}, {"tool": "x"}]
)
def test_malformed_origins_are_one_error(tmp_path: Path, origin: object) -> None:
    path = tmp_path / "a" / "b" / "c" / "T@1.json"
    Store(tmp_path).write_imported(path, make_imported())
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "origin": origin}))
    with pytest.raises(StoreError, match="is a malformed result file"):
        read_result(path)


def test_items_digest_sees_every_change() -> None:
    base = make_items()
    digests = {
        items_digest(items)
        for items in (
            base,
            replace(base, ids=["a", "b", "c"]),
            replace(base, status=np.array([OK, OK, OK])),
            replace(base, columns={**base.columns, "gold": np.array([1.0, 2.0, 3.0 + 1e-15])}),
            replace(base, columns={"gold": base.columns["gold"]}),
        )
    }
    assert len(digests) == 5
    timed = replace(base, columns={**base.columns, "s": np.ones(3)}, timed=frozenset({"s"}))
    assert items_digest(timed) == items_digest(base)


def test_the_table_holds_ids_and_numbers_only(tmp_path: Path) -> None:
    path = Store(tmp_path).write(make_result(), make_items()).path
    assert path is not None
    schema = pq.read_schema(path.with_suffix(".parquet"))
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert kinds == {
        "item": "string", "replicate": "int64", "status": "string", "gold": "double",
        "cosine": "double",
    }  # fmt: skip
