"""The endpoint in C, in an event loop: HTTP by the library's threads, functions by the loop and its pool."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dispatch import _core
from dispatch._http_errors import FunctionServiceError, check_signature
from dispatch._serve import PERMISSION_DENIED, UNAUTHENTICATED, Refusal, Runs
from dispatch.registry import Registry

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
        loop = asyncio.get_running_loop()
        try:
            core = await loop.run_in_executor(None, _core.Endpoint, self._address)
        except _core.CoreError as error:
            raise OSError(error.args[2]) from None
        self._core = core
        self._url = core.url
        self._runs = Runs(core, self._registry.functions.get, self._check if self._key is not None else None)
        loop.add_reader(core.fileno(), self._on_events)
        port = urlsplit(self._url).port
        assert port is not None
        return port

    async def stop(self) -> None:
        """Takes no more requests, and waits until those that are here are answered."""
        core = self._core
        if core is None:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, core.stop)  # which waits for answers, so the events go on meanwhile
        loop.remove_reader(core.fileno())
        self._core = None
        await self._runs.finish()

    def _on_events(self) -> None:
        if self._core is not None:
            for event in self._core.take():
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
