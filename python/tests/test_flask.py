"""Functions in a Flask application; what it answers to requests is in test_http.py."""

from __future__ import annotations

import contextvars
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest
from endpoints import PATIENCE_S, make_registry

import dispatch.flask
from dispatch import Registry
from dispatch.any import marshal_any, unmarshal_any
from dispatch.function import BlockingFunction
from dispatch.http import RUN_PATH
from dispatch.proto import Arguments
from dispatch.sdk.v1.function_pb2 import RunRequest, RunResponse

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
together = threading.Barrier(2, timeout=PATIENCE_S)


def whose() -> str:
    return tenant.get()


async def whose_async() -> str:
    return tenant.get()


def meet(n: int) -> int:
    together.wait()
    return n


async def meet_async(n: int) -> int:
    together.wait()
    return n


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = make_registry()
    yield registry
    registry.close()


def run(app: flask.Flask, name: str, *values: Any, **headers: str) -> Any:
    body = RunRequest(function=name, input=marshal_any(Arguments(values, {}))).SerializeToString()
    answer = app.test_client().post(RUN_PATH, data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return unmarshal_any(RunResponse.FromString(answer.data).exit.result.output)


def test_an_application_is_required(registry: Registry) -> None:
    with pytest.raises(ValueError, match="^missing Flask app as first argument of the Dispatch constructor$"):
        dispatch.flask.Dispatch(None, registry)  # type: ignore[arg-type]


def test_its_functions_block(registry: Registry) -> None:
    assert isinstance(dispatch.flask.Dispatch(flask.Flask("app"), registry).function(lambda: 1), BlockingFunction)


@pytest.mark.parametrize("function", [whose, whose_async])
def test_the_context_of_the_request_is_that_of_the_function(function: Any, registry: Registry) -> None:
    app = flask.Flask("app")
    dispatch.flask.Dispatch(app, registry).function(function)

    @app.before_request
    def enter() -> None:
        tenant.set(flask.request.headers["Tenant"])

    seen = contextvars.copy_context().run(run, app, function.__qualname__, Tenant="somebody")
    assert seen == "somebody"


@pytest.mark.parametrize("function", [meet, meet_async])
def test_functions_run_at_once_on_the_threads_of_flask(function: Any, registry: Registry) -> None:
    app = flask.Flask("app")
    dispatch.flask.Dispatch(app, registry).function(function)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda n: run(app, function.__qualname__, n), range(2))) == [0, 1]


def test_the_names_of_the_parameters_are_those_of_the_original() -> None:
    assert list(inspect.signature(dispatch.flask.Dispatch).parameters) == ["app", "registry", "verification_key"]


def test_without_flask_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['flask'] = None; import dispatch.flask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install 'dispatch-run[flask]'" in done.stderr.splitlines()[-1]
