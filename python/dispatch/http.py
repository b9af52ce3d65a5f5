"""Serving functions over HTTP: with the endpoint in C, with aiohttp, with the http.server of the standard library, and what
the integrations with web frameworks share."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sized
from http.server import BaseHTTPRequestHandler
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dispatch._checking import hand_over
from dispatch._http_errors import (
    CONTENT_LENGTH_MAX,
    FunctionServiceError,
    content_length,
    function_service_run,
    make_error_response_body,
    refusal,
    validate_content_length,
)
from dispatch.function import AsyncFunction, Batch, BlockingFunction, Registry, default_registry
from dispatch.signature import parse_verification_key

P = ParamSpec("P")
T = TypeVar("T")

RUN_PATH = "/dispatch.sdk.v1.FunctionService/Run"

__all__ = [
    "AsyncFunctionService",
    "BaseFunctionService",
    "BlockingFunctionService",
    "Dispatch",
    "FunctionServiceError",
    "FunctionServiceHTTPRequestHandler",
    "Server",
    "function_service_run",
    "make_error_response_body",
    "validate_content_length",
]


class BaseFunctionService:
    """What serves the functions of a registry, whatever the framework.

    Args:
        registry: what is served; None is the default registry, looked up when it is wanted.
        verification_key: public key that requests must be signed for: a key, or its PEM or base64. None takes
            DISPATCH_VERIFICATION_KEY, and without that any request is served.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        verification_key: Ed25519PublicKey | str | bytes | None = None,
    ):
        self._registry = registry
        self._verification_key = parse_verification_key(
            verification_key, endpoint=registry.endpoint if registry is not None else None
        )

    @property
    def registry(self) -> Registry:
        """What is served."""
        return self._registry if self._registry is not None else default_registry()

    @property
    def verification_key(self) -> Ed25519PublicKey | None:
        """The key that requests must be signed for."""
        return self._verification_key

    def batch(self) -> Batch:
        """A batch of calls, with the client of the registry."""
        return self.registry.batch()

    async def run(self, url: str, method: str, headers: Mapping[str, str], data: bytes) -> bytes:
        """Answers a request.

        Args:
            url: whole, as the server asked for it.
            data: an encoded RunRequest.

        Returns:
            An encoded RunResponse.

        Raises:
            FunctionServiceError: no function ran.
        """
        return await function_service_run(url, method, headers, data, self.registry, self._verification_key)


class AsyncFunctionService(BaseFunctionService):
    """For programs with an event loop."""

    @overload
    def function(self, func: Callable[P, Coroutine[Any, Any, T]]) -> AsyncFunction[P, T]: ...

    @overload
    def function(self, func: Callable[P, T]) -> AsyncFunction[P, T]: ...

    def function(self, func: Callable[P, Any]) -> AsyncFunction[P, Any]:
        """Decorator: registers the function (`Registry.function`)."""
        return self.registry.function(func)


class BlockingFunctionService(BaseFunctionService):
    """For programs without an event loop."""

    @overload
    def function(self, func: Callable[P, Coroutine[Any, Any, T]]) -> BlockingFunction[P, T]: ...

    @overload
    def function(self, func: Callable[P, T]) -> BlockingFunction[P, T]: ...

    def function(self, func: Callable[P, Any]) -> BlockingFunction[P, Any]:
        """Decorator: registers the function; what it returns blocks."""
        return BlockingFunction(self.registry.function(func))


def make_error_response(status: int, code: str, message: str) -> web.Response:
    """A refusal, as an answer of aiohttp."""
    return web.Response(status=status, content_type="application/json", body=make_error_response_body(code, message))


def make_error_response_invalid_argument(message: str) -> web.Response:
    """HTTP 400, as an answer of aiohttp."""
    return make_error_response(400, "invalid_argument", message)


def make_error_response_unauthenticated(message: str) -> web.Response:
    """HTTP 401, as an answer of aiohttp."""
    return make_error_response(401, "unauthenticated", message)


def make_error_response_permission_denied(message: str) -> web.Response:
    """HTTP 403, as an answer of aiohttp."""
    return make_error_response(403, "permission_denied", message)


def make_error_response_not_found(message: str) -> web.Response:
    """HTTP 404, as an answer of aiohttp."""
    return make_error_response(404, "not_found", message)


def make_error_response_internal(message: str) -> web.Response:
    """HTTP 500, as an answer of aiohttp."""
    return make_error_response(500, "internal", message)


async def function_service_run_handler(
    request: web.Request, function_registry: Registry, verification_key: Ed25519PublicKey | None
) -> web.Response:
    """Answers a Run request that aiohttp has taken, for an application of the program's own."""
    try:
        content_length(request.headers.get("Content-Length"))
        data = await request.read()
        body = await function_service_run(
            str(request.url), request.method, request.headers, data, function_registry, verification_key
        )
    except FunctionServiceError as error:
        return make_error_response(error.status, error.code, error.message)
    return web.Response(content_type="application/proto", body=body)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)

    class Application(web.Application):
        """An application that is subclassed, which aiohttp discourages and programs of the original do."""

        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)  # without the warning that aiohttp has in development mode

        def __init_subclass__(cls) -> None:
            """Says nothing."""


