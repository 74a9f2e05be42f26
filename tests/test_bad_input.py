"""Bad input: one clear message with the right exit code, or the treatment docs/bad-input.md names.

The table of that page and the tests here are checked against each other.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import Evaluator
from evalsuite.errors import DataError, ModelError, UsageError
from evalsuite.store import load_results, slug
from tests.conftest import Ran
from tests.support import (
    CORPUS,
    PAIRS,
    QRELS,
    QUERIES,
    REPOSITORY,
    TextModel,
    beir_task,
    llama2c_file,
    pairs_task,
    shell,
    task_toml,
    write_lines,
)

RunCli = Callable[..., Ran]
HOSTILE = ["<script>alert(1)</script>", "../../x", "x" * 300]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where results and stray files land in a folder of the test's own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def assert_one_error(ran: Ran, code: int, *parts: str) -> None:
    """Check an exit code and that its one message names the mend."""
    assert ran.code == code, ran
    assert len(re.findall(r"^Error: ", ran.err, re.MULTILINE)) == 1, ran.err
    for part in parts:
        assert part in ran.err


def evaluate(task: Path, model: Any = "random", **options: Any) -> Any:
    (result,) = Evaluator([str(task)], results="results", cache=None, **options).run(model)
    return result


# ---- names and options


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (("run", "all-minilm-l6v2"), ("Unknown model", "'all-MiniLM-L6-v2'")),
        (("run", "zzzzzz"), ("Unknown model", "evalsuite list models")),
        (("run", "random", "-t", "STSBenchmrak"), ("Unknown task", "'STSBenchmark'")),
        (("run", "random", "-t", "STSBenchmark@9"), ("version 1", "@9")),
        (("run", "random", "-s", "qick"), ("Unknown suite", "'quick'")),
        (("run", "random", "--limt", "3"), ("--limit",)),
        (("run", "random?sed=3"), ("Unknown model option 'sed'", "'seed'")),
        (("run", "random?seed=x"), ("seed='x'", "positive integer")),
        (("run", "random?seed=1&seed=2"), ("twice",)),
        (("run", "random?seed"), ("?option=value",)),
        (("run", "random?api_key=1"), ("looks like a secret",)),
        (("run", "?seed=1"), ("names no model",)),
        (("run", "random@"), ("no revision",)),
        (("run", "./absent-folder"), ("No model folder",)),
        (("run", "~nobody-of-that-name/model"), ("No model folder",)),
        (("run", "a/b/c"), ("No model folder",)),
        (("run", "random", "--device", "tpu"), ("Unknown device 'tpu'", "cpu, cuda")),
        (("run", "random", "--dtype", "int8"), ("Unknown dtype", "bf16")),
        (("run", "random", "--limit", "0"), ("--limit must be at least 1",)),
        (("run", "random", "--batch-tokens", "-1"), ("--batch-tokens must be at least 1",)),
        (("run", "random", "--tag", "novalue"), ("KEY=VALUE",)),
        (("run",), ("MODEL",)),
        (("rnu", "random"), ("Unknown command", "'run'")),
        (("frobnicate",), ("Unknown command", "leaderboard")),
        (("list", "taks"), ("'tasks'",)),
        (("list", "tasks", "--type", "STSS"), ("'STS'",)),
        (("list", "tasks", "--suite", "qick"), ("'quick'",)),
        (("show", "STSBenchmrak"), ("'STSBenchmark'",)),
        (("data", "verify", "qick"), ("'quick'",)),
        (("data", "chekc", "quick"), ("verify",)),
    ],
)
def test_unknown_names_and_options(
    run_cli: RunCli, args: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_one_error(run_cli(*args), 2, *parts)


def test_missing_folders_and_files(run_cli: RunCli, tmp_path: Path) -> None:
    assert_one_error(run_cli("run", "random", "-t", "absent.toml"), 2, "No task file")
    task = pairs_task(tmp_path)
    assert_one_error(run_cli("run", "random", "-t", task, "--data-dir", "absent"), 2, "--data-dir")
    assert_one_error(run_cli("show", "absent.json"), 3, "absent.json")


def test_a_hub_model_offline(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("run", "nobody/no-such-model", "-t", pairs_task(tmp_path))
    assert_one_error(ran, 3, "nobody/no-such-model", "go online once")
    ran = run_cli("run", "nobody/<script>", "-t", pairs_task(tmp_path))
    assert_one_error(ran, 2, "neither a folder nor a name on the hub")


# ---- task files

GOOD = """
name = "T"
version = 1
protocol = "sts"
main_measure = "cosine_spearman"
title = "x"
[data.local]
folder = "MyPairs-data"
format = "jsonl"
file = "pairs.jsonl"
"""


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('name = "T"', "name = ", "not valid TOML"),
        ('name = "T"', "", "`name` is missing"),
        ('name = "T"', "name = 3", "`name` must be of type str"),
        ("version = 1", 'version = "1"', "`version` must be of type int"),
        ("version = 1", "version = true", "`version` must be of type int"),
        ("version = 1", "version = 0", "starts at 1"),
        ("version = 1", "version = 1\nverison = 1", "unknown key `verison`"),
        ('protocol = "sts"', 'protocol = "stss"', "'sts'"),
        ('protocol = "sts"', 'protocol = "zzz"', "retrieval, sts"),
        ("cosine_spearman", "cosine_kendall", "Unknown measure"),
        ("cosine_spearman", "ndcg@10", "does not compute 'ndcg@10'"),
        ('title = "x"', 'title = "x"\nmeasures = [1]', "list of strings"),
        ('title = "x"', 'title = "x"\nlanguages = [1]', "list of strings"),
        ('title = "x"', 'title = "x"\nparams = {depth = 3}', "no parameter `depth`"),
        ('format = "jsonl"', 'format = "yaml"', "unknown data format 'yaml'"),
        ('format = "jsonl"', "", "lacks the key 'format'"),
        ('file = "pairs.jsonl"', "file = 3", "`data.local.file` must be of type str"),
        ('folder = "MyPairs-data"', "folder = 3", "`data.local.folder` must be of type str"),
        ("[data.local]", "[data]\nlocal = 3\n[data.x]", "`data.local` must be a table"),
    ],
)
def test_malformed_task_files(
    run_cli: RunCli, tmp_path: Path, old: str, new: str, part: str
) -> None:
    pairs_task(tmp_path)
    path = tmp_path / "T.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    assert_one_error(run_cli("run", "random", "-t", path), 2, part)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00", b"[", b"\xef\xbb\xbfname = 1"])
def test_task_files_that_are_no_toml(run_cli: RunCli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "T.toml"
    path.write_bytes(content)
    assert_one_error(run_cli("run", "random", "-t", path), 2, "T.toml")


def test_an_empty_task_file(run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "T.toml"
    path.write_bytes(b"")
    assert_one_error(run_cli("run", "random", "-t", path), 2, "`name` is missing")


def test_a_retrieval_parameter_that_cannot_be(run_cli: RunCli, tmp_path: Path) -> None:
    path = beir_task(tmp_path, extra='[params]\nsimilarity = "cosin"')
    assert_one_error(run_cli("run", "random", "-t", path), 2, "'cosin'", "'cosine', 'dot'")


# ---- data


def test_missing_data(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALSUITE_DATA", raising=False)
    path = task_toml(tmp_path / "T.toml", data='folder = "absent"\nformat = "jsonl"')
    assert_one_error(run_cli("run", "random", "-t", path), 3, "'absent'", "--data-dir")
    path = pairs_task(tmp_path)
    (tmp_path / "MyPairs-data" / "pairs.jsonl").unlink()
    assert_one_error(run_cli("run", "random", "-t", path), 3, "pairs.jsonl' is missing")


def test_missing_data_that_the_hub_would_have(run_cli: RunCli, tmp_path: Path) -> None:
    hub = '[data.hub]\npath = "nobody/no-such-set"\nrevision = "0123456789abcdef"'
    path = task_toml(tmp_path / "T.toml", data='folder = "absent"', extra=hub)
    ran = run_cli("run", "random", "-t", path)
    assert_one_error(ran, 3, "nobody/no-such-set", "0123456789ab", "data fetch", "'absent'")


def test_altered_data(run_cli: RunCli, tmp_path: Path) -> None:
    right = evaluate(pairs_task(tmp_path / "a"), TextModel())
    assert right.counts["items"] == len(PAIRS)
    path = pairs_task(tmp_path / "b", extra=f"[data.expect]\npairs = {len(PAIRS) + 1}")
    assert_one_error(run_cli("run", "random", "-t", path), 3, "8 pairs instead of 9")
    path = pairs_task(tmp_path / "c", extra=f'[data.expect]\ndigest = "{"0" * 64}"')
    assert_one_error(run_cli("run", "random", "-t", path), 3, "altered", "000000000000")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "holds no pairs"),
        (b"\n\n", "holds no pairs"),
        (b"{", "pairs.jsonl:1 is not JSON"),
        (b"[1, 2]", "is not a JSON object"),
        (b'{"sentence1": "a"}', "no key 'sentence2'"),
        (b'{"sentence1": "a", "sentence2": "b", "score": "x"}', "score is not a number"),
        (b'{"sentence1": "a", "sentence2": "b", "score": null}', "score is not a number"),
        (b'{"sentence1": "a", "sentence2": "b", "score": NaN}', "not a finite number"),
        (b'{"sentence1": "a", "sentence2": "b", "score": Infinity}', "not a finite number"),
        (b'{"sentence1": null, "sentence2": "b", "score": 1}', "pair 1 lacks a text"),
        (b'{"sentence1": "\xff", "sentence2": "b", "score": 1}', "not UTF-8"),
        (b'{"id": "p", "sentence1": "a", "sentence2": "b", "score": 1}\n' * 2, "Duplicate pair"),
    ],
)
def test_malformed_pairs(run_cli: RunCli, tmp_path: Path, content: bytes, part: str) -> None:
    path = pairs_task(tmp_path)
    (tmp_path / "MyPairs-data" / "pairs.jsonl").write_bytes(content)
    assert_one_error(run_cli("run", "random", "-t", path), 3, part, "MyPairs@1")


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("corpus.jsonl", b"", "holds no documents"),
        ("corpus.jsonl", b'{"text": "a"}', "neither '_id' nor 'id'"),
        ("corpus.jsonl", b'{"_id": "d", "text": "a"}\n' * 2, "Duplicate document ids: 'd'"),
        ("queries.jsonl", b"", "lacks queries that are judged: 'q1'"),
        ("queries.jsonl", b'{"_id": "q1", "text": "a"}\n' * 2, "lacks queries that are judged"),
        ("qrels/test.tsv", b"", "No query has a judgement"),
        ("qrels/test.tsv", b"q1\td1\n", "test.tsv:1 is not"),
        ("qrels/test.tsv", b"q1\td1\t0.5\n", "integer score"),
        ("qrels/test.tsv", b"unknown\td1\t1\n", "lacks queries that are judged: 'unknown'"),
    ],
)
def test_malformed_beir_folders(
    run_cli: RunCli, tmp_path: Path, file: str, content: bytes, part: str
) -> None:
    path = beir_task(tmp_path)
    (tmp_path / "MySearch-data" / file).write_bytes(content)
    assert_one_error(run_cli("run", "random", "-t", path), 3, part)


def test_duplicate_query_ids(run_cli: RunCli, tmp_path: Path) -> None:
    path = beir_task(tmp_path)
    rows = [{"_id": i, "text": text} for i, text in (*QUERIES.items(), ("q1", "again"))]
    write_lines(tmp_path / "MySearch-data" / "queries.jsonl", rows)
    assert_one_error(run_cli("run", "random", "-t", path), 3, "Duplicate query ids: 'q1'")


def test_judged_documents_that_are_missing_stay_in_the_ideal(tmp_path: Path) -> None:
    whole = evaluate(beir_task(tmp_path / "a"), TextModel())
    qrels = {q: {**row, f"gone-{q}": 1} for q, row in QRELS.items()}
    gone = evaluate(beir_task(tmp_path / "b", qrels=qrels, name="Gone"), TextModel())
    assert whole.evidence == {"judged_documents_not_in_corpus": 0}
    assert gone.evidence == {"judged_documents_not_in_corpus": 3}
    assert gone.main_score < whole.main_score
    assert gone.scores["recall@10"].value < whole.scores["recall@10"].value


def test_queries_without_judgements_are_not_the_tasks(tmp_path: Path) -> None:
    base = evaluate(beir_task(tmp_path / "a"), TextModel())
    queries = {**QUERIES, "other-split": "never judged"}
    more = evaluate(beir_task(tmp_path / "b", queries=queries), TextModel(), force=True)
    assert more.counts["items"] == len(QUERIES)
    assert more.main_score == base.main_score


def test_byte_order_marks_and_crlf_change_nothing(tmp_path: Path) -> None:
    def rewrite(folder: Path) -> None:
        for path in (p for p in folder.rglob("*") if p.suffix in (".jsonl", ".tsv")):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))

    for make, name in ((pairs_task, "MyPairs"), (beir_task, "MySearch")):
        plain = evaluate(make(tmp_path / "plain"), TextModel())
        marked = make(tmp_path / "marked")
        rewrite(tmp_path / "marked" / f"{name}-data")
        again = evaluate(marked, TextModel())  # resumes: the fingerprints are equal
        assert again.task["fingerprint"] == plain.task["fingerprint"]
    headless = tmp_path / "marked" / "MySearch-data" / "qrels" / "test.tsv"
    headless.write_bytes(b"\xef\xbb\xbf" + headless.read_bytes().partition(b"\n")[2])
    assert evaluate(marked, TextModel()).counts["items"] == len(QUERIES)


def test_empty_and_odd_texts_are_scored(tmp_path: Path) -> None:
    odd = ["", " ", "x" * 100_000, "word " * 20_000, "a\0b", "e\u0301", "\u200b", "\ufffd"]
    rows = [(text, PAIRS[i][1], float(i)) for i, text in enumerate(odd)]
    for model in ("random", "tfidf", TextModel()):
        result = evaluate(pairs_task(tmp_path, rows), model)
        assert result.counts == {"items": 8, "ok": 8, "failed": 0, "excluded": 0}
    corpus = {**CORPUS, **{f"odd{i}": text for i, text in enumerate(odd)}}
    queries = {**QUERIES, "q1": ""}
    for model in ("random", "tfidf", "bm25", TextModel()):
        if model == "bm25":
            pytest.importorskip("bm25s")
        result = evaluate(beir_task(tmp_path, corpus=corpus, queries=queries), model)
        assert result.counts["ok"] == 3


def test_long_texts_through_a_transformer(tmp_path: Path, tiny_bert: Path) -> None:
    rows = [("", "dog " * 25_000, 1.0), ("x" * 100_000, "cat", 2.0), ("a", "b", 3.0)]
    assert evaluate(pairs_task(tmp_path, rows), str(tiny_bert)).counts["ok"] == 3


def test_lone_surrogates_become_replacement_characters(tmp_path: Path) -> None:
    rows = [(f"{a}\udc80", b, gold) for a, b, gold in PAIRS]
    model = TextModel()
    result = evaluate(pairs_task(tmp_path / "a", rows), model)
    assert any("\ufffd" in text for text in model.seen)
    assert not any("\udc80" in text for text in model.seen)
    replaced = [(f"{a}\ufffd", b, gold) for a, b, gold in PAIRS]
    again = evaluate(pairs_task(tmp_path / "b", replaced), TextModel())
    assert again.task["fingerprint"] == result.task["fingerprint"]


def test_delimited_texts_beyond_the_csv_limit(tmp_path: Path) -> None:
    for quoted in (False, True):
        folder = tmp_path / str(quoted)
        task = task_toml(
            folder / "T.toml",
            data=(
                'folder = "data"\nformat = "delimited"\nfiles = ["a.tsv"]\n'
                "columns = {first = 0, second = 1, gold = 2}\n"
                f"quoted = {str(quoted).lower()}"
            ),
        )
        (folder / "data").mkdir()
        (folder / "data" / "a.tsv").write_text(f"{'x' * 200_000}\tb\t1\na\tb\t2\n")
        if quoted:
            with pytest.raises(DataError, match=r"a.tsv:1 is not delimited text.*limit"):
                evaluate(task)
        else:
            assert evaluate(task).counts["items"] == 2


# ---- models


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda v: np.where(np.arange(len(v))[:, None] == 1, np.nan, v), "NaN or infinity"),
        (lambda v: v * np.inf, "NaN or infinity"),
        (lambda v: v[:-1], "is needed"),
        (lambda v: v[:, 0], "is needed"),
        (lambda v: v[None], "is needed"),
        (lambda v: None, "The model returned"),
        (lambda v: [list(row) for row in v[:-1]] + [[1.0]], "no array of numbers"),
    ],
)
def test_unusable_vectors(tmp_path: Path, spoil: Callable[[Any], Any], part: str) -> None:
    class Spoilt(TextModel):
        def encode(self, texts: list[str]) -> Any:
            vectors = super().encode(texts)
            return spoil(vectors) if PAIRS[0][0] in texts else vectors

    with pytest.raises(ModelError, match=part):
        evaluate(pairs_task(tmp_path), Spoilt())
    assert not list(Path("results").rglob("*.json"))


def test_objects_that_are_no_models(tmp_path: Path) -> None:
    for thing in (object(), 3, None, {"encode": 1}):
        with pytest.raises(UsageError, match="needs a method `encode"):
            evaluate(pairs_task(tmp_path), thing)


def test_a_model_without_the_verb(run_cli: RunCli, tmp_path: Path) -> None:
    """Every model so far has a verb of both protocols, so a resolved one is made to lack it."""
    from dataclasses import replace

    from evalsuite import models

    lame = replace(models.resolve("random"), verbs=("generate",))
    with pytest.raises(ModelError, match=r"MyPairs@1 needs a model with encode.*offers generate"):
        evaluate(pairs_task(tmp_path), lame)


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("model.safetensors", None, "no safetensors weights"),
        ("model.safetensors", b"", "no safetensors file"),
        ("model.safetensors", b"\xff" * 100, "no safetensors file"),
        ("model.safetensors", b"\x02" + b"\0" * 7 + b"[]", "no safetensors file"),
        ("config.json", b"{", "is not JSON"),
        ("config.json", b"{}", "Cannot load"),
        ("tokenizer.json", b"{}", "Cannot load"),
    ],
)
def test_damaged_checkpoints(
    run_cli: RunCli,
    tmp_path: Path,
    tiny_bert: Path,
    file: str,
    content: bytes | None,
    part: str,
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_bert.iterdir():
        if path.name != file:
            (folder / path.name).write_bytes(path.read_bytes())
    if content is not None:
        (folder / file).write_bytes(content)
    assert_one_error(run_cli("run", folder, "-t", pairs_task(tmp_path)), 3, part)


def test_pickled_weights_are_not_opened(run_cli: RunCli, tmp_path: Path, tiny_bert: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_bert.iterdir():
        if path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    ran = run_cli("run", folder, "-t", pairs_task(tmp_path))
    assert_one_error(ran, 3, "pickled .bin files are not opened", "save_pretrained")
    assert not (tmp_path / "exploded").exists()


def test_options_of_checkpoints(run_cli: RunCli, tmp_path: Path, tiny_bert: Path) -> None:
    task = pairs_task(tmp_path)
    for option, code, part in (
        ("poolign=cls", 2, "'pooling'"),
        ("pooling=clss", 2, "cls, mean, max"),
        ("layer=0", 2, "positive integer"),
        ("layer=9", 3, "more than the 2 layers"),
        ("dim=99", 3, "more than the 32 dimensions"),
        ("normalize=yes", 2, "neither 'true' nor 'false'"),
        ("as=static", 2, "holds no static embeddings"),
        ("as=sentence-transformers", 2, "modules.json"),
    ):
        assert_one_error(run_cli("run", f"{tiny_bert}?{option}", "-t", task), code, part)


def test_options_of_language_models(run_cli: RunCli, tmp_path: Path, tiny_bert: Path) -> None:
    task, model = pairs_task(tmp_path), llama2c_file(tmp_path / "tiny.bin")
    for option, code, part in (
        ("template=prompteool", 2, "Did you mean 'prompteol'"),
        ("template=no%20place", 2, "lacks {text}"),
        ("template={text}{placeholder}", 2, "before {text}"),
        (f"template={'a' * 150}{{text}}", 3, "shorten the template"),
        ("atention=causal", 2, "'attention'"),
        ("attention=both", 2, "causal, bidirectional"),
        ("pool_template=1", 2, "neither 'true' nor 'false'"),
        ("token_prepending=2", 2, "pooling=last"),
        ("token_prepending=9&pooling=last", 3, "from 2 to 1"),
        ("layer=-2", 3, "more than the 1 layers"),
        ("layer=0", 2, "positive integer"),
    ):
        assert_one_error(run_cli("run", f"{model}?{option}", "-t", task), code, part)
    for option, part in (
        ("attention=bidirectional", "no causal model"),
        ("pooling=eos", "no EOS token: use pooling=last"),
    ):
        assert_one_error(run_cli("run", f"{tiny_bert}?{option}", "-t", task), 3, part)


def test_checkpoints_without_a_tokenizer(run_cli: RunCli, tmp_path: Path, tiny_bert: Path) -> None:
    folder, task = tmp_path / "model", pairs_task(tmp_path)
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((tiny_bert / name).read_bytes())
    ran = run_cli("run", f"{folder}?as=encoder", "-t", task)
    assert_one_error(ran, 3, "has no tokenizer", "tokenizer.json")
    model = llama2c_file(tmp_path / "tiny.bin")
    model.with_name("tok264.bin").unlink()
    assert_one_error(run_cli("run", model, "-t", task), 3, "has no tokenizer", "tok264.bin")


def test_files_that_are_no_whole_llama2c_checkpoints(run_cli: RunCli, tmp_path: Path) -> None:
    task, model = pairs_task(tmp_path), llama2c_file(tmp_path / "tiny.bin")
    whole = model.read_bytes()
    for content, option, part in (
        (b"", "?as=encoder", "no llama2.c checkpoint"),
        (b"word one two\n" * 9, "?as=encoder", "no llama2.c checkpoint"),
        (bytes(64), "?as=encoder", "no llama2.c checkpoint"),
        (whole[:28], "", "it is cut off"),
        (whole[:-4], "", "it is cut off"),
        (whole + b"1234", "", "should have"),
        (b"24ka" + whole, "", "export.py --version 0"),
    ):
        model.write_bytes(content)
        assert_one_error(run_cli("run", f"{model}{option}", "-t", task), 3, part)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"word one two\n", b"3 4\n\x00\x01", b"a 1 2\nb 1"]
)
def test_files_that_hold_no_word_vectors(run_cli: RunCli, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vectors.txt").write_bytes(content)
    ran = run_cli("run", tmp_path / "vectors.txt", "-t", pairs_task(tmp_path))
    assert_one_error(ran, 3, "holds no word vectors")


# ---- results folders


def refuse(code: int, text: str) -> Callable[..., None]:
    def call(*args: object, **options: object) -> None:
        raise OSError(code, text)

    return call


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("os.fsync", 28, "No space left on device"),
        ("pathlib.Path.replace", 28, "No space left on device"),
        ("tempfile.mkstemp", 30, "Read-only file system"),
        ("pathlib.Path.mkdir", 13, "Permission denied"),
    ],
)
def test_full_and_read_only_results_folders(
    run_cli: RunCli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    text: str,
) -> None:
    task = pairs_task(tmp_path)
    monkeypatch.setattr(call, refuse(code, text))
    ran = run_cli("run", "random", "-t", task, "--no-cache")
    assert_one_error(ran, 3, text, "--results")
    monkeypatch.undo()
    assert run_cli("run", "random", "-t", task, "--no-cache", "--results", tmp_path / "r").code == 0


def test_results_folders_that_cannot_be(run_cli: RunCli, tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    assert_one_error(run_cli("run", "random", "-t", task, "--results", task), 3, "Cannot write")
    assert_one_error(run_cli("run", "random", "-t", task, "--results", "x" * 300), 3, "too long")


def test_a_path_that_holds_another_result(run_cli: RunCli, tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    assert run_cli("run", "random", "-t", task).code == 0
    pairs_task(tmp_path, PAIRS[1:])
    assert_one_error(run_cli("run", "random", "-t", task), 3, "task fingerprint", "--force")
    assert run_cli("run", "random", "-t", task, "--force").code == 0
    assert len(load_results("results")) == 1
    assert len(list(Path("results/superseded").rglob("*.json"))) == 1


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "not a result file"),
        ("{", "not a result file"),
        ('{"schema": 99}', "update evalsuite"),
        ('{"schema": 1, "scores": {}}', "malformed"),
    ],
)
def test_stored_results_that_cannot_be_read(
    run_cli: RunCli, tmp_path: Path, content: str, part: str
) -> None:
    task = pairs_task(tmp_path)
    assert run_cli("run", "random", "-t", task).code == 0
    (path,) = Path("results").rglob("*.json")
    path.write_text(content)
    assert_one_error(run_cli("run", "random", "-t", task), 3, part, path.name)
    assert_one_error(run_cli("show", path), 3, part)
    assert run_cli("run", "random", "-t", task, "--force").code == 0


def test_one_failed_task_does_not_stop_the_rest(run_cli: RunCli, tmp_path: Path) -> None:
    bad = pairs_task(tmp_path, name="Bad")
    (tmp_path / "Bad-data" / "pairs.jsonl").write_bytes(b"{")
    good = pairs_task(tmp_path, name="Good")
    ran = run_cli("run", "random", "-t", bad, "-t", good, "--json")
    assert_one_error(ran, 3, "Bad@1")
    assert [row["task"] for row in json.loads(ran.out)] == ["Good"]


def test_one_unknown_model_does_not_stop_the_rest(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("run", "zzz", "random", "-t", pairs_task(tmp_path), "--json")
    assert_one_error(ran, 2, "zzz")
    assert [row["model"] for row in json.loads(ran.out)] == ["random"]


# ---- hostile names


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_models(run_cli: RunCli, tmp_path: Path, name: str) -> None:
    task = pairs_task(tmp_path)
    assert_one_error(run_cli("run", name, "-t", task), 2)
    result = evaluate(task, TextModel(name=name))
    assert result.model["name"] == name
    assert result.path.resolve().is_relative_to(Path("results").resolve())
    assert result.path.parts[1] == slug(name)
    shown = run_cli("show", result.path)
    assert shown.code == 0


@pytest.mark.parametrize("name", [*HOSTILE, "", " ", "-rf", ".hidden", "a/b", "a\nb", "é"])
def test_hostile_names_of_tasks(run_cli: RunCli, tmp_path: Path, name: str) -> None:
    path = pairs_task(tmp_path, name="MyPairs")
    table = path.read_text().replace('name = "MyPairs"', f"name = {json.dumps(name)}")
    path.write_text(table)
    assert_one_error(run_cli("run", "random", "-t", path), 2, "is not allowed")
    if name.strip() and not name.startswith("-"):
        assert_one_error(run_cli("show", name), 2, "Unknown task")


@pytest.mark.parametrize("value", [*HOSTILE, "\x1b[31mred", "日本"])
def test_hostile_tags_are_kept_as_text(run_cli: RunCli, tmp_path: Path, value: str) -> None:
    ran = run_cli("run", "random", "-t", pairs_task(tmp_path), "--tag", f"note={value}")
    assert ran.code == 0
    (result,) = load_results("results")
    assert result.run["tags"] == {"note": value}
    assert result.path is not None
    shown = run_cli("show", result.path)
    assert "\x1b[31m" not in shown.out


@pytest.mark.parametrize("name", ["<script>.toml", "x" * 200 + ".toml", "with space.toml"])
def test_hostile_names_of_files(run_cli: RunCli, tmp_path: Path, name: str) -> None:
    task = pairs_task(tmp_path)
    task.rename(tmp_path / name)
    assert run_cli("run", "random", "-t", tmp_path / name).code == 0
    assert_one_error(run_cli("run", "random", "-t", "x" * 300 + ".toml"), 2, "too long")


def test_folders_whose_name_is_not_utf_8(tmp_path: Path, tiny_bert: Path) -> None:
    folder = tmp_path / os.fsdecode(b"model-\xff")
    folder.mkdir()
    for path in tiny_bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    ran = shell("run", str(folder), "-t", str(pairs_task(tmp_path)))
    assert ran.returncode == 2
    assert "rename the folder" in ran.stderr


def test_names_cannot_drive_the_terminal(run_cli: RunCli, tmp_path: Path) -> None:
    result = evaluate(pairs_task(tmp_path), TextModel(name="\x1b[2Jcleared\r\n"))
    assert "\x1b[2J" not in run_cli("show", result.path).out


# ---- files of other tools


@pytest.mark.parametrize("tool", ["mteb", "lm-eval"])
def test_folders_without_results_of_other_tools(run_cli: RunCli, tmp_path: Path, tool: str) -> None:
    folder = tmp_path / "tree"
    assert_one_error(run_cli("import", tool, folder), 2, "No folder or file at")
    folder.mkdir()
    assert_one_error(run_cli("import", tool, folder), 4, f"No result of {tool} under")
    (folder / "other.json").write_text('{"a": 1}')
    assert_one_error(run_cli("import", tool, folder), 4, f"No result of {tool} under")


@pytest.mark.parametrize("tool", ["mteb", "lm-eval"])
@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, "\0", '{"a": 1e'])
def test_malformed_files_of_other_tools(
    run_cli: RunCli, tmp_path: Path, tool: str, content: str
) -> None:
    good = write_foreign(tmp_path / "tree", tool)
    (good.parent / "Bad.json").write_text(content)
    ran = run_cli("import", tool, tmp_path / "tree")
    assert_one_error(ran, 3, "Bad.json' is malformed")
    assert "Imported: 1 result" in ran.out


@pytest.mark.parametrize("tool", ["mteb", "lm-eval"])
def test_scores_of_other_tools_that_are_no_numbers(
    run_cli: RunCli, tmp_path: Path, tool: str
) -> None:
    write_foreign(tmp_path / "tree", tool, score=float("nan"))
    ran = run_cli("import", tool, tmp_path / "tree")
    assert ran.code == 0
    assert "Skipped: 1, " in ran.out
    assert not Path("results").exists()


@pytest.mark.parametrize("tool", ["mteb", "lm-eval"])
@pytest.mark.parametrize("name", [*HOSTILE, "a\0b\x1b[2J"])
def test_hostile_names_in_files_of_other_tools(
    run_cli: RunCli, tmp_path: Path, tool: str, name: str
) -> None:
    write_foreign(tmp_path / "tree", tool, task=name)
    assert run_cli("import", tool, tmp_path / "tree").code == 0
    (result,) = load_results("results")
    assert result.task["name"] == f"{tool}:{name}"
    assert result.path is not None
    assert len(result.path.parts) == 5
    assert "\x1b" not in run_cli("show", result.path).out


def write_foreign(folder: Path, tool: str, *, task: str = "Nobodys", score: float = 0.5) -> Path:
    """Write a results file of mteb or lm-evaluation-harness and return it."""
    entry = {"main_score": score, "hf_subset": "default", "languages": []}
    tables = {
        "mteb": {"task_name": task, "scores": {"test": [entry]}},
        "lm-eval": {
            "results": {task: {"acc,none": score}},
            "versions": {},
            "model_name": "org/model",
        },
    }
    path = folder / "org__model" / "r1" / "Task.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(tables[tool]))
    return path


@pytest.mark.parametrize(
    ("out", "code", "part"),
    [
        (("mteb", "FILE"), 2, "is not a folder"),
        (("mteb", "NEW"), 4, "mteb does not have"),
        (("model-card", "FILE"), 2, "neither .md nor .yaml"),
        (("model-card", "CARD.md"), 2, "no YAML"),
    ],
)
def test_exports_that_cannot_be(
    run_cli: RunCli, tmp_path: Path, out: tuple[str, str], code: int, part: str
) -> None:
    evaluate(pairs_task(tmp_path))
    Path("FILE").write_text("x")
    Path("CARD.md").write_text("---\na: [\n---\n")
    assert_one_error(run_cli("export", out[0], "results", out[1]), code, part)
    assert Path("CARD.md").read_text() == "---\na: [\n---\n"
    assert not Path("NEW").exists()


# ---- the page


def test_every_row_of_the_page_names_a_test_and_every_test_has_a_row() -> None:
    tests = {
        node.name
        for path in Path(__file__).parent.rglob("test_bad_input.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    } - {"test_every_row_of_the_page_names_a_test_and_every_test_has_a_row"}
    page = (REPOSITORY / "docs" / "bad-input.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    named = [re.search(r"`(test_\w+)` \|$", row) for row in rows]
    assert rows
    assert all(named)
    assert {match.group(1) for match in named if match} == tests


def test_errors_leave_no_result_behind(run_cli: RunCli, tmp_path: Path) -> None:
    run_cli("run", "zzz", "-t", pairs_task(tmp_path))
    assert not Path("results").exists()
