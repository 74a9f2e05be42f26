"""An embeddings server for tests: in a thread, or ``python -m tests.models.endpoint.server``."""

from __future__ import annotations

import base64
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support import text_vector

Encode = Callable[[list[str]], NDArray[np.float32]]
Trick = Callable[["Handler", dict[str, Any]], bool]
"""Does something to a request; returns whether it has been answered by that."""


def text_vectors(texts: list[str]) -> NDArray[np.float32]:
    return np.stack([text_vector(text) for text in texts])


@dataclass
class Memory:
    """What a server does, and what it was asked.

    Attributes:
        encode: Makes vectors.
        tricks: Done to requests, in turn; a request takes the next.
        always: Done to every request.
        change: Applied to every answer before it is sent.
        seconds: Time every answer takes.
        bodies: What was asked, answered with vectors or not.
        headers: Of every request.
        paid: Texts answered with vectors.
    """

    encode: Encode = text_vectors
    tricks: list[Trick] = field(default_factory=list)
    always: Trick | None = None
    change: Callable[[dict[str, Any]], Any] = lambda answer: answer
    seconds: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers ``POST /v1/embeddings``."""

    protocol_version = "HTTP/1.1"
    memory: Memory

    def do_POST(self) -> None:
        memory = self.memory
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with memory.lock:
            memory.bodies.append(body)
            memory.headers.append(dict(self.headers))
            trick = memory.tricks.pop(0) if memory.tricks else memory.always
            memory.at_once += 1
            memory.most_at_once = max(memory.most_at_once, memory.at_once)
        try:
            if trick is None or not trick(self, body):
                time.sleep(memory.seconds)
                self.reply(200, memory.change(self.answer(body)))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with memory.lock:
                memory.at_once -= 1

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is answered; the texts count as paid."""
        if self.path != "/v1/embeddings":
            return {"object": "list"}
        texts = body["input"]
        vectors = self.memory.encode(texts)[:, : body.get("dimensions")]
        as_text = body.get("encoding_format") == "base64"
        with self.memory.lock:
            self.memory.paid += texts
        return {
            "object": "list",
            "model": body["model"],
            "data": [
                {
                    "object": "embedding",
                    "index": i,
                    "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
                    if as_text
                    else row.tolist(),
                }
                for i, row in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": sum(len(text.split()) for text in texts)},
        }

    def reply(self, status: int, table: Any, **headers: str) -> None:
        """Send JSON."""
        self.send(status, json.dumps(table).encode(), **headers)

    def send(self, status: int, data: bytes, **headers: str) -> None:
        """Send bytes, with a length that may be a lie."""
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


class Quiet(ThreadingHTTPServer):
    """A server that does not mind who leaves."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent."""


@contextmanager
def serving(memory: Memory | None = None) -> Iterator[Memory]:
    """Serve in a thread; the memory says what was asked."""
    memory = memory or Memory()
    handler = type("Own", (Handler,), {"memory": memory})
    server = Quiet(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    memory.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield memory
    finally:
        server.shutdown()
        server.server_close()


def refuse(status: int, message: str = "", **headers: str) -> Trick:
    """Return a trick that answers with an error as OpenAI writes it."""

    def trick(handler: Handler, body: dict[str, Any]) -> bool:
        table = {"error": {"message": message, "type": "t", "code": None}}
        handler.reply(status, table, **headers)
        return True

    return trick


def drop(handler: Handler, body: dict[str, Any]) -> bool:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.close()
    return True


def half(handler: Handler, body: dict[str, Any]) -> bool:
    """Send half of the answer and close."""
    data = json.dumps(handler.answer(body)).encode()
    handler.send(200, data[: len(data) // 2], **{"Content-Length": str(len(data))})
    handler.close_connection = True
    return True


def truncated(handler: Handler, body: dict[str, Any]) -> bool:
    """Send half of the answer as if it were whole."""
    data = json.dumps(handler.answer(body)).encode()
    handler.send(200, data[: len(data) // 2])
    return True


def slow(seconds: float) -> Trick:
    """Return a trick that answers late."""

    def trick(handler: Handler, body: dict[str, Any]) -> bool:
        time.sleep(seconds)
        return False

    return trick


def shuffled(answer: dict[str, Any]) -> dict[str, Any]:
    """Put the vectors of an answer out of order."""
    data = list(answer["data"])
    random.Random(1).shuffle(data)
    return {**answer, "data": data}


def main(words: Sequence[str]) -> None:
    """Serve until killed; print the URL. The word given is the seconds an answer takes."""
    with serving(Memory(seconds=float(words[0]))) as memory:
        sys.stdout.write(memory.url + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
