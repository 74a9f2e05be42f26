"""Data sets of the hub: a local mirror of their folders, the cache's layout, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evalsuite import Evaluator, data, get_task
from evalsuite.data import hub
from evalsuite.errors import DataError
from evalsuite.store import load_results
from tests.support import (
    CORPUS,
    PAIRS,
    QRELS,
    QUERIES,
    TextModel,
    beir_task,
    canonical,
    pairs_task,
    task_toml,
    write_lines,
)  # fmt: skip

REVISION = "0123456789abcdef0123456789abcdef01234567"


def card(configs: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["---", "configs:"]
    for name, files in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in files.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", ""])


def mirror(folder: Path, kind: str) -> Path:
    """Write a retrieval set as mteb keeps them: three configurations, Parquet or JSON Lines."""
    qrels = [
        {"query-id": q, "corpus-id": d, "score": float(grade)}
        for q, row in QRELS.items()
        for d, grade in row.items()
    ]
    half = len(CORPUS) // 2
    corpus = [
        {"_id": i, "title": "" if n < half else text[:5], "text": text if n < half else text[5:]}
        for n, (i, text) in enumerate(CORPUS.items())
    ]
    queries = [{"_id": i, "text": text} for i, text in (*QUERIES.items(), ("train-q", "unjudged"))]
    tables: dict[str, list[dict[str, Any]]] = {"corpus": corpus, "queries": queries, "qrels": qrels}
    names = {"corpus": "corpus", "queries": "queries", "qrels": "default"}
    files: dict[str, dict[str, str]] = {}
    for name, rows in tables.items():
        split = "test" if name == "qrels" else name
        path = folder / name / f"{split}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "parquet":
            pd.DataFrame(rows).to_parquet(path)
        else:
            write_lines(path, rows)
        files[names[name]] = {split: f"{name}/{split}.{kind}"}
    (folder / "README.md").write_text(card(files))
    return folder


def hub_task(path: Path, source: str, *, protocol: str = "sts", extra: str = "") -> str:
    retrieval = protocol == "retrieval"
    table = f'path = "{source}"\nrevision = "{REVISION}"\n{extra}'
    text = task_toml(
        path,
        data="",
        protocol=protocol,
        main_measure="ndcg@10" if retrieval else "cosine_spearman",
    ).read_text()
    path.write_text(text.replace("[data.local]", f"[data.hub]\n{table}"))
    return str(path)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_retrieval_mirror_reads_as_mteb_keeps_it(tmp_path: Path, kind: str) -> None:
    folder = mirror(tmp_path / "mirror", kind)
    task = get_task(hub_task(tmp_path / "T.toml", str(folder), protocol="retrieval"))
    loaded = data.load(task, "retrieval")
    assert loaded.source == "hub"
    found: Any = loaded.data
    assert found.query_ids == ["q1", "q2", "q3"]
    assert found.queries == list(QUERIES.values())
    assert found.qrels == QRELS
    texts = dict(zip(found.documents.ids, found.documents.texts[:], strict=True))
    assert texts["d1"] == CORPUS["d1"]
    assert texts["d6"] == f"{CORPUS['d6'][:5]} {CORPUS['d6'][5:]}"
    assert [found.documents.texts[i] for i in range(6)] == found.documents.texts[:]


def test_hub_and_local_copies_agree(tmp_path: Path) -> None:
    """The digest covers content, so a hub copy gives the result of a local one, byte for byte."""
    corpus = {i: text if n < 3 else f"{text[:5]} {text[5:]}" for n, (i, text) in
              enumerate(CORPUS.items())}  # fmt: skip
    local = beir_task(tmp_path / "a", name="T", corpus=corpus)
    table = local.read_text()
    folder = mirror(tmp_path / "mirror", "parquet")
    remote = tmp_path / "T.toml"
    remote.write_text(
        table.partition("[data.local]")[0]
        + f'[data.hub]\npath = "{folder}"\nrevision = "{REVISION}"\n'
    )
    results = []
    for task, root in ((local, "r1"), (remote, "r2")):
        results += Evaluator([str(task)], results=tmp_path / root, cache=None).run(TextModel())
    assert [result.run["data_source"] for result in results] == ["local", "hub"]
    assert canonical(results[0].path) == canonical(results[1].path)  # type: ignore[arg-type]


def test_a_pairs_mirror(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    rows = [{"u": a, "v": b, "w": gold} for a, b, gold in PAIRS]
    for split, some in (("train", rows[:2]), ("test", rows)):
        write_lines(folder / f"{split}.jsonl", some)
    (folder / "README.md").write_text(
        card({"default": {"train": "train.jsonl", "test": "test.jsonl"}})
    )
    columns = 'columns = {first = "u", second = "v", gold = "w"}'
    task = get_task(hub_task(tmp_path / "T.toml", str(folder), extra=columns))
    assert data.load(task, "pairs").data.counts() == {"pairs": 8}
    local = get_task(str(pairs_task(tmp_path, ids=None)))
    assert data.load(task, "pairs").digest != data.load(local, "pairs").digest  # other ids
    absent = hub_task(tmp_path / "U.toml", str(folder), extra=columns)
    Path(absent).write_text(Path(absent).read_text().replace("title", 'split = "dev"\ntitle', 1))
    with pytest.raises(DataError, match="no split 'dev', only train, test"):
        data.load(get_task(absent), "pairs")


def test_pairs_whose_lists_are_in_one_row(tmp_path: Path) -> None:
    """mteb keeps its older pair classification sets so."""
    folder = tmp_path / "mirror"
    columns = {"first": "sent1", "second": "sent2", "gold": "labels"}
    source = {"path": str(folder), "columns": columns}
    golds = [n % 2 for n in range(len(PAIRS))]
    lists: dict[str, list[Any]] = {
        "sent1": [a for a, _, _ in PAIRS],
        "sent2": [b for _, b, _ in PAIRS],
        "labels": golds,
    }
    rows = [{key: values[n] for key, values in lists.items()} for n in range(len(PAIRS))]
    tables: tuple[list[dict[str, Any]], ...] = ([lists], rows)
    for some in tables:
        write_lines(folder / "test.jsonl", some)
        (folder / "README.md").write_text(card({"default": {"test": "test.jsonl"}}))
        found = hub.read_pairs(folder, source, "test")
        assert (found.first, found.second) == (lists["sent1"], lists["sent2"])
        assert found.gold.tolist() == golds
    with pytest.raises(DataError, match="has no column 'score'"):
        hub.read_pairs(folder, source | {"columns": columns | {"gold": "score"}}, "test")
    write_lines(folder / "test.jsonl", [lists | {"labels": golds[1:]}])
    with pytest.raises(DataError, match="differ in length"):
        hub.read_pairs(folder, source, "test")


def test_nulls_and_unreadable_mirrors_are_data_errors(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    write_lines(folder / "test.jsonl", [{"sentence1": None, "sentence2": "x", "score": 1.0}])
    (folder / "README.md").write_text(card({"default": {"test": "test.jsonl"}}))
    task = get_task(hub_task(tmp_path / "T.toml", str(folder)))
    with pytest.raises(DataError, match="pair 1 lacks a text"):
        data.load(task, "pairs")
    (folder / "test.jsonl").write_text("{")
    with pytest.raises(DataError, match="Cannot read"):
        data.load(task, "pairs")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="Cannot read"):
        data.load(get_task(hub_task(tmp_path / "U.toml", str(tmp_path / "empty"))), "pairs")


def test_the_cache_layout_is_read_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "hub"
    repository = cache / "datasets--org--pairs"
    folder = repository / "snapshots" / REVISION
    write_lines(
        folder / "test.jsonl",
        [{"sentence1": a, "sentence2": b, "score": gold} for a, b, gold in PAIRS],
    )
    (folder / "README.md").write_text(card({"default": {"test": "test.jsonl"}}))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION)
    source = {"path": "org/pairs", "revision": REVISION}
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        _with_cache(str(cache)),
    )
    assert hub.snapshot(source) == folder
    task = hub_task(tmp_path / "T.toml", "org/pairs")
    Evaluator([task], results=tmp_path / "r", cache=None).run(TextModel())
    (result,) = load_results(tmp_path / "r")
    assert result.run["data_source"] == "hub"
    assert result.counts["items"] == len(PAIRS)


def _with_cache(folder: str) -> Any:
    from functools import partial

    import huggingface_hub

    return partial(huggingface_hub.snapshot_download, cache_dir=folder)


@pytest.mark.parametrize("online", [True, False])
def test_what_is_not_to_be_had_is_one_error(online: bool) -> None:
    with pytest.raises(DataError, match=r"'nobody/absent' \(revision 0123456789ab\)"):
        hub.snapshot({"path": "nobody/absent", "revision": REVISION}, online=online)
