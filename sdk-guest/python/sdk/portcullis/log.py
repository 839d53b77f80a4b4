"""Lines for the operator. Always granted. Never write arguments: the host does not log them either.

`print` writes at `info`, `sys.stderr` at `warn`, and the standard `logging` with its own levels; all of them come out here.
In ordinary tests, lines go to `written`.
"""

from __future__ import annotations

import sys

from . import _host

written: list[tuple[str, str]] = []
"""Level and text of every line, in ordinary tests only."""

if _host.NATIVE:

    def _write(level: str, message: str) -> None:
        written.append((level, message))

else:
    from wit_world.imports import log as _log  # type: ignore[import-not-found]

    _LEVELS = {level.name.lower(): level for level in _log.Level}

    def _write(level: str, message: str) -> None:
        if _host.building:
            print(f"{level}: {message}", file=sys.__stderr__)
        else:
            _log.write(_LEVELS[level], message)


def trace(message: object, *values: object) -> None:
    """Every step. Values are put in as `%` does it, as in the standard `logging`."""
    _write("trace", _text(message, values))


def debug(message: object, *values: object) -> None:
    """For the plugin's author."""
    _write("debug", _text(message, values))


def info(message: object, *values: object) -> None:
    """For the operator."""
    _write("info", _text(message, values))


def warn(message: object, *values: object) -> None:
    """Something is not right, the plugin goes on."""
    _write("warn", _text(message, values))


def error(message: object, *values: object) -> None:
    """Something is wrong."""
    _write("error", _text(message, values))


def _text(message: object, values: tuple[object, ...]) -> str:
    text = str(message) % values if values else str(message)
    # A lone surrogate is no text, and would end the call.
    return text.encode("utf-8", "replace").decode()
