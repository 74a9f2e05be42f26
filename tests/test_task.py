"""Tasks as values: their file, their name, their fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import UsageError, unknown_name
from evalsuite.task import Task, load_task, task_from_table
from tests.support import pairs_task

TABLE: dict[str, Any] = {
    "name": "T",
    "version": 2,
    "protocol": "sts",
    "main_measure": "cosine_spearman",
    "title": "x",
}


def make(**changes: Any) -> Task:
    return task_from_table({**TABLE, **changes}, where="here")


def test_a_file_becomes_a_task(tmp_path: Path) -> None:
    task = load_task(pairs_task(tmp_path, measures=["cosine_pearson", "cosine_spearman"]))
    assert str(task) == "MyPairs@1"
    assert task.folder == tmp_path
    assert task.measures == ("cosine_spearman", "cosine_pearson")  # the main one first, once
    assert task.data["local"]["file"] == "pairs.jsonl"
    assert task.expect == {}


def test_defaults() -> None:
    task = make()
    assert (task.split, task.languages, task.redistributable) == ("test", ("eng",), False)
    assert task.licence == "not stated"


def test_a_task_cannot_be_changed() -> None:
    task = make(params={"similarity": "dot"})
    with pytest.raises(AttributeError):
        task.name = "U"  # type: ignore[misc]
    with pytest.raises(TypeError):
        task.params["similarity"] = "cosine"  # type: ignore[index]
    assert hash(task) == hash(make(params={"similarity": "dot"}))
    assert task == make(params={"similarity": "dot"})
    assert task != make()


def fingerprint(digest: str = "d", version: int = 1, **changes: Any) -> str:
    return make(**changes).fingerprint(digest, version, {"similarity": "cosine", "depth": 3})


def test_a_fingerprint_is_fixed() -> None:
    """Raise the schema version and run everything again if this must change."""
    assert fingerprint() == "9dd9ce9d8a0ffd4aa0bdbff08582ee1ec2e5234517d2b6031431d7f99c2416b0"


def test_a_fingerprint_sees_whatever_can_move_a_score() -> None:
    changed = [
        fingerprint("e"),
        fingerprint(version=2),
        fingerprint(name="U"),
        make(version=3).fingerprint("d", 1, {"similarity": "cosine", "depth": 3}),
        fingerprint(protocol="retrieval"),
        fingerprint(main_measure="cosine_pearson"),
        fingerprint(measures=["cosine_pearson"]),
        fingerprint(split="dev"),
        fingerprint(params={"similarity": "dot"}),
        fingerprint(params={"depth": 4}),
    ]
    assert len({fingerprint(), *changed}) == len(changed) + 1


def test_a_fingerprint_does_not_see_what_cannot() -> None:
    same = [
        fingerprint(title="y"),
        fingerprint(licence="z"),
        fingerprint(languages=["deu"]),
        fingerprint(type="STS"),
        fingerprint(reference="r"),
        fingerprint(redistributable=True),
        fingerprint(same_as=["mteb:T@r"]),
        fingerprint(data={"local": {"folder": "elsewhere"}}),
        fingerprint(params={"similarity": "cosine"}),  # its default
        fingerprint(measures=["cosine_spearman"]),  # the main one
    ]
    assert {fingerprint()} == set(same)


@given(st.text(max_size=90))
def test_names_are_allowed_or_refused(name: str) -> None:
    allowed = (
        0 < len(name) <= 80
        and name.isascii()
        and name[0].isalnum()
        and all(c.isalnum() or c in "._-" for c in name)
    )
    if allowed:
        assert make(name=name).name == name
    else:
        with pytest.raises(UsageError, match="is not allowed"):
            make(name=name)


def test_tasks_of_other_tools_are_named_with_a_revision() -> None:
    keys = ["mteb:STS12@a0d554a64d88", "mteb:A.v3@r,split=dev", "lm-eval:arc_easy@1.0,5-shot"]
    assert make(same_as=keys).same_as == tuple(keys)
    assert make().same_as == ()


@pytest.mark.parametrize(
    "value",
    [
        "STS12",
        "mteb:STS12",
        "mteb:@r",
        "mteb:STS12@",
        "other:STS12@r",
        "mteb:a b@r",
        "mteb:a@b c",
        "",
    ],
)
def test_a_malformed_name_of_another_tools_task(value: str) -> None:
    with pytest.raises(UsageError, match=r"`same_as` holds .*write 'mteb:NAME@REVISION'"):
        make(same_as=[value])


@pytest.mark.parametrize("value", [["mteb:a@b", 3], "mteb:a@b"])
def test_other_tools_tasks_are_a_list_of_strings(value: Any) -> None:
    with pytest.raises(UsageError, match="`same_as` must be"):
        make(same_as=value)


def test_unknown_names_suggest_the_nearest() -> None:
    known = ["STSBenchmark", "STS12", "SciFact"]
    assert "Did you mean 'SciFact'?" in str(unknown_name("task", "scifcat", known))
    assert "'STS12'" in str(unknown_name("task", "sts1", known))
    assert "evalsuite list tasks" in str(unknown_name("task", "zzz", known))
    assert "STS12, STSBenchmark, SciFact" in str(unknown_name("thing", "zzz", known))
    assert len(str(unknown_name("task", "z" * 500, known))) < 200
    assert "Did you mean" not in str(unknown_name("task", "", known))
