"""Secrets by name: the plugin gets a placeholder that the host replaces in outgoing headers. Asks for `secrets`."""

from ._call import answered
from ._host import capability

_secrets = capability("secrets")


def placeholder(name: str) -> str:
    """The placeholder of a secret; `PluginError` if there is none of this name."""
    return answered(_secrets.placeholder, name)
