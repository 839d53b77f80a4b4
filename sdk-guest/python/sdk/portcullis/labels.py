"""Labels that a session carries from call to call (taint). Asks for `labels`."""

from __future__ import annotations

from ._call import answered
from ._host import capability

_labels = capability("labels")


def add(label: str, value: str) -> None:
    """Adds a label to the session; adding it again with another value adds a second one.

    Raises `PluginError` if the call has no session, or the session holds too many labels.
    """
    answered(_labels.add, label, value)


def all() -> list[tuple[str, str]]:
    """All labels of the session, oldest first; none without a session."""
    return _labels.all()
