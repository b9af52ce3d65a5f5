"""What endpoints of each kind answer, over real connections: the table of protocol 3.2, in the order of 3.3."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from endpoints import KINDS, Endpoint, Reply, make_registry
from google.protobuf.any_pb2 import Any as AnyMessage
from http_message_signatures import HTTPMessageSigner

import dispatch
from dispatch import Input, Output, Registry
from dispatch.any import marshal_any, unmarshal_any
from dispatch.function import AsyncFunction, BlockingFunction
from dispatch.http import (
    AsyncFunctionService,
    BaseFunctionService,
    BlockingFunctionService,
    Dispatch,
    FunctionServiceError,
    FunctionServiceHTTPRequestHandler,
    Server,
    make_error_response_body,
    validate_content_length,
)
from dispatch.proto import Arguments
from dispatch.sdk.v1.function_pb2 import RunRequest
from dispatch.sdk.v1.poll_pb2 import PollResult
from dispatch.signature import (
    ALGORITHM,
    COVERED_COMPONENT_IDS,
    CaseInsensitiveDict,
    Ed25519PrivateKey,
    KeyResolver,
    Request,
    generate_content_digest,
    sign_request,
)
from dispatch.status import Status

PRIVATE = Ed25519PrivateKey.generate()
LENGTH_MAX = 16_000_000


def fill(registry: Registry) -> None:
    @registry.function
    def size(text: str) -> int:
        return len(text)

    @registry.function
    async def sizes(texts: list[str]) -> list[int]:
        return await dispatch.gather(*(size(text) for text in texts))

    @registry.primitive_function
    async def broken(input: Input) -> Output:
        raise LookupError("a secret")

    @registry.function
    def fails(text: str) -> None:
        raise ValueError(text)


def name_of(short: str) -> str:
    """The name of a function that `fill` registers."""
    return f"fill.<locals>.{short}"


def arguments(*values: Any) -> AnyMessage:
    return marshal_any(Arguments(values, {}))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    registry = make_registry()
    fill(registry)
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def endpoint(kind: str, registry: Registry) -> Iterator[Endpoint]:
    with KINDS[kind](registry, None) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def guarded(kind: str, registry: Registry) -> Iterator[Endpoint]:
    """An endpoint that takes signed requests only."""
    with KINDS[kind](registry, PRIVATE.public_key()) as endpoint:
        yield endpoint


class TestRun:
    def test_a_function_runs(self, endpoint: Endpoint) -> None:
        response = endpoint.run(function=name_of("size"), input=arguments("four")).response
        assert response.status == Status.OK
        assert unmarshal_any(response.exit.result.output) == 4

    def test_a_function_is_suspended(self, endpoint: Endpoint) -> None:
        response = endpoint.run(function=name_of("sizes"), input=arguments(["a", "bc"])).response
        assert response.status == Status.OK
        assert [call.function for call in response.poll.calls] == [name_of("size")] * 2

    def test_a_function_that_raises_is_an_answer(self, endpoint: Endpoint) -> None:
        response = endpoint.run(function=name_of("fails"), input=arguments("why")).response
        assert response.status == Status.INVALID_ARGUMENT
        assert (response.exit.result.error.type, response.exit.result.error.message) == ("ValueError", "why")

    def test_a_body_beyond_the_limit_of_aiohttp_is_taken(self, endpoint: Endpoint) -> None:
        response = endpoint.run(function=name_of("size"), input=arguments("x" * 2**21)).response
        assert unmarshal_any(response.exit.result.output) == 2**21

    def test_the_largest_body_is_taken(self, endpoint: Endpoint) -> None:
        room = LENGTH_MAX - len(RunRequest(function=name_of("size"), input=arguments("")).SerializeToString()) - 64
        message = RunRequest(function=name_of("size"), input=arguments("x" * room))
        message.dispatch_id = "i" * (LENGTH_MAX - message.ByteSize() - 2)
        body = message.SerializeToString()
        assert len(body) == LENGTH_MAX
        assert unmarshal_any(endpoint.send(body).response.exit.result.output) == room

    def test_a_second_run_of_an_id_is_answered_as_the_first(self, endpoint: Endpoint) -> None:
        for _ in range(2):
            reply = endpoint.run(function=name_of("size"), input=arguments("four"), dispatch_id="again")
            assert unmarshal_any(reply.response.exit.result.output) == 4

    def test_many_runs_at_once_are_answered(self, endpoint: Endpoint) -> None:
        def run(length: int) -> Any:
            reply = endpoint.run(function=name_of("size"), input=arguments("x" * length))
            return unmarshal_any(reply.response.exit.result.output)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, range(32))) == list(range(32))


class TestRefusals:
    def test_a_body_is_required(self, endpoint: Endpoint) -> None:
        for length in ("0", None):
            refusal = endpoint.send(length=length).refusal
            assert refusal == (400, "invalid_argument", "content length is required")

    def test_a_body_of_unknown_length_is_refused(self, endpoint: Endpoint) -> None:
        reply = endpoint.send(b"3\r\nabc\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}, length=None)
        assert reply.refusal == (400, "invalid_argument", "content length is required")

    def test_a_body_that_is_too_large_is_refused_before_it_comes(self, endpoint: Endpoint) -> None:
        refusal = endpoint.send(length=str(LENGTH_MAX + 1)).refusal
        assert refusal == (400, "invalid_argument", "content length is too large")

    @pytest.mark.parametrize("length", ["-1", "x"])
    def test_a_length_that_is_none_is_a_bad_request(self, endpoint: Endpoint, length: str) -> None:
        assert endpoint.send(length=length).status == 400

    def test_a_body_that_is_no_request_is_an_invalid_argument(self, endpoint: Endpoint) -> None:
        status, code, message = endpoint.send(b"\xff\xff\xff").refusal
        assert (status, code) == (400, "invalid_argument")
        assert message.startswith("unmarshal message: ")

    def test_a_function_must_be_named(self, endpoint: Endpoint) -> None:
        assert endpoint.run(dispatch_id="1").refusal == (400, "invalid_argument", "function is required")

    @pytest.mark.parametrize("name", ["does-not-exist", 'a "quoted" name \\ with\nlines and \u00fcmlauts'])
    def test_a_function_must_exist(self, endpoint: Endpoint, name: str) -> None:
        assert endpoint.run(function=name).refusal == (404, "not_found", f"function '{name}' does not exist")

    def test_a_primitive_function_that_raises_is_an_internal_error_without_its_message(self, endpoint: Endpoint) -> None:
        name = name_of("broken")
        assert endpoint.run(function=name).refusal == (500, "internal", f"function '{name}' fatal error")

    def test_an_input_that_cannot_be_decoded_is_an_answer(self, endpoint: Endpoint) -> None:
        input = AnyMessage(type_url="type.googleapis.com/no.such.Message", value=b"\xff")
        response = endpoint.run(function=name_of("size"), input=input).response
        assert response.status == Status.INVALID_ARGUMENT
        assert response.exit.result.error.message

    def test_a_state_that_cannot_be_decoded_is_an_answer(self, endpoint: Endpoint) -> None:
        state = AnyMessage(type_url="buf.build/stealthrocket/dispatch-proto/dispatch.sdk.python.v1.Pickled", value=b"\xff")
        for result in (PollResult(typed_coroutine_state=state), PollResult(coroutine_state=b"junk")):
            response = endpoint.run(function=name_of("sizes"), poll_result=result).response
            assert response.status == Status.INCOMPATIBLE_STATE
            assert response.exit.result.error.message

    def test_another_method_is_not_allowed(self, endpoint: Endpoint, kind: str) -> None:
        reply = endpoint.send(method="GET", length=None)
        assert reply.status == (501 if kind == "http.server" else 405)

    def test_another_path_is_not_found(self, endpoint: Endpoint) -> None:
        assert endpoint.send(b"x", path="/dispatch.sdk.v1.FunctionService/Walk").status == 404
        assert endpoint.send(b"x", path="/").status == 404

    def test_routes_of_the_program_are_served(self, endpoint: Endpoint, kind: str) -> None:
        if kind in ("core", "http.server"):
            pytest.skip("these serve nothing else")
        assert b"own" in endpoint.send(method="GET", path="/own", length=None).body


def now() -> datetime:
    return datetime.now()


def sign(endpoint: Endpoint, body: bytes, extra: dict[str, str] | None = None, **options: Any) -> dict[str, str]:
    """The headers of a signed request."""
    headers = {"Host": endpoint.host, "Content-Type": "application/proto", **(extra or {})}
    request = Request("POST", endpoint.url, CaseInsensitiveDict(headers), body)
    if not options:
        sign_request(request, PRIVATE, now())
    else:
        request.headers["Content-Digest"] = generate_content_digest(body)
        chosen = {"key_id": "default", "covered_component_ids": sorted(COVERED_COMPONENT_IDS), "created": now(), **options}
        resolver = KeyResolver(chosen["key_id"], private_key=PRIVATE)
        HTTPMessageSigner(signature_algorithm=ALGORITHM, key_resolver=resolver).sign(request, **chosen)
    return {name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-type")}


class TestSignatures:
    BODY = RunRequest(function=name_of("size"), input=arguments("four")).SerializeToString()

    def send(self, endpoint: Endpoint, headers: dict[str, str], body: bytes = BODY) -> Reply:
        return endpoint.send(body, headers=headers)

    def test_a_signed_request_is_served(self, guarded: Endpoint) -> None:
        response = self.send(guarded, sign(guarded, self.BODY)).response
        assert unmarshal_any(response.exit.result.output) == 4

    def test_a_signature_may_cover_another_header(self, guarded: Endpoint) -> None:
        covered = [*sorted(COVERED_COMPONENT_IDS), "x-trace"]
        headers = sign(guarded, self.BODY, {"X-Trace": "abc"}, covered_component_ids=covered)
        headers["X-Trace"] = "abc"
        assert self.send(guarded, headers).status == 200
        headers["X-Trace"] = "abd"
        assert self.send(guarded, headers).refusal[:2] == (403, "permission_denied")

    def test_a_request_without_signature_is_denied_in_valid_json(self, guarded: Endpoint) -> None:
        status, code, message = self.send(guarded, {}).refusal
        assert (status, code) == (403, "permission_denied")
        assert message.startswith('Expected "Signature-Input" header field')

    def test_another_body_is_denied(self, guarded: Endpoint) -> None:
        body = RunRequest(function=name_of("size"), input=arguments("five!")).SerializeToString()
        refusal = self.send(guarded, sign(guarded, self.BODY), body).refusal
        assert refusal == (
            403,
            "permission_denied",
            "digest of the request body does not match the Content-Digest header",
        )

    @pytest.mark.parametrize("seconds", [-400, 60])
    def test_a_signature_of_another_time_is_denied(self, guarded: Endpoint, seconds: int) -> None:
        headers = sign(guarded, self.BODY, created=now() + timedelta(seconds=seconds))
        assert self.send(guarded, headers).refusal[:2] == (403, "permission_denied")

    def test_a_signature_for_another_endpoint_is_denied(self, guarded: Endpoint) -> None:
        headers = sign(Endpoint(9), self.BODY)
        assert self.send(guarded, headers).refusal[:2] == (403, "permission_denied")

    def test_a_signature_of_another_key_is_denied(self, guarded: Endpoint) -> None:
        headers = sign(guarded, self.BODY)
        headers["Signature"] = "dispatch=:" + "A" * 86 + "==:"
        assert self.send(guarded, headers).refusal == (403, "permission_denied", "invalid signature")

    def test_a_signature_with_another_key_id_is_unauthenticated(self, guarded: Endpoint) -> None:
        refusal = self.send(guarded, sign(guarded, self.BODY, key_id="other")).refusal
        assert refusal == (401, "unauthenticated", "public key 'other' not available")

    def test_a_signature_without_key_id_is_unauthenticated(self, guarded: Endpoint) -> None:
        headers = sign(guarded, self.BODY)
        headers["Signature-Input"] = headers["Signature-Input"].replace(';keyid="default"', "")
        assert self.send(guarded, headers).refusal[:2] == (401, "unauthenticated")

    def test_a_signature_that_covers_too_little_is_unauthenticated(self, guarded: Endpoint) -> None:
        headers = sign(guarded, self.BODY, covered_component_ids=["@method", "@path"])
        assert self.send(guarded, headers).refusal[:2] == (401, "unauthenticated")

    def test_the_length_is_checked_before_the_signature(self, guarded: Endpoint) -> None:
        assert guarded.send(length="0").refusal == (400, "invalid_argument", "content length is required")

    def test_the_signature_is_checked_before_the_body(self, guarded: Endpoint) -> None:
        assert self.send(guarded, {}, b"\xff\xff\xff").refusal[0] == 403
        unknown = RunRequest(function="does-not-exist").SerializeToString()
        assert self.send(guarded, {}, unknown).refusal[0] == 403
        assert self.send(guarded, sign(guarded, unknown), unknown).refusal[0] == 404


class TestServer:
    def test_port_0_becomes_the_port_that_it_got(self) -> None:
        async def main() -> None:
            registry = make_registry()
            for app in (Dispatch(registry), web.Application()):
                async with Server("127.0.0.1", 0, app) as server:
                    assert server.port > 0
                    socket.create_connection(("127.0.0.1", server.port)).close()
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", server.port))
            registry.close()

        asyncio.run(main())

    def test_an_address_in_use_is_an_os_error(self) -> None:
        async def main() -> None:
            registry = make_registry()
            with socket.create_server(("127.0.0.1", 0)) as taken:
                for app in (Dispatch(registry), web.Application()):
                    with pytest.raises(OSError):
                        await Server("127.0.0.1", taken.getsockname()[1], app).start()
            registry.close()

        asyncio.run(main())

    def test_stop_without_start_does_nothing(self) -> None:
        asyncio.run(Server("127.0.0.1", 0, web.Application()).stop())


class TestServices:
    def test_an_asynchronous_one_makes_async_functions(self) -> None:
        registry = make_registry()
        assert isinstance(AsyncFunctionService(registry).function(lambda: 1), AsyncFunction)
        registry.close()

    def test_a_blocking_one_makes_blocking_functions(self) -> None:
        registry = make_registry()
        assert isinstance(BlockingFunctionService(registry).function(lambda: 1), BlockingFunction)
        registry.close()

    def test_what_it_is_made_of_can_be_read(self) -> None:
        registry = make_registry()
        service = BaseFunctionService(registry, PRIVATE.public_key())
        assert service.registry is registry
        assert service.verification_key == PRIVATE.public_key()
        assert isinstance(service.batch(), dispatch.Batch)
        registry.close()

    def test_run_raises_a_refusal(self) -> None:
        registry = make_registry()
        service = BaseFunctionService(registry)
        with pytest.raises(FunctionServiceError) as caught:
            asyncio.run(service.run("http://localhost/", "POST", {}, RunRequest(function="x").SerializeToString()))
        error = caught.value
        assert (error.status, error.code, error.message) == (404, "not_found", "function 'x' does not exist")
        registry.close()


def test_the_lengths_of_bodies_have_limits() -> None:
    assert validate_content_length(1) == validate_content_length(LENGTH_MAX) == (True, "")
    assert validate_content_length(0) == (False, "content length is required")
    assert validate_content_length(-1) == (False, "content length is negative")
    assert validate_content_length(LENGTH_MAX + 1) == (False, "content length is too large")


def test_the_body_of_a_refusal_is_that_of_the_original_and_valid_json() -> None:
    assert make_error_response_body("a", "b") == b'{"code":"a","message":"b"}'
    assert make_error_response_body("a", 'say "b"') == b'{"code":"a","message":"say \\"b\\""}'


def test_the_names_of_the_parameters_are_those_of_the_original() -> None:
    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert names(Dispatch) == ["registry", "verification_key"]
    assert names(Server) == ["host", "port", "app"]
    assert names(FunctionServiceError) == ["status", "code", "message"]
    assert names(BaseFunctionService) == ["registry", "verification_key"]
    assert names(BaseFunctionService.run) == ["self", "url", "method", "headers", "data"]
    assert names(FunctionServiceHTTPRequestHandler) == [
        "request",
        "client_address",
        "server",
        "registry",
        "verification_key",
    ]
