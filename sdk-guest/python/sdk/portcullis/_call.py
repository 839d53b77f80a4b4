"""Errors of the host's functions, as exceptions of this package."""

from __future__ import annotations

import re
from typing import Any, Callable

from .config import PluginError


def answered(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the host answers; its error text becomes a `PluginError`."""
    from componentize_py_types import Err  # type: ignore[import-not-found]

    try:
        return function(*arguments)
    except Err as error:
        raise PluginError(str(error.value)) from None


def failure(kind: Callable[[str, str], PluginError], function: Callable[..., Any], *arguments: Any) -> Any:
    """What the host answers; a case of an error variant becomes an exception with the case's name and text."""
    from componentize_py_types import Err

    try:
        return function(*arguments)
    except Err as error:
        case = type(error.value).__name__.rpartition("_")[2]
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", case).lower()
        raise kind(name, str(getattr(error.value, "value", ""))) from None
