"""What stands in for the outside world in a plugin: there is no output, clock or randomness unless the host gives it.

Without this, the standard library's functions would end the call without saying why.
"""

from __future__ import annotations

import builtins
import linecache
import logging
import os
import random
import sys
import time
from importlib.machinery import PathFinder
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
        elif self._rest:
            self._write(self._rest)
            self._rest = ""

    def isatty(self) -> bool:
        return False


class _LateImport(PluginError, ImportError):
    """Modules are files, and a plugin that runs has none."""


class _NoMore:
    """Says so, in place of looking for the file."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        raise _LateImport(f"import {name} at the top of src/plugin.py: modules are read when the plugin is built, not later")


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
    builtins.open = refuse("files", "use portcullis.files, or read the file at the top of src/plugin.py")
    os.urandom = refuse("random bytes", "answers must follow from the call alone")


def flush() -> None:
    """Writes the line that is not ended yet."""
    sys.stdout.flush()
    sys.stderr.flush()


def built() -> None:
    """Everything is imported: from here on the plugin runs in the host."""
    # The same sequence in every build.
    random.seed(0)
    # Lines of source text cannot be shown any more.
    setattr(linecache, "checkcache", lambda *_: None)
    setattr(linecache, "updatecache", lambda *_: [])
    sys.meta_path.remove(PathFinder)
    sys.meta_path.append(_NoMore())  # type: ignore[arg-type]
    _host.building = False
