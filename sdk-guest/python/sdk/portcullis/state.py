"""Small state of one plugin in one tenant, atomic, durable. Asks for `state`.

Keys or values that are too long, or more state than a tenant may hold, raise `PluginError`.
"""

from __future__ import annotations

from ._call import answered
from ._host import capability

_state = capability("state")


def increment(key: str, by: int = 1, window_seconds: int = 0) -> int:
    """Adds to a counter over a sliding window and returns the sum with it. A window of 0 never forgets."""
    return answered(_state.increment, key, by, window_seconds)


def get(key: str) -> bytes | None:
    """The value under a key, or none."""
    return answered(_state.get, key)


def replace(key: str, expected: bytes | None, value: bytes | None, ttl_seconds: int = 0) -> bool:
    """Replaces a value if it still equals `expected`; false if it does not. A `ttl_seconds` of 0 keeps it."""
    return answered(_state.replace, key, expected, value, ttl_seconds)
