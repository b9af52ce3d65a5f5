"""`python -m dispatch check-upgrade`, with the real server and programs that were suspended."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import World, free_port, needs_server, world
from test_processes import NOTES, PROGRAM, RESULT, client_of, notes_of, open_gate, suspend

pytestmark = needs_server


@pytest.fixture
def real(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def check(real: World, port: int, source: str, *flags: str, name: str = "app.py") -> tuple[int, str]:
    """Exit status and output of a check of the source."""
    script = real.folder / name
    script.write_text(source)
    command = [sys.executable, "-m", "dispatch", "check-upgrade", *flags, str(script)]
    process = real._start(command, real.environment(port))
    return process.wait(), process.output


def test_calls_of_unchanged_and_moved_code_go_on_and_are_left_alone(real: World) -> None:
    port = free_port()
    dispatch_id = suspend(real, port)
    before = notes_of(real)
    for source in (PROGRAM, "# a line more\n\n" + PROGRAM):
        status, output = check(real, port, source)
        assert status == 0, output
        assert f"{dispatch_id}  main  goes on\n" in output
        assert f"suspended calls at http://127.0.0.1:{port}: " in output
    assert notes_of(real) == before  # nothing ran
    real.start_program(PROGRAM, port)
    open_gate(real)
    with client_of(real) as client:
        assert client.wait(dispatch_id, 60) == RESULT
    assert notes_of(real) == NOTES
    status, output = check(real, port, PROGRAM)
    assert (status, "nothing to check" in output) == (0, True)


def test_a_call_of_changed_code_is_named_with_its_function(real: World) -> None:
    port = free_port()
    dispatch_id = suspend(real, port)
    before = notes_of(real)
    status, output = check(real, port, PROGRAM.replace("found = [name]", 'found = ["new", name]'), "--json")
    assert status == 1, output
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    found = {line["function"]: line for line in lines}
    assert all(line["verdict"] == "goes on" for name, line in found.items() if name != "main")
    assert (found["main"]["id"], found["main"]["verdict"]) == (dispatch_id, "restarts")
    assert "function 'main'" in found["main"]["why"] and "has changed" in found["main"]["why"]
    assert notes_of(real) == before


def test_what_was_restored_before_the_change_runs_nothing(real: World) -> None:
    port = free_port()
    source = PROGRAM.replace("found.append(await gate())", "found += await dispatch.gather(one(), two())")
    source += "\n"
    helpers = """
async def one():
    try:
        return await gate()
    finally:
        note("one ended")

async def two():
    return await gate()

@dispatch.function
async def main"""
    source = source.replace("\n@dispatch.function\nasync def main", helpers).replace("async def one", "@dispatch.function\nasync def one", 1)
    source = source.replace("async def two", "@dispatch.function\nasync def two", 1)
    source = source.replace("gather(one(), two())", "gather(hold(one), hold(two))").replace(
        "async def two", "async def hold(function):\n    return await function()\n\n@dispatch.function\nasync def two", 1
    )
    source = source.replace("@dispatch.function\n@dispatch.function\n", "@dispatch.function\n")
    program = real.start_program(source, port, "submit")
    program.expect("gate waits[^$]*gate waits")
    program.kill()
    before = notes_of(real)
    status, output = check(real, port, source.replace("return await gate()\n\n", "return (await gate(), 1)\n\n"))
    assert status == 1, output
    assert "two  restarts: function 'two'" in output
    assert notes_of(real) == before


def test_calls_of_a_function_that_is_gone_are_unknown(real: World) -> None:
    port = free_port()
    suspend(real, port)
    status, output = check(real, port, PROGRAM.replace("async def main", "async def other").replace("main.dispatch", "other.dispatch"))
    assert status == 1
    assert "main  unknown function: it would end with the error NOT_FOUND" in output


def test_a_state_that_needs_what_is_gone_restarts(real: World) -> None:
    port = free_port()
    suspend(real, port)
    status, output = check(real, port, PROGRAM.replace("Scope", "Renamed"))
    assert status == 1
    assert "main  restarts" in output


def test_a_check_that_fails_says_what_to_do(real: World) -> None:
    port = free_port()
    status, output = check(real, port, PROGRAM, "--key", "wrong")
    assert (status, "takes another API key (--api-key, DISPATCH_API_KEY)" in output) == (2, True)
    status, output = check(real, port, "raise LookupError('broken program')")
    assert (status, "cannot be loaded: LookupError: broken program" in output) == (2, True)
    status, output = check(real, port, "import dispatch")
    assert (status, "the program has no functions" in output) == (2, True)
    real.kill_server()
    status, output = check(real, port, PROGRAM)
    assert (status, "is a server there? (--api-url, DISPATCH_API_URL)" in output) == (2, True)


def test_a_module_with_an_application_is_imported(real: World) -> None:
    port = free_port()
    (real.folder / "served.py").write_text("import dispatch\n\n@dispatch.function\ndef f(): pass\n\napp = None\n")
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(real.folder)!r}); "
               "from dispatch.__main__ import main; sys.exit(main(['check-upgrade', 'served:app']))"]  # fmt: skip
    process = real._start(command, real.environment(port))
    assert process.wait() == 0, process.output
    assert "nothing to check" in process.output
