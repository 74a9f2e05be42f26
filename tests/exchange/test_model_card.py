"""The model index of a card, read back by the hub's own library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import EvalResult, model_index_to_eval_results

from evalsuite.errors import NothingToReadError, UsageError
from evalsuite.exchange import export_model_card, import_mteb
from evalsuite.result import Result
from tests.exchange.trees import STSB, mteb_tree, own_result, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


def read(path: Path) -> tuple[str, list[EvalResult]]:
    metadata: Any = metadata_load(path)
    name, results = model_index_to_eval_results(metadata["model-index"])
    return name, results


def test_a_new_card(root: Path, tmp_path: Path) -> None:
    own = own_result(root, "STSBenchmark", score=0.8203219876)
    own_result(root, "SciFact", score=0.5)
    own_result(root, "Nobodys", score=0.25)
    card = tmp_path / "README.md"
    done = export_model_card(root, card)
    assert (done.results, done.exit_code) == (3, 0)
    name, entries = read(card)
    assert name == "org/own"
    by_key = {(entry.dataset_name, entry.metric_type): entry for entry in entries}
    main = by_key["STSBenchmark", "cosine_spearman"]
    assert (main.task_type, main.task_name) == ("sentence-similarity", "STS")
    assert main.dataset_type == "mteb/stsbenchmark-sts"
    assert (main.dataset_split, main.dataset_revision) == ("test", STSB)
    assert main.metric_value == 0.820322
    assert main.metric_args == {"n": 2, "ci95": [0.720322, 0.920322]}
    assert main.metric_name == "cosine_spearman (n=2, 95 % interval 0.7203 to 0.9203)"
    assert main.dataset_args == {
        "evalsuite_task": "STSBenchmark@1",
        "fingerprint": own.task["fingerprint"],
        "variant": "cpu,fp32",
    }
    assert by_key["STSBenchmark", "cosine_pearson"].metric_args == {"n": 2}
    assert by_key["SciFact", "ndcg_at_10"].task_type == "text-retrieval"
    unknown = by_key["Nobodys", "ndcg_at_10"]
    assert (unknown.dataset_type, unknown.dataset_revision) == ("Nobodys", None)


def test_yaml_alone(root: Path, tmp_path: Path) -> None:
    own_result(root)
    export_model_card(root, tmp_path / "card.yaml")
    text = (tmp_path / "card.yaml").read_text()
    assert not text.startswith("---")
    name, entries = read(write(tmp_path / "card.md", f"---\n{text}---\n"))
    assert (name, entries[0].metric_value) == ("org/own", 0.123457)


def test_an_existing_card_keeps_what_is_not_ours(root: Path, tmp_path: Path) -> None:
    own_result(root, score=0.5)
    card = tmp_path / "README.md"
    export_model_card(root, card)
    mine = ModelCard.load(card)
    theirs = EvalResult(
        task_type="x", dataset_type="y", dataset_name="Z", metric_type="acc", metric_value=1
    )
    assert mine.data.eval_results
    mine.data.eval_results.append(theirs)
    mine.data.license = "mit"
    mine.text += "\n# A title\n\nSome --- text.\n"
    mine.save(card)
    before = len(read(card)[1])
    own_result(root, score=0.75)
    export_model_card(root, card)
    loaded = ModelCard.load(card)
    assert loaded.data.license == "mit"
    assert "# A title\n\nSome --- text.\n" in loaded.text
    entries = read(card)[1]
    assert len(entries) == before
    assert theirs in entries
    assert [e.metric_value for e in entries if e.metric_type == "cosine_spearman"] == [0.75]


def test_the_same_results_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    own_result(root)
    own_result(root, "SciFact")
    card = tmp_path / "README.md"
    texts = []
    for _ in range(2):
        export_model_card(root, card)
        texts.append(card.read_bytes())
    assert texts[0] == texts[1]


HOSTILE = [
    "a: b\n---\nlicense: evil",
    "---",
    "'single' \"double\" `back`",
    "!!python/object/apply:os.system ['true']",
    "&anchor *alias",
    "# no comment",
    "{flow: [x]}",
    "{{ jinja }}",
    "tab\tand\r\nreturn",
    "yes",
    "1e3",
    "é\u2028\x85\x1b[2J",
    "<script>alert(1)</script>",
    "x" * 300,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_survive_as_data(root: Path, tmp_path: Path, name: str) -> None:
    own_result(root, model=name)
    for card in (tmp_path / "new.md", write(tmp_path / "old.md", "---\nlicense: mit\n---\ntext\n")):
        export_model_card(root, card)
        assert read(card)[0] == name
        metadata: Any = metadata_load(card)
        assert set(metadata) <= {"license", "model-index"}
        assert metadata.get("license", "mit") == "mit"


def test_lone_surrogates_are_replaced(root: Path, tmp_path: Path) -> None:
    own_result(root, model="a\udc80b")
    export_model_card(root, tmp_path / "card.md")
    assert read(tmp_path / "card.md")[0] == "a?b"


def test_what_is_meant_must_be_clear(root: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    with pytest.raises(UsageError, match="No results folder"):
        export_model_card(root, card)
    import_mteb(mteb_tree(tmp_path / "tree"), root)
    with pytest.raises(NothingToReadError, match="No full result of an own run"):
        export_model_card(root, card)
    own_result(root, variant="cpu,fp32,limit=5", limit=5)
    with pytest.raises(NothingToReadError):
        export_model_card(root, card)
    own_result(root)
    done = export_model_card(root, card)
    assert done.results == 1
    assert done.skipped == {"imported, not run here": 1, "cut to a few items by --limit": 1}
    own_result(root, variant="cpu,bf16")
    with pytest.raises(UsageError, match="Name one with --variant"):
        export_model_card(root, card)
    own_result(root, model="org/other")
    with pytest.raises(UsageError, match=r"'org/other', 'org/own'\. Name one with --model"):
        export_model_card(root, card)
    with pytest.raises(UsageError, match="Did you mean 'org/own'"):
        export_model_card(root, card, model="org/owm")
    done = export_model_card(root, card, model="org/own", variant="cpu,bf16")
    assert done.results == 1


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("card.txt", None, "neither .md nor .yaml"),
        ("card.md", "---\na: [\n---\n", "no YAML"),
        ("card.md", "---\n- a\n---\n", "no model card"),
        ("card.md", "---\nmodel-index: 3\n---\n", "no model card"),
    ],
)
def test_what_is_no_card(
    root: Path, tmp_path: Path, name: str, text: str | None, part: str
) -> None:
    own_result(root)
    if text is not None:
        write(tmp_path / name, text)
    with pytest.raises(UsageError, match=part):
        export_model_card(root, tmp_path / name)
    if text is not None:
        assert (tmp_path / name).read_text() == text


def test_the_newest_version_of_a_task(root: Path, tmp_path: Path) -> None:
    results: list[Result] = [own_result(root, "Nobodys", version=v, score=v / 10) for v in (1, 2)]
    done = export_model_card(root, tmp_path / "card.md")
    assert done.skipped == {"in an older version of the task": 1}
    entries = read(tmp_path / "card.md")[1]
    assert entries[0].metric_value == results[1].main_score
