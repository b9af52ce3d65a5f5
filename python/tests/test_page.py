"""Each entry of the documentation of `dispatch.test`, by its name, and what it says of it."""

import inspect
import subprocess
import sys
import typing
import unittest
from pathlib import Path
from typing import Any

import pytest

import dispatch
import dispatch.test
from dispatch.error import TemporaryError, ThrottleError

CLIENT = dispatch.test.Client(api_key="key", api_url=dispatch.test.DISPATCH_API_URL)
URL = "http://127.0.0.1:9"


def test_example_passes_as_a_script() -> None:
    example = Path(__file__).with_name("page_example.py")
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")


def test_example_passes_under_pytest() -> None:
    example = Path(__file__).with_name("page_example.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


class TestSignatures:
    def test_registry(self) -> None:
        parameters = inspect.signature(dispatch.test.Registry).parameters
        assert str(inspect.signature(dispatch.test.Registry)) == (
            "(name: 'str', client: 'Optional[Client]' = None, endpoint: 'Optional[str]' = None)"
        )
        assert list(parameters) == ["name", "client", "endpoint"]
        assert str(inspect.signature(dispatch.test.Registry.close)) == "(self)"
        assert str(inspect.signature(dispatch.test.Registry.primitive_function)) == (
            "(self, primitive_func: 'PrimitiveFunctionType') -> 'PrimitiveFunction'"
        )

    def test_main(self) -> None:
        assert inspect.iscoroutinefunction(dispatch.test.main)
        assert inspect.signature(dispatch.test.main) == inspect.signature(_main)

    def test_run(self) -> None:
        assert inspect.signature(dispatch.test.run) == inspect.signature(_run)

    def test_function(self) -> None:
        assert inspect.signature(dispatch.test.function) == inspect.signature(_function)

    def test_method(self) -> None:
        assert list(inspect.signature(dispatch.test.method).parameters) == ["fn"]
        assert str(inspect.signature(dispatch.test.method)) == (
            "(fn: Callable[[~T], Coroutine[Any, Any, NoneType]]) -> Callable[[~T], NoneType]"
        )


async def _main(coro: typing.Coroutine[Any, Any, None]) -> None: ...


def _run(coro: typing.Coroutine[Any, Any, None]) -> None: ...


def _function(fn: typing.Callable[[], typing.Coroutine[Any, Any, None]]) -> typing.Callable[[], None]: ...  # type: ignore[empty-body]


class TestRegistry:
    def test_an_endpoint_is_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DISPATCH_ENDPOINT_URL", raising=False)
        with pytest.raises(ValueError) as raised:
            dispatch.test.Registry("page", CLIENT)
        assert str(raised.value) == (
            "missing application endpoint: set it with the DISPATCH_ENDPOINT_URL environment variable"
        )

    def test_the_endpoint_may_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DISPATCH_ENDPOINT_URL", URL)
        registry = dispatch.test.Registry("page", CLIENT)
        assert registry.endpoint == URL
        registry.close()

    def test_an_api_key_is_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DISPATCH_API_KEY", raising=False)
        with pytest.raises(ValueError) as raised:
            dispatch.test.Registry("page", endpoint=URL)
        assert str(raised.value) == "missing API key: set it with the DISPATCH_API_KEY environment variable"

    def test_a_name_is_required(self) -> None:
        with pytest.raises(ValueError, match="^missing registry name$"):
            dispatch.test.Registry("", CLIENT, URL)

    def test_a_name_is_taken_once(self) -> None:
        registry = dispatch.test.Registry("page", CLIENT, URL)
        with pytest.raises(ValueError, match="^registry with name 'page' already exists$"):
            dispatch.test.Registry("page", CLIENT, URL)
        registry.close()
        dispatch.test.Registry("page", CLIENT, URL).close()

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("example.com", "missing protocol scheme in registry endpoint URL: example.com"),
            ("ftp://example.com", "invalid protocol scheme in registry endpoint URL: ftp://example.com"),
            ("http://", "missing host in registry endpoint URL: http://"),
        ],
    )
    def test_an_endpoint_is_checked(self, url: str, message: str) -> None:
        with pytest.raises(ValueError) as raised:
            dispatch.test.Registry("page", CLIENT, url)
        assert str(raised.value) == message
        registry = dispatch.test.Registry("page", CLIENT, URL)
        with pytest.raises(ValueError):
            registry.endpoint = url
        assert registry.endpoint == URL
        registry.close()

    def test_close_takes_the_functions_out_of_the_application(self) -> None:
        registry = dispatch.test.Registry("page", CLIENT, URL)

        @registry.function
        def leaves() -> str:
            return "here"

        @dispatch.test.function
        async def check() -> None:
            assert await leaves() == "here"
            call = leaves.build_call()
            registry.close()
            with pytest.raises(dispatch.error.NotFoundError, match="function .*leaves' does not exist"):
                await registry.client._call(call)

        check()
        with pytest.raises(KeyError):
            leaves.registry

    def test_primitive_function(self) -> None:
        registry = dispatch.test.Registry("page", CLIENT, URL)

        @registry.primitive_function
        async def primitive(input: dispatch.Input) -> dispatch.Output:
            return dispatch.Output.value([input.input, input.is_first_call])

        @dispatch.test.function
        async def check() -> None:
            dispatch_id = await primitive._primitive_dispatch("raw")
            assert await registry.client.wait(dispatch_id) == ["raw", True]

        check()
        assert primitive.name == "TestRegistry.test_primitive_function.<locals>.primitive"
        with pytest.raises(ValueError, match="function already registered with name"):
            registry.primitive_function(primitive._primitive_func)
        registry.close()


