"""Reading the configuration."""

from __future__ import annotations

import sys
from typing import Any, TypeGuard


class PluginError(Exception):
    """Something that the plugin cannot do. Of `configure`, the text is shown word for word to whoever configures; of a
    call, it is logged, and the call follows the plugin's fail mode."""


def keys(config: Any, *known: str) -> dict[str, Any]:
    """The configuration as a dictionary, if it is a JSON object with no other keys than these.

    Raises `PluginError` otherwise, naming the first key that is not known.
    """
    if not isinstance(config, dict):
        raise PluginError("the configuration is not a JSON object")
    for key in config:
        if key not in known:
            raise PluginError(f"{key}: there is no such key")
    return config


def is_texts(value: Any, least: int = 0) -> TypeGuard[list[str]]:
    """Whether it is a list of at least so many strings."""
    return isinstance(value, list) and len(value) >= least and all(isinstance(item, str) for item in value)


def is_number(value: Any, least: float = -sys.float_info.max, most: float = sys.float_info.max) -> TypeGuard[float]:
    """Whether it is a number between these two. `True` and `False` are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def is_whole(value: Any, least: int = 0, most: int = 2**32 - 1) -> TypeGuard[int]:
    """Whether it is a whole number between these two, written as one."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
