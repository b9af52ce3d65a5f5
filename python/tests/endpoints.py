"""Endpoints of each kind, served for real on a port of their own, and requests to them, for tests."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import HTTPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import fastapi
import flask
import uvicorn
from aiohttp import web

import dispatch.asyncio.fastapi
import dispatch.flask
from dispatch import Client, Registry
from dispatch.http import RUN_PATH, Dispatch, Server
from dispatch.sdk.v1.function_pb2 import RunRequest, RunResponse
from dispatch.signature import Ed25519PublicKey

PATIENCE_S = 30.0

_names = itertools.count()


def make_registry() -> Registry:
    """A registry whose calls go nowhere."""
    client = Client(api_key="key", api_url="http://127.0.0.1:9")
    return Registry(f"endpoints-{next(_names)}", client=client, endpoint="http://127.0.0.1:9")


@dataclass
class Reply:
    """What an endpoint answered."""

    status: int
    content_type: str
    body: bytes

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, code and message of a refusal, which must be JSON."""
        assert self.content_type.partition(";")[0] == "application/json", self
        fields = json.loads(self.body)
        assert sorted(fields) == ["code", "message"]
        return self.status, fields["code"], fields["message"]

    @property
    def response(self) -> RunResponse:
        """The answer of a function that ran."""
        assert (self.status, self.content_type) == (200, "application/proto"), self
        return RunResponse.FromString(self.body)


class Endpoint:
    """An endpoint that listens."""

    def __init__(self, port: int):
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}{RUN_PATH}"

    def send(
        self,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = RUN_PATH,
        headers: dict[str, str] | None = None,
        length: str | None = "",
    ) -> Reply:
        """Sends a request as it is told to.

        Args:
            length: of the header Content-Length; "" is that of the body, None leaves the header out.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in {"Content-Type": "application/proto", **(headers or {})}.items():
                connection.putheader(name, value)
            if length is not None:
                connection.putheader("Content-Length", length or str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers.get("Content-Type", ""), answer.read())
        finally:
            connection.close()

    def run(self, **fields: Any) -> Reply:
        """Sends a RunRequest with these fields."""
        return self.send(RunRequest(**fields).SerializeToString())


@contextmanager
def _thread(target: Callable[[], Any], stop: Callable[[], Any]) -> Iterator[None]:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@contextmanager
def _served(app: web.Application) -> Iterator[Endpoint]:
    ready: threading.Event = threading.Event()
    started: list[Any] = []

    async def serve() -> None:
        over = asyncio.Event()
        async with Server("127.0.0.1", 0, app) as server:
            started.extend([server.port, asyncio.get_running_loop(), over])
            ready.set()
            await over.wait()

    def stop() -> None:
        started[1].call_soon_threadsafe(started[2].set)

    with _thread(lambda: asyncio.run(serve()), stop):
        assert ready.wait(PATIENCE_S)
        yield Endpoint(started[0])


def serve_core(registry: Registry, key: Ed25519PublicKey | None) -> AbstractContextManager[Endpoint]:
    """An application that nothing was added to: the endpoint in C."""
    return _served(Dispatch(registry, key))


def serve_aiohttp(registry: Registry, key: Ed25519PublicKey | None) -> AbstractContextManager[Endpoint]:
    """An application with a route of the program's own: aiohttp."""
    app = Dispatch(registry, key)

    async def own(request: web.Request) -> web.Response:
        return web.Response(text="own")

    app.add_routes([web.get("/own", own)])
    return _served(app)


@contextmanager
def serve_fastapi(registry: Registry, key: Ed25519PublicKey | None) -> Iterator[Endpoint]:
    """FastAPI, served by uvicorn."""
    app = fastapi.FastAPI()

    @app.get("/own")
    def own() -> str:
        return "own"

    dispatch.asyncio.fastapi.Dispatch(app, registry, key)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with _thread(lambda: server.run([listener]), lambda: setattr(server, "should_exit", True)):
            yield Endpoint(listener.getsockname()[1])


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve_flask(registry: Registry, key: Ed25519PublicKey | None) -> Iterator[Endpoint]:
    """Flask, served by the WSGI server of the standard library."""
    app = flask.Flask("endpoints")

    @app.get("/own")
    def own() -> str:
        return "own"

    dispatch.flask.Dispatch(app, registry, key)
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        with _thread(lambda: server.serve_forever(poll_interval=0.05), server.shutdown):
            yield Endpoint(server.server_port)


@contextmanager
def serve_http(registry: Registry, key: Ed25519PublicKey | None) -> Iterator[Endpoint]:
    """The http.server of the standard library."""
    with HTTPServer(("127.0.0.1", 0), Dispatch(registry, key)) as server:
        with _thread(lambda: server.serve_forever(poll_interval=0.05), server.shutdown):
            yield Endpoint(server.server_port)


KINDS = {
    "core": serve_core,
    "aiohttp": serve_aiohttp,
    "fastapi": serve_fastapi,
    "flask": serve_flask,
    "http.server": serve_http,
}
