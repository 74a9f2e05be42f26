"""mteb's tasks by name: our protocols score as ``mteb.evaluate`` does, from the same vectors."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite import Evaluator
from evalsuite.foreign import mteb_metric
from evalsuite.result import Result
from evalsuite.store import load_items
from tests.bridges.support import (
    Configs,
    Rows,
    means,
    publish,
    ranked,
    real,
    some_labelled,
    some_pairs,
    summaries,
    theirs,
)
from tests.protocols.theirs import Words, sts_benchmark
from tests.support import write_lines

pytest.importorskip("mteb")


def run(task: str, results: Path, model: Any = None) -> Result:
    (result,) = Evaluator([task], results=results, cache=None).run(model or Words())
    return result


def tolerance(measure: str) -> float:
    """mteb rounds what it says of rankings to five digits."""
    return 5.1e-6 if "@" in measure else 1e-6


def check(result: Result, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Check each measure's mean, and the main score of each subset."""
    for measure, score in result.scores.items():
        expected = means(entries.values(), mteb_metric(re.sub("^(bitext|mean)_", "", measure)))
        assert score.value == pytest.approx(expected, abs=tolerance(measure)), measure
    within = tolerance(result.main_measure)
    assert result.main_score == pytest.approx(means(entries.values(), "main_score"), abs=within)
    if len(entries) > 1:
        ours = result.evidence["parts"]["scores"]
        assert ours == pytest.approx(
            {name: entry["main_score"] for name, entry in entries.items()}, abs=within
        )
        groups = load_items(result).group
        assert groups is not None
        assert set(groups.tolist()) == set(entries)


def beir(folder: Path) -> Configs:
    """Return a BEIR folder as mteb keeps it on the hub."""
    import json

    def rows(name: str) -> Rows:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    with (folder / "qrels" / "test.tsv").open() as file:
        judged = [
            {"query-id": row["query-id"], "corpus-id": row["corpus-id"], "score": int(row["score"])}
            for row in csv.DictReader(file, delimiter="\t")
        ]
    keys = ("_id", "title", "text")
    corpus = [{key: row.get(key, "") for key in keys} for row in rows("corpus.jsonl")]
    queries = [{key: row[key] for key in ("_id", "text")} for row in rows("queries.jsonl")]
    return {
        "corpus": {"corpus": corpus},
        "queries": {"queries": queries},
        "default": {"test": judged},
    }


def stsb() -> Configs:
    rows = [
        {"sentence1": a, "sentence2": b, "score": gold} for _, a, b, gold in sts_benchmark("test")
    ]
    return {"default": {"test": rows}}


