"""Endpoints that cannot be, refuse, or answer nonsense; rows of docs/bad-input.md."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import Evaluator, models
from evalsuite.errors import ModelError, UsageError
from evalsuite.models.endpoint import client
from tests.conftest import Ran
from tests.models.endpoint.server import Memory, drop, half, refuse, serving, slow, truncated
from tests.support import beir_task, pairs_task

HERE = "endpoint:http://127.0.0.1:9/v1?model=m"


@pytest.fixture
def memory() -> Iterator[Memory]:
    with serving() as one:
        yield one


@pytest.fixture(autouse=True)
def _without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a fiftieth between tries."""
    patient = client.pause
    monkeypatch.setattr(client, "pause", lambda seconds, stop: patient(seconds / 50, stop))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def run(memory: Memory, folder: Path, options: str = "", **plan: Any) -> None:
    task = pairs_task(folder)
    spec = f"endpoint:{memory.url}?model=m&retries=1{options}"
    Evaluator([str(task)], results=folder / "results", cache=folder / "cache", **plan).run(spec)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("endpoint:http://127.0.0.1/v1", r"endpoint:URL\?model=NAME"),
        ("endpoint:http://127.0.0.1/v1?model=", r"endpoint:URL\?model=NAME"),
        ("endpoint:?model=m", "is written endpoint:URL"),
        ("endpoint:127.0.0.1:8000/v1?model=m", "is written endpoint:URL"),
        ("endpoint:ftp://127.0.0.1/v1?model=m", "is written endpoint:URL"),
        ("endpoint:http://127.0.0.1:x/v1?model=m", "is written endpoint:URL"),
        ("endpoint:http://[::1/v1?model=m", "is written endpoint:URL"),
        ("endpoint:http://127.0.0.1/v1@a/b?model=m", "is written endpoint:URL"),
        ("http://127.0.0.1/v1?model=m", "is written endpoint:URL"),
        (f"{HERE}&modle=n", "Unknown model option 'modle'"),
        (f"{HERE}&layer=3", "Unknown model option 'layer'"),
        (f"{HERE}&batch=0", "batch='0' is not a positive integer"),
        (f"{HERE}&concurrency=x", "concurrency='x' is not a positive integer"),
        (f"{HERE}&quantize=x", "quantize='x' is not one of"),
    ],
)
def test_endpoints_that_cannot_be(spec: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        models.resolve(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "endpoint:https://me:SESAM@127.0.0.1/v1?model=m",
        "endpoint:https://SESAM@127.0.0.1/v1?model=m",
        "endpoint:https://me:SES/SESAM@127.0.0.1/v1?model=m",
        "hybrid(bm25,endpoint:https://me:SESAM@127.0.0.1/v1?model=m",
        f"{HERE}&api_key=SESAM",
        f"{HERE}&token=SESAM",
        f"{HERE}&api_key_env=sk-SESAM",
        f"{HERE}&api_key_env=SESAM",
        "endpoint:http://gpu.example/v1?model=m&api_key_env=GOOD",
        "endpoint:https://gpu.example/v1?model=m&api_key_env=BROKEN",
        "endpoint:https://api.openai.com/v1?model=m",
    ],
)
def test_keys_that_would_be_seen(
    run_cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("GOOD", "SESAM")
    monkeypatch.setenv("BROKEN", "SESAM\nX-Evil: 1")
    task = pairs_task(tmp_path)
    ran = run_cli("run", spec, "-t", task, "--results", tmp_path / "results", "--json")
    assert ran.code == 2
    assert ran.err.count("Error: ") == 1
    assert "SESAM" not in ran.out + ran.err
    mends = ("the environment", "environment variable", "https://", "is written endpoint:URL")
    assert any(mend in ran.err for mend in mends)


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (400, ("too long", "max_characters=")),
        (401, ("api_key_env=",)),
        (403, ("api_key_env=",)),
        (404, ("model=", "before /embeddings")),
        (413, ("batch=",)),
        (308, ("Redirects are not followed",)),
        (500, ("Gave up after 2 tries",)),
    ],
)
def test_refusals_of_endpoints(
    memory: Memory, tmp_path: Path, status: int, parts: tuple[str, ...]
) -> None:
    memory.always = refuse(status, "this is too long \x1b[2J" + "x" * 1000)
    with pytest.raises(ModelError) as caught:
        run(memory, tmp_path)
    text = str(caught.value)
    assert str(status) in text
    assert all(part in text for part in parts)
    assert status == 308 or "this is too long" in text
    assert len(text) < 500
    assert text.isprintable()


