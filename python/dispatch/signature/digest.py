"""Digests of bodies, as the Content-Digest header has them (RFC 9530)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from http_message_signatures.exceptions import InvalidSignature
from http_sfv.dictionary import Dictionary


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def generate_content_digest(body: str | bytes) -> str:
    """The header for a body, with SHA-512."""
    digest = base64.b64encode(hashlib.sha512(_bytes(body)).digest()).decode()
    return f"sha-512=:{digest}:"


def verify_content_digest(digest_header: str | bytes, body: str | bytes) -> None:
    """Checks a header against a body, by SHA-512 or, without that, SHA-256.

    Raises:
        ValueError: the header has neither, or is malformed.
        InvalidSignature: the digest is another one.
    """
    digests = Dictionary()
    try:
        digests.parse(_bytes(digest_header))
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"malformed content digest in http request header: {error}") from error
    for name, algorithm in (("sha-512", hashlib.sha512), ("sha-256", hashlib.sha256)):
        if name in digests:
            given = digests[name].value
            if not isinstance(given, bytes):
                raise ValueError(f"malformed content digest in http request header: {name} is not binary")
            if not hmac.compare_digest(given, algorithm(_bytes(body)).digest()):
                raise InvalidSignature("digest of the request body does not match the Content-Digest header")
            return
    raise ValueError("missing content digest in http request header")
