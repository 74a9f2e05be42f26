"""A server's JSON over HTTP: keys that stay where they belong, limits, time-outs and retries."""

from __future__ import annotations

import datetime
import email.utils
import json
import logging
import math
import random
import re
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError, SSLError

from evalsuite.errors import ModelError

log = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CONNECT_SECONDS = 10.0
_LONGEST_DELAY = 60.0
_LONGEST_HOLD = 600.0
_SECONDS_BETWEEN_WORDS = 30.0
_SHOWN = 300
_PASSING = (408, 425, 429)
_LASTING = (501, 505)
_LENGTH = re.compile(r"token|length|too long", re.IGNORECASE)
_TOO_LONG = "max_characters= cuts texts before they are sent."
_MENDS = {
    401: "Set api_key_env= to the name of the environment variable that holds the key.",
    403: "Set api_key_env= to the name of the environment variable that holds a key that may.",
    404: "Check model=, and that the URL is what stands before /embeddings.",
    405: "Check that the URL is what stands before /embeddings.",
    413: "Lower batch=, or cut texts by max_characters=.",
}


class RequestError(ModelError):
    """A request that came to nothing.

    Attributes:
        status: Of the answer, or 0 where there was none.
        passing: Whether another try may succeed.
        wait: Seconds the server asks to wait before.
    """

    def __init__(
        self, message: str, status: int = 0, *, passing: bool = False, wait: float = 0.0
    ) -> None:
        super().__init__(message)
        self.status, self.passing, self.wait = status, passing, wait


class Pace:
    """Spreads requests, or their tokens, evenly over a minute; shared by threads.

    Args:
        per_minute: The limit, or None.
    """

    def __init__(self, per_minute: int | None = None) -> None:
        self._seconds = 60.0 / per_minute if per_minute else 0.0
        self._free = 0.0
        self._lock = threading.Lock()

    def reserve(self, amount: float = 1.0) -> float:
        """Count an amount as sent, and return the seconds to wait before sending it."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free)
            self._free = start + amount * self._seconds
            return start - now

    def correct(self, amount: float) -> None:
        """Add what was sent beyond what was reserved; it may be negative."""
        with self._lock:
            self._free += amount * self._seconds

    def hold(self, seconds: float) -> None:
        """Let nothing be sent for some time."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds)


