"""What a program does with functions, registries and clients, apart from tests."""

from __future__ import annotations

import pickle
import subprocess
import sys
import types
from typing import Any

import pytest

import dispatch
import dispatch.test

URL = "http://127.0.0.1:9"


@dispatch.function
def keyed(a: int, *, b: int = 0, **more: int) -> dict[str, int]:
    return {"a": a, "b": b, **more}


class Methods:
    @staticmethod
    @dispatch.function
    def inside(n: int) -> int:
        return n + 1


@dispatch.test.function
async def test_keyword_arguments_of_plain_functions() -> None:
    assert await keyed(1, b=2, c=3) == {"a": 1, "b": 2, "c": 3}


@dispatch.test.function
async def test_wrong_arguments_are_an_error_of_the_call() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        await keyed()  # type: ignore[call-arg]


@dispatch.test.function
async def test_functions_of_classes_have_a_dot_in_their_names() -> None:
    assert Methods.inside.name == "Methods.inside"
    assert await Methods.inside(1) == 2


def test_everything_can_be_imported() -> None:
    module = types.ModuleType("importer")
    exec("from dispatch import *", module.__dict__)
    assert {"function", "run", "run_forever", "main", "batch", "gather", "Reset", "ClientError"} <= set(vars(module))


def test_the_package_is_quick_to_import() -> None:
    slow = ("aiohttp", "cryptography", "fastapi", "flask", "httpx", "openai", "requests", "tblib")
    script = f"import sys, dispatch, dispatch.test\nprint([m for m in {slow!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("address", "parts"),
    [("localhost:8000", ("localhost", 8000)), ("127.0.0.1", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80))],
)
def test_an_address_is_split(address: str, parts: tuple[str, int]) -> None:
    assert dispatch.split_address(address) == parts


@pytest.mark.parametrize("address", ["", ":8000", "host:port", "host:99999"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(ValueError, match="invalid endpoint address"):
        dispatch.split_address(address)


def test_the_api_is_looked_for_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPATCH_API_URL", raising=False)
    assert dispatch.Client(api_key="key").api_url.value == "http://127.0.0.1:7117"
    monkeypatch.setenv("DISPATCH_API_URL", "")
    with pytest.raises(ValueError, match="^missing API URL: set it with the DISPATCH_API_URL environment variable$"):
        dispatch.Client(api_key="key")
    with pytest.raises(ValueError, match="^Invalid API scheme: 'ftp'$"):
        dispatch.Client(api_key="key", api_url="ftp://host")


def test_a_function_is_pickled_by_its_name() -> None:
    again = pickle.loads(pickle.dumps(keyed))
    assert again is keyed


def test_a_key_of_the_environment_is_in_no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCH_API_KEY", "very-secret")
    client = dispatch.Client(api_url=URL)
    saved = pickle.dumps((client.api_key, client.api_url))
    assert b"very-secret" not in saved
    key, url = pickle.loads(saved)
    assert (key.value, url.value) == ("very-secret", URL)


def test_functions_of_one_name_in_two_modules() -> None:
    source = "import dispatch\n\nasync def twin(n):\n    return n, await dispatch.sleep(1)\n"
    registries = []
    twins: list[Any] = []
    for name in ("twin_a", "twin_b"):
        module = types.ModuleType(name)
        sys.modules[name] = module
        exec(source, module.__dict__)
        client = dispatch.test.Client(api_key="key", api_url=dispatch.test.DISPATCH_API_URL)
        registry = dispatch.Registry(name, client, URL)
        registries.append(registry)
        twins.append(registry.function(module.__dict__["twin"]))

    @dispatch.test.function
    async def check() -> None:
        assert [await twin(7) for twin in twins] == [(7, None)] * 2

    check()
    for registry in registries:
        registry.close()


def test_a_blocking_function_runs_without_a_loop() -> None:
    from dispatch.function import BlockingFunction

    function = BlockingFunction(keyed)
    assert function.build_call(1, b=2) == keyed.build_call(1, b=2)