def banking() -> Configs:
    """Return Banking77 with numbers as labels, as the hub has it."""

    def rows(split: str) -> list[dict[str, str]]:
        with real("banking77", f"{split}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    number = {name: n for n, name in enumerate(sorted({row["category"] for row in rows("train")}))}
    return {
        "default": {
            split: [{"text": row["text"], "label": number[row["category"]]} for row in rows(split)]
            for split in ("train", "test")
        }
    }


@pytest.mark.parametrize(
    ("name", "configs"),
    [
        ("STSBenchmark", stsb),
        ("SciFact", lambda: beir(real("scifact"))),
        pytest.param("Banking77Classification", banking, marks=pytest.mark.slow),
    ],
)
def test_real_data(
    name: str, configs: Callable[[], Configs], hub_cache: Path, tmp_path: Path
) -> None:
    publish(hub_cache, name, configs())
    result = run(f"mteb:{name}", tmp_path / "r")
    check(result, theirs(name))
    assert result.run["data_source"] == "mteb"


def ranking(*prefixes: str, top: bool = False) -> dict[str, dict[str, Rows]]:
    configs: dict[str, dict[str, Rows]] = {}
    for prefix in prefixes:
        corpus, queries, grades = ranked(prefix or "w")
        start = f"{prefix}-" if prefix else ""
        qrels = f"{start}qrels" if prefix else "default"
        configs |= {
            f"{start}corpus": {"test": corpus},
            f"{start}queries": {"test": queries},
            qrels: {"test": grades},
        }
        if top:
            lists = [
                {"query-id": row["_id"], "corpus-ids": [doc["_id"] for doc in corpus[n : n + 9]]}
                for n, row in enumerate(queries)
            ]
            configs[f"{start}top_ranked"] = {"test": lists}
    return configs


def by_language(rows: Mapping[str, Rows]) -> Configs:
    """Return all languages in one table, as some data sets have them."""
    table = [{**row, "lang": code} for code, some in rows.items() for row in some]
    return {"default": {"test": table}}


LANGUAGES: Mapping[str, tuple[str, Configs, Mapping[str, Any]]] = {
    "STS": (
        "mteb:STS22.v2?subset=de,en,es",
        by_language({code: some_pairs(code, 9 + n) for n, code in enumerate(("de", "en", "es"))}),
        {"hf_subsets": ["de", "en", "es"]},
    ),
    "retrieval": (
        "mteb:XPQARetrieval?subset=ara-ara,ara-eng",
        ranking("ara-ara", "ara-eng"),
        {"hf_subsets": ["ara-ara", "ara-eng"]},
    ),
    "classification": (
        "mteb:MTOPDomainClassification?subset=de,en&split=test,validation",
        {
            code: {
                "train": some_labelled(code, 60),
                "validation": some_labelled(code + "v", 12),
                "test": some_labelled(code + "t", 15 + n),
            }
            for n, code in enumerate(("de", "en"))
        },
        {"hf_subsets": ["de", "en"]},
    ),
    "bitext": (
        "mteb:BUCC.v2?subset=de-en,fr-en",
        by_language({code: some_pairs(code) for code in ("de-en", "fr-en")}),
        {"hf_subsets": ["de-en", "fr-en"]},
    ),
    "regression": (
        "mteb:RuSciBenchYearPublRegression",
        {
            code: {
                split: [{"text": f"{code} w{i % 5} w{i % 7}", "value": i % 9} for i in range(n)]
                for split, n in (("train", 50), ("test", 20))
            }
            for code in ("yearpubl_en", "yearpubl_ru")
        },
        {},
    ),
    "pairs": (
        "mteb:RTE3?subset=de,it",
        {
            code: {
                "test": [
                    {**row, "labels": int(row.pop("score") > 2)} for row in some_pairs(code, 20)
                ]
            }
            for code in ("de", "it")
        },
        {"hf_subsets": ["de", "it"]},
    ),
}


@pytest.mark.parametrize("kind", LANGUAGES)
def test_several_languages(kind: str, hub_cache: Path, tmp_path: Path) -> None:
    """A group a language, its score, and their mean as the main score."""
    task, configs, chosen = LANGUAGES[kind]
    name = task.removeprefix("mteb:").partition("?")[0]
    publish(hub_cache, name, configs)
    check(run(task, tmp_path / "r"), theirs(name, **chosen))


ONE_PART: Mapping[str, Configs] = {
    "AskUbuntuDupQuestions": ranking("", top=True),
    "BiorxivClusteringP2P.v2": {
        "default": {
            "test": [
                {"sentences": f"w{i % 4} w{i % 9} number{i}", "labels": f"label{i % 4}"}
                for i in range(300)
            ]
        }
    },
    "IsiZuluNewsClassification": {"default": {"train": some_labelled("w", 90)}},  # labels it anew
    "SummEval": {"default": {"test": summaries()}},
    "SummEvalSummarization.v2": {"default": {"test": summaries()}},
    "SprintDuplicateQuestions": {
        "default": {
            "test": [
                {
                    "sent1": [row["sentence1"] for row in some_pairs("w", 20)],
                    "sent2": [row["sentence2"] for row in some_pairs("w", 20)],
                    "labels": [int(row["score"] > 2) for row in some_pairs("w", 20)],
                }
            ]
        }
    },
}


@pytest.mark.parametrize("name", ONE_PART)
def test_further_kinds(name: str, hub_cache: Path, tmp_path: Path) -> None:
    publish(hub_cache, name, ONE_PART[name])
    result = run(f"mteb:{name}", tmp_path / "r")
    assert result.task["protocol"] != "mteb"
    check(result, theirs(name))


def test_items_that_are_the_catalogues_are_its_task(hub_cache: Path, tmp_path: Path) -> None:
    """``mteb:STSBenchmark`` and ``STSBenchmark`` are one row where the items are the same."""
    publish(hub_cache, "STSBenchmark", stsb())
    abroad, again = run("mteb:STSBenchmark", tmp_path / "r"), run("STSBenchmark", tmp_path / "r")
    assert abroad.task_key == again.task_key == "STSBenchmark@1"
    assert abroad.path == again.path
    assert again.run["data_source"] == "mteb"  # resumed


def test_other_items_are_a_task_of_their_own(hub_cache: Path, tmp_path: Path) -> None:
    publish(hub_cache, "STSBenchmark", {"default": {"test": some_pairs("w")}})
    result = run("mteb:STSBenchmark", tmp_path / "r")
    assert result.task_key == "mteb.STSBenchmark@1"
    assert run("mteb:STSBenchmark", tmp_path / "r").path == result.path


def test_results_do_not_depend_on_the_order_of_the_data(hub_cache: Path, tmp_path: Path) -> None:
    folder = publish(hub_cache, "STS22.v2", LANGUAGES["STS"][1])
    first = run(LANGUAGES["STS"][0], tmp_path / "a")
    write_lines(folder / "default" / "test.jsonl", LANGUAGES["STS"][1]["default"]["test"][::-1])
    second = run(LANGUAGES["STS"][0], tmp_path / "b")
    assert first.task["fingerprint"] == second.task["fingerprint"]
    assert first.items_digest == second.items_digest


def test_limit_cuts_each_part(hub_cache: Path, tmp_path: Path) -> None:
    publish(hub_cache, "STS22.v2", LANGUAGES["STS"][1])
    (result,) = Evaluator([LANGUAGES["STS"][0]], results=tmp_path / "r", cache=None, limit=5).run(
        Words()
    )
    assert result.scores["cosine_spearman"].n == 15
