"""`python -m dispatch check-upgrade`: loads the state of every suspended call with the code of a program, as a run would,
and says which calls would start again. Nothing of the functions runs, and nothing of the calls changes."""

from __future__ import annotations

import argparse
import asyncio.base_events
import base64
import importlib
import importlib.util
import json
import os
import socketserver
import sys
import traceback
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from dispatch import _checking, _retry
from dispatch._function import AsyncFunction, PrimitiveFunction, registries
from dispatch.client import DEFAULT_API_URL
from dispatch.error import IncompatibleStateError
from dispatch.experimental import durable
from dispatch.experimental.durable import frame
from dispatch.proto import Input
from dispatch.scheduler import OneShotScheduler
from dispatch.sdk.v1.function_pb2 import RunRequest

PAGE_SIZE = 50
"""Calls of one page; so many states, of 1 MiB at most each, are in memory at once."""
PARALLEL = 4
"""Requests at once."""
REQUEST_S = 30
"""Of one request."""

GOES_ON, RESTARTS, UNKNOWN, UNCHECKED = "goes on", "restarts", "unknown function", "cannot be checked"
VERDICTS = (GOES_ON, RESTARTS, UNKNOWN, UNCHECKED)

HELP = """The program is loaded as for the deploy, up to where it would serve, or submit a call. MODULE:APP is imported.
Exit status: 0 all calls go on; 1 some start again, or are of functions that the program does not have, or cannot be
checked; 2 the check itself failed."""


class CheckFailed(Exception):
    """The check cannot be made; the text says what to do."""