@dispatch.function
def page_greet(name: str) -> str:
    return f"Hello {name}!"


attempts: list[int] = []


@dispatch.function
def page_unstable(failures: int) -> int:
    attempts.append(len(attempts))
    if len(attempts) <= failures:
        raise TemporaryError("not yet") if failures % 2 else ThrottleError("slower")
    return len(attempts)


async def give(value: Any) -> Any:
    return value


class TestMain:
    def test_main_creates_a_server_and_returns_what_the_coroutine_returned(self) -> None:
        import asyncio

        async def body() -> Any:
            return await page_greet("main")

        assert asyncio.run(dispatch.test.main(body())) == "Hello main!"  # type: ignore[func-returns-value]

    def test_run_returns_what_the_coroutine_returned(self) -> None:
        assert dispatch.test.run(give(42)) == 42  # type: ignore[func-returns-value]

    def test_run_raises_what_the_coroutine_raised_and_shows_its_calls(self) -> None:
        async def body() -> None:
            await page_greet("note")
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine") as raised:
            dispatch.test.run(body())
        assert "page_greet" in "".join(raised.value.__notes__)


class TestFunction:
    def test_temporary_errors_are_retried(self) -> None:
        @dispatch.test.function
        async def check() -> None:
            attempts.clear()
            assert await page_unstable(5) == 6
            attempts.clear()
            assert await page_unstable(4) == 5

        check()

    def test_the_decorated_test_keeps_its_name(self) -> None:
        @dispatch.test.function
        async def named() -> None:
            """Its words."""

        assert (named.__name__, named.__doc__) == ("named", "Its words.")
        assert not inspect.iscoroutinefunction(named)

    @dispatch.test.method
    async def test_over_http_too(self) -> None:
        @dispatch.test.function
        @dispatch.test.options(transport="http")
        async def check() -> None:
            assert await page_greet("loopback") == "Hello loopback!"

        import asyncio

        await asyncio.to_thread(check)


class TestMethod(unittest.TestCase):
    def setUp(self) -> None:
        self.name = "self"

    @dispatch.test.method
    async def test_method_gets_self(self) -> None:
        self.assertEqual(await page_greet(self.name), "Hello self!")


def test_constants() -> None:
    assert dispatch.test.DISPATCH_ENDPOINT_URL == "http://127.0.0.1:0"
    assert dispatch.test.DISPATCH_API_URL == "http://127.0.0.1:0"
    assert dispatch.test.DISPATCH_API_KEY == "916CC3D280BB46DDBDA984B3DD10059A"
