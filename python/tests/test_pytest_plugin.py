"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = '''
import asyncio
import unittest

import pytest

import dispatch
import dispatch.test


@dispatch.function
def greet(name: str) -> str:
    return f"Hello {name}!"


@dispatch.function
async def slow(name: str) -> str:
    await dispatch.sleep(3600)
    return await greet(name)


async def test_without_a_decorator(dispatch_server) -> None:
    before = dispatch_server.now()
    assert await slow("World") == "Hello World!"
    assert dispatch_server.now() >= before + 3600


@pytest.mark.dispatch(chaos="seed=3,fail=20%")
async def test_with_a_marker() -> None:
    assert await greet.map(["a", "b"]) == ["Hello a!", "Hello b!"]


@pytest.mark.dispatch(transport="http")
async def test_over_http(dispatch_server, tmp_path) -> None:
    assert dispatch_server.url.startswith("http://127.0.0.1:")
    assert tmp_path.exists()
    assert await greet("you") == "Hello you!"


async def test_the_clock_by_hand(dispatch_server) -> None:
    call = asyncio.ensure_future(slow("me"))
    await asyncio.sleep(0)
    await dispatch_server.advance(7200)
    assert await call == "Hello me!"


@pytest.mark.parametrize("n", range(8))
async def test_many(dispatch_server, n) -> None:
    assert await greet(str(n)) == f"Hello {n}!"


def test_ordinary() -> None:
    assert True


class TestOfUnittest(unittest.TestCase):
    @dispatch.test.method
    async def test_method(self) -> None:
        self.assertEqual(await greet("unittest"), "Hello unittest!")
'''


def run_pytest(folder: Path, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    test = folder / "test_it.py"
    test.write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "dispatch.test.pytest_plugin"]
    return subprocess.run([*command, *words, str(test)], capture_output=True, text=True, timeout=120, cwd=folder)


def test_async_tests_run_in_a_server_without_decorators(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, TESTS)
    assert done.returncode == 0, done.stdout
    assert "14 passed" in done.stdout


def test_tests_run_in_parallel_under_xdist(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, TESTS, "-n", "3")
    assert done.returncode == 0, done.stdout
    assert "14 passed" in done.stdout


def test_a_failing_test_shows_its_calls(tmp_path: Path) -> None:
    source = TESTS.split("async def test_without")[0]
    source += "async def test_fails(dispatch_server):\n    assert await slow('World') == 'Bye World!'\n"
    done = run_pytest(tmp_path, source)
    assert done.returncode == 1
    assert "Calls of the test" in done.stdout
    lines = done.stdout.splitlines()
    [parent] = [i for i, line in enumerate(lines) if line.startswith("  slow  ")]
    assert lines[parent + 1].startswith("    greet  ")


def test_a_test_that_waits_for_nobody_is_not_ours(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "import pytest\n\ndef test_plain():\n    assert 1\n")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("words", [["-o", "asyncio_mode=auto"], ["-p", "no:asyncio", "-o", "anyio_mode=auto"]])
def test_plugins_that_take_every_async_test_leave_ours_to_us(tmp_path: Path, words: list[str]) -> None:
    pytest.importorskip("pytest_asyncio" if "no:asyncio" not in words else "anyio")
    source = TESTS + """

async def test_of_theirs() -> None:
    await asyncio.sleep(0)


@dispatch.test.function
async def test_decorated() -> None:
    assert await slow("World") == "Hello World!"
"""
    done = run_pytest(tmp_path, source, *words)
    assert done.returncode == 0, done.stdout
    assert "16 passed" in done.stdout
