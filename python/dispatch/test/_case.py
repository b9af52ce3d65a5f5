"""The suite that every integration with a web framework passes."""

from __future__ import annotations

import asyncio
import threading
import unittest
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import aiohttp

import dispatch.test as names
from dispatch.function import AsyncFunction, Registry
from dispatch.registry import lookup_registry
from dispatch.sdk.v1.function_pb2 import RunRequest
from dispatch.test._service import RUN_PATH, Server, Service

BODY_BYTES_MAX = 16_000_000


def aiotest(fn: Callable[[TestCase], Coroutine[Any, Any, None]]) -> Callable[[TestCase], None]:
    """Decorator of the tests below: runs them in the loop of the test case."""

    @wraps(fn)
    def test(self: TestCase) -> None:
        self.server_loop.run_until_complete(fn(self))

    return test


class TestCase(unittest.TestCase):
    """Tests of an endpoint that somebody's web framework serves.

    A subclass says how it is served: `dispatch_test_init` makes it and returns its URL, `dispatch_test_run` serves, on a
    thread of its own, until `dispatch_test_stop` is called.
    """

    def dispatch_test_init(self, reg: Registry) -> str:
        """Makes the endpoint that serves the registry; returns its URL."""
        raise NotImplementedError

    def dispatch_test_run(self) -> None:
        """Serves until it is stopped."""
        raise NotImplementedError

    def dispatch_test_stop(self) -> None:
        """Makes `dispatch_test_run` return. Called from another thread."""
        raise NotImplementedError

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__test__ = True

    __test__ = False  # has nothing to serve

    def setUp(self) -> None:
        self.registry = lookup_registry("dispatch.test")
        self.service = Service()
        self.server = Server(self.service)
        self.server_loop = asyncio.new_event_loop()
        self.server_loop.run_until_complete(self.server.start())
        self.registry.client.api_key.value = names.DISPATCH_API_KEY
        self.registry.client.api_url.value = self.server.url
        self.registry.endpoint = self.dispatch_test_init(self.registry)
        self.client_thread = threading.Thread(target=self.dispatch_test_run)
        self.client_thread.start()

    def tearDown(self) -> None:
        self.dispatch_test_stop()
        self.client_thread.join()
        self.server_loop.run_until_complete(self.server.stop())
        self.server_loop.run_until_complete(self.service.close())
        self.server_loop.run_until_complete(self.server_loop.shutdown_asyncgens())
        self.server_loop.close()
        self.registry.client.api_url.value = names.DISPATCH_API_URL
        self.registry.endpoint = names.DISPATCH_ENDPOINT_URL

    @property
    def function_service_run_url(self) -> str:
        """Where Run requests go."""
        return f"{self.registry.endpoint}{RUN_PATH}"

    def function(self, name: str) -> AsyncFunction[..., Any]:
        """One of the functions of `dispatch.test`."""
        function = self.registry.functions[name]
        assert isinstance(function, AsyncFunction)
        return function

    async def post_raw(self, headers: str, body: bytes = b"") -> bytes:
        """What is answered to a POST whose headers no HTTP client would send."""
        host, port = self.registry.endpoint.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {RUN_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode() + body)
        await writer.drain()
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()
        return answer

    @aiotest
    async def test_content_length_missing(self) -> None:
        answer = await self.post_raw("")
        self.assertIn(b" 400 ", answer.split(b"\r\n")[0])
        self.assertTrue(answer.endswith(b'{"code":"invalid_argument","message":"content length is required"}'), answer)

    @aiotest
    async def test_content_length_too_large(self) -> None:
        answer = await self.post_raw(f"Content-Length: {BODY_BYTES_MAX + 1}\r\n")
        self.assertIn(b" 400 ", answer.split(b"\r\n")[0])
        self.assertTrue(answer.endswith(b'{"code":"invalid_argument","message":"content length is too large"}'), answer)

    @aiotest
    async def test_call_function_missing(self) -> None:
        request = RunRequest(function="does-not-exist").SerializeToString()
        async with aiohttp.ClientSession() as session:
            async with session.post(self.function_service_run_url, data=request) as answer:
                self.assertEqual(answer.status, 404)
                error = await answer.json()
        self.assertEqual(error, {"code": "not_found", "message": "function 'does-not-exist' does not exist"})

    @aiotest
    async def test_call_function_no_input(self) -> None:
        self.assertEqual(await self.function("greet")(), "Hello World!")

    @aiotest
    async def test_call_function_with_input(self) -> None:
        self.assertEqual(await self.function("greet_name")("52"), "Hello world: 52")

    @aiotest
    async def test_call_function_raise_error(self) -> None:
        with self.assertRaises(ValueError) as raised:
            await self.function("broken")()
        self.assertEqual(str(raised.exception), "something went wrong!")

    @aiotest
    async def test_call_two_functions(self) -> None:
        self.assertEqual(await self.function("echo")("hello"), "hello")
        self.assertEqual(await self.function("length")("hello"), 5)

    @aiotest
    async def test_call_nested_function_with_result(self) -> None:
        self.assertEqual(await self.function("echo_nested")("hello"), "hello")

    @aiotest
    async def test_call_nested_function_with_error(self) -> None:
        with self.assertRaises(ValueError) as raised:
            await self.function("broken_nested")("hello")
        self.assertEqual(str(raised.exception), "something went wrong!")

    async def sorts(self, values: list[int]) -> None:
        self.assertEqual(await self.function("distributed_merge_sort")(values), sorted(values))

    @aiotest
    async def test_distributed_merge_sort_no_values(self) -> None:
        await self.sorts([])

    @aiotest
    async def test_distributed_merge_sort_one_value(self) -> None:
        await self.sorts([1])

    @aiotest
    async def test_distributed_merge_sort_two_values(self) -> None:
        await self.sorts([2, 1])

    @aiotest
    async def test_distributed_merge_sort_many_values(self) -> None:
        await self.sorts([7, 3, 10, 1, 9, 2, 8, 6, 5, 4])
