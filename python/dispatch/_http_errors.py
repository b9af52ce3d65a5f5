"""Refusals over HTTP, and the checks that stand before a run (protocol 3.2 to 3.4). No HTTP library is needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from dispatch import _serve
from dispatch.registry import Registry

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

logger = logging.getLogger(__name__)

CONTENT_LENGTH_MAX = 16_000_000
SIGNATURE_AGE_MAX = timedelta(minutes=5)

_STATUSES = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "internal": 500,
}
_CODES = {
    _serve.INVALID_ARGUMENT: "invalid_argument",
    _serve.NOT_FOUND: "not_found",
    _serve.PERMISSION_DENIED: "permission_denied",
    _serve.UNAUTHENTICATED: "unauthenticated",
}


class FunctionServiceError(Exception):
    """A request was refused, no function ran.

    Attributes:
        status: HTTP status.
        code: of the Connect protocol, such as "not_found".
        message: one line.
    """

    __slots__ = ("status", "code", "message")

    def __init__(self, status: int, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    @property
    def body(self) -> bytes:
        """The JSON of the answer."""
        return make_error_response_body(self.code, self.message)


def make_error_response_body(code: str, message: str) -> bytes:
    """The JSON of a refusal."""
    return json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()


def refusal(code: str, message: str) -> FunctionServiceError:
    """A refusal with the HTTP status that its code has."""
    return FunctionServiceError(_STATUSES[code], code, message)


def validate_content_length(content_length: int) -> tuple[bool, str]:
    """Whether a body of that length is read, and if not why."""
    if content_length == 0:
        return False, "content length is required"
    if content_length < 0:
        return False, "content length is negative"
    if content_length > CONTENT_LENGTH_MAX:
        return False, "content length is too large"
    return True, ""


def content_length(header: str | None) -> int:
    """The length that a header gives, 0 without one; FunctionServiceError when such a body is not read."""
    try:
        length = int(header or 0)
    except ValueError:
        length = 0
    is_valid, reason = validate_content_length(length)
    if not is_valid:
        raise refusal("invalid_argument", reason)
    return length


def check_signature(url: str, method: str, headers: Mapping[str, str], data: bytes, key: Ed25519PublicKey) -> None:
    """FunctionServiceError unless the request is signed with the private half of the key (protocol 7)."""
    from dispatch.signature import CaseInsensitiveDict, InvalidSignature, Request, verify_request

    request = Request(method=method, url=url, headers=CaseInsensitiveDict(headers), body=data)  # type: ignore[no-untyped-call]
    try:
        verify_request(request, key, SIGNATURE_AGE_MAX)
    except ValueError as error:
        raise refusal("unauthenticated", str(error)) from None
    except InvalidSignature as error:
        raise refusal("permission_denied", str(error) or "invalid signature") from None


async def function_service_run(
    url: str,
    method: str,
    headers: Mapping[str, str],
    data: bytes,
    function_registry: Registry,
    verification_key: Ed25519PublicKey | None,
) -> bytes:
    """An encoded RunResponse for the body of a request, in the order of checks of protocol 3.3.

    Raises:
        FunctionServiceError: no function ran.
    """
    if verification_key is not None:
        check_signature(url, method, headers, data, verification_key)
    try:
        return await _serve.serve(function_registry.functions.get, data)
    except _serve.Refusal as error:
        if error.__cause__ is not None:
            logger.error("%s", error, exc_info=error.__cause__)
        raise refusal(_CODES.get(error.code, "internal"), error.message) from error.__cause__
