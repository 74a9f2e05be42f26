"""Which results are comparable, and why the others are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import measures
from evalsuite.compare import Incomparable, Selection, pair
from evalsuite.errors import UsageError
from evalsuite.result import EXCLUDED, FAILED, OK, Result
from evalsuite.stats import difference
from evalsuite.store import read_result
from tests.compare.stores import PACKAGES, make_items, ndcg, selection, sts, write

NDCG = measures.parse("ndcg@10")


def of(result: Result) -> Selection:
    return Selection("x", {result.task_key: result})


def two(tmp_path: Path, new: dict[str, Any], old: dict[str, Any]) -> tuple[Selection, Selection]:
    """Store one result a side, each from the arguments of ``write``, and select them."""
    sides = []
    for name, fields in (("new", new), ("old", old)):
        columns = fields.pop("columns", ndcg(1))
        sides.append(selection(write(tmp_path / name, columns, model=name, **fields)))
    return sides[0], sides[1]


def only_reason(tmp_path: Path, new: dict[str, Any], old: dict[str, Any]) -> Incomparable:
    pairs, apart = pair(*two(tmp_path, new, old))
    assert not pairs
    (one,) = apart
    return one


def test_pairs_are_sorted_and_line_up(tmp_path: Path) -> None:
    ids = [f"i{i:03d}" for i in range(80)]
    order = np.random.default_rng(0).permutation(80)
    shuffled = {name: np.asarray(values)[order] for name, values in ndcg(2).items()}
    new = selection(
        write(tmp_path / "n", shuffled, ids=[ids[i] for i in order]),
        write(tmp_path / "n", sts(2), task="AA"),
    )
    old = selection(
        write(tmp_path / "o", ndcg(1)),
        write(tmp_path / "o", sts(1), task="AA"),
    )
    pairs, apart = pair(new, old)
    assert not apart
    assert [one.task for one in pairs] == ["AA@1", "Alpha@1"]
    assert pairs[1].candidate_items.ids == pairs[1].baseline_items.ids == ids
    candidate, baseline = pairs[1].samples(NDCG)
    np.testing.assert_array_equal(candidate.columns["ndcg@10"], ndcg(2)["ndcg@10"])
    np.testing.assert_array_equal(baseline.columns["ndcg@10"], ndcg(1)["ndcg@10"])
    assert pairs[1].has(NDCG)
    assert not pairs[1].has(measures.parse("map@10"))
    with pytest.raises(UsageError, match="do not hold what 'map@10' reads"):
        pairs[1].samples(measures.parse("map@10"))


def test_what_one_side_lacks(tmp_path: Path) -> None:
    new = selection(
        write(tmp_path / "n", ndcg(1), task="A"),
        write(tmp_path / "n", ndcg(1), task="C", version=2),
        write(tmp_path / "n", ndcg(1), task="D"),
    )
    old = selection(
        write(tmp_path / "o", ndcg(1), task="B"),
        write(tmp_path / "o", ndcg(1), task="C"),
        write(tmp_path / "o", ndcg(1), task="D"),
    )
    pairs, apart = pair(new, old)
    assert [one.task for one in pairs] == ["D@1"]
    assert [(one.task, one.kind) for one in apart] == [
        ("A@1", "missing-baseline"),
        ("B@1", "missing-candidate"),
        ("C@1", "missing-candidate"),
        ("C@2", "missing-baseline"),
    ]
    assert apart[0].reason == "only the candidate has it"
    assert apart[1].reason == "only the baseline has it"
    assert apart[2].reason == "only the baseline has it; the candidate has C@2"


def test_another_fingerprint(tmp_path: Path) -> None:
    one = only_reason(tmp_path, {"fingerprint": "a" * 64}, {})
    assert one.kind == "fingerprint"
    assert "the data, the task's parameters or its measures changed" in one.reason
    new, old = two(tmp_path / "p", {"fingerprint": "a" * 64}, {})
    result = new.results["Alpha@1"]
    newer = replace(result, task={**result.task, "protocol_version": 2})
    _, (one,) = pair(of(newer), old)
    assert one.reason == (
        "other fingerprint: its protocol's version changed, 1 / 2 (baseline / candidate)"
    )


def test_another_limit(tmp_path: Path) -> None:
    limited = {"settings": {"limit": 50}, "fingerprint": "a" * 64, "variant": "cpu,fp32,limit=50"}
    one = only_reason(tmp_path, {}, limited)
    assert one.kind == "settings"
    assert one.reason == "limit differs: 50 items in the baseline, none in the candidate"
    (same,), _ = pair(*two(tmp_path / "s", {**limited}, {**limited}))
    assert same.notes == ()


def test_other_items(tmp_path: Path) -> None:
    one = only_reason(tmp_path, {"columns": ndcg(1, n=50)}, {})
    assert one.kind == "items"
    assert one.reason == (
        "item tables hold other items: 30 only in the baseline, 0 only in the candidate"
    )
    status = np.array([OK] * 79 + [EXCLUDED])
    one = only_reason(tmp_path / "x", {"status": status}, {})
    assert (one.kind, one.reason) == ("items", "1 item is excluded on one side only")
    golds = sts(1)
    golds["gold"] = golds["gold"] + 0.1
    one = only_reason(tmp_path / "g", {"columns": golds}, {"columns": sts(1)})
    assert (one.kind, one.reason) == ("items", "item tables hold other gold values")
    groups = [np.array(["a"] * 40 + [name] * 40) for name in "bc"]
    one = only_reason(tmp_path / "group", {"group": groups[0]}, {"group": groups[1]})
    assert one.reason.startswith("item tables hold other items: 40")
    clusters = [np.repeat(np.arange(n).astype(str), 80 // n) for n in (8, 16)]
    one = only_reason(tmp_path / "c", {"cluster": clusters[0]}, {"cluster": clusters[1]})
    assert one.kind == "items"


def test_excluded_on_both_sides_and_failed_on_one(tmp_path: Path) -> None:
    values = np.array(ndcg(1)["ndcg@10"])
    values[:3] = np.nan
    both = np.array([EXCLUDED] * 2 + [FAILED] + [OK] * 77)
    columns = np.array(ndcg(1)["ndcg@10"])
    columns[:2] = np.nan
    one = np.array([EXCLUDED] * 2 + [OK] * 78)
    new = {"columns": {"ndcg@10": values}, "status": both}
    old = {"columns": {"ndcg@10": columns}, "status": one}
    (found,), apart = pair(*two(tmp_path, new, old))
    assert not apart
    candidate, baseline = found.samples(NDCG)
    assert candidate.n_rows == baseline.n_rows == 78
    assert candidate.columns["ndcg@10"][0] == 0.0  # failed: the worst value


def test_nothing_that_counts(tmp_path: Path) -> None:
    new, old = two(tmp_path, {}, {})
    path = old.results["Alpha@1"].path
    assert path is not None
    items = make_items(ndcg(1), status=np.array([EXCLUDED] * 80))
    overwrite(path, items)
    _, (one,) = pair(new, of(read_result(path)))
    assert (one.kind, one.reason) == (
        "unreadable",
        "the item table of the baseline has no item that counts",
    )


def overwrite(path: Path, items: Any) -> None:
    """Replace a result's item table, with the digest of the new one."""
    import pyarrow.parquet as pq

    from evalsuite.tables import items_digest, items_table

    pq.write_table(items_table(items), path.with_suffix(".parquet"))
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "items_digest": items_digest(items)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["gold", "cosine"])
def test_nan_among_items_that_are_ok(tmp_path: Path, column: str, value: float) -> None:
    new, old = two(tmp_path, {"columns": sts(1)}, {"columns": sts(2)})
    path = new.results["Alpha@1"].path
    assert path is not None
    columns = {name: np.array(values) for name, values in sts(1).items()}
    columns[column][[3, 5]] = value
    overwrite(path, make_items(columns))
    _, (one,) = pair(of(read_result(path)), old)
    assert one.kind == "unreadable"
    assert f"NaN or infinity in 2 rows of '{column}'" in one.reason


