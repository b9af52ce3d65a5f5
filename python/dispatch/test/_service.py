"""Dispatch servers over HTTP, for tests of endpoints: `Server`, which serves an application, and `Service`, which is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp import web

from dispatch import _core
from dispatch.http import Application
from dispatch.http import Server as BaseServer
from dispatch.sdk.v1.call_pb2 import CallResult
from dispatch.sdk.v1.dispatch_pb2 import DispatchRequest, DispatchResponse
from dispatch.sdk.v1.function_pb2 import RunRequest, RunResponse

API_KEY = "916CC3D280BB46DDBDA984B3DD10059A"
DISPATCH_PATH = "/dispatch.sdk.v1.DispatchService/Dispatch"
WAIT_PATH = "/dispatch.sdk.v1.DispatchService/Wait"
RUN_PATH = "/dispatch.sdk.v1.FunctionService/Run"
WAIT_S = 600


class Server(BaseServer):
    """Serves an application at 127.0.0.1, on a port that is free."""

    def __init__(self, app: web.Application):
        super().__init__("127.0.0.1", 0, app)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{self.host}:{self.port}"


class Service(Application):
    """The API of a Dispatch server as an application: Dispatch and Wait, with the key `DISPATCH_API_KEY`.

    Behind it stands the production engine, with a store in memory and a virtual clock; it posts runs to the endpoints that
    the calls name.

    Args:
        session: what requests to the engine are made with; None makes one.
    """

    def __init__(self, session: aiohttp.ClientSession | None = None):
        super().__init__()
        self._backend = _core.TestServer("http")
        self._http = session
        self.add_routes(
            [
                web.post(DISPATCH_PATH, self.handle_dispatch_request),
                web.post(WAIT_PATH, self.handle_wait_request),
            ]
        )

    async def close(self) -> None:
        """Ends the server; what is waited for fails."""
        if self._http is not None:
            await self._http.close()
        self._backend.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """What requests to the engine are made with."""
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return self._http

    async def authenticate(self, request: web.Request) -> None:
        """HTTP 401 without the right key."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise web.HTTPUnauthorized(text="missing authentication token")
        if token != API_KEY:
            raise web.HTTPUnauthorized(text="invalid authentication token")

    async def handle_dispatch_request(self, request: web.Request) -> web.Response:
        """POST Dispatch."""
        await self.authenticate(request)
        return await self._forward(DISPATCH_PATH, await request.read())

    async def handle_wait_request(self, request: web.Request) -> web.Response:
        """POST Wait."""
        await self.authenticate(request)
        return await self._forward(WAIT_PATH, await request.read())

    async def dispatch(self, req: DispatchRequest) -> DispatchResponse:
        """Submits calls."""
        return DispatchResponse.FromString(await self._ask(DISPATCH_PATH, req.SerializeToString()))

    async def wait(self, dispatch_id: str) -> CallResult:
        """Waits for a result."""
        return CallResult.FromString(await self._ask(WAIT_PATH, dispatch_id.encode()))

    async def run(self, endpoint: str, req: RunRequest) -> RunResponse:
        """Posts a Run request to an endpoint, as the engine does."""
        headers = {"Content-Type": "application/proto"}
        async with self.session.post(f"{endpoint}{RUN_PATH}", data=req.SerializeToString(), headers=headers) as answer:
            return RunResponse.FromString(await self._checked(answer))

    async def _ask(self, path: str, body: bytes) -> bytes:
        async with self._post(path, body) as answer:
            return await self._checked(answer)

    async def _forward(self, path: str, body: bytes) -> web.Response:
        async with self._post(path, body) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers=_kept(answer.headers.items())
            )

    def _post(self, path: str, body: bytes) -> Any:
        headers = {
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "application/proto",
            "Connect-Timeout-Ms": str(WAIT_S * 1000),
        }
        timeout = aiohttp.ClientTimeout(total=None)
        return self.session.post(self._backend.url + path, data=body, headers=headers, timeout=timeout)

    @staticmethod
    async def _checked(answer: aiohttp.ClientResponse) -> bytes:
        from dispatch._client_error import ClientError

        data = await answer.read()
        if answer.status != 200:
            raise ClientError.from_response(answer.status, data)
        return data


def _kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() == "content-type"}
