"""Signatures of Run requests: the vectors, and each rule of protocol 7."""

from __future__ import annotations

import base64
import hashlib
import inspect
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from http_message_signatures import HTTPMessageSigner
from http_message_signatures.signatures import HTTPMessageVerifier

import dispatch.signature as signature
from dispatch.signature import (
    COVERED_COMPONENT_IDS,
    DEFAULT_KEY_ID,
    CaseInsensitiveDict,
    Ed25519PrivateKey,
    InvalidSignature,
    KeyResolver,
    Request,
    generate_content_digest,
    parse_verification_key,
    private_key_from_bytes,
    private_key_from_pem,
    public_key_from_bytes,
    public_key_from_pem,
    sign_request,
    verify_content_digest,
    verify_request,
)

PUBLIC_BASE64 = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
PUBLIC_PEM = (
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----"
)
PRIVATE_PEM = (
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----"
)
SEED = bytes.fromhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5")
EC_PEM = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n"
    "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n"
    "-----END PUBLIC KEY-----"
)
PRIVATE = private_key_from_pem(PRIVATE_PEM)
PUBLIC = public_key_from_pem(PUBLIC_PEM)
VARIABLE = "DISPATCH_VERIFICATION_KEY"

MAX_AGE = timedelta(minutes=5)
HELLO = '{"hello": "world"}'
HELLO_SHA512 = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
HELLO_SHA256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"

VECTOR_CREATED = datetime.fromtimestamp(1718000000, timezone.utc)
VECTOR_BODY = bytes.fromhex("0a046563686f220131320131")
VECTOR_DIGEST = "sha-512=:qeiZqDn47A6pnL0WHPYMf8XI3o9qKjn2lAwEq7l9DnQEAFr9B9kWFZ2KCq4e73bfrFLrLwQQpJGlkqFjXqXEnQ==:"
VECTOR_INPUT = (
    'dispatch=("@method" "@path" "@authority" "content-type" "content-digest")'
    ';created=1718000000;keyid="default";alg="ed25519"'
)
VECTOR_SIGNATURE = "dispatch=:5AAhJXMkqQoEez0//25sTTvDWbI2kpySRoy7lsoI8U8Pp4r3lY1kGsuY5JjEFSH7daJQ3uFBWlr4sBRte6aEBg==:"


def request_of(body: str | bytes = HELLO) -> Request:
    return Request(
        method="POST",
        url="http://127.0.0.1:8000/dispatch.sdk.v1.FunctionService/Run",
        headers=CaseInsensitiveDict({"Host": "127.0.0.1:8000", "Content-Type": "application/proto"}),
        body=body,
    )


def now() -> datetime:
    return datetime.now()


def signed(**changes: Any) -> Request:
    """A request with a signature that is valid but for the changes to what the library signs."""
    request = request_of()
    request.headers["Content-Digest"] = changes.pop("digest", generate_content_digest(HELLO))
    options = {"key_id": DEFAULT_KEY_ID, "covered_component_ids": sorted(COVERED_COMPONENT_IDS), "created": now()}
    options.update(changes)
    resolver = KeyResolver(options["key_id"], private_key=PRIVATE)
    HTTPMessageSigner(signature_algorithm=signature.ALGORITHM, key_resolver=resolver).sign(request, **options)
    return request


class TestVectors:
    def test_the_signer_makes_the_known_signature(self) -> None:
        request = request_of(VECTOR_BODY)
        sign_request(request, PRIVATE, VECTOR_CREATED)
        assert request.headers["Content-Digest"] == VECTOR_DIGEST
        assert request.headers["Signature-Input"] == VECTOR_INPUT
        assert request.headers["Signature"] == VECTOR_SIGNATURE

    def test_the_verifier_takes_the_known_signature(self) -> None:
        request = request_of(VECTOR_BODY)
        for name, value in (
            ("Content-Digest", VECTOR_DIGEST),
            ("Signature-Input", VECTOR_INPUT),
            ("Signature", VECTOR_SIGNATURE),
        ):
            request.headers[name] = value
        verify_request(request, PUBLIC, timedelta(weeks=9000))

    def test_the_digest_is_the_known_one(self) -> None:
        assert generate_content_digest(HELLO) == HELLO_SHA512
        assert generate_content_digest(HELLO.encode()) == HELLO_SHA512

    @pytest.mark.parametrize("header", [HELLO_SHA512, HELLO_SHA256, HELLO_SHA512.encode()])
    def test_known_digests_are_right(self, header: str | bytes) -> None:
        verify_content_digest(header, HELLO)
        verify_content_digest(header, HELLO.encode())