def damage(name: str) -> Callable[[Path], object]:
    return {
        "missing": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "truncated": lambda path: path.write_bytes(path.read_bytes()[:-40]),
        "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "text": lambda path: path.write_text("item,replicate\n"),
        "folder": lambda path: (path.unlink(), path.mkdir()),
    }[name]


@pytest.mark.parametrize("name", ["missing", "empty", "truncated", "half", "text", "folder"])
def test_damaged_item_tables(tmp_path: Path, name: str) -> None:
    new, old = two(tmp_path, {}, {})
    path = new.results["Alpha@1"].path
    assert path is not None
    damage(name)(path.with_suffix(".parquet"))
    pairs, (one,) = pair(new, old)
    assert not pairs
    assert one.kind == "unreadable"
    assert one.reason.startswith("the item table of the candidate is missing or damaged: ")
    assert "Alpha@1.parquet" in one.reason


def test_item_tables_that_are_altered(tmp_path: Path) -> None:
    new, old = two(tmp_path, {}, {"columns": ndcg(2)})
    here, there = (side.results["Alpha@1"].path for side in (new, old))
    assert here is not None
    assert there is not None
    content = there.with_suffix(".parquet").read_bytes()
    here.with_suffix(".parquet").write_bytes(content)
    _, (one,) = pair(new, old)
    assert "is not the item table its result was scored from" in one.reason


