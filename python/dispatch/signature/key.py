"""Keys: Ed25519, as PEM or as their raw bytes."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from http_message_signatures.resolvers import HTTPSignatureKeyResolver


def _pem(pem: str | bytes) -> bytes:
    text = pem.encode() if isinstance(pem, str) else pem
    return text.replace(b"\\n", b"\n")  # as environment variables write lines


def public_key_from_pem(pem: str | bytes) -> Ed25519PublicKey:
    """The key of a PEM text; ValueError when it is none, or of another kind."""
    key = load_pem_public_key(_pem(pem))
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"unexpected public key type: {type(key)}")
    return key


def public_key_from_bytes(key: bytes) -> Ed25519PublicKey:
    """The key of its 32 bytes; ValueError for another number."""
    return Ed25519PublicKey.from_public_bytes(key)


def private_key_from_pem(pem: str | bytes, password: bytes | None = None) -> Ed25519PrivateKey:
    """The key of a PEM text; ValueError when it is none, or of another kind."""
    key = load_pem_private_key(_pem(pem), password=password)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"unexpected private key type: {type(key)}")
    return key


def private_key_from_bytes(key: bytes) -> Ed25519PrivateKey:
    """The key of its 32 bytes; ValueError for another number."""
    return Ed25519PrivateKey.from_private_bytes(key)


@dataclass
class KeyResolver(HTTPSignatureKeyResolver):
    """One pair of keys, known by one id."""

    key_id: str
    public_key: Ed25519PublicKey | None = None
    private_key: Ed25519PrivateKey | None = None

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        """ValueError for another id, or without the key."""
        if key_id != self.key_id or self.public_key is None:
            raise ValueError(f"public key '{key_id}' not available")
        return self.public_key

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        """ValueError for another id, or without the key."""
        if key_id != self.key_id or self.private_key is None:
            raise ValueError(f"private key '{key_id}' not available")
        return self.private_key