class TestVerifying:
    def test_a_request_that_was_signed_is_accepted(self) -> None:
        request = request_of()
        sign_request(request, PRIVATE, now())
        verify_request(request, PUBLIC, MAX_AGE)

    def test_a_request_without_signature_is_invalid(self) -> None:
        with pytest.raises(InvalidSignature, match='^Expected "Signature-Input" header field'):
            verify_request(request_of(), PUBLIC, MAX_AGE)

    def test_a_signature_without_its_input_or_the_other_way_round_is_invalid(self) -> None:
        for name in ("Signature", "Signature-Input"):
            request = signed()
            del request.headers[name]
            with pytest.raises(InvalidSignature):
                verify_request(request, PUBLIC, MAX_AGE)

    def test_the_signature_of_another_key_is_invalid(self) -> None:
        request = request_of()
        sign_request(request, Ed25519PrivateKey.generate(), now())
        with pytest.raises(InvalidSignature):
            verify_request(request, PUBLIC, MAX_AGE)

    def test_an_age_up_to_the_limit_is_accepted(self) -> None:
        verify_request(signed(created=now() - MAX_AGE + timedelta(seconds=10)), PUBLIC, MAX_AGE)

    def test_an_age_beyond_the_limit_is_invalid(self) -> None:
        with pytest.raises(InvalidSignature):
            verify_request(signed(created=now() - MAX_AGE - timedelta(seconds=10)), PUBLIC, MAX_AGE)

    def test_a_clock_that_is_slightly_ahead_is_accepted(self) -> None:
        verify_request(signed(created=now() + timedelta(seconds=3)), PUBLIC, MAX_AGE)

    def test_a_signature_of_the_future_is_invalid(self) -> None:
        with pytest.raises(InvalidSignature):
            verify_request(signed(created=now() + timedelta(seconds=10)), PUBLIC, MAX_AGE)

    def test_an_expired_signature_is_invalid(self) -> None:
        past = now() - timedelta(seconds=60)
        with pytest.raises(InvalidSignature):
            verify_request(signed(created=past, expires=past + timedelta(seconds=30)), PUBLIC, MAX_AGE)
        verify_request(signed(created=past, expires=now() + timedelta(seconds=30)), PUBLIC, MAX_AGE)

    def test_two_signatures_are_invalid(self) -> None:
        request = signed(label="dispatch")
        again = signed(label="other")
        for name in ("Signature", "Signature-Input"):
            request.headers[name] = f"{request.headers[name]}, {again.headers[name]}"
        with pytest.raises(InvalidSignature, match="Multiple signatures are not supported"):
            verify_request(request, PUBLIC, MAX_AGE)

    def test_another_key_id_is_not_available(self) -> None:
        with pytest.raises(ValueError, match="^public key 'other' not available$"):
            verify_request(signed(key_id="other"), PUBLIC, MAX_AGE)

    def test_a_signature_that_names_no_key_is_a_value_error(self) -> None:
        request = signed()
        request.headers["Signature-Input"] = request.headers["Signature-Input"].replace(';keyid="default"', "")
        with pytest.raises(ValueError, match="keyid"):
            verify_request(request, PUBLIC, MAX_AGE)

    @pytest.mark.parametrize("missing", sorted(COVERED_COMPONENT_IDS))
    def test_a_signature_covers_all_that_it_must(self, missing: str) -> None:
        request = signed(covered_component_ids=sorted(COVERED_COMPONENT_IDS - {missing}))
        with pytest.raises(ValueError, match="no signatures found that covered all required components"):
            verify_request(request, PUBLIC, MAX_AGE)

    def test_a_signature_may_cover_more(self) -> None:
        verify_request(signed(covered_component_ids=[*sorted(COVERED_COMPONENT_IDS), "host"]), PUBLIC, MAX_AGE)

    def test_the_order_of_what_is_covered_is_free(self) -> None:
        verify_request(signed(covered_component_ids=sorted(COVERED_COMPONENT_IDS, reverse=True)), PUBLIC, MAX_AGE)

    @pytest.mark.parametrize(
        "change",
        [
            lambda request: setattr(request, "method", "PUT"),
            lambda request: setattr(request, "url", request.url + "2"),
            lambda request: setattr(request, "url", request.url.replace("8000", "8001")),
            lambda request: request.headers.update({"Content-Type": "application/json"}),
            lambda request: request.headers.update({"Content-Digest": generate_content_digest("another")}),
            lambda request: setattr(request, "body", "another"),
        ],
    )
    def test_what_is_covered_cannot_be_changed(self, change: Any) -> None:
        request = signed()
        change(request)
        with pytest.raises(InvalidSignature):
            verify_request(request, PUBLIC, MAX_AGE)

    @pytest.mark.parametrize("header", ["Signature", "Signature-Input"])
    @pytest.mark.parametrize("value", ["", "x", "dispatch", "dispatch=()", "dispatch=:AA==:", 'dispatch=("@method"', "\u00e9"])
    def test_headers_that_make_no_sense_are_refused_and_no_other_error(self, header: str, value: str) -> None:
        request = signed()
        request.headers[header] = value
        with pytest.raises((InvalidSignature, ValueError)):
            verify_request(request, PUBLIC, MAX_AGE)


