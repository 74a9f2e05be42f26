"""Model specs: ``NAME[@REVISION][?option=value&...]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from evalsuite.errors import UsageError, unknown_name

_SECRET = re.compile(r"key|token|secret|passw", re.IGNORECASE)
_NO_SECRETS = {"token_prepending", "api_key_env", "tokens_per_minute"}
_CREDENTIALS = re.compile(r"://[^/?#]*@")


@dataclass(frozen=True)
class Spec:
    """A parsed model spec.

    Attributes:
        text: As the user wrote it.
        name: Built-in name, hub name or local path.
        revision: What follows ``@``, or empty.
        options: What follows ``?``.
    """

    text: str
    name: str
    revision: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def check_options(self, known: Iterable[str]) -> None:
        """Raise on an option this kind of model does not have.

        Raises:
            UsageError: There is one; the message names the nearest known option.
        """
        known = tuple(known)
        for option in self.options:
            if option not in known:
                if not known:
                    raise UsageError(f"Model '{self.name}' takes no options, got '{option}'.")
                error = unknown_name("model option", option, known)
                raise UsageError(
                    f"{str(error).split(' Known')[0]} '{self.name}' takes: {', '.join(known)}."
                )

    def integer(self, option: str, *, signed: bool = False) -> int | None:
        """Return a positive integer option, or None where it is not given.

        Args:
            option: Its name.
            signed: Whether it may be negative too, counting from the end; it is never 0.

        Raises:
            UsageError: It is no such integer.
        """
        text = self.options.get(option)
        if text is None:
            return None
        digits = text.removeprefix("-") if signed else text
        if not digits.isdecimal() or int(digits) == 0:
            end = " (or a negative one, counted from the end)" if signed else ""
            raise UsageError(f"Model option {option}={text!r} is not a positive integer{end}.")
        return int(text)

    def flag(self, option: str) -> bool | None:
        """Return a true/false option, or None where it is not given.

        Raises:
            UsageError: It is neither.
        """
        text = self.options.get(option)
        if text is None:
            return None
        if text.lower() not in ("true", "false"):
            raise UsageError(f"Model option {option}={text!r} is neither 'true' nor 'false'.")
        return text.lower() == "true"

    def choice(self, option: str, known: Iterable[str]) -> str | None:
        """Return an option that is one of a few words, or None where it is not given.

        Raises:
            UsageError: It is another word.
        """
        text = self.options.get(option)
        known = tuple(known)
        if text is not None and text not in known:
            raise UsageError(f"Model option {option}={text!r} is not one of {', '.join(known)}.")
        return text


def refuse_credentials(text: str) -> None:
    """Raise on a URL that holds a user or password.

    Raises:
        UsageError: It does; the message does not repeat it.
    """
    if _CREDENTIALS.search(text):
        raise UsageError(
            "A URL in a spec holds a user or password, and specs are recorded in results: leave it "
            "out. Keys are read from the environment only."
        )


def parse_spec(text: str) -> Spec:
    """Parse a model spec.

    Raises:
        UsageError: It has no name, an option without value or twice, or an option that looks like
            a secret.
    """
    refuse_credentials(text)
    head, _, query = text.partition("?")
    name, at, revision = head.partition("@")
    if not name.strip() or "\0" in text:
        raise UsageError(f"'{text[:80]}' names no model. A spec is NAME[@REVISION][?option=value].")
    if at and not revision:
        raise UsageError(f"'{text[:80]}' has an '@' but no revision behind it.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UsageError(
            f"'{text[:80]}': options are written ?option=value&option=value."
        ) from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise UsageError(f"'{text[:80]}' gives an option twice.")
    for option in options:
        if _SECRET.search(option) and option not in _NO_SECRETS:
            raise UsageError(
                f"The option '{option[:40]}' looks like a secret; specs are recorded in results. "
                "Keys are read from the environment only."
            )
    return Spec(text, name, revision, dict(sorted(options.items())))
