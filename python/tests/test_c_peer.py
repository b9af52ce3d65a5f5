"""Functions in Python and in C call each other, through the real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rig import World, free_port, needs_server, world

import dispatch

PEER = os.environ.get("DISPATCH_TEST_PEER", "")

pytestmark = [needs_server, pytest.mark.skipif(not PEER, reason="DISPATCH_TEST_PEER names no program")]

PROGRAM = '''
import sys
import dispatch

C = sys.argv[1]

def in_c(name, *args, **kwargs):
    input = dispatch.proto.Arguments(args, kwargs) if args or kwargs else None
    return dispatch.call(dispatch.Call(function=name, endpoint=C, input=input))

def raw(name, value):
    return dispatch.call(dispatch.Call(function=name, endpoint=C, input=value))

@dispatch.function
async def shout(text):
    return (await raw("c_echo", text)).upper() + "!"

@dispatch.function
def fail(text):
    raise KeyError("python has no " + text)

@dispatch.function
async def echo_through_c(value):
    return await raw("c_echo", value)

@dispatch.function
async def add_in_c(a, b):
    return await in_c("c_add", a, b=b)

@dispatch.function
async def caught_from_c(name):
    try:
        await raw("c_fail", name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

@dispatch.function
async def uncaught_from_c(name):
    await raw("c_fail", name)

@dispatch.function
async def ask_c(name, value):
    return await raw(name, value)

if __name__ == "__main__":
    print("ready", flush=True)
    dispatch.run_forever()
'''


class Peers:
    """A program in Python and one in C."""

    def __init__(self, real: World):
        c_port, self.port = free_port(), free_port()
        self._client = dispatch.BlockingClient("a-key-for-tests", f"http://127.0.0.1:{real.port}")
        command = [PEER, f"127.0.0.1:{c_port}", f"http://127.0.0.1:{self.port}"]
        real._start(command, {}).expect("serving")
        real.start_program(PROGRAM, self.port, f"http://127.0.0.1:{c_port}").expect("ready")

    def call(self, function: str, *args: Any) -> Any:
        """Calls a function of the program in Python."""
        input = dispatch.proto.Arguments(args, {})
        call = dispatch.Call(function=function, endpoint=f"http://127.0.0.1:{self.port}", input=input)
        [dispatch_id] = self._client.dispatch([call])
        return self._client.wait(dispatch_id, 60)


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    folder: Path = tmp_path_factory.mktemp("peers")
    with world(folder) as real:
        yield Peers(real)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -(2**63),
        2**63 - 1,
        0.1,
        float("inf"),
        "",
        "gr\u00fc\u00dfe\0 and more",
        b"",
        b"\x00\xff",
        [1, "two", None, [True]],
        {"k": {"n": [1.5]}, "": []},
        datetime(2026, 11, 23, 12, 30, 1, 5, tzinfo=timezone.utc),
        timedelta(days=-1, microseconds=3),
    ],
    ids=repr,
)
def test_values_come_back_from_c_as_they_went(peers: Peers, value: Any) -> None:
    back = peers.call("echo_through_c", value)
    assert back == value
    if not isinstance(value, list | dict):  # numbers in those are doubles (protocol 6.1)
        assert type(back) is type(value)


def test_c_reads_positional_and_keyword_arguments(peers: Peers) -> None:
    assert peers.call("add_in_c", 40, 2) == 42


def test_an_error_of_c_can_be_caught(peers: Peers) -> None:
    assert peers.call("caught_from_c", "shoe") == "RuntimeError: there is no shoe"


def test_an_error_of_c_goes_through(peers: Peers) -> None:
    with pytest.raises(RuntimeError, match="^there is no hat$"):
        peers.call("uncaught_from_c", "hat")


def test_c_calls_python_which_calls_c(peers: Peers) -> None:
    assert peers.call("ask_c", "c_ask_python", "hello") == "python says HELLO!"


def test_c_catches_an_error_of_python(peers: Peers) -> None:
    assert peers.call("ask_c", "c_catch_python", "x") == "KeyError: 'python has no x'"