class TestDigests:
    def test_the_digest_of_another_body_is_invalid(self) -> None:
        for header in (HELLO_SHA512, HELLO_SHA256):
            with pytest.raises(
                InvalidSignature, match="^digest of the request body does not match the Content-Digest header$"
            ):
                verify_content_digest(header, "another")

    def test_sha_512_is_preferred(self) -> None:
        wrong_sha256 = "sha-256=:" + base64.b64encode(hashlib.sha256(b"another").digest()).decode() + ":"
        verify_content_digest(f"{wrong_sha256}, {HELLO_SHA512}", HELLO)
        with pytest.raises(InvalidSignature):
            verify_content_digest(f"{HELLO_SHA256}, {generate_content_digest('another')}", HELLO)

    def test_no_digest_that_is_known_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="^missing content digest in http request header$"):
            verify_content_digest("md5=:AAAA:", HELLO)

    @pytest.mark.parametrize("header", ["", "sha-512", "sha-512=1", "sha-512=:!:", "=", "\u00e9"])
    def test_a_malformed_digest_is_a_value_error(self, header: str) -> None:
        with pytest.raises(ValueError):
            verify_content_digest(header, HELLO)

    def test_a_signed_request_with_an_unknown_digest_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="missing content digest"):
            verify_request(signed(digest="md5=:AAAA:"), PUBLIC, MAX_AGE)


class TestKeys:
    def test_pem_and_bytes_are_the_same_keys(self) -> None:
        assert base64.b64encode(PUBLIC.public_bytes_raw()).decode() == PUBLIC_BASE64
        assert PRIVATE.private_bytes_raw() == SEED == private_key_from_bytes(SEED).private_bytes_raw()
        assert public_key_from_bytes(PUBLIC.public_bytes_raw()) == PUBLIC == PRIVATE.public_key()
        assert public_key_from_pem(PUBLIC_PEM.encode()) == PUBLIC
        assert private_key_from_pem(PRIVATE_PEM.encode()).private_bytes_raw() == SEED

    @pytest.mark.parametrize("size", [0, 31, 33, 64])
    def test_bytes_of_another_length_are_a_value_error(self, size: int) -> None:
        for make in (public_key_from_bytes, private_key_from_bytes):
            with pytest.raises(ValueError):
                make(bytes(size))

    def test_a_key_of_another_kind_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="unexpected public key type"):
            public_key_from_pem(EC_PEM)

    def test_a_resolver_knows_one_id(self) -> None:
        resolver = KeyResolver("a", PUBLIC, PRIVATE)
        assert resolver.resolve_public_key("a") is PUBLIC
        assert resolver.resolve_private_key("a") is PRIVATE
        with pytest.raises(ValueError, match="^public key 'b' not available$"):
            resolver.resolve_public_key("b")
        with pytest.raises(ValueError, match="^private key 'a' not available$"):
            KeyResolver("a", PUBLIC).resolve_private_key("a")


