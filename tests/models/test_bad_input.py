"""Bad input to models; ``docs/bad-input.md`` has a row for every test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evalsuite import models
from evalsuite.engines.encode import EncodingEngine
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement
from tests.models.conftest import Build
from tests.models.test_rerankers import scores
from tests.support import TextModel


def test_rerankers_that_cannot_be(
    tiny_classifier: Build, tiny_bert: Path, tiny_decoder: Build
) -> None:
    decoder = tiny_decoder("llama")
    for spec, part in (
        (f"{tiny_classifier(labels=3)}?as=reranker", "tells 3 labels apart"),
        (f"{tiny_bert}?as=reranker", "has no head that scores"),
        (f"{tiny_classifier()}?pooling=cls", "takes: as, activation"),
        (f"{tiny_classifier()}?activation=tanh", "not one of identity, sigmoid"),
        (f"{decoder}?as=reranker", "say how it scores, scoring=yes-no"),
        (f"{decoder}?as=reranker&scoring=best", "not one of yes-no, query-likelihood"),
        (f"{decoder}?as=reranker&scoring=yes-no&template=qwen", "Did you mean 'qwen3'"),
        (f"{decoder}?as=reranker&scoring=yes-no&template={{query}}", "{document} stands in it 0"),
        (
            f"{decoder}?as=reranker&scoring=query-likelihood&template=qwen3",
            "{query} stands after {document}",
        ),
        (f"{decoder}?as=reranker&scoring=query-likelihood&yes=a", "yes= is for scoring=yes-no"),
    ):
        with pytest.raises((UsageError, ModelError)) as raised:
            models.resolve(spec)
        assert part in str(raised.value), raised.value
    for options, part in (
        ("&yes=guitars", "'guitars' is no single token"),
        ("", "is no single token"),
    ):
        with pytest.raises(ModelError, match=part):
            scores(f"{decoder}?as=reranker&scoring=yes-no{options}")
    with pytest.raises(ModelError, match="The template alone has"):
        scores(f"{decoder}?as=reranker&scoring=query-likelihood", placement=Placement(max_length=9))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hybrid(tfidf)", "two parts or more"),
        ("hybrid()", "two parts or more"),
        ("hybrid(tfidf,random", r"written hybrid\(SPEC,SPEC\)"),
        ("hybrid(tfidf,random)depth=3", r"written hybrid\(SPEC,SPEC\)"),
        ("hybrid(tfidf,)", "names no model"),
        ("hybrid(tfidf,nothing)", "nothing"),
        ("hybrid(tfidf,random?sed=1)", "seed"),
        ("hybrid(tfidf,random)?fusion=borda", "not one of rrf, minmax"),
        ("hybrid(tfidf,random)?depth=0", "not a positive integer"),
        ("hybrid(tfidf,random)?weights=1", "2 positive numbers"),
        ("hybrid(tfidf,random)?weights=1,-1", "2 positive numbers"),
        ("hybrid(tfidf,random)?weights=1,nan", "2 positive numbers"),
        ("hybrid(tfidf,random)?weights=a,b", "2 positive numbers"),
        ("hybrid(tfidf,random)?dim=3", "takes: fusion, weights, depth"),
    ],
)
def test_hybrids_that_cannot_be(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        models.resolve(spec)


def test_codes_that_cannot_be(tiny_bert: Path) -> None:
    for name in ("random", str(tiny_bert)):
        with pytest.raises(UsageError, match=r"quantize='int4' is not one of binary, int8"):
            models.resolve(f"{name}?quantize=int4")
    with pytest.raises(UsageError, match="takes no options"):
        models.resolve("bm25?quantize=binary")
    finish = models.resolve("random?quantize=binary").finish
    engine = EncodingEngine(load=TextModel, finish=finish, searcher="faiss")
    vectors = engine.encode(["a", "b"])
    with pytest.raises(UsageError, match="not for quantize=binary"):
        engine.search(vectors, [vectors], 1, np.arange(2))


def test_checkpoints_of_another_kind(tiny_bert: Path) -> None:
    for options, part in (
        ("as=sparse", "no checkpoint of as=sparse: a SparseEncoder"),
        ("as=multi-vector&query_length=2", "room for three tokens"),
        ("as=multi-vector&pooling=mean", "takes: as, query_prompt"),
    ):
        with pytest.raises(UsageError, match=part):
            models.resolve(f"{tiny_bert}?{options}")


@pytest.mark.parametrize("config", ["[]", "{", '{"model_type": "bert", "num_hidden_layers": "x"}'])
def test_checkpoints_that_cannot_be_counted(config: str, tiny_bert: Path, tmp_path: Path) -> None:
    import shutil

    from evalsuite.cost import Cost
    from evalsuite.models import counting

    folder = tmp_path / "bad"
    shutil.copytree(tiny_bert, folder)
    (folder / "config.json").write_text(config)
    assert counting.of_checkpoint(folder, None, modules=False) == Cost()