@dataclass(frozen=True)
class Server:
    """Where the calls are."""

    url: str
    key: str

    def ask(self, method: str, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer of CallService; None when there is no such call (any more). CheckFailed."""
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/dispatch.v1.CallService/{method}",
            data=json.dumps(question).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=REQUEST_S) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            self._refused(error, method)
            return None
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)
            raise CheckFailed(f"{self.url}: {cause}; is a server there? (--api-url, DISPATCH_API_URL)") from None

    def _refused(self, error: urllib.error.HTTPError, method: str) -> None:
        body = error.read()
        if error.code == 401:
            raise CheckFailed(f"{self.url} takes another API key (--api-key, DISPATCH_API_KEY)")
        if error.code == 404 and method == "GetCall" and b"not_found" in body:
            return
        text = body.decode("utf-8", "replace")[:400]
        raise CheckFailed(f"{self.url}: {method} was refused with {error.code}: {text}; is that the URL of a server's API?")


def main(words: list[str]) -> int:
    """The exit status."""
    options = _options(words)
    try:
        server = _server(options)
        _load(options)
        return _check(server, _endpoints(options.endpoint), _print_json if options.json else _print_line)
    except CheckFailed as error:
        print(f"dispatch check-upgrade: {error}", file=sys.stderr)
        return 2


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dispatch check-upgrade",
        description="Tells which suspended calls of a server would start again with the code of a program.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--api-url", "--server", help=f"of the server [DISPATCH_API_URL, else {DEFAULT_API_URL}]")
    parser.add_argument("--api-key", "--key", help="[DISPATCH_API_KEY]")
    parser.add_argument("--endpoint", help="whose calls are checked [those of the program's registries]")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a module, as for python -m")
    parser.add_argument("program", metavar="PROGRAM.py|MODULE:APP")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS")
    return parser.parse_args(words)


def _server(options: argparse.Namespace) -> Server:
    """What was given counts for the program, too."""
    for name, value in (
        ("DISPATCH_API_URL", options.api_url),
        ("DISPATCH_API_KEY", options.api_key),
        ("DISPATCH_ENDPOINT_URL", options.endpoint),
    ):
        if value is not None:
            os.environ[name] = value
    url = os.environ.get("DISPATCH_API_URL") or DEFAULT_API_URL
    if urlsplit(url).scheme not in ("http", "https"):
        raise CheckFailed(f"{url!r} is no http or https URL (--api-url, DISPATCH_API_URL)")
    key = os.environ.get("DISPATCH_API_KEY")
    if not key:
        raise CheckFailed("the API key is missing (--api-key, DISPATCH_API_KEY)")
    return Server(url, key)


# ---- the program ----


def _load(options: argparse.Namespace) -> None:
    """Runs the program up to where it would serve. CheckFailed when it cannot be loaded."""
    _checking.is_on = True
    _hand_over_instead()
    sys.argv = [options.program, *options.arguments]
    try:
        if options.module:
            _run_module(options.program)
        elif ":" in options.program:
            sys.path.insert(0, "")
            module, _, attribute = options.program.partition(":")
            getattr(importlib.import_module(module), attribute)
        else:
            _run_file(options.program)
    except _checking.Handed:
        pass
    except CheckFailed:
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            return
        traceback.print_exc()
        raise CheckFailed(f"{options.program} cannot be loaded: {type(error).__name__}: {error}") from None


def _hand_over_instead() -> None:
    """Other servers than ours are not started either: that of the standard library (and of Flask), those of asyncio."""

    def serve_forever(self: Any, poll_interval: float = 0.5) -> None:
        _checking.hand_over()

    async def create_server(self: Any, *args: Any, **kwargs: Any) -> Any:
        _checking.hand_over()

    setattr(socketserver.BaseServer, "serve_forever", serve_forever)
    setattr(asyncio.base_events.BaseEventLoop, "create_server", create_server)


def _run_file(path: str) -> None:
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
    except OSError as error:
        raise CheckFailed(f"{path}: {error.strerror}; the program is a file, -m MODULE, or MODULE:APP") from None
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    _run_main(code, path, None)


def _run_module(name: str) -> None:
    sys.path.insert(0, "")
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    loader: Any = None if spec is None else spec.loader
    code = None if spec is None or loader is None else loader.get_code(spec.name)
    if spec is None or code is None:
        raise CheckFailed(f"there is no module {name} to run")
    sys.argv[0] = spec.origin or name
    _run_main(code, sys.argv[0], spec)


def _run_main(code: Any, path: str, spec: Any) -> None:
    """As the main module, because states name what they hold by `__main__`."""
    module = ModuleType("__main__")
    module.__dict__.update(__file__=path, __spec__=spec, __builtins__=__builtins__)
    if spec is not None:
        module.__package__ = spec.parent
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


# ---- the calls ----


def _endpoints(given: str | None) -> list[str]:
    if not registries:
        raise CheckFailed("the program has no functions: it never made a registry before it ended or would serve")
    return [given] if given else list(dict.fromkeys(registry.endpoint for registry in registries.values()))


def _calls(server: Server, endpoint: str) -> Iterator[dict[str, Any]]:
    """Every call of the endpoint that has a state, with it."""
    question: dict[str, Any] = {"endpoint": endpoint, "resumable": True, "pageSize": PAGE_SIZE}

    def get(call: dict[str, Any]) -> dict[str, Any] | None:
        return server.ask("GetCall", {"dispatchId": call["dispatchId"], "withState": True})

    with ThreadPoolExecutor(PARALLEL) as pool:
        while True:
            page = server.ask("ListCalls", question) or {}
            for answer in pool.map(get, page.get("calls", ())):
                call = (answer or {}).get("call", {})
                if call.get("state", "done") != "done":  # it may end meanwhile
                    yield call
            if not page.get("nextPageToken"):
                return
            question["pageToken"] = page["nextPageToken"]


def _check(server: Server, endpoints: list[str], report: Callable[[dict[str, Any], str, str], None]) -> int:
    counts = dict.fromkeys(VERDICTS, 0)
    for endpoint in endpoints:
        for call in _calls(server, endpoint):
            verdict, why = _judge(endpoint, call)
            counts[verdict] += 1
            report(call, verdict, why)
    told = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    summary = f"{sum(counts.values())} suspended calls at {', '.join(endpoints)}: {', '.join(told) or 'nothing to check'}"
    print(summary, file=sys.stderr if report is _print_json else sys.stdout)
    return 0 if counts[GOES_ON] == sum(counts.values()) else 1


def _print_line(call: dict[str, Any], verdict: str, why: str) -> None:
    print(f"{call['dispatchId']}  {call['function']}  {verdict}{': ' if why else ''}{why}")


def _print_json(call: dict[str, Any], verdict: str, why: str) -> None:
    print(json.dumps({"id": call["dispatchId"], "function": call["function"], "verdict": verdict, "why": why}))


def _judge(endpoint: str, call: dict[str, Any]) -> tuple[str, str]:
    """What the next run of a call would do, and why."""
    function = _find(endpoint, call["function"])
    if function is None:
        return UNKNOWN, "it would end with the error NOT_FOUND, which is not tried again"
    if not isinstance(function, AsyncFunction):
        return UNCHECKED, "a primitive function reads its state itself"
    try:
        with warnings.catch_warnings(), _nothing_of_frames_runs():
            warnings.simplefilter("ignore")  # of coroutines that were never awaited
            _restore(function, _request(call))
    except IncompatibleStateError as error:
        return RESTARTS, str(error)
    return GOES_ON, ""


def _find(endpoint: str, name: str) -> PrimitiveFunction | None:
    owners = sorted(registries.values(), key=lambda registry: registry.endpoint != endpoint)
    return next((registry.functions[name] for registry in owners if name in registry.functions), None)


def _request(call: dict[str, Any]) -> RunRequest:
    """What a run would get, without results."""
    request = RunRequest(function=call["function"])
    request.poll_result.SetInParent()
    if "coroutineState" in call:
        request.poll_result.coroutine_state = base64.b64decode(call["coroutineState"])
    state = call.get("typedCoroutineState")
    if state is not None:
        request.poll_result.typed_coroutine_state.type_url = state["@type"]
        value = state.get("@bytes", state.get("value"))
        if "google.protobuf" in state["@type"]:  # no state of ours, whatever it holds
            request.poll_result.typed_coroutine_state.type_url = "type.googleapis.com/google.protobuf.Empty"
        elif isinstance(value, str):
            request.poll_result.typed_coroutine_state.value = base64.b64decode(value)
    return request


def _restore(function: AsyncFunction[..., Any], request: RunRequest) -> None:
    """Loads the state as a run does. IncompatibleStateError."""
    input = Input(request)
    if _retry.POLICY in getattr(function, "__wrapped__").__dict__:
        state = _retry._state_of(input)
        if state.inner is None:
            return  # the next attempt has not begun
        input = _retry._input_of(input, state)
    durable_function = function.__dict__.get("_durable")
    if durable_function is None:
        raise IncompatibleStateError(f"function '{function.name}' is not a coroutine and has no state")
    OneShotScheduler(durable_function)._saved_state(input)


@contextmanager
def _nothing_of_frames_runs() -> Iterator[None]:
    """Frames that are restored meanwhile are dropped at the end without their `finally` blocks, also those of a state
    that was refused half way."""
    restored: list[Any] = []
    restore = frame.restore

    def keep(fresh: Any, state: Any) -> None:
        restored.append(fresh)
        restore(fresh, state)

    setattr(frame, "restore", keep)
    try:
        yield
    finally:
        setattr(frame, "restore", restore)
        for suspended in restored:
            durable.discard(suspended)