def test_empty_texts_an_endpoint_refuses(memory: Memory, tmp_path: Path) -> None:
    memory.always = lambda handler, body: (
        "" in body["input"] and refuse(400, "input cannot be empty")(handler, body)
    )
    rows = [("", "a", 1.0), ("b", "c", 2.0), ("d", "e", 3.0)]
    task = str(pairs_task(tmp_path, rows))
    plan = Evaluator([task], results=tmp_path / "results", cache=None)
    with pytest.raises(ModelError, match="empty=%20 sends a blank"):
        plan.run(f"endpoint:{memory.url}?model=m")
    plan.run(f"endpoint:{memory.url}?model=m&empty=%20")


def embeddings(change: Callable[[list[Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda answer: answer | {"data": change(answer["data"])}


def first(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return embeddings(lambda data: [data[0] | fields, *data[1:]])


def as_text(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda answer: [], "no list 'data'"),
        (lambda answer: {"object": "list"}, "no list 'data'"),
        (embeddings(lambda data: ["x"] * len(data)), "no list 'data'"),
        (embeddings(lambda data: data[1:]), "1 vectors for 2 texts"),
        (embeddings(lambda data: data + data), "4 vectors for 2 texts"),
        (first(index=1), "is not 0 to 1"),
        (first(index=None), "is not 0 to 1"),
        (first(index="0"), "is not 0 to 1"),
        (first(index=False), "is not 0 to 1"),
        (first(embedding=None), "neither a list nor base64"),
        (first(embedding=[]), "empty, or not all of one size"),
        (first(embedding=[1.0, 2.0]), "empty, or not all of one size"),
        (first(embedding=[None] * 16), "null, NaN or infinity"),
        (first(embedding=[float("nan")] * 16), "null, NaN or infinity"),
        (first(embedding=[1e300] * 16), "null, NaN or infinity"),
        (first(embedding=as_text(*[np.inf] * 16)), "null, NaN or infinity"),
        (first(embedding=[[1.0] * 16]), "it is nested"),
        (first(embedding=["a"] * 16), "is unusable"),
        (first(embedding="ä" * 16), "is unusable"),
        (first(embedding="AAAAA"), "is unusable"),
    ],
)
def test_unusable_answers_of_endpoints(
    memory: Memory, tmp_path: Path, change: Callable[[dict[str, Any]], Any], part: str
) -> None:
    memory.change = change
    with pytest.raises(ModelError, match=part):
        run(memory, tmp_path, "&batch=2")
    assert not list(tmp_path.rglob("*.seg"))


def test_endpoints_that_change_the_size_of_vectors(memory: Memory, tmp_path: Path) -> None:
    memory.tricks = [lambda *_: False] * 3
    memory.always = lambda handler, body: body.update(dimensions=8) or False
    with pytest.raises(ModelError, match="changed the size of its vectors"):
        run(memory, tmp_path, "&batch=2&concurrency=1")
    memory.always = lambda handler, body: body.pop("dimensions", None) is None
    with pytest.raises(ModelError, match="dimensions=4 was asked for, the endpoint answers 16"):
        run(memory, tmp_path, "&dimensions=4")


@pytest.mark.parametrize("trick", [drop, half, truncated, slow(1.5)])
def test_endpoints_that_do_not_answer(memory: Memory, tmp_path: Path, trick: Any) -> None:
    memory.always = trick
    with pytest.raises(ModelError, match="Gave up after 2 tries"):
        run(memory, tmp_path, "&timeout=1")
    assert len(memory.bodies) == 2


def test_an_endpoint_nobody_listens_at(tmp_path: Path) -> None:
    with serving() as memory:
        pass
    with pytest.raises(ModelError, match="No server answers at the endpoint"):
        run(memory, tmp_path)


def test_an_endpoint_whose_weights_have_changed(memory: Memory, tmp_path: Path) -> None:
    run(memory, tmp_path)
    before, encode = len(memory.bodies), memory.encode
    memory.encode = lambda texts: encode([text + "!" for text in texts])
    task = str(beir_task(tmp_path))
    plan = Evaluator([task], results=tmp_path / "results", cache=tmp_path / "cache")
    with pytest.raises(ModelError, match="its weights have changed"):
        plan.run(f"endpoint:{memory.url}?model=m")
    assert len(memory.bodies) == before + 1
    plan.run(f"endpoint:{memory.url}@new?model=m")