class Dispatch(Application):
    """An application of aiohttp that serves the functions of a registry. Routes may be added to it.

    Called as a class of request handlers is, it serves with the standard library:

        HTTPServer(("127.0.0.1", 8000), Dispatch(registry)).serve_forever()

    Args:
        registry, verification_key: as for `BaseFunctionService`.
    """

    def __init__(self, registry: Registry, verification_key: Ed25519PublicKey | str | bytes | None = None):
        super().__init__(client_max_size=CONTENT_LENGTH_MAX)
        self._function_registry = registry
        self._verification_key = parse_verification_key(verification_key, endpoint=registry.endpoint)
        self.add_routes([web.post(RUN_PATH, self.handle_run_request)])
        self._own_shape = self._shape()

    def __call__(self, request: Any, client_address: Any, server: Any) -> FunctionServiceHTTPRequestHandler:  # type: ignore[override]
        """Handles a connection of http.server."""
        return FunctionServiceHTTPRequestHandler(
            request, client_address, server, self._function_registry, self._verification_key
        )

    async def handle_run_request(self, request: web.Request) -> web.Response:
        """POST Run."""
        return await function_service_run_handler(request, self._function_registry, self._verification_key)

    def _shape(self) -> tuple[int, ...]:
        """How much there is of what a program may add."""
        hooks: tuple[Sized, ...] = (self.on_startup, self.on_shutdown, self.on_cleanup, self.on_response_prepare, self.cleanup_ctx)
        return (len(self.router.routes()), len(self.middlewares), len(self._subapps), *map(len, hooks))

    @property
    def _is_plain(self) -> bool:
        """Whether it does nothing but what the endpoint in C does."""
        return type(self) is Dispatch and self._shape() == self._own_shape


class FunctionServiceHTTPRequestHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection of http.server."""

    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        request: Any,
        client_address: Any,
        server: Any,
        registry: Registry,
        verification_key: Ed25519PublicKey | None = None,
    ):
        self.registry = registry
        self.verification_key = verification_key
        super().__init__(request, client_address, server)

    def do_POST(self) -> None:
        """Any path but that of Run is not found."""
        self.close_connection = True  # an http.server may have one thread for all
        try:
            self._answer(200, "application/proto", self._run())
        except FunctionServiceError as error:
            self._answer(error.status, "application/json", error.body)

    def _run(self) -> bytes:
        if self.path != RUN_PATH:
            raise refusal("not_found", "path not found")
        data = self.rfile.read(content_length(self.headers.get("Content-Length")))
        url = f"http://{self.headers.get('Host', '')}{self.path}"
        headers = dict(self.headers.items())
        run = function_service_run(url, self.command, headers, data, self.registry, self.verification_key)
        return asyncio.run(run)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


class _Backend(Protocol):
    async def start(self) -> int: ...

    async def stop(self, wait: bool = True) -> None: ...


class _AiohttpBackend:
    def __init__(self, app: web.Application, host: str, port: int):
        self._runner = web.AppRunner(app)
        self._host = host
        self._port = port

    async def start(self) -> int:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self, wait: bool = True) -> None:
        await self._runner.cleanup()  # which has limits of its own


class Server:
    """Serves an application at an address, from `start` to `stop` or inside `async with`.

    An unmodified `Dispatch` is served by the endpoint in C, anything else by aiohttp.

    Args:
        host, port: where it listens; port 0 is any that is free, and becomes the one that it got.
    """

    host: str
    port: int
    app: web.Application

    def __init__(self, host: str, port: int, app: web.Application):
        self.host = host
        self.port = port
        self.app = app
        self._backend: _Backend | None = None

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.stop(exc_type is None or issubclass(exc_type, Exception))

    async def start(self) -> None:
        """Listens. OSError when the address cannot be had, RuntimeError when it listens already."""
        hand_over()
        if self._backend is not None:
            raise RuntimeError(f"the server listens already, at port {self.port}")
        backend = self._make_backend()
        self.port = await backend.start()
        self._backend = backend

    async def stop(self) -> None:
        """Stops listening, and waits for the answers to what has come, a minute at most. Who cancels it, or leaves the
        `async with` by a cancellation, does not wait: functions that run are cancelled, and the server has them run
        elsewhere. Without a start it does nothing."""
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.stop()

    def _make_backend(self) -> _Backend:
        if isinstance(self.app, Dispatch) and self.app._is_plain:
            from dispatch._endpoint import CoreEndpoint

            return CoreEndpoint(self.app._function_registry, self.app._verification_key, self.host, self.port)
        return _AiohttpBackend(self.app, self.host, self.port)
