"""The encoder behind an endpoint: several requests at once, each answer handed on as it comes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import ModelError
from evalsuite.models.endpoint.answers import prompt_tokens, vectors_of
from evalsuite.models.endpoint.at_once import at_once
from evalsuite.models.endpoint.client import Client, Pace, RequestError, pause

log = logging.getLogger(__name__)

_BATCH_CHARACTERS = 200_000  # within the 300,000 tokens a request of OpenAI's may hold
_CHARACTERS_A_TOKEN = 3.0  # reserved before a server has said how many there were
_EMPTY = (
    "A text is empty, which some servers refuse: empty=%20 sends a blank in place of such texts."
)


@dataclass
class EndpointEncoder:
    """An OpenAI-compatible embeddings server.

    Attributes:
        client: Sends requests.
        model: Name of the model there.
        dimensions: Size of vectors asked of the server, or None for the model's own.
        batch: Texts a request.
        concurrency: Requests at once.
        tokens: Pace of tokens.
        empty: What is sent in place of an empty text.
        max_characters: Where texts are cut, or None.
    """

    client: Client
    model: str
    dimensions: int | None = None
    batch: int = 32
    concurrency: int = 8
    tokens: Pace = field(default_factory=Pace)
    empty: str = ""
    max_characters: int | None = None
    _as_floats: bool = False
    _warned: bool = False

    probes = (
        "The quick brown fox jumps over the lazy dog.",
        "A probe sentence, which shows whether a server still answers as it did.",
    )
    """Texts by whose vectors a later run knows the model again."""

    @property
    def usage(self) -> dict[str, int]:
        """Requests, retries and tokens so far."""
        return self.client.counts.table()

    def encode_stream(
        self, texts: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield vectors ``[k, dim]`` with the positions of their texts ``[k]``, as they come.

        A failure is raised once the requests under way are answered, and those are yielded.

        Raises:
            ModelError: The server fails, or answers something unusable.
        """
        stop = threading.Event()
        sent = [(text or self.empty)[: self.max_characters] for text in texts]
        batches = self._batches(sent)

        def ask(places: NDArray[np.int64]) -> NDArray[np.float32]:
            return self._ask([sent[i] for i in places], stop)

        for place, vectors in at_once(ask, batches, self.concurrency, stop):
            yield batches[place], vectors

    def _batches(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the texts of each request, by number and by size."""
        ends, count, size = [], 0, 0
        for i, text in enumerate(texts):
            if count == self.batch or (count and size + len(text) > _BATCH_CHARACTERS):
                ends.append(i)
                count = size = 0
            count, size = count + 1, size + len(text)
        return np.split(np.arange(len(texts)), ends)

    def _ask(self, texts: list[str], stop: threading.Event) -> NDArray[np.float32]:
        """Return the vectors of one request."""
        reserved = sum(map(len, texts)) / _CHARACTERS_A_TOKEN
        pause(self.tokens.reserve(reserved), stop)
        answer = self._answer(texts, stop)
        used = prompt_tokens(answer)
        self.client.counts.add(prompt_tokens=used)
        if used:
            self.tokens.correct(used - reserved)
        vectors = vectors_of(answer, len(texts))
        self._check(answer, vectors)
        return vectors

    def _answer(self, texts: list[str], stop: threading.Event) -> Any:
        """Return the answer of one request; where base64 is refused, floats are asked for."""
        as_floats = self._as_floats
        body: dict[str, Any] = {
            "model": self.model,
            "input": texts,
            "encoding_format": "float" if as_floats else "base64",
        }
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        try:
            return self.client.post("/embeddings", body, stop)
        except RequestError as failure:
            if failure.status in (400, 422):
                if not as_floats and any(w in str(failure) for w in ("encoding_format", "base64")):
                    self._as_floats = True
                    return self._answer(texts, stop)
                if not all(texts):
                    raise ModelError(f"{failure} {_EMPTY}") from None
            raise

    def _check(self, answer: Any, vectors: NDArray[np.float32]) -> None:
        """Check that the answer is of the model and size asked for."""
        if self.dimensions is not None and vectors.shape[1] != self.dimensions:
            raise ModelError(
                f"dimensions={self.dimensions} was asked for, the endpoint answers "
                f"{vectors.shape[1]}: it does not heed it. dim={self.dimensions} cuts vectors here."
            )
        named = answer.get("model")
        if isinstance(named, str) and named != self.model and not self._warned:
            self._warned = True
            log.warning(
                "The endpoint says it runs %r; %r was asked for.", named[:120], self.model[:120]
            )
