"""Requests to named hosts. Asks for `http`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence

from ._call import failure
from ._host import capability
from .config import PluginError

_http = capability("http")


class HttpError(PluginError):
    """There is no answer. `kind` is `forbidden`, `unreachable`, `timed-out` or `too-large`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"the request failed: {kind}" + (f": {text}" if text else ""))
        self.kind = kind


@dataclass
class Response:
    """An answer."""

    status: int
    """Status code."""
    headers: list[tuple[str, str]]
    """In order; names in any case."""
    body: bytes = field(repr=False)
    """Body bytes."""


def send(method: str, url: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> Response:
    """Sends one request to a granted host; redirects are not followed."""
    answer = failure(HttpError, _http.send, _http.Request(method, url, list(headers), body))
    return Response(answer.status, answer.headers, answer.body)
