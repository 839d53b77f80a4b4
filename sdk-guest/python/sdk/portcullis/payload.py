"""The payload of the call at hand."""

from __future__ import annotations

import json
from typing import Any, Protocol

from .types import Text


class Payload(Protocol):
    """The payload of the call at hand. Everything is read from the host only when it is asked for."""

    def raw(self) -> str:
        """The payload as JSON text, exactly as received."""
        ...

    def texts(self) -> list[Text]:
        """Every string in the payload (member names excluded), in document order."""
        ...

    def names(self) -> list[str]:
        """Every distinct member name, decoded, in order of first appearance. A finding about a name has no span."""
        ...

    def get(self, pointer: str) -> str | None:
        """The JSON text at an RFC 6901 pointer, exactly as written, or none."""
        ...

    def json(self, pointer: str = "") -> Any:
        """The value at an RFC 6901 pointer, as `json.loads` reads it; `None` if it is null or not there."""
        ...


class JsonPayload:
    """A payload for ordinary tests: `JsonPayload('{"body": "text"}')`."""

    def __init__(self, text: str) -> None:
        self._raw = text
        self._value = json.loads(text)

    def raw(self) -> str:
        return self._raw

    def texts(self) -> list[Text]:
        found: list[Text] = []

        def walk(pointer: str, value: Any) -> None:
            if isinstance(value, str):
                found.append(Text(len(found), pointer, value))
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    walk(f"{pointer}/{index}", item)
            elif isinstance(value, dict):
                for name, item in value.items():
                    walk(f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", item)

        walk("", self._value)
        return found

    def names(self) -> list[str]:
        found: dict[str, None] = {}

        def walk(value: Any) -> None:
            if isinstance(value, list):
                for item in value:
                    walk(item)
            elif isinstance(value, dict):
                for name, item in value.items():
                    found.setdefault(name)
                    walk(item)

        walk(self._value)
        return list(found)

    def get(self, pointer: str) -> str | None:
        value = self._value
        for step in pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError):
                return None
        return json.dumps(value, ensure_ascii=False)

    def json(self, pointer: str = "") -> Any:
        text = self.get(pointer)
        return None if text is None else json.loads(text)
