"""The endpoint in C, in an event loop: HTTP by the library's threads, functions by the loop and its pool."""

from __future__ import annotations

import asyncio
import re
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dispatch import _core
from dispatch._http_errors import FunctionServiceError, check_signature
from dispatch._serve import PERMISSION_DENIED, UNAUTHENTICATED, Refusal, Runs
from dispatch._threads import in_thread
from dispatch.registry import Registry

STOP_S = 60.0
"""How long a server that stops waits for functions; as long as one of aiohttp."""

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_QUOTED_NAME = re.compile('"([a-z0-9-]+)"')  # in a Signature-Input: the headers that are covered


class CoreEndpoint:
    """Serves the functions of a registry at an address.

    Args:
        registry: what is served.
        verification_key: requests must be signed with its private half; None takes any request.
        host, port: where it listens; port 0 is any that is free.
    """

    def __init__(self, registry: Registry, verification_key: Ed25519PublicKey | None, host: str, port: int):
        self._registry = registry
        self._key = verification_key
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._core: _core.Endpoint | None = None

    async def start(self) -> int:
        """Listens; returns the port.

        Raises:
            OSError: the address is in use, or none of this machine.
        """
        self._loop = asyncio.get_running_loop()
        try:
            core = await in_thread(_core.Endpoint, self._address)
        except _core.CoreError as error:
            raise OSError(error.args[2]) from None
        self._core = core
        self._url = core.url
        self._runs = Runs(core, self._registry.functions.get, self._check if self._key is not None else None)
        self._take = core.take
        self._loop.add_reader(core.fileno(), self._on_events)
        port = urlsplit(self._url).port
        assert port is not None
        return port

    async def stop(self, wait: bool = True) -> None:
        """Takes no more requests, and waits until those that are here are answered, `STOP_S` at most. Then, at once when it
        is cancelled, or not told to wait, it gives them up: the server has them run elsewhere."""
        core, self._core = self._core, None
        if core is None:
            return
        if self._loop is not asyncio.get_running_loop():
            self._runs.abandon()
            await in_thread(_give_up, core)
            return
        stopping = asyncio.ensure_future(in_thread(core.stop))  # answers are waited for: the events go on meanwhile
        try:
            await asyncio.wait({stopping}, timeout=STOP_S if wait else 0)
        finally:
            try:
                if not stopping.done():
                    await self._runs.cancel()
                    await stopping
                await self._runs.finish()
            finally:
                self._loop.remove_reader(core.fileno())

    def __del__(self) -> None:
        if self._core is not None:
            warnings.warn(f"the server at {self._url} was not stopped", ResourceWarning, source=self, stacklevel=2)
            self._runs.abandon()
            with suppress(RuntimeError):  # the program ends
                threading.Thread(target=_give_up, args=(self._core,), daemon=True).start()

    def _on_events(self) -> None:
        for event in self._take():
            self._runs.start(event[1])

    def _check(self, run: _core.Run) -> None:
        """Refuses a run whose request is not signed (protocol 7)."""
        assert self._key is not None
        covered = _QUOTED_NAME.findall(run.header("signature-input") or "")
        names = ("content-type", "content-digest", "host", "signature", "signature-input", *covered)
        headers = {name: value for name in names if (value := run.header(name)) is not None}
        url = f"http://{headers.get('host', '')}{run.path}"
        try:
            check_signature(url, run.method or "", headers, run.request, self._key)
        except FunctionServiceError as error:
            code = UNAUTHENTICATED if error.code == "unauthenticated" else PERMISSION_DENIED
            raise Refusal(code, error.message) from None


def _give_up(core: _core.Endpoint) -> None:
    """Stops an endpoint whose loop is gone."""
    stopping = threading.Thread(target=core.stop, daemon=True)
    stopping.start()
    while stopping.is_alive():
        core.take()  # runs that are dropped are refused
        stopping.join(0.02)
