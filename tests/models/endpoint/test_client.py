"""One client and a real server: retries, limits, time-outs and keys."""

from __future__ import annotations

import datetime
import threading
import time
from email.utils import format_datetime
from typing import Any

import pytest

from evalsuite.errors import ModelError
from evalsuite.models.endpoint import client as client_module
from evalsuite.models.endpoint.at_once import at_once
from evalsuite.models.endpoint.client import Client, Counts, Pace, RequestError
from tests.models.endpoint.server import Handler, Memory, drop, half, refuse, serving, slow

BODY = {"model": "m", "input": ["a text"]}


def ask(memory: Memory, **options: Any) -> tuple[Any, Client]:
    client = Client(memory.url, **{"first_delay": 0.02, **options})
    return client.post("/embeddings", BODY, threading.Event()), client


@pytest.mark.parametrize(
    "trick", [drop, half, refuse(500), refuse(503), refuse(408), refuse(429), slow(0.4)]
)
def test_what_may_pass_is_tried_again(trick: Any) -> None:
    with serving(Memory(tricks=[trick, trick])) as memory:
        answer, client = ask(memory, timeout=0.2)
    assert len(answer["data"]) == 1
    assert client.counts.table() == {"requests": 3, "retries": 2, "prompt_tokens": 0}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    with (
        serving(Memory(always=refuse(status, "no"))) as memory,
        pytest.raises(RequestError, match=f'answers {status}: "no"'),
    ):
        ask(memory)
    assert len(memory.bodies) == 1


def test_a_used_up_quota_is_not_tried_again() -> None:
    def broke(handler: Handler, body: Any) -> bool:
        handler.reply(429, {"error": {"message": "pay", "code": "insufficient_quota"}})
        return True

    with serving(Memory(always=broke)) as memory, pytest.raises(RequestError, match="pay"):
        ask(memory)
    assert len(memory.bodies) == 1


def test_it_gives_up_after_some_tries() -> None:
    with (
        serving(Memory(always=refuse(500, "no memory"))) as memory,
        pytest.raises(ModelError, match=r'"no memory"\. Gave up after 4 tries'),
    ):
        ask(memory, retries=3)
    assert len(memory.bodies) == 4


def test_retry_after_is_heeded_in_seconds_and_as_a_date() -> None:
    for value in ("0.3", later(2)):
        with serving(Memory(tricks=[refuse(429, Retry_After=value)])) as memory:
            started = time.monotonic()
            ask(memory, first_delay=0.001)
        assert 0.25 < time.monotonic() - started < 10


def later(seconds: int) -> str:
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return format_datetime(when, usegmt=True)


def test_a_wait_too_long_is_an_error_at_once() -> None:
    with (
        serving(Memory(always=refuse(429, "slower", Retry_After="86400"))) as memory,
        pytest.raises(ModelError, match="come back in 86400 seconds: run again then"),
    ):
        ask(memory)
    assert len(memory.bodies) == 1


def test_only_the_connection_has_the_shorter_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CONNECT_SECONDS", 0.2)
    with serving(Memory(seconds=0.5)) as memory:
        ask(memory)
    assert len(memory.bodies) == 1


def test_retries_are_told_of_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Memory(tricks=[refuse(503, "busy")] * 3)) as memory:
        ask(memory)
    assert [record.getMessage() for record in caplog.records] == [
        'The endpoint answers 503: "busy". It is asked again, in 0.0 seconds.'
    ]


def test_an_answer_that_only_drips_runs_out_of_time() -> None:
    def drip(handler: Handler, body: Any) -> bool:
        handler.send(200, b"", **{"Content-Length": "1000"})
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)
        return True

    with serving(Memory(always=drip)) as memory:
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"no whole answer in 0\.3 seconds"):
            ask(memory, timeout=0.3, retries=0)
    assert time.monotonic() - started < 4


def test_nobody_at_the_address() -> None:
    with serving() as memory:
        pass
    started = time.monotonic()
    with pytest.raises(ModelError, match="No server answers at the endpoint"):
        ask(memory)
    assert time.monotonic() - started < 4


def test_the_key_goes_to_the_server_and_into_no_message() -> None:
    with serving(Memory(tricks=[refuse(401, "Incorrect key\x1b[31m SESAM open.")])) as memory:
        with pytest.raises(ModelError) as caught:
            ask(memory, key="SESAM")
        _, client = ask(memory, key="SESAM")
    assert [headers["Authorization"] for headers in memory.headers] == ["Bearer SESAM"] * 2
    assert '401: "Incorrect key [31m [key] open".' in str(caught.value)
    assert "SESAM" not in repr(client)


def test_redirects_are_not_followed() -> None:
    with serving() as elsewhere:
        moved = refuse(307, Location=f"{elsewhere.url}/embeddings")
        with (
            serving(Memory(always=moved)) as memory,
            pytest.raises(ModelError, match="307: it has"),
        ):
            ask(memory, key="SESAM")
    assert not elsewhere.headers


def test_a_pace_spreads_what_is_sent() -> None:
    pace = Pace(600)  # one in 0.1 s
    assert [round(pace.reserve(), 1) for _ in range(3)] == [0.0, 0.1, 0.2]
    pace.correct(5)
    assert round(pace.reserve(), 1) == 0.8
    free = Pace()
    assert not any(free.reserve(1e9) for _ in range(3))
    free.hold(0.5)
    assert round(free.reserve(), 1) == 0.5


def test_requests_a_minute_are_kept_to() -> None:
    with serving() as memory:
        client = Client(memory.url, requests=Pace(1200))  # one in 0.05 s
        started = time.monotonic()
        jobs = range(6)
        stop = threading.Event()
        done = dict(at_once(lambda _: client.post("/embeddings", BODY, stop), jobs, 6, stop))
    assert sorted(done) == list(jobs)
    assert time.monotonic() - started > 0.24


def test_what_is_under_way_at_a_failure_is_handed_on() -> None:
    begun = threading.Barrier(3)

    def work(job: int) -> int:
        if job < 3:
            begun.wait(5)
        if job == 0:
            raise ModelError("failed")
        time.sleep(0.05)
        return job

    done: list[tuple[int, int]] = []
    with pytest.raises(ModelError, match="failed"):
        done.extend(at_once(work, range(100), 3, threading.Event()))
    assert {(1, 1), (2, 2)} <= set(done)
    assert len(done) < 10


def test_counts_are_added_up_over_threads() -> None:
    counts = Counts()
    list(at_once(lambda _: counts.add(requests=1), range(500), 8, threading.Event()))
    assert counts.requests == 500
