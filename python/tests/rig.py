"""The real server and real programs, each a process of its own, for tests across processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVER = os.environ.get("DISPATCH_TEST_SERVER", "")
KEY = "a-key-for-tests"
PATIENCE_S = 60.0

needs_server = pytest.mark.skipif(not SERVER, reason="DISPATCH_TEST_SERVER names no server")


class Process:
    """A process whose output is read all the time, so that a test can wait for a text in it."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self._changed = threading.Condition()
        self._text = ""
        self._is_over = False
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._text += line
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self.process.stdout.close()

    @property
    def output(self) -> str:
        with self._changed:
            return self._text

    def expect(self, pattern: str) -> re.Match[str]:
        """Waits until the pattern is in the output."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while True:
                match = re.search(pattern, self._text)
                if match:
                    return match
                left = deadline - time.monotonic()
                if self._is_over or left <= 0:
                    pytest.fail(f"{pattern!r} did not come in:\n{self._text}")
                self._changed.wait(left)

    def kill(self) -> None:
        """As loss of power: nothing is cleaned up."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def wait(self) -> int:
        """The exit status, once it has ended by itself."""
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the program did not end:\n{self.output}")
        self._reader.join()
        return status


class World:
    """A server with its database, and programs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = 0
        self.server: Process | None = None
        self._processes: list[Process] = []

    def start_server(self) -> None:
        """At the same port each time, with the same database."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
        environment.pop("LD_PRELOAD", None)
        command = [SERVER, "serve", "--db", str(self.folder / "calls.db"), "--listen", f"127.0.0.1:{self.port}", "--api-key", KEY]
        self.server = self._start(command, environment)
        self.port = int(self.server.expect(r"listening on http://127.0.0.1:(\d+)")[1])

    def kill_server(self) -> None:
        assert self.server is not None
        self.server.kill()

    def environment(self, endpoint_port: int) -> dict[str, str]:
        """What a program is told of the server and of itself."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")},
            "DISPATCH_API_URL": f"http://127.0.0.1:{self.port}",
            "DISPATCH_API_KEY": KEY,
            "DISPATCH_ENDPOINT_URL": f"http://127.0.0.1:{endpoint_port}",
            "DISPATCH_ENDPOINT_ADDR": f"127.0.0.1:{endpoint_port}",
            "PYTHONUNBUFFERED": "1",
        }

    def start_program(self, source: str, endpoint_port: int, *words: str, name: str = "app.py") -> Process:
        """Runs the source as a script."""
        script = self.folder / name
        script.write_text(source)
        return self._start([sys.executable, str(script), *words], self.environment(endpoint_port))

    def _start(self, command: list[str], environment: dict[str, str]) -> Process:
        process = Process(command, environment)
        self._processes.append(process)
        return process

    def stop(self) -> None:
        for process in self._processes:
            process.kill()


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A world with a running server, all of which ends with the block."""
    made = World(folder)
    try:
        made.start_server()
        yield made
    finally:
        made.stop()


def free_port() -> int:
    """A port that was free a moment ago."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
