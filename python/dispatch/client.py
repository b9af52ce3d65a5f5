"""The client: submits calls to a Dispatch server and learns how they ended. Public face: `dispatch.function`."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from dispatch._checking import hand_over
from dispatch._embedded import Embedded
from dispatch._embedded import current as embedded
from dispatch.config import NamedValueFromEnvironment
from dispatch.id import DispatchID
from dispatch.proto import Call, CallResult
from dispatch.sdk.v1 import call_pb2, dispatch_pb2

if TYPE_CHECKING:
    import aiohttp

    from dispatch._client_error import ClientError

DEFAULT_API_URL = "http://127.0.0.1:7117"
"""Where `dispatch serve` listens unless told otherwise."""

TEST_API_URL = "http://127.0.0.1:0"
"""No address: the test server that the code runs in (`dispatch.test`)."""

DISPATCH_PATH = "/dispatch.sdk.v1.DispatchService/Dispatch"
WAIT_PATH = "/dispatch.sdk.v1.DispatchService/Wait"
CANCEL_PATH = "/dispatch.v1.CallService/CancelCall"

WAIT_POLL_S = 25
"""The server holds a Wait so long at most; then the client asks again. Shorter than the patience of common proxies."""
WAIT_UNAVAILABLE_S = 30
"""A server that restarts is back by then; one that is gone longer is an error."""
WAIT_PAUSE_MAX_S = 2.0

_sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, object]]
_sessions = weakref.WeakKeyDictionary()


def __getattr__(name: str) -> Any:
    if name == "ClientError":
        from dispatch._client_error import ClientError

        return ClientError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def _keep_session() -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Closes the session when the loop shuts its asynchronous generators down, as asyncio.run does at its end."""
    import aiohttp

    # A connection for each result that is waited for, so their number has no limit here.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    try:
        yield session
    finally:
        await session.close()


def current_session() -> aiohttp.ClientSession:
    """The HTTP session of the running event loop; made when it is first wanted, closed with `asyncio.run`."""
    loop = asyncio.get_running_loop()
    kept = _sessions.get(loop)
    if kept is not None and not kept[0].closed:
        return kept[0]
    keeper = _keep_session()
    session: aiohttp.ClientSession
    try:
        keeper.asend(None).send(None)
    except StopIteration as stop:
        session = stop.value
    _sessions[loop] = (session, keeper)
    return session


async def close_session() -> None:
    """Closes the HTTP session of the running event loop, if it has one."""
    session, _ = _sessions.pop(asyncio.get_running_loop(), (None, None))
    if session is not None:
        await session.close()


def check_api_url(url: str) -> None:
    """ValueError unless its scheme is http or https."""
    scheme = urlparse(url).scheme
    if scheme not in ("http", "https"):
        raise ValueError(f"Invalid API scheme: '{scheme}'")


def invalid_key(api_key: NamedValueFromEnvironment) -> PermissionError:
    """What a refused key is reported as (protocol 2.6)."""
    return PermissionError(
        f"Dispatch received an invalid authentication token (check {api_key.name} is correct)"
    )


def value_of(result: call_pb2.CallResult) -> Any:
    """The output of a result; raises the error that it holds."""
    if result.HasField("error"):
        error = CallResult._from_proto(result).error
        assert error is not None
        raise error.to_exception()
    return CallResult._from_proto(result).output


def encode_request(calls: Iterable[Call]) -> bytes:
    """An encoded DispatchRequest."""
    return dispatch_pb2.DispatchRequest(calls=[call._as_proto() for call in calls]).SerializeToString()


