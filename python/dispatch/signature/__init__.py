"""Signatures of Run requests (protocol 7): HTTP Message Signatures (RFC 9421) with Ed25519."""

from __future__ import annotations

import base64
import os
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures._algorithms import ED25519
from http_message_signatures.exceptions import InvalidSignature
from http_message_signatures.signatures import HTTPMessageSigner, HTTPMessageVerifier
from http_message_signatures.structures import CaseInsensitiveDict, VerifyResult
from http_sfv.dictionary import Dictionary

from dispatch.signature.digest import generate_content_digest, verify_content_digest
from dispatch.signature.key import (
    KeyResolver,
    private_key_from_bytes,
    private_key_from_pem,
    public_key_from_bytes,
    public_key_from_pem,
)
from dispatch.signature.request import Request

__all__ = [
    "ALGORITHM",
    "COVERED_COMPONENT_IDS",
    "DEFAULT_KEY_ID",
    "CaseInsensitiveDict",
    "Ed25519PrivateKey",
    "Ed25519PublicKey",
    "InvalidSignature",
    "KeyResolver",
    "Request",
    "extract_covered_components",
    "generate_content_digest",
    "parse_verification_key",
    "private_key_from_bytes",
    "private_key_from_pem",
    "public_key_from_bytes",
    "public_key_from_pem",
    "sign_request",
    "verify_content_digest",
    "verify_request",
]

ALGORITHM = ED25519
DEFAULT_KEY_ID = "default"
LABEL = "dispatch"
_COMPONENTS = ("@method", "@path", "@authority", "content-type", "content-digest")
COVERED_COMPONENT_IDS = set(_COMPONENTS)
"""What every signature covers."""


def sign_request(request: Request, key: Ed25519PrivateKey, created: datetime) -> None:
    """Adds the headers Content-Digest, Signature-Input and Signature.

    Args:
        created: naive datetimes are local time.
    """
    request.headers["Content-Digest"] = generate_content_digest(request.body)
    signer = HTTPMessageSigner(
        signature_algorithm=ALGORITHM, key_resolver=KeyResolver(key_id=DEFAULT_KEY_ID, private_key=key)
    )
    signer.sign(
        request,
        key_id=DEFAULT_KEY_ID,
        covered_component_ids=_COMPONENTS,
        created=created,
        label=LABEL,
        include_alg=True,
    )


def verify_request(request: Request, key: Ed25519PublicKey, max_age: timedelta) -> None:
    """Checks the signature of a request and the digest of its body.

    Raises:
        InvalidSignature: headers are missing, the signature is wrong, too old or of the future, the body is another one.
        ValueError: the key's id is not known, the signature does not cover what it must.
    """
    resolver = KeyResolver(key_id=DEFAULT_KEY_ID, public_key=key)
    verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHM, key_resolver=resolver)
    _require_key_id(request)
    for result in verifier.verify(request, max_age=max_age):
        if extract_covered_components(result) >= COVERED_COMPONENT_IDS:
            verify_content_digest(request.headers.get("Content-Digest", ""), request.body)
            return
    raise ValueError(f"no signatures found that covered all required components ({sorted(COVERED_COMPONENT_IDS)})")


def _require_key_id(request: Request) -> None:
    """The library takes it for granted."""
    if "Signature-Input" not in request.headers:
        return  # of which it has its own words
    inputs = Dictionary()
    try:
        inputs.parse(request.headers["Signature-Input"].encode())
    except ValueError as error:
        raise InvalidSignature(f"malformed Signature-Input header: {error}") from None
    for signature in inputs.values():
        if "keyid" not in getattr(signature, "params", {}):
            raise ValueError("the signature names no key (parameter keyid)")


def extract_covered_components(result: VerifyResult) -> set[str]:
    """The names of what a verified signature covers."""
    return {name.strip('"') for name in result.covered_components}


def parse_verification_key(
    verification_key: Ed25519PublicKey | str | bytes | None, endpoint: str | None = None
) -> Ed25519PublicKey | None:
    """The key that requests must be signed for.

    Args:
        verification_key: a key, its PEM, or base64 of its 32 bytes; None or an empty one takes DISPATCH_VERIFICATION_KEY.
        endpoint: not looked at; requests of a bridge are not signed, and their programs have no key.

    Returns:
        None when none is configured.

    Raises:
        ValueError: it is no key.
    """
    if isinstance(verification_key, Ed25519PublicKey):
        return verification_key
    name = "verification key"
    if not verification_key:  # an empty one is none that was given, and must not turn off that of the environment
        name = "DISPATCH_VERIFICATION_KEY"
        verification_key = os.environ.get(name)
        if verification_key is None:
            return None
    text = verification_key.decode() if isinstance(verification_key, bytes) else verification_key
    try:
        return public_key_from_pem(text) if "BEGIN" in text else public_key_from_bytes(_decoded(text))
    except ValueError:
        raise ValueError(f"invalid {name} '{text}'") from None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.strip(), validate=True)
