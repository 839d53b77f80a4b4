"""Takes the author's source with the configuration: what `plugin test --watch` runs in place of the component.

Built once by the real tool. `configure` imports the source as the build would, with the very entry of the SDK, and hands over to
what comes of it. Errors of the import are told in the words of a build; what cannot be done here is left to one.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import io
import json
import linecache
import sys
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Iterator

import portcullis_build  # type: ignore[import-not-found]
import portcullis_modules  # type: ignore[import-not-found]
import wit_world  # type: ignore[import-not-found]
from componentize_py_types import Err  # type: ignore[import-not-found]

from portcullis import _sealed

# Modules are imported as a plugin would see them.
if portcullis_build.SEALED:
    _sealed.close()

_ABSENT: dict[str, BaseException] = {}
"""Modules that cannot be imported, and what says so."""

for _name in portcullis_modules.NAMES:
    try:
        importlib.import_module(_name)
    except BaseException as _error:
        _ABSENT[_name] = _error

# Lines of source are those that are put there: there are no files.
setattr(linecache, "checkcache", lambda *_: None)
setattr(linecache, "updatecache", lambda *_: [])

_ENTRY = importlib.util.find_spec("portcullis_entry")
_CODE = _ENTRY.loader.get_code("portcullis_entry")  # type: ignore[union-attr]
_PLACE = "/0/"
_world: Any = None


class _Sources:
    """Finds the author's modules, which are no files here."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        place = name.replace(".", "/")
        for file, package in ((f"{place}/__init__.py", True), (f"{place}.py", False)):
            if file in self.files:
                spec = ModuleSpec(name, self, origin=_PLACE + file, is_package=package)  # type: ignore[arg-type]
                spec.has_location = True
                return spec
        if any(file.startswith(f"{place}/") for file in self.files):
            return ModuleSpec(name, None, is_package=True)
        return None

    def create_module(self, _: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        origin = module.__spec__.origin  # type: ignore[union-attr]
        source = self.files[origin[len(_PLACE) :]]  # type: ignore[index]
        exec(compile(source, origin, "exec", dont_inherit=True), module.__dict__)  # type: ignore[arg-type]


class _Unknown:
    """Stands for the files that are not here: remembers what should be imported when the loader is built."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_spec(self, name: str, *_: Any) -> None:
        if name in _ABSENT:
            raise _ABSENT[name]
        # Of these everything is there.
        if not name.startswith(("portcullis.", "wit_world.")):
            self.asked.append(name)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _load(files: dict[str, str]) -> Any:
    known = next((file for file in files if file.partition("/")[0].removesuffix(".py") in sys.modules), None)
    if known:
        raise Err(f"portcullis:unfit\nsrc/{known} has the name of another module")
    for file, source in files.items():
        linecache.cache[_PLACE + file] = (len(source), None, source.splitlines(True), _PLACE + file)
    sources, unknown = _Sources(files), _Unknown()
    sys.stdout = sys.stderr = io.StringIO()
    sys.meta_path.insert(sys.meta_path.index(PathFinder), unknown)  # type: ignore[arg-type]
    sys.meta_path.insert(0, sources)  # type: ignore[arg-type]
    entry = importlib.util.module_from_spec(_ENTRY)  # type: ignore[arg-type]
    sys.modules["portcullis_entry"] = entry
    failed: BaseException | None = None
    try:
        exec(_CODE, entry.__dict__)  # type: ignore[arg-type]
    except BaseException as error:
        failed = error
    if unknown.asked:
        names = sorted({*unknown.asked, *_wanted(files)})
        raise Err("portcullis:needs\n" + "\n".join(names))
    if isinstance(failed, OSError):
        raise Err(f"portcullis:unfit\nsrc/plugin.py uses files: {failed}")
    if failed:
        raise Err("portcullis:broken\n" + _told(failed))
    sys.meta_path.remove(sources)  # type: ignore[arg-type]
    sys.meta_path.remove(unknown)  # type: ignore[arg-type]
    return entry.WitWorld()


def _wanted(files: dict[str, str]) -> Iterator[str]:
    """Modules that the sources import and that are not there yet."""
    own = _Sources(files)
    for source in files.values():
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                if name not in sys.modules and name not in _ABSENT and own.find_spec(name.partition(".")[0]) is None:
                    yield name


def _told(error: BaseException) -> str:
    """The traceback, without the frames of what imports."""
    told = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = told
    while part:
        own = [frame for frame in part.stack if frame.filename.startswith(_PLACE) and frame.filename != __file__]
        part.stack = traceback.StackSummary.from_list(own)
        part = part.__cause__ or part.__context__
    return "".join(told.format()).rstrip()


class WitWorld(wit_world.WitWorld):  # type: ignore[misc]
    def configure(self, config: str) -> None:
        global _world
        given = json.loads(config)
        _world = _load(given["source"])
        _world.configure(given["config"])

    def inspect(self, *given: Any) -> Any:
        return _world.inspect(*given)

    def decide(self, *given: Any) -> Any:
        return _world.decide(*given)

    def route(self, *given: Any) -> Any:
        return _world.route(*given)
