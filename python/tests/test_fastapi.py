"""Functions in a FastAPI application; what it answers to requests is in test_http.py."""

from __future__ import annotations

import contextvars
import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import fastapi
import pytest
from endpoints import make_registry
from fastapi.testclient import TestClient

import dispatch.asyncio.fastapi
import dispatch.fastapi
from dispatch import Registry
from dispatch.any import unmarshal_any
from dispatch.function import AsyncFunction, BlockingFunction
from dispatch.http import RUN_PATH
from dispatch.sdk.v1.function_pb2 import RunRequest, RunResponse

BOTH = [dispatch.fastapi.Dispatch, dispatch.asyncio.fastapi.Dispatch]

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


def whose() -> str:
    return tenant.get()


async def whose_async() -> str:
    return tenant.get()


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = make_registry()
    yield registry
    registry.close()


@pytest.mark.parametrize("make", BOTH)
def test_an_application_is_required(make: Any, registry: Registry) -> None:
    with pytest.raises(ValueError, match="^missing FastAPI app as first argument of the Dispatch constructor$"):
        make(None, registry)


def test_functions_of_one_block_and_of_the_other_are_awaited(registry: Registry) -> None:
    assert isinstance(dispatch.fastapi.Dispatch(fastapi.FastAPI(), registry).function(lambda: 1), BlockingFunction)
    other = make_registry()
    assert isinstance(dispatch.asyncio.fastapi.Dispatch(fastapi.FastAPI(), other).function(lambda: 1), AsyncFunction)
    other.close()


def test_the_asynchronous_one_is_exported_beside_the_blocking_one() -> None:
    assert dispatch.fastapi.AsyncDispatch is dispatch.asyncio.fastapi.Dispatch


@pytest.mark.parametrize("make", BOTH)
def test_the_application_serves_its_own_routes_too(make: Any, registry: Registry) -> None:
    app = fastapi.FastAPI()
    make(app, registry)

    @app.get("/")
    def root() -> dict[str, str]:
        return {"own": "route"}

    client = TestClient(app)
    assert client.get("/").json() == {"own": "route"}
    assert client.post(RUN_PATH).status_code == 400


@pytest.mark.parametrize("function", [whose, whose_async])
def test_the_context_of_a_middleware_is_that_of_the_function(function: Any, registry: Registry) -> None:
    app = fastapi.FastAPI()
    service = dispatch.asyncio.fastapi.Dispatch(app, registry)
    name = service.function(function).name

    @app.middleware("http")
    async def enter(request: fastapi.Request, call_next: Any) -> Any:
        tenant.set(request.headers["x-tenant"])
        return await call_next(request)

    body = RunRequest(function=name).SerializeToString()
    answer = TestClient(app).post(RUN_PATH, content=body, headers={"X-Tenant": "somebody"})
    assert unmarshal_any(RunResponse.FromString(answer.content).exit.result.output) == "somebody"


@pytest.mark.parametrize("make", BOTH)
def test_the_names_of_the_parameters_are_those_of_the_original(make: Any) -> None:
    assert list(inspect.signature(make).parameters) == ["app", "registry", "verification_key"]


@pytest.mark.parametrize("module", ["dispatch.fastapi", "dispatch.asyncio.fastapi"])
def test_without_fastapi_the_import_says_what_to_install(module: str) -> None:
    code = f"import sys; sys.modules['fastapi'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install 'dispatch-run[fastapi]'" in done.stderr.splitlines()[-1]
