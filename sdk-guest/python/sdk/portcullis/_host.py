"""The host's side of a capability, or a clear error when there is none."""

from importlib import import_module
from typing import Any

NATIVE = False
"""Whether this runs in ordinary Python, for tests: no host is there."""

building = True
"""Whether the plugin is still being built: no host is there yet."""

try:
    import wit_world  # type: ignore[import-not-found]  # noqa: F401
except ModuleNotFoundError:
    NATIVE = True


def capability(name: str) -> Any:
    """The bindings of a capability."""
    if NATIVE:
        raise ImportError(f"portcullis.{name} is there in the host only; a test puts its own in place with sys.modules")
    try:
        return import_module(f"wit_world.imports.{name}")
    except ModuleNotFoundError:
        raise ImportError(f'add "{name}" to asks in plugin.toml to use portcullis.{name}') from None
