"""Endpoints as models: identity, options, scores, and what an interrupted run keeps."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite import Evaluator, models
from evalsuite.engines.encode import EncodingEngine
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement
from evalsuite.models.endpoint.encoder import EndpointEncoder
from evalsuite.result import Result
from tests.models.endpoint.server import (
    Handler,
    Memory,
    refuse,
    serving,
    shuffled,
    text_vectors,
)
from tests.support import beir_task, canonical, pairs_task

TEXTS = [f"text {i}" for i in range(20)]
PROBES = set(EndpointEncoder.probes)


def spec(memory: Memory, options: str = "", revision: str = "") -> str:
    return f"endpoint:{memory.url}{revision}?model=org/m{options}"


def loaded(memory: Memory, options: str = "") -> EndpointEncoder:
    encoder: EndpointEncoder = models.resolve(spec(memory, options)).load(Placement())
    return encoder


def encoded(memory: Memory, options: str = "", texts: list[str] = TEXTS) -> Any:
    encoder = loaded(memory, options)
    return EncodingEngine(load=lambda: encoder).encode(texts)


def run(task: Path, text: str, folder: Path, **options: Any) -> Result:
    plan = Evaluator([str(task)], results=folder / "results", cache=folder / "cache", **options)
    (result,) = plan.run(text)
    return result


def stored(result: Result) -> str:
    assert result.path is not None
    return canonical(result.path)


# ---- identity


def test_identity_is_the_url_and_model_or_the_revision_stated() -> None:
    def identity(text: str) -> str:
        return models.resolve(f"endpoint:{text}").identity

    here = identity("http://localhost:8000/v1?model=m")
    same = (
        "http://LOCALHOST:8000/v1/?model=m&concurrency=2&batch=5&timeout=9",
        "http://localhost:8000/v1/embeddings?model=m&api_key_env=MY_KEY",
    )
    assert {identity(text) for text in same} == {here}
    assert identity("https://a/v1?model=m") == identity("https://a:443/v1?model=m")
    others = (
        "http://localhost:8000/v1?model=n",
        "http://localhost:8001/v1?model=m",
        "https://localhost:8000/v1?model=m",
        "http://localhost:8000/v1@r1?model=m",
        "http://localhost:8000/v1@r2?model=m",
    )
    assert len({here, *map(identity, others)}) == 6
    assert identity("http://a/v1@r1?model=m") == identity("https://b/v2@r1?model=m")


def test_only_what_can_move_a_vector_is_an_option_of_the_model() -> None:
    asking = "&concurrency=2&batch=3&timeout=9&retries=2&requests_per_minute=5&api_key_env=A"
    moving = "&dimensions=8&dim=4&normalize=true&prompt=p&max_characters=9&empty=%20"
    model = models.resolve(f"endpoint:http://a/v1@r1?model=m{asking}{moving}")
    assert set(model.options) == {
        "dimensions", "dim", "normalize", "prompt", "max_characters", "empty",
    }  # fmt: skip
    assert set(model.encoder_options or {}) == {"dimensions", "prompt", "max_characters", "empty"}
    assert (model.name, model.kind) == ("m", "endpoint")
    assert model.revision.startswith("r1-")


# ---- vectors


@pytest.mark.parametrize("as_floats", [False, True])
def test_vectors_come_back_in_order_and_bit_for_bit(as_floats: bool) -> None:
    def floats_only(handler: Handler, body: dict[str, Any]) -> bool:
        if not as_floats or body["encoding_format"] == "float":
            return False
        return refuse(400, "encoding_format base64 is not supported")(handler, body)

    with serving(Memory(always=floats_only, change=shuffled, seconds=0.01)) as memory:
        found = encoded(memory, "&batch=3&concurrency=4")
    assert found.tobytes() == text_vectors(TEXTS).tobytes()
    assert sorted(memory.paid) == sorted(TEXTS)
    assert max(len(body["input"]) for body in memory.bodies) == 3
    assert 1 < memory.most_at_once <= 4


def test_batches_are_bounded_by_size_too() -> None:
    texts = [letter * 90_000 for letter in "abcde"]
    with serving() as memory:
        encoded(memory, texts=texts)
    assert sorted(len(body["input"]) for body in memory.bodies) == [1, 2, 2]


def test_dimensions_are_asked_of_the_server_and_dim_is_cut_here() -> None:
    with serving() as memory:
        assert encoded(memory, "&dimensions=8").shape == (20, 8)
        assert {body["dimensions"] for body in memory.bodies} == {8}
        memory.bodies.clear()
        model = models.resolve(spec(memory, "&dim=4"))
        assert model.finish(encoded(memory, "&dim=4")).shape == (20, 4)
        assert not any("dimensions" in body for body in memory.bodies)


def test_prompts_blanks_and_cuts_are_made_here(tmp_path: Path) -> None:
    options = "&query_prompt=q:%20&document_prompt=d:%20&max_characters=12"
    with serving() as memory:
        run(beir_task(tmp_path), spec(memory, options), tmp_path)
        asked = {text for body in memory.bodies for text in body["input"]}
        assert {text[:3] for text in asked - {p[:12] for p in PROBES}} == {"q: ", "d: "}
        assert {len(text) for text in asked} == {12}
        memory.bodies.clear()
        encoded(memory, "&empty=%20", ["", "a"])
    assert sorted(memory.bodies[0]["input"]) == [" ", "a"]


def test_a_server_that_runs_another_model_is_named(caplog: pytest.LogCaptureFixture) -> None:
    other = Memory(change=lambda answer: answer | {"model": "org/other"})
    with serving(other) as memory, caplog.at_level(logging.WARNING):
        encoded(memory, "&batch=5")
    assert [r.getMessage() for r in caplog.records if "org/other" in r.getMessage()] == [
        "The endpoint says it runs 'org/other'; 'org/m' was asked for."
    ]


def test_tokens_a_minute_are_kept_to() -> None:
    with serving() as memory:
        started = time.monotonic()
        encoded(memory, "&batch=5&tokens_per_minute=6000")  # 10 tokens a request, 100 a second
    assert len(memory.bodies) == 4
    assert 0.29 < time.monotonic() - started < 2


def test_progress_is_told_of_every_answer() -> None:
    told = []
    with serving() as memory:
        encoder = loaded(memory, "&batch=5")
        EncodingEngine(load=lambda: encoder, progress=lambda *at: told.append(at)).encode(TEXTS)
    assert told == [(0, 20), (5, 20), (10, 20), (15, 20), (20, 20)]


# ---- scores


def test_scores_are_those_of_the_model_run_here(
    tmp_path: Path, tiny_st: Callable[..., Path]
) -> None:
    folder = tiny_st(tmp_path / "model")
    local = models.resolve(f"{folder}?prompt=")
    lock, engine = threading.Lock(), EncodingEngine(load=lambda: local.load(Placement()))

    def encode(texts: list[str]) -> Any:
        with lock:
            return engine.encode(texts)

    tasks = [str(pairs_task(tmp_path)), str(beir_task(tmp_path))]
    with serving(Memory(encode=encode)) as memory:
        plan = Evaluator(tasks, results=tmp_path / "results", cache=None)
        theirs = plan.run(spec(memory, "&batch=2"))
        ours = plan.run(f"{folder}?prompt=")
    for one, other in zip(theirs, ours, strict=True):
        assert one.main_score == pytest.approx(other.main_score, abs=1e-6)
        assert one.task["fingerprint"] == other.task["fingerprint"]


def test_a_grid_of_dims_asks_once(tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    with serving() as memory:
        plan = Evaluator([str(task)], results=tmp_path / "results", cache=tmp_path / "cache")
        grid = plan.run(spec(memory, "&dim=4,8,16&batch=4"))
        paid = [text for text in memory.paid if text not in PROBES]
        assert len(paid) == len(set(paid)) == 15
        asked = len(memory.bodies)
        alone = run(task, spec(memory, "&dim=8"), tmp_path)
        assert len(memory.bodies) == asked
    assert [result.variant for result in grid] == [f"cpu,fp32,dim={dim}" for dim in (4, 8, 16)]
    assert alone.path == grid[1].path
    assert grid[0].run["requests"]["requests"] == asked


def test_a_hybrid_with_an_endpoint_counts_its_requests(tmp_path: Path) -> None:
    with serving() as memory:
        result = run(beir_task(tmp_path), f"hybrid(tfidf,{spec(memory)})", tmp_path)
    assert result.run["requests"]["requests"] == len(memory.bodies) == 3


# ---- what is recorded


def test_a_result_holds_costs_but_neither_key_nor_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "SESAM")
    with serving(Memory(tricks=[refuse(503)])) as memory:
        text = spec(memory, "&api_key_env=MY_KEY&batch=4")
        monkeypatch.setattr(sys, "argv", ["evalsuite", "run", text, "-t", "x", "m?api_key=SESAM"])
        result = run(pairs_task(tmp_path), text, tmp_path)
    assert memory.headers[0]["Authorization"] == "Bearer SESAM"
    assert result.run["requests"] == {
        "requests": 6,
        "retries": 1,
        "prompt_tokens": sum(len(text.split()) for text in memory.paid),
    }
    port = memory.url.partition("127.0.0.1:")[2].removesuffix("/v1")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"SESAM" not in path.read_bytes()
        assert path.suffix != ".json" or not {"127.0.0.1", port} & set(
            json.dumps(json.loads(path.read_text())).replace(":", " ").split()
        )
    assert result.run["command"][2] == "endpoint:URL?model=org/m&api_key_env=&batch=4"
    assert result.run["command"][-1] == "m?api_key="


# ---- interrupted runs


def test_a_second_run_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    task = pairs_task(tmp_path)
    with serving(Memory(tricks=[lambda *_: False] * 4, always=refuse(400, "enough"))) as memory:
        with pytest.raises(ModelError, match="enough"):
            run(task, spec(memory, "&batch=2&concurrency=1"), tmp_path)
        first = [text for text in memory.paid if text not in PROBES]
        assert len(first) == 6  # the first request was for the probes
        memory.always = None
        result = run(task, spec(memory, "&batch=2"), tmp_path)
        second = [text for text in memory.paid if text not in PROBES][6:]
    assert len(set(first) | set(second)) == len(first) + len(second) == 15
    with serving() as whole:
        other = run(task, spec(whole), tmp_path / "other")
    assert result.main_score == other.main_score


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_loses_nothing_answered(tmp_path: Path, how: signal.Signals) -> None:
    task, cache = pairs_task(tmp_path), tmp_path / "cache"
    for_ever = threading.Event()

    def hang(handler: Handler, body: dict[str, Any]) -> bool:
        for_ever.wait(60)
        return True

    with serving(Memory(tricks=[lambda *_: False] * 4, always=hang)) as memory:
        process = started(task, spec(memory, "&batch=2&concurrency=2"), tmp_path)
        wait_for(lambda: len(list(cache.rglob("*.seg"))) == 4)
        killed = time.monotonic()
        process.send_signal(how)
        code = process.wait(20)
        assert time.monotonic() - killed < 10
        assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
        for_ever.set()
        first = set(memory.paid) - PROBES
        memory.always = None
        memory.paid.clear()
        run(task, spec(memory), tmp_path)
        second = [text for text in memory.paid if text not in PROBES]
    assert len(first) == 6
    assert len(second) == len(set(second)) == 9
    assert not first & set(second)


def started(task: Path, text: str, folder: Path) -> subprocess.Popen[bytes]:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from evalsuite.cli import main\nmain()"
    )
    words = ["run", text, "-t", str(task), "--results", str(folder / "results")]
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "EVALSUITE_CACHE": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- weights that change unseen


def test_probes_know_weights_again_that_arithmetic_moves_a_little(tmp_path: Path) -> None:
    def nearly(texts: list[str]) -> Any:
        return text_vectors(texts) * np.float32(1.003)

    with serving() as memory:
        run(pairs_task(tmp_path), spec(memory), tmp_path)
        memory.encode = nearly
        run(beir_task(tmp_path), spec(memory), tmp_path)


def test_what_is_finished_or_cached_asks_nothing(tmp_path: Path) -> None:
    with serving() as memory:
        text = spec(memory)
        first = stored(run(pairs_task(tmp_path), text, tmp_path))
    # nobody listens there any more
    again = run(pairs_task(tmp_path), text, tmp_path)
    assert stored(again) == first
    anew = run(pairs_task(tmp_path), text, tmp_path, force=True)
    assert stored(anew) == first
    assert "requests" not in anew.run


def test_a_maximum_length_cannot_be_enforced(tmp_path: Path) -> None:
    with serving() as memory, pytest.raises(UsageError, match="max_characters="):
        run(pairs_task(tmp_path), spec(memory), tmp_path, max_length=64)
