"""OpenAI-compatible embeddings servers: ``endpoint:URL[@REVISION]?model=NAME``."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalsuite.errors import UsageError
from evalsuite.models import checkpoint
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from evalsuite.models.endpoint.encoder import EndpointEncoder

VERSION = 1
_PREFIX = "endpoint:"
_MOVING = (  # options that can move a vector
    "dimensions",
    "empty",
    "max_characters",
    "dim",
    "normalize",
    "quantize",
    "query_prompt",
    "document_prompt",
    "prompt",
)
_ASKING = (  # numbers that say how the server is asked
    "batch",
    "concurrency",
    "timeout",
    "retries",
    "requests_per_minute",
    "tokens_per_minute",
)
_OPENAI = "api.openai.com"
_OPENAI_KEY = "OPENAI_API_KEY"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_REVISION = re.compile(r"[\w.+-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_endpoint(name: str) -> bool:
    """Return whether a spec's name is an endpoint's."""
    return name.startswith((_PREFIX, "http://", "https://"))


def resolve(spec: Spec) -> Resolved:
    """Resolve an endpoint; nothing is asked of it.

    Raises:
        UsageError: The URL or an option cannot be.
    """
    url = _url(spec)
    spec.check_options(("model", "api_key_env", *_MOVING, *_ASKING))
    model = spec.options.get("model", "")
    if not model.strip():
        raise UsageError(
            "An endpoint needs the name of its model: endpoint:URL?model=NAME, as the server knows "
            "it."
        )
    moving = replace(spec, options={k: v for k, v in spec.options.items() if k in _MOVING})
    _check(spec)
    identity = _identity(url, model, spec.revision)
    short = identity.removeprefix(_PREFIX)

    def load(placement: Placement) -> EndpointEncoder:
        return _load(spec, url, model, placement)

    return Resolved(
        name=model,
        identity=identity,
        revision=f"{spec.revision}-{short[:8]}" if spec.revision else short[:12],
        load=load,
        options=moving.options,
        encoder_options=checkpoint.encoder_options(moving),
        prompts=checkpoint.prompts(moving),
        finish=checkpoint.finish(moving),
        kind="endpoint",
    )


def _identity(url: str, model: str, revision: str) -> str:
    """Return the hash of what is known of the weights.

    A revision the user states stands for them wherever they are served; else the URL does.
    """
    known = {"version": VERSION, "model": model}
    known |= {"revision": revision} if revision else {"url": url}
    return _PREFIX + hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _url(spec: Spec) -> str:
    """Return the URL that ``/embeddings`` is put after, in one way of writing it.

    Raises:
        UsageError: It is none; the message does not repeat it, for it may hold a password.
    """
    wrong = UsageError(
        "An endpoint is written endpoint:URL[@REVISION]?model=NAME, where the URL is what stands "
        "before /embeddings, e.g. endpoint:http://127.0.0.1:8000/v1?model=BAAI/bge-m3."
    )
    if not spec.name.startswith(_PREFIX):
        raise wrong
    try:
        parts = urlsplit(spec.name.removeprefix(_PREFIX))
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise wrong from None
    bad = parts.username or parts.fragment or not parts.hostname or port is None
    if bad or (spec.revision and not _REVISION.fullmatch(spec.revision)):
        raise wrong
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    shown_port = "" if port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    path = parts.path.rstrip("/").removesuffix("/embeddings")
    return f"{parts.scheme}://{host}{shown_port}{path}"


def _check(spec: Spec) -> None:
    """Check the values of options.

    Raises:
        UsageError: One cannot be.
    """
    for option in ("dimensions", "max_characters", *_ASKING):
        spec.integer(option)
    variable = spec.options.get("api_key_env")
    if variable is not None and not _VARIABLE.fullmatch(variable):
        raise UsageError(
            "Model option api_key_env= takes the name of an environment variable, such as "
            f"{_OPENAI_KEY}, never the key: what it was given is no such name, in capitals. If it "
            "was a key, it may be in your shell's history now."
        )


def _load(spec: Spec, url: str, model: str, placement: Placement) -> EndpointEncoder:
    """Return the encoder of an endpoint.

    Raises:
        UsageError: Its key is not in the environment or would travel in the clear, or a maximum
            length is asked for.
    """
    from evalsuite.models.endpoint.client import Client, Pace
    from evalsuite.models.endpoint.encoder import EndpointEncoder

    if placement.max_length is not None:
        raise UsageError(
            "--max-length cannot be enforced at an endpoint, which has its own tokenizer: leave it "
            "out, or cut texts by the option max_characters=."
        )

    def number(option: str, default: int) -> int:
        return spec.integer(option) or default

    concurrency = number("concurrency", EndpointEncoder.concurrency)
    client = Client(
        url=url,
        key=_key(spec, url, os.environ),
        timeout=float(number("timeout", int(Client.timeout))),
        retries=number("retries", Client.retries),
        connections=concurrency,
        requests=Pace(spec.integer("requests_per_minute")),
    )
    return EndpointEncoder(
        client=client,
        model=model,
        dimensions=spec.integer("dimensions"),
        batch=number("batch", EndpointEncoder.batch),
        concurrency=concurrency,
        tokens=Pace(spec.integer("tokens_per_minute")),
        empty=spec.options.get("empty", ""),
        max_characters=spec.integer("max_characters"),
    )


def _key(spec: Spec, url: str, environment: Mapping[str, str]) -> str:
    """Return the key sent to an endpoint, empty for none.

    OpenAI's own key goes by itself to OpenAI alone: anyone else gets the key he is named.

    Raises:
        UsageError: The variable named is not set, or the key would travel in the clear.
    """
    from evalsuite.models.endpoint.client import LOOPBACK

    parts = urlsplit(url)
    variable = spec.options.get("api_key_env")
    if variable is None:
        if parts.hostname != _OPENAI:
            return ""
        variable = _OPENAI_KEY
    key = environment.get(variable, "").strip()
    if not key:
        named = variable if variable == _OPENAI_KEY else "that api_key_env= names"
        raise UsageError(
            f"The environment variable {named} is not set, or empty: it holds the key."
        )
    if not key.isascii() or not key.isprintable():
        raise UsageError("The key in the environment holds characters no HTTP header can.")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise UsageError(
            "The key would travel unencrypted: give an https:// URL, or reach the server through "
            "localhost (ssh -L 8000:localhost:8000 HOST)."
        )
    return key
