"""Functions in a FastAPI application, called from coroutines: `await greet("World")`."""

from __future__ import annotations

try:
    import fastapi
except ImportError as error:
    raise ImportError("dispatch.asyncio.fastapi needs FastAPI: pip install 'dispatch-run[fastapi]'") from error
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dispatch._http_errors import FunctionServiceError, content_length
from dispatch.function import Registry
from dispatch.http import AsyncFunctionService

__all__ = ["Dispatch"]


class Dispatch(AsyncFunctionService):
    """Serves the functions of a registry at /dispatch.sdk.v1.FunctionService/Run of an application.

    Args:
        app: the application.
        registry, verification_key: as for `dispatch.http.BaseFunctionService`.

    Raises:
        ValueError: there is no application.
    """

    def __init__(
        self,
        app: fastapi.FastAPI,
        registry: Registry | None = None,
        verification_key: Ed25519PublicKey | str | bytes | None = None,
    ):
        if not app:
            raise ValueError("missing FastAPI app as first argument of the Dispatch constructor")
        super().__init__(registry, verification_key)
        service = fastapi.FastAPI(openapi_url=None)
        service.add_exception_handler(FunctionServiceError, _refuse)
        service.add_api_route("/Run", self._run, methods=["POST"])
        app.mount("/dispatch.sdk.v1.FunctionService", service)

    async def _run(self, request: fastapi.Request) -> fastapi.Response:
        content_length(request.headers.get("content-length"))
        data = await request.body()
        body = await self.run(str(request.url), request.method, request.headers, data)
        return fastapi.Response(content=body, media_type="application/proto")


async def _refuse(request: fastapi.Request, error: Exception) -> fastapi.Response:
    assert isinstance(error, FunctionServiceError)
    return fastapi.Response(content=error.body, status_code=error.status, media_type="application/json")


# FastAPI reads annotations; those of this module are texts, as its other names are there.
Dispatch._run.__annotations__ = {"request": fastapi.Request, "return": fastapi.Response}
