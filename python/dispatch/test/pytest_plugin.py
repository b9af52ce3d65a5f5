"""The pytest plugin; installed with the package.

- The fixture `dispatch_server`: a `LocalServer` for one test; with it an async test needs no decorator. Its options come
  from the marker `@pytest.mark.dispatch(transport="http", seed=1, chaos="drop=5%")`.
- An async test that asks for the fixture, or has the marker, runs in the server's event loop, also where pytest-asyncio or
  anyio take every async test; async fixtures of theirs run in loops of their own.
- A test that fails shows the tree of its calls.

Functions that are defined by the tests, or by modules that they import, need no endpoint and no API key: unless
DISPATCH_ENDPOINT_URL is set, the default registry is that of `dispatch.test`.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

MARKER = "dispatch"
FIXTURE = "dispatch_server"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}(transport='local', seed=0, chaos=None): runs an async test in a Dispatch test server."
    )
    if not os.environ.get("DISPATCH_ENDPOINT_URL"):
        import dispatch.test  # noqa: F401  (makes its registry the default one)


@pytest.fixture
def dispatch_server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A Dispatch server for this test: `advance`, `now`, `trace`."""
    from dispatch.test._local import LocalServer, TestLoop

    marker = request.node.get_closest_marker(MARKER)
    with asyncio.Runner(loop_factory=TestLoop) as runner:
        server = LocalServer(**(marker.kwargs if marker else {}))
        runner.run(server.__aenter__())
        request.node.stash[RUNNER] = runner
        request.node.stash[SERVER] = server
        try:
            yield server
        finally:
            runner.run(server.__aexit__())


RUNNER: pytest.StashKey[asyncio.Runner] = pytest.StashKey()
SERVER: pytest.StashKey[Any] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if item.get_closest_marker(MARKER) and FIXTURE not in item.fixturenames:
            item.fixturenames.append(FIXTURE)
        if FIXTURE in item.fixturenames and inspect.iscoroutinefunction(item.obj):
            # pytest-asyncio, told to take every async test, would run it in a loop of its own.
            item.runtest = partial(pytest.Function.runtest, item)  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    runner = pyfuncitem.stash.get(RUNNER, None)
    test = pyfuncitem.obj
    if runner is None or not inspect.iscoroutinefunction(test):
        return (yield)
    from dispatch import _embedded

    async def in_server(arguments: dict[str, Any]) -> None:
        _embedded.current.set(pyfuncitem.stash[SERVER])
        await test(**arguments)

    # An ordinary test for whoever comes next, such as the plugin of anyio.
    pyfuncitem.obj = lambda **arguments: runner.run(in_server(arguments))
    try:
        return (yield)
    finally:
        pyfuncitem.obj = test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    server = item.stash.get(SERVER, None)
    if report.when == "call" and report.failed and server is not None:
        report.sections.append(("Calls of the test", server.trace()))
    return report
