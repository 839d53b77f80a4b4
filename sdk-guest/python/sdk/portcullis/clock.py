"""Time as the host records it with the verdict. Asks for `clock`."""

from ._host import capability

_clock = capability("clock")


def now_ms() -> int:
    """Milliseconds since the Unix epoch, the same for the whole call."""
    return _clock.now_ms()
