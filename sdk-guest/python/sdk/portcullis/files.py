"""Read-only data folders. Asks for `files`; read them in `configure`, so that their content is prepared once.

Folders that are not granted and files that are missing or too large raise `PluginError`.
"""

from __future__ import annotations

from ._call import answered
from ._host import capability

_files = capability("files")


def read(path: str) -> bytes:
    """The bytes of a file, at most 16 MiB. `path` is `<folder name>/<relative path>`."""
    return answered(_files.read, path)


def entries(path: str) -> list[str]:
    """Names in a folder, sorted; folders end with `/`."""
    return answered(_files.entries, path)
