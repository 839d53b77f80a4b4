"""What a run needs besides Portcullis: packages, the fixture server, and processes that end with the run.

Uses the standard library alone, so that it works before anything is installed. Run as a program it installs the packages.
"""

import contextlib
import http.client
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ROOT / "target/tools/conformance"
OUT = ROOT / "target/conformance"
PYTHON = TOOLS / "python/bin/python"
NODE = TOOLS / "node/node_modules/.bin/node"
PACKAGES = TOOLS / "node/node_modules"
TOKEN = "conformance-token"
"""Token of the agent in observe.toml."""

START = 90
"""Seconds that a server may take to start: the first start of Portcullis compiles its plugins."""


def install():
    """Everything from PyPI and npm; quick when nothing is to do."""
    wanted = (HERE / "requirements.txt").read_text()
    folder = TOOLS / "python"
    if stale(folder, wanted):
        print("installing the Python packages of tests/conformance/requirements.txt", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        (folder / ".installed").write_text(wanted)
    wanted = (HERE / "package.json").read_text()
    folder = TOOLS / "node"
    if stale(folder, wanted):
        print("installing the npm packages of tests/conformance/package.json", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", folder)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(npm, cwd=folder, check=True, stdout=sys.stderr)
        (folder / ".installed").write_text(wanted)


def stale(folder, wanted):
    stamp = folder / ".installed"
    return not stamp.exists() or stamp.read_text() != wanted


def inside_tools():
    """Runs this program again with the Python that has the packages, if this one is another."""
    install()
    if pathlib.Path(sys.prefix).resolve() != (TOOLS / "python").resolve():
        os.execv(PYTHON, [PYTHON, *sys.argv])


@contextlib.contextmanager
def child(command, log, **options):
    """A program, ended at the end; its standard error goes to `log`, and its output too if nobody takes it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        options = {"stdout": errors, **options}
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors, **options)
        try:
            yield program
        finally:
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


@contextlib.contextmanager
def process(name, command, log, **options):
    """A server, ended at the end; its standard error goes to `log`. Yields its first line of output."""
    with child(command, log, stdout=subprocess.PIPE, **options) as program:
        yield first_line(name, program, log)


def first_line(name, program, log):
    lines = queue.Queue()

    def read():
        for line in program.stdout:
            lines.put(line)
        lines.put(b"")

    # It goes on reading, so that the child never waits for a full pipe.
    threading.Thread(target=read, daemon=True).start()
    try:
        line = lines.get(timeout=START)
    except queue.Empty:
        raise SystemExit(f"{name} did not start within {START} seconds: see {log}") from None
    if not line:
        raise SystemExit(f"{name} ended at once: see {log}")
    return line.decode()


@contextlib.contextmanager
def fixture(out):
    """The server of this folder. Yields its address."""
    with process("the fixture", [PYTHON, HERE / "server.py", "0"], out / "fixture.log") as line:
        yield json.loads(line)["url"].replace("127.0.0.1", "localhost")


@contextlib.contextmanager
def reference(out):
    """The reference server of the protocol's project. Yields its address."""
    # It cannot pick a free port itself.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = PACKAGES / "@modelcontextprotocol/server-everything/dist/index.js"
    log = out / "server-everything.log"
    environment = {**os.environ, "PORT": str(port)}
    with child([NODE, program, "streamableHttp"], log, env=environment):
        wait_for(port, log)
        yield f"http://localhost:{port}/mcp"


def wait_for(port, log):
    end = time.monotonic() + START
    while time.monotonic() < end:
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, 1)) as one:
            one.connect()
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}: see {log}")


def by_number(url):
    return url.replace("localhost", "127.0.0.1")


@contextlib.contextmanager
def portcullis(binary, upstream, out, config=None, data=None):
    """Portcullis in front of a server, with its data in a folder of the run if no other is given. Yields its address."""
    command = [
        binary,
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data or out / "data",
        "--upstream",
        f"fixture={by_number(upstream)}",
    ]
    if config is not None:
        command += ["--config", config]
    with process("portcullis", command, out / "portcullis.log") as line:
        port = json.loads(line)["url"].rsplit(":", 1)[1]
        # The scenario that forges hosts wants the name, not the number.
        yield f"http://localhost:{port}/mcp"


if __name__ == "__main__":
    install()