class Client:
    """Submits calls to a Dispatch server.

    Args:
        api_key: bearer token; None takes DISPATCH_API_KEY.
        api_url: http or https; None takes DISPATCH_API_URL, else `DEFAULT_API_URL`.

    Raises:
        ValueError: the key is missing, or the URL is empty or of another scheme.
    """

    __slots__ = ("api_key", "api_url", "_is_explicit")

    def __init__(self, api_key: str | None = None, api_url: str | None = None):
        self.api_key = NamedValueFromEnvironment("DISPATCH_API_KEY", "api_key", api_key)
        if not self.api_key.value:
            raise ValueError("missing API key: set it with the DISPATCH_API_KEY environment variable")
        self._is_explicit = api_url is not None and api_url != TEST_API_URL
        if api_url is None and "DISPATCH_API_URL" not in os.environ:
            self.api_url = NamedValueFromEnvironment("DISPATCH_API_URL", "api_url", DEFAULT_API_URL)
        else:
            self.api_url = NamedValueFromEnvironment("DISPATCH_API_URL", "api_url", api_url)
        if not self.api_url.value:
            raise ValueError("missing API URL: set it with the DISPATCH_API_URL environment variable")
        check_api_url(self.api_url.value)

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session that requests are made with."""
        return current_session()

    def request(self, path: str, timeout: int = 5) -> tuple[str, dict[str, str], aiohttp.ClientTimeout]:
        """URL, headers and timeout of a request (protocol 2.2).

        Args:
            path: begins with a slash.
            timeout: seconds, for the whole request.
        """
        import aiohttp

        headers = {
            "Authorization": f"Bearer {self.api_key.value}",
            "Content-Type": "application/proto",
            "Connect-Protocol-Version": "1",
            "Connect-Timeout-Ms": f"{timeout * 1000}",
        }
        return f"{self.api_url.value}{path}", headers, aiohttp.ClientTimeout(total=timeout)

    async def dispatch(self, calls: Iterable[Call]) -> list[DispatchID]:
        """Submits the calls in one request: all are recorded when it returns, or none.

        Returns:
            Their dispatch ids, in their order.

        Raises:
            PermissionError: the server does not know the API key.
            ClientError: the server refused the calls, or answered nonsense.
            aiohttp.ClientError, TimeoutError: it cannot be reached, or does not answer within 5 seconds. Then the calls
                may have been recorded all the same.
        """
        server = self._embedded()
        if server is not None:
            return await server.dispatch(list(calls))
        body = await self._post(DISPATCH_PATH, encode_request(calls), 5)
        return list(dispatch_pb2.DispatchResponse.FromString(body).dispatch_ids)

    async def wait(self, dispatch_id: DispatchID) -> Any:
        """Waits until the call is done, however long that takes; also over a restart of the server.

        Returns:
            Its output.

        Raises:
            Exception: the error that the call ended with.
            ClientError: there is no such call.
        """
        return value_of(await self._wait(dispatch_id))

    async def cancel(self, dispatch_id: DispatchID) -> None:
        """Ends a call, and all calls below it, with an error. ClientError when it was done before, or is unknown."""
        server = self._embedded()
        if server is not None:
            return await server.cancel(dispatch_id)
        body = f'{{"dispatchId":"{dispatch_id}"}}'.encode()
        await self._post(CANCEL_PATH, body, 5, content_type="application/json")

    async def _call(self, call: Call) -> Any:
        server = self._embedded()
        if server is not None:
            return value_of(await server.call(call))
        [dispatch_id] = await self.dispatch([call])
        return value_of(await self._wait(dispatch_id))

    async def _call_all(self, calls: Sequence[Call]) -> list[Any]:
        dispatch_ids = await self.dispatch(calls) if calls else []
        results = await asyncio.gather(*(self._wait(dispatch_id) for dispatch_id in dispatch_ids))
        return [value_of(result) for result in results]

    def _embedded(self) -> Embedded | None:
        """The test server that this code runs in, unless the client was made for another one."""
        server = embedded.get()
        if server is None or self._is_explicit:
            return None
        return server

    async def _wait(self, dispatch_id: DispatchID) -> call_pb2.CallResult:
        server = self._embedded()
        if server is not None:
            return await server.wait(dispatch_id)
        import aiohttp

        from dispatch._client_error import ClientError

        unavailable_since = None
        pause = 0.05
        while True:
            asked = time.monotonic()
            try:
                body = await self._post(WAIT_PATH, dispatch_id.encode(), WAIT_POLL_S, grace=5)
                return call_pb2.CallResult.FromString(body)
            except ClientError as error:
                if error.code != "deadline_exceeded" and error.status not in (502, 503, 504):
                    raise
                is_pending = error.code == "deadline_exceeded"
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, asyncio.TimeoutError):
                is_pending = False
                if unavailable_since is not None and asked - unavailable_since >= WAIT_UNAVAILABLE_S:
                    raise
            unavailable_since = None if is_pending else unavailable_since or asked
            if is_pending and time.monotonic() - asked >= 1:
                pause = 0.05  # the server has paused for us
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, WAIT_PAUSE_MAX_S)

    async def _post(
        self, path: str, body: bytes, timeout: int, *, content_type: str | None = None, grace: int = 0
    ) -> bytes:
        hand_over()
        import aiohttp

        url, headers, limit = self.request(path, timeout)
        if content_type is not None:
            headers["Content-Type"] = content_type
        if grace:
            limit = aiohttp.ClientTimeout(total=timeout + grace)
        session = self.session()
        try:
            async with session.post(url, headers=headers, data=body, timeout=limit) as response:
                data = await response.read()
                self._check_response(response.status, data)
                return data
        finally:
            if session is not _sessions.get(asyncio.get_running_loop(), (None,))[0]:
                await session.close()  # one of its own for each request

    def _check_response(self, status: int, data: bytes) -> None:
        if status == 200:
            return
        if status == 401:
            raise invalid_key(self.api_key)
        from dispatch._client_error import ClientError

        raise ClientError.from_response(status, data)


class BlockingClient:
    """A client for programs without an event loop: each method blocks its thread, and no other. Any thread.

    Args and errors as `Client`; what cannot be reached or answers too late is a ConnectionError or TimeoutError.
    """

    def __init__(self, api_key: str | None = None, api_url: str | None = None):
        from dispatch import _core

        settings = Client(api_key, api_url)
        self.api_key = settings.api_key
        self._core = _core.Client(str(settings.api_key.value), str(settings.api_url.value))

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits until no method is running any more; later ones raise ConnectionError."""
        self._core.close()

    def dispatch(self, calls: Iterable[Call]) -> list[DispatchID]:
        """Submits the calls in one request: all are recorded when it returns, or none. Their dispatch ids."""
        tuples = []
        for call in calls:
            proto = call._as_proto()
            has_input = proto.HasField("input")
            expiration = proto.expiration.ToNanoseconds() if proto.HasField("expiration") else 0
            tuples.append(
                (
                    proto.function,
                    proto.endpoint,
                    proto.input.type_url if has_input else None,
                    proto.input.value,
                    expiration,
                    proto.version or None,
                )
            )
        return self._ask(self._core.submit, tuple(tuples))  # type: ignore[no-any-return]

    def wait(self, dispatch_id: DispatchID, timeout: float | None = None) -> Any:
        """Waits until the call is done: its output, or its error raised.

        Args:
            timeout: seconds; None is as long as it takes, 0 only looks. TimeoutError when it is over.
        """
        timeout_ns = -1 if timeout is None else int(timeout * 1e9)
        output, failure = self._ask(self._core.result, dispatch_id, timeout_ns)
        result = call_pb2.CallResult(dispatch_id=dispatch_id)
        if output is not None:
            result.output.type_url, result.output.value = output
        if failure is not None:
            result.error.type, result.error.message, result.error.value, result.error.traceback = failure
        return value_of(result)

    def cancel(self, dispatch_id: DispatchID) -> None:
        """Ends a call, and all calls below it, with an error. ClientError when it was done before, or is unknown."""
        self._ask(self._core.cancel, dispatch_id)

    def _ask(self, method: Any, *args: Any) -> Any:
        hand_over()
        from dispatch import _core

        try:
            return method(*args)
        except _core.CoreError as error:
            raise self._exception(error) from None

    def _exception(self, error: Exception) -> Exception:
        from dispatch import _core
        from dispatch._client_error import ClientError

        code, name, message = error.args
        if code == _core.UNAUTHENTICATED:
            return invalid_key(self.api_key)
        if code == _core.DEADLINE_EXCEEDED:
            return TimeoutError(message)
        if code == _core.UNAVAILABLE:
            return ConnectionError(message)
        return ClientError(0, name, message)
