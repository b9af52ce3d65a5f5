"""Programs and the server as processes of their own: killed, started again, changed, interrupted."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import KEY, World, free_port, needs_server, world

import dispatch
from dispatch.error import TimeoutError

pytestmark = needs_server

PROGRAM = '''
import os, sys
import dispatch

FOLDER = os.path.dirname(os.path.abspath(__file__))

def note(text):
    with open(os.path.join(FOLDER, "notes"), "a") as file:
        file.write(text + "\\n")

class Scope:
    async def __aenter__(self):
        note("enter")
        return self

    async def __aexit__(self, *exc):
        note("exit")

@dispatch.function
def leaf(n):
    note(f"leaf {n}")
    return n

@dispatch.function
async def gate():
    print("gate waits", flush=True)
    while not os.path.exists(os.path.join(FOLDER, "open")):
        await dispatch.sleep(0.05)
    return "open"

async def helper(n):
    return [await leaf(i) for i in range(n)]

@dispatch.function
async def main(name):
    found = [name]
    try:
        async with Scope():
            found += await helper(2)
            found += await dispatch.gather(leaf(10), leaf(11))
            found.append(await gate())
    finally:
        note("finally")
    found.append(await leaf(20))
    return found

@dispatch.function
def broken():
    raise LookupError("not here")

async def submit():
    print("id", await main.dispatch("me"), flush=True)

if __name__ == "__main__":
    dispatch.run_forever(submit() if sys.argv[1:] == ["submit"] else None)
'''
RESULT = ["me", 0, 1, 10, 11, "open", 20]
NOTES = sorted(["enter", "leaf 0", "leaf 1", "leaf 10", "leaf 11", "exit", "finally", "leaf 20"])


@pytest.fixture
def real(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def client_of(real: World) -> dispatch.BlockingClient:
    return dispatch.BlockingClient(KEY, f"http://127.0.0.1:{real.port}")


def notes_of(real: World) -> list[str]:
    return sorted((real.folder / "notes").read_text().splitlines())


def suspend(real: World, port: int) -> str:
    """A program with a call of `main` that waits for the gate; its id."""
    program = real.start_program(PROGRAM, port, "submit")
    dispatch_id = program.expect(r"id (\w+)")[1]
    program.expect("gate waits")
    program.kill()
    return dispatch_id


def open_gate(real: World) -> None:
    (real.folder / "open").touch()


def test_a_call_goes_on_in_another_process_after_a_kill(real: World) -> None:
    port = free_port()
    dispatch_id = suspend(real, port)
    real.start_program(PROGRAM, port)
    open_gate(real)
    with client_of(real) as client:
        assert client.wait(dispatch_id, 60) == RESULT
    assert notes_of(real) == NOTES  # nothing was done twice


def test_a_call_goes_on_after_a_kill_of_the_server(real: World) -> None:
    port = free_port()
    program = real.start_program(PROGRAM, port, "submit")
    dispatch_id = program.expect(r"id (\w+)")[1]
    program.expect("gate waits")
    real.kill_server()
    real.start_server()
    open_gate(real)
    with client_of(real) as client:
        assert client.wait(dispatch_id, 60) == RESULT
    assert notes_of(real) == NOTES


def test_a_call_goes_on_after_a_kill_of_both(real: World) -> None:
    port = free_port()
    dispatch_id = suspend(real, port)
    real.kill_server()
    real.start_server()
    real.start_program(PROGRAM, port)
    open_gate(real)
    with client_of(real) as client:
        assert client.wait(dispatch_id, 60) == RESULT
    assert notes_of(real) == NOTES


def test_a_function_that_only_moved_goes_on(real: World) -> None:
    port = free_port()
    dispatch_id = suspend(real, port)
    real.start_program("# a line more\n\n" + PROGRAM, port)
    open_gate(real)
    with client_of(real) as client:
        assert client.wait(dispatch_id, 60) == RESULT
    assert notes_of(real) == NOTES


def test_a_function_that_changed_starts_again(real: World) -> None:
    port = free_port()
    dispatch_id = suspend(real, port)
    real.start_program(PROGRAM.replace("found = [name]", 'found = ["new", name]'), port)
    open_gate(real)
    with client_of(real) as client:
        assert client.wait(dispatch_id, 60) == ["new", *RESULT]
    notes = notes_of(real)
    assert notes.count("leaf 0") == 2  # once for each version
    assert notes.count("leaf 20") == 1
    assert notes.count("exit") == 1  # what was given up ran no code any more


def test_results_of_calls_that_another_process_serves_are_waited_for(real: World) -> None:
    port = free_port()
    open_gate(real)
    server = real.start_program(PROGRAM, port)
    script = f'''
import dispatch, app
async def ask():
    print(await app.main("other"))
    try:
        await app.broken()
    except LookupError as error:
        print(type(error).__name__, error)
import asyncio
app.main.registry.endpoint = "http://127.0.0.1:{port}"
asyncio.run(ask())
'''
    asker = real.start_program(script, free_port(), name="asker.py")
    assert asker.wait() == 0, asker.output
    assert asker.output == "['other', 0.0, 1.0, 10.0, 11.0, 'open', 20.0]\nLookupError not here\n"  # protocol 6.1
    assert server.process.poll() is None


def test_a_script_prints_its_result_and_ends(real: World) -> None:
    script = PROGRAM.split("async def submit")[0] + 'print(dispatch.run(main("script")))\n'
    open_gate(real)
    program = real.start_program(script, free_port())
    assert program.wait() == 0
    assert program.output == "gate waits\n['script', 0.0, 1.0, 10.0, 11.0, 'open', 20.0]\n"


def test_an_error_ends_a_script_with_its_traceback(real: World) -> None:
    script = PROGRAM.split("async def submit")[0] + "dispatch.run(broken())\n"
    program = real.start_program(script, free_port())
    assert program.wait() == 1
    assert "LookupError: not here" in program.output
    assert "in broken" in program.output  # where it was raised, though it came over the wire
    assert "Unclosed" not in program.output


def test_a_wrong_key_is_named(real: World) -> None:
    script = "import os\nos.environ['DISPATCH_API_KEY'] = 'wrong'\n" + PROGRAM.split("async def submit")[0]
    program = real.start_program(script + "dispatch.run(broken())\n", free_port())
    assert program.wait() == 1
    assert (
        "PermissionError: Dispatch received an invalid authentication token (check DISPATCH_API_KEY is correct)"
        in program.output
    )


def test_without_a_server_a_script_ends_with_an_error(real: World) -> None:
    real.kill_server()
    script = PROGRAM.split("async def submit")[0] + "dispatch.run(broken())\n"
    program = real.start_program(script, free_port())
    assert program.wait() == 1
    assert f"Cannot connect to host 127.0.0.1:{real.port}" in program.output
    assert "Unclosed" not in program.output


def test_an_interrupt_ends_a_program(real: World) -> None:
    program = real.start_program(PROGRAM, free_port(), "submit")
    program.expect("gate waits")
    os.killpg(program.process.pid, signal.SIGINT)
    assert program.wait() in (130, -signal.SIGINT)
    assert "Unclosed" not in program.output and "never retrieved" not in program.output


def test_a_blocking_client_times_out_cancels_and_closes(real: World) -> None:
    port = free_port()
    program = real.start_program(PROGRAM, port, "submit")
    dispatch_id = program.expect(r"id (\w+)")[1]
    client = client_of(real)
    with pytest.raises(TimeoutError.__mro__[2], match="is not done yet"):
        client.wait(dispatch_id, 0)
    call = dispatch.Call(function="leaf", endpoint=f"http://127.0.0.1:{port}", input=7)
    ids = client.dispatch([call, call])
    assert [client.wait(i, 60) for i in ids] == [7, 7]
    failures: list[Exception] = []

    def wait() -> None:
        try:
            client.wait(dispatch_id)
        except Exception as error:
            failures.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    client.cancel(dispatch_id)
    waiter.join()
    assert isinstance(failures[0], dispatch.error.CanceledError)
    with pytest.raises(dispatch.ClientError, match="failed_precondition"):
        client.cancel(dispatch_id)
    with pytest.raises(dispatch.ClientError, match="not_found"):
        client.wait("0" * 32, 1)
    client.close()
    with pytest.raises(ConnectionError, match="has been closed"):
        client.dispatch([call])
