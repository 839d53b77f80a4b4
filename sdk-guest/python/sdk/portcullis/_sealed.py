"""What stands in for the outside world in a plugin: there is no output, clock or randomness unless the host gives it.

Without this, the standard library's functions would end the call without saying why.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from types import SimpleNamespace
from typing import Any, Callable

from . import _host, log
from .config import PluginError

_LEVELS = [(logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug")]


class _Lines:
    """A file that is written to the log, line by line."""

    encoding = "utf-8"

    def __init__(self, write: Callable[..., None], outside: Any) -> None:
        self._write, self._outside, self._rest = write, outside, ""

    def write(self, text: str) -> int:
        if _host.building:
            self._outside.write(text)
            return len(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._write(line)
        return len(text)

    def flush(self) -> None:
        if _host.building:
            self._outside.flush()

    def isatty(self) -> bool:
        return False


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for least, name in _LEVELS if record.levelno >= least), "trace")
        getattr(log, level)(f"{record.name}: {record.getMessage()}" if record.name != "root" else record.getMessage())


def output() -> None:
    """Sends `print`, `sys.stderr` and `logging` to the log."""
    sys.stdout = _Lines(log.info, sys.stdout)
    sys.stderr = _Lines(log.warn, sys.stderr)
    # A record's time, process and thread are not looked at, and cannot be asked for.
    for what in ("logProcesses", "logThreads", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, what, False)
    setattr(logging, "time", SimpleNamespace(time=lambda: 0.0, time_ns=lambda: 0))
    logging.basicConfig(level=logging.INFO, handlers=[_Handler()])


def close() -> None:
    """Takes clocks and random bytes away; with `clock` among the asks, `time.time()` is the host's."""

    def refuse(what: str, advice: str) -> Callable[..., Any]:
        def refused(*_: Any, **__: Any) -> Any:
            raise PluginError(f"a plugin has no {what}: {advice}")

        return refused

    try:
        from wit_world.imports import clock  # type: ignore[import-not-found]

        time.time, time.time_ns = lambda: clock.now_ms() / 1000, lambda: clock.now_ms() * 1_000_000
    except ImportError:
        time.time = time.time_ns = refuse("clock", 'add "clock" to asks in plugin.toml')
    timers = refuse("timer", "the host measures what a call takes")
    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, name, timers)
        setattr(time, f"{name}_ns", timers)
    time.sleep = timers
    os.urandom = refuse("random bytes", "answers must follow from the call alone")


def built() -> None:
    """Everything is imported: from here on the plugin runs in the host."""
    # The same sequence in every build.
    random.seed(0)
    _host.building = False