def test_flipped_bytes_are_never_a_traceback(tmp_path: Path) -> None:
    new, old = two(tmp_path, {}, {})
    path = new.results["Alpha@1"].path
    assert path is not None
    content = path.with_suffix(".parquet").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        altered = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            altered[place] ^= int(rng.integers(1, 256))
        path.with_suffix(".parquet").write_bytes(bytes(altered))
        pairs, apart = pair(new, old)
        assert len(pairs) + len(apart) == 1


def test_notes_name_what_else_differs(tmp_path: Path) -> None:
    new = {
        "settings": {"device": "cuda", "dtype": "bfloat16", "max_length": 128},
        "run": {
            "device_name": "Other CPU",
            "packages": {**PACKAGES, "torch": "2.14.0", "numpy": "2.5.0", "bm25s": "0.2"},
        },
    }
    (one,), _ = pair(*two(tmp_path, new, {}))
    assert one.notes == (
        "device differs: cpu / cuda",
        "dtype differs: float32 / bfloat16",
        "max_length differs: not stated / 128",
        "hardware differs: Test CPU / Other CPU",
        "packages differ: numpy 2.4.6 / 2.5.0, torch 2.13.0 / 2.14.0",
    )


def test_a_score_that_was_edited_is_noted(tmp_path: Path) -> None:
    new, old = two(tmp_path, {}, {})
    path = new.results["Alpha@1"].path
    assert path is not None
    table = json.loads(path.read_text())
    table["scores"]["ndcg@10"]["value"] = 0.99
    path.write_text(json.dumps(table))
    (one,), _ = pair(of(read_result(path)), old)
    (note,) = one.notes
    assert note.startswith("the file of the candidate says 0.99, its items give 0.")


def test_replicates_of_other_number_are_the_same_items(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def runs(n: int) -> dict[str, Any]:
        return {
            "columns": {"ndcg@10": rng.uniform(size=20 * n)},
            "ids": [f"i{i:02d}" for i in range(20)] * n,
            "replicate": np.repeat(np.arange(n), 20),
            "status": [OK] * (20 * n),
        }

    (one,), apart = pair(*two(tmp_path, runs(3), runs(2)))
    assert not apart
    samples = one.samples(NDCG)
    assert [sample.n_units for sample in samples] == [20, 20]
    assert [sample.n_replicates for sample in samples] == [3, 2]
    assert np.isfinite(difference(NDCG, *samples, seed=0, n_resamples=200).interval()).all()
    (other,), _ = pair(*two(tmp_path / "s", runs(3), {"columns": ndcg(1, n=20), **names(20)}))
    assert other.samples(NDCG)[1].n_units == 20


def names(n: int) -> dict[str, Any]:
    return {"ids": [f"i{i:02d}" for i in range(n)]}


def test_timings_of_other_machines_are_no_comparison(tmp_path: Path) -> None:
    timed = {"timed": frozenset({"ndcg@10"})}
    (same,), _ = pair(*two(tmp_path, {**timed}, {**timed}))
    assert same.other_clock(NDCG) == ""
    new = {**timed, "run": {"cores": 4}}
    (other,), _ = pair(*two(tmp_path / "c", new, {**timed}))
    assert other.other_clock(NDCG) == "ndcg@10 is timed, and the number of cores differs"
    (plain,), _ = pair(*two(tmp_path / "p", {"run": {"cores": 4}}, {}))
    assert plain.other_clock(NDCG) == ""
