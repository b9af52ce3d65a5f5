"""The suite of `dispatch.test.TestCase` over http.server, the endpoint in C, aiohttp, Flask and FastAPI, each served for real."""

import asyncio
from http.server import ThreadingHTTPServer
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from aiohttp import web

import dispatch.test
from dispatch._endpoint import CoreEndpoint
from dispatch.function import Registry
from dispatch.http import Dispatch, Server


class TestHTTP(dispatch.test.TestCase):
    def dispatch_test_init(self, reg: Registry) -> str:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Dispatch(reg))
        return f"http://127.0.0.1:{self.http.server_port}"

    def dispatch_test_run(self) -> None:
        self.http.serve_forever(poll_interval=0.01)

    def dispatch_test_stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class Looped(dispatch.test.TestCase):
    """What is served by an event loop of its own."""

    def make(self, reg: Registry) -> Server:
        raise NotImplementedError

    def dispatch_test_init(self, reg: Registry) -> str:
        self.loop = asyncio.new_event_loop()
        self.endpoint = self.make(reg)
        self.loop.run_until_complete(self.endpoint.start())
        self.over = asyncio.Event()
        return f"http://127.0.0.1:{self.endpoint.port}"

    def dispatch_test_run(self) -> None:
        self.loop.run_until_complete(self.over.wait())
        self.loop.run_until_complete(self.endpoint.stop())
        self.loop.close()

    def dispatch_test_stop(self) -> None:
        self.loop.call_soon_threadsafe(self.over.set)


Looped.__test__ = False


class TestCoreEndpoint(Looped):
    def make(self, reg: Registry) -> Server:
        server = Server("127.0.0.1", 0, Dispatch(reg))
        assert isinstance(server._make_backend(), CoreEndpoint)
        return server


class TestAIOHTTP(Looped):
    def make(self, reg: Registry) -> Server:
        app = Dispatch(reg)
        app.router.add_get("/health", self.health)  # a route of the program's own: then aiohttp serves
        server = Server("127.0.0.1", 0, app)
        assert not isinstance(server._make_backend(), CoreEndpoint)
        return server

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class TestFlask(dispatch.test.TestCase):
    def dispatch_test_init(self, reg: Registry) -> str:
        flask = pytest.importorskip("flask")
        from dispatch.flask import Dispatch as FlaskDispatch

        app = flask.Flask(__name__)
        FlaskDispatch(app, registry=reg)
        self.http = make_server("127.0.0.1", 0, app, handler_class=Quiet)
        return f"http://127.0.0.1:{self.http.server_port}"

    def dispatch_test_run(self) -> None:
        self.http.serve_forever(poll_interval=0.01)

    def dispatch_test_stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class TestFastAPI(dispatch.test.TestCase):
    def dispatch_test_init(self, reg: Registry) -> str:
        fastapi = pytest.importorskip("fastapi")
        uvicorn = pytest.importorskip("uvicorn")
        from dispatch.asyncio.fastapi import Dispatch as FastAPIDispatch

        app = fastapi.FastAPI()
        FastAPIDispatch(app, registry=reg)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        self.uvicorn = uvicorn.Server(config)
        self.socket = config.bind_socket()
        self.socket.listen()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def dispatch_test_run(self) -> None:
        asyncio.run(self.uvicorn.serve(sockets=[self.socket]))

    def dispatch_test_stop(self) -> None:
        self.uvicorn.should_exit = True
