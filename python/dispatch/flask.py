"""Functions in a Flask application, called from ordinary functions: `greet("World")` blocks."""

from __future__ import annotations

import asyncio

try:
    import flask
except ImportError as error:
    raise ImportError("dispatch.flask needs Flask: pip install 'dispatch-run[flask]'") from error
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dispatch._http_errors import FunctionServiceError, content_length
from dispatch.function import Registry
from dispatch.http import RUN_PATH, BlockingFunctionService

__all__ = ["Dispatch"]


class Dispatch(BlockingFunctionService):
    """Serves the functions of a registry at /dispatch.sdk.v1.FunctionService/Run of an application. Each run has an event
    loop of its own, on the thread that Flask gave it.

    Args:
        app: the application.
        registry, verification_key: as for `dispatch.http.BaseFunctionService`.

    Raises:
        ValueError: there is no application.
    """

    def __init__(
        self,
        app: flask.Flask,
        registry: Registry | None = None,
        verification_key: Ed25519PublicKey | str | bytes | None = None,
    ):
        if not app:
            raise ValueError("missing Flask app as first argument of the Dispatch constructor")
        super().__init__(registry, verification_key)
        app.register_error_handler(FunctionServiceError, self._on_error)
        app.post(RUN_PATH)(self._run)

    def _on_error(self, exc: FunctionServiceError) -> flask.Response:
        return flask.Response(exc.body, status=exc.status, mimetype="application/json")

    def _run(self) -> flask.Response:
        request = flask.request
        content_length(request.headers.get("Content-Length"))
        data = request.get_data(cache=False)
        headers = dict(request.headers.items())
        body = asyncio.run(self.run(request.url, request.method, headers, data))
        return flask.Response(body, mimetype="application/proto")