class TestVerificationKey:
    @pytest.fixture(autouse=True)
    def _no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)

    @pytest.mark.parametrize(
        "given",
        [PUBLIC, PUBLIC_PEM, PUBLIC_PEM.encode(), PUBLIC_PEM.replace("\n", "\\n"), PUBLIC_BASE64, PUBLIC_BASE64.encode()],
        ids=["key", "PEM", "PEM bytes", "PEM of a variable", "base64", "base64 bytes"],
    )
    def test_is_taken_in_each_form(self, given: Any) -> None:
        assert parse_verification_key(given) == PUBLIC

    @pytest.mark.parametrize("value", [PUBLIC_PEM, PUBLIC_PEM.replace("\n", "\\n"), PUBLIC_BASE64])
    def test_is_taken_from_the_environment_in_each_form(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, value)
        assert parse_verification_key(None) == PUBLIC

    @pytest.mark.parametrize("given", ["", b""])
    def test_that_is_empty_does_not_turn_off_that_of_the_environment(
        self, given: str | bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLE, PUBLIC_BASE64)
        assert parse_verification_key(given) == PUBLIC

    def test_that_is_given_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "foo")
        assert parse_verification_key(PUBLIC_BASE64) == PUBLIC

    def test_may_be_absent(self) -> None:
        assert parse_verification_key(None) is None
        assert parse_verification_key("", endpoint="bridge://session") is None

    @pytest.mark.parametrize(
        "given",
        [
            "foo",
            "AAAA",
            PUBLIC_BASE64[:2] + "!" + PUBLIC_BASE64[2:],
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        ],
        ids=["no base64", "short", "with another character", "PEM of nothing"],
    )
    def test_that_is_none_is_a_value_error(self, given: str) -> None:
        with pytest.raises(ValueError) as caught:
            parse_verification_key(given)
        assert str(caught.value) == f"invalid verification key '{given}'"

    @pytest.mark.parametrize("value", ["", "foo"])
    def test_of_the_environment_that_is_none_is_a_value_error(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, value)
        with pytest.raises(ValueError) as caught:
            parse_verification_key(None)
        assert str(caught.value) == f"invalid DISPATCH_VERIFICATION_KEY '{value}'"


def test_the_constants_are_those_of_the_protocol() -> None:
    assert COVERED_COMPONENT_IDS == {"@method", "@path", "@authority", "content-type", "content-digest"}
    assert DEFAULT_KEY_ID == "default"
    assert signature.ALGORITHM.algorithm_id == "ed25519"


def test_the_names_of_the_parameters_are_those_of_the_original() -> None:
    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert names(sign_request) == ["request", "key", "created"]
    assert names(verify_request) == ["request", "key", "max_age"]
    assert names(parse_verification_key) == ["verification_key", "endpoint"]
    assert names(Request) == ["method", "url", "headers", "body"]
    assert names(KeyResolver) == ["key_id", "public_key", "private_key"]
    assert names(private_key_from_pem) == ["pem", "password"]


def test_the_library_checks_what_this_package_leaves_to_it() -> None:
    # Its clock may differ by this much; the tests of ages above stand on both sides of it.
    assert HTTPMessageVerifier.max_clock_skew == timedelta(seconds=5)


def test_importing_dispatch_imports_no_cryptography_and_no_http() -> None:
    code = (
        "import sys, dispatch\n"
        "heavy = ('aiohttp', 'cryptography', 'http_message_signatures', 'fastapi', 'flask', 'httpx', 'requests', 'openai')\n"
        "print(sorted(set(heavy) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
