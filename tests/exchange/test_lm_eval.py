"""Results files of lm-evaluation-harness as imported results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import NothingToReadError
from evalsuite.exchange import Selection, import_lm_eval
from evalsuite.result import Result
from evalsuite.store import load_results
from tests.exchange.trees import lm_eval_table, write
from tests.support import DATA


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "out" / "results_2026-01-02.json"


def only(file: Path, root: Path, table: Mapping[str, Any], **options: Any) -> Result:
    report = import_lm_eval(write(file, table), root, **options)
    assert (report.imported, report.exit_code) == (1, 0)
    (result,) = load_results(root)
    return result


def test_a_file_of_today(file: Path, root: Path) -> None:
    result = only(file, root, lm_eval_table())
    assert result.task_key == "lm-eval:piqa@1.0,5-shot"
    assert result.model["name"] == "org/lm"
    assert result.model["revision"] == "0123456789ab"
    assert result.model["options"] == {"dtype": "float16"}
    assert result.variant == "imported,lm-eval,dtype=float16"
    assert (result.settings["device"], result.settings["dtype"]) == ("cuda", "float16")
    assert result.settings["limit"] is None
    assert {name: (score.value, score.n) for name, score in result.scores.items()} == {
        "acc": (0.63, 1838),
        "acc_norm": (0.62, 1838),
    }
    assert result.main_measure == "acc_norm"  # the first the task declares
    assert result.ci95 is None
    assert result.evidence == {"stderr": {"acc": 0.011}}
    assert result.task["split"] == "dev"
    assert result.origin == {
        "tool": "lm-eval",
        "version": "0.4.9",
        "task": "piqa",
        "revision": "1.0,5-shot",
        "file": "results_2026-01-02.json",
    }


def test_a_file_of_before_0_4(file: Path, root: Path) -> None:
    table = {
        "results": {"mrpc": {"acc": 0.68, "acc_stderr": 0.02, "f1": 0.8, "f1_stderr": 0.01}},
        "versions": {"mrpc": 0},
        "config": {
            "model": "hf-causal",
            "model_args": "pretrained=/home/somebody/models/7B,use_accelerate=True",
            "num_fewshot": 0,
            "device": "cuda:0",
            "limit": None,
        },
    }
    result = only(file, root, table)
    assert result.task_key == "lm-eval:mrpc@0,0-shot"
    assert result.main_measure == "acc"
    assert (result.scores["f1"].value, result.scores["f1"].n) == (0.8, 0)
    assert result.evidence["stderr"] == {"acc": 0.02, "f1": 0.01}
    assert (result.model["name"], result.model["revision"]) == ("7B", "unknown")
    assert result.model["options"] == {}
    assert "somebody" not in json.dumps([dict(result.model), result.variant])


def test_filters_of_answers_are_measures_of_their_own(file: Path, root: Path) -> None:
    scores = {"exact_match,strict-match": 0.4, "exact_match,flexible-extract": 0.5,
              "exact_match_stderr,strict-match": 0.01}  # fmt: skip
    result = only(file, root, lm_eval_table(results={"gsm8k": scores}))
    assert set(result.scores) == {"exact_match,strict-match", "exact_match,flexible-extract"}
    assert result.main_measure == "exact_match,strict-match"
    assert result.evidence["stderr"] == {"exact_match,strict-match": 0.01}


def test_groups_say_that_they_are(file: Path, root: Path) -> None:
    table = lm_eval_table(
        results={"mmlu": {"acc,none": 0.3}},
        group_subtasks={"mmlu": ["a", "b", "c"]},
        **{"n-samples": {}},
    )
    result = only(file, root, table)
    assert result.evidence == {"group_of": 3}
    assert result.scores["acc"].n == 0


@pytest.mark.parametrize(
    ("limit", "counts", "expected"),
    [
        (None, {"original": 100, "effective": 100}, None),
        (10, {"original": 100, "effective": 10}, 10),
        (200, {"original": 100, "effective": 100}, None),
        (0.1, {"original": 100, "effective": 10}, 10),
        (10, {}, 10),
    ],
)
def test_limited_runs_are_apart(
    file: Path, root: Path, limit: float | None, counts: dict[str, int], expected: int | None
) -> None:
    table = lm_eval_table(**{"n-samples": {"piqa": counts}})
    table["config"]["limit"] = limit
    result = only(file, root, table)
    assert result.settings["limit"] == expected
    assert (f"limit={expected}" in result.variant) == (expected is not None)


def test_a_fraction_of_unknown_size_is_skipped(file: Path, root: Path) -> None:
    table = lm_eval_table(**{"n-samples": {}})
    table["config"]["limit"] = 0.1
    report = import_lm_eval(write(file, table), root)
    assert sum(report.skipped.values()) == 1
    assert "fraction" in next(iter(report.skipped))


def test_what_moves_scores_is_part_of_the_variant(tmp_path: Path, root: Path) -> None:
    plain = lm_eval_table()
    others = [
        {**plain, "chat_template": "{{ x }}"},
        {**plain, "system_instruction": "Be brief."},
        {**plain, "fewshot_as_multiturn": True},
        {**plain, "config": {**plain["config"], "gen_kwargs": {"temperature": 1}}},
        {**plain, "config": {**plain["config"], "model_args": "pretrained=org/lm,peft=/x/lora"}},
        {**plain, "config": {**plain["config"], "model_args": "pretrained=org/lm,odd=1"}},
        {**plain, "config": {**plain["config"], "model_args": {"pretrained": "org/lm", "odd": 2}}},
        {**plain, "config": {**plain["config"], "model_sha": "f" * 40}},
    ]
    for number, table in enumerate([plain, *others]):
        write(tmp_path / "out" / f"{number}.json", table)
    assert import_lm_eval(tmp_path / "out", root).imported == len(others) + 1
    variants = {result.variant for result in load_results(root)}
    assert "imported,lm-eval,peft=lora" in variants
    assert len(variants) == len(others)  # another revision is another folder


def test_secrets_and_folders_are_not_kept(file: Path, root: Path) -> None:
    secret = "hf_0123456789"
    names = ("api_key", "token", "hf_token", "auth_token", "OPENAI_API_KEY", "password")
    arguments = ",".join(f"{name}={secret}" for name in names)
    table = lm_eval_table()
    table["config"]["model_args"] = f"pretrained=./home/me/ckpt,tokenizer=/home/me/tok,{arguments}"
    result = only(file, root, table)
    assert result.path is not None
    text = result.path.read_text()
    assert secret not in text
    assert "/home" not in text
    assert result.model["options"] == {"tokenizer": "tok"}


def test_a_name_of_ones_own(file: Path, root: Path) -> None:
    result = only(file, root, lm_eval_table(), name="my-org/checkpoint-500")
    assert result.model["name"] == "my-org/checkpoint-500"


def test_the_latest_of_several_runs_stays(tmp_path: Path, root: Path) -> None:
    for number, seconds in enumerate((1_700_000_000.0, 1_800_000_000.0, 1_600_000_000.0)):
        table = lm_eval_table(date=seconds)
        table["results"]["piqa"]["acc_norm,none"] = number / 10
        write(tmp_path / "out" / f"{number}.json", table)
    report = import_lm_eval(tmp_path / "out", root)
    assert report.imported == 2
    assert report.skipped == {"another file gives other scores for the same result": 1}
    (result,) = load_results(root)
    assert result.main_score == 0.1


def test_a_folder_with_other_files(tmp_path: Path, root: Path) -> None:
    write(tmp_path / "out" / "a" / "results.json", lm_eval_table())
    write(tmp_path / "out" / "samples.jsonl", "{")
    write(tmp_path / "out" / "config.json", {"results": 3})
    write(tmp_path / "out" / "other.json", {"results": {"a": {"acc": 1.0}}})
    write(tmp_path / "out" / "broken.json", "{")
    report = import_lm_eval(tmp_path / "out", root)
    assert report.imported == 1
    assert report.skipped == {"no result of this tool": 2}
    assert [name for name, _ in report.malformed] == ["broken.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"results": {"piqa": 3}},
        {"results": {"": {"acc": 1.0}}},
        {"model_name": None, "config": {}},
        {"model_name": 7, "config": []},
    ],
)
def test_malformed_files(file: Path, root: Path, change: dict[str, Any]) -> None:
    report = import_lm_eval(write(file, lm_eval_table(**change)), root)
    assert (report.imported, report.n_malformed, report.exit_code) == (0, 1, 3)


@pytest.mark.parametrize("key", ["versions", "n-shot", "n-samples", "configs", "group_subtasks"])
@pytest.mark.parametrize("value", [None, 3, [], {"piqa": None}, {"piqa": "x"}, {"piqa": [[]]}])
def test_parts_of_any_type_do_no_harm(file: Path, root: Path, key: str, value: Any) -> None:
    assert only(file, root, lm_eval_table(**{key: value})).main_score > 0.6


def test_no_finite_score(file: Path, root: Path) -> None:
    table = lm_eval_table(results={"piqa": {"acc,none": float("nan"), "alias": "x"}})
    assert import_lm_eval(write(file, table), root).skipped == {"no finite score": 1}


def test_filters(tmp_path: Path, root: Path) -> None:
    results = {"arc_easy": {"acc,none": 0.5}, "arc_challenge": {"acc,none": 0.4}}
    write(tmp_path / "out" / "a.json", lm_eval_table(results=results))
    selection = Selection(tasks=["arc_e*"], models=["org/*"])
    assert import_lm_eval(tmp_path / "out", root, selection).imported == 1
    with pytest.raises(NothingToReadError):
        import_lm_eval(tmp_path / "out", root, Selection(shared=True))


SAMPLE = DATA / "reference" / "lm_eval"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no sample of lm-eval's results")
def test_the_real_results(root: Path) -> None:
    report = import_lm_eval(SAMPLE, root)
    assert report.exit_code == 0
    assert report.imported > 1000
    files = {path.relative_to(SAMPLE).as_posix(): path for path in SAMPLE.rglob("*.json")}
    tables = {name: json.loads(path.read_text()) for name, path in files.items()}
    for result in load_results(root):
        origin = result.origin or {}
        scores = tables[origin["file"]]["results"][origin["task"]]
        kept = {name: value for name, value in scores.items() if not name.endswith("_stderr")}
        assert {n: s.value for n, s in result.scores.items()} == pytest.approx(kept, rel=1e-8)
    assert not [r for r in load_results(root) if "/" in r.model["name"].partition("/")[2]]