@dataclass
class Counts:
    """What a server was asked, and what that cost; shared by threads.

    Attributes:
        requests: Requests sent, retries among them.
        retries: How many of them were sent again.
        prompt_tokens: Tokens the server says it read.
    """

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, retries: int = 0, prompt_tokens: int = 0) -> None:
        """Add to the counts."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.prompt_tokens += prompt_tokens

    def table(self) -> dict[str, int]:
        """Return what a result records."""
        return {
            "requests": self.requests,
            "retries": self.retries,
            "prompt_tokens": self.prompt_tokens,
        }


@dataclass
class Client:
    """Posts JSON to one server; shared by threads. No redirect is followed.

    Attributes:
        url: What paths are put after.
        key: Sent as a bearer token; empty for none. It is in no message.
        timeout: Seconds an answer may take as a whole.
        retries: How often a request that may yet succeed is sent again.
        connections: Connections kept open.
        requests: Pace of requests.
        first_delay: Seconds before the first retry, doubled for each further one.
        counts: What was asked so far.
    """

    url: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    retries: int = 6
    connections: int = 1
    requests: Pace = field(default_factory=Pace)
    first_delay: float = 0.5
    counts: Counts = field(default_factory=Counts)
    _answered: bool = False
    _next_word: float = 0.0
    _pool: urllib3.PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open the way, through the proxy the environment names if any."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy is None or host in LOOPBACK or urllib.request.proxy_bypass(host):
            self._pool = urllib3.PoolManager(maxsize=self.connections)
        else:
            self._pool = urllib3.ProxyManager(proxy, maxsize=self.connections)

    def post(self, path: str, body: Any, stop: threading.Event) -> Any:
        """Return the JSON of the answer.

        Args:
            path: Put after the URL.
            body: Sent as JSON.
            stop: Ends waiting and retrying once it is set.

        Raises:
            ModelError: The server refuses, or does not answer in several tries.
        """
        data = json.dumps(body).encode()
        for attempt in range(self.retries + 1):
            pause(self.requests.reserve(), stop)
            try:
                return self._once(path, data, again=attempt > 0)
            except RequestError as failure:
                if not failure.passing or stop.is_set():
                    raise
                if attempt == self.retries:
                    raise RequestError(f"{failure} Gave up after {attempt + 1} tries.") from None
                self._back_off(failure, attempt, stop)
        raise AssertionError("the last try returns or raises")

    def _back_off(self, failure: RequestError, attempt: int, stop: threading.Event) -> None:
        """Wait before another try; everyone waits where the server says for how long."""
        if failure.wait > _LONGEST_HOLD:
            raise RequestError(
                f"{failure} It asks to come back in {failure.wait:.0f} seconds: run again then, "
                "what it has answered is kept."
            )
        chance = random.SystemRandom().random()
        if failure.wait:
            self.requests.hold(failure.wait)
            delay = failure.wait + self.first_delay * chance
        else:
            longest = min(_LONGEST_DELAY, self.first_delay * 2.0**attempt)
            delay = longest * (0.5 + 0.5 * chance)
        self._tell(failure, delay)
        pause(delay, stop)

    def _tell(self, failure: RequestError, delay: float) -> None:
        """Say why it takes longer; not for each of many requests."""
        if time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + _SECONDS_BETWEEN_WORDS
            log.warning("%s It is asked again, in %.1f seconds.", failure, delay)

    def _once(self, path: str, data: bytes, *, again: bool) -> Any:
        """Send a request and return the JSON of its answer.

        Raises:
            RequestError: There is none.
        """
        self.counts.add(requests=1, retries=int(again))
        try:
            status, headers, answer = self._exchange(path, data)
        except SSLError as error:
            raise RequestError(
                f"The endpoint's certificate fails: {self._shown(str(error))}."
            ) from None
        except ReadTimeoutError:
            raise self._late() from None
        except HTTPError as error:
            if isinstance(error, NewConnectionError) and not self._answered:
                raise RequestError(
                    "No server answers at the endpoint: check the URL, and that it runs."
                ) from None
            what = self._shown(f"{type(error).__name__}: {error}")
            raise RequestError(f"The endpoint did not answer: {what}.", passing=True) from None
        if status != 200:
            raise self._refusal(status, headers, answer)
        self._answered = True
        try:
            return json.loads(answer)
        except ValueError:
            raise RequestError(
                f"The endpoint's answer is cut off or no JSON: '{self._shown(answer)[:80]}'.",
                passing=True,
            ) from None

    def _exchange(self, path: str, data: bytes) -> tuple[int, Any, bytes]:
        """Send a request and return status, headers and body of the answer."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        deadline = time.monotonic() + self.timeout
        response = self._pool.request(
            "POST",
            self.url + path,
            body=data,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, self.timeout), read=self.timeout),
        )
        try:
            body = bytearray()
            while part := response.read1(2**16):
                body += part
                if time.monotonic() > deadline:
                    raise self._late()
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, response.headers, bytes(body)

    def _late(self) -> RequestError:
        """Return the failure of an answer that takes too long."""
        return RequestError(
            f"The endpoint gave no whole answer in {self.timeout:g} seconds; timeout= allows more.",
            passing=True,
        )

    def _refusal(self, status: int, headers: Any, answer: bytes) -> RequestError:
        """Return the failure that says what a status other than 200 means."""
        if 300 <= status < 400:
            return RequestError(
                f"The endpoint answers {status}: it has moved. Redirects are not followed, give "
                "its new URL.",
                status,
            )
        said = self._shown(_message(answer))
        quota = "insufficient_quota" in _code(answer)
        passing = (status in _PASSING or status >= 500) and status not in _LASTING and not quota
        parts = [f"The endpoint answers {status}" + (f': "{said}".' if said else ".")]
        parts += [_MENDS[status]] if status in _MENDS else []
        parts += [_TOO_LONG] if status in (400, 422) and _LENGTH.search(said) else []
        wait = _seconds(headers.get("Retry-After", ""))
        return RequestError(" ".join(parts), status, passing=passing, wait=wait)

    def _shown(self, text: str | bytes) -> str:
        """Return what a server said: cut, without control characters and without the key."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if self.key:
            text = text.replace(self.key, "[key]")
        printable = "".join(c if c.isprintable() else " " for c in text[: 4 * _SHOWN])
        words = " ".join(printable.split()).rstrip(".")
        return words if len(words) <= _SHOWN else words[: _SHOWN - 3] + "..."


def pause(seconds: float, stop: threading.Event) -> None:
    """Wait.

    Raises:
        RequestError: ``stop`` was set by then.
    """
    if stop.wait(seconds):
        raise RequestError("The request was given up: another one failed.")


def _error(answer: bytes) -> Any:
    """Return the part of a refusal that says why, as OpenAI, FastAPI, TEI and Ollama write it."""
    try:
        table = json.loads(answer)
    except ValueError:
        return answer.decode("utf-8", "replace")
    if not isinstance(table, dict):
        return table
    return next((table[key] for key in ("error", "detail", "message") if table.get(key)), table)


def _message(answer: bytes) -> str:
    """Return what a refusal says."""
    error = _error(answer)
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    return error if isinstance(error, str) else json.dumps(error)


def _code(answer: bytes) -> str:
    """Return the code and type of a refusal."""
    error = _error(answer)
    return f"{error.get('code')} {error.get('type')}" if isinstance(error, dict) else ""


def _seconds(text: str) -> float:
    """Return the seconds a ``Retry-After`` asks for: a number or a date; 0 where it is neither."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if when.tzinfo is None:
            when = when.replace(tzinfo=datetime.UTC)
        seconds = (when - datetime.datetime.now(datetime.UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
