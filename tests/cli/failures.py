"""What an operator sees of failures: metrics and lines of the log (docs/guide/failures.md). failures.py BINARY"""

import socket
import threading
import time
import urllib.request

import command
from command import TIMEOUT_S, dispatch
from endpoint import Api, Endpoint, http_reply
from server import Server, free_port
from wire import STATUS, fails, poll, returns

KEY = "key"


def start(*options):
    server = Server(command.sys.argv[1], KEY, "--db", "dispatch.db", *options)
    return server, Api(server.port, KEY)


def end(server):
    assert server.stop() == 0, server.report()


def metrics(server):
    """Value by name, labels included, without the prefix."""
    request = urllib.request.Request(server.url + "/metrics", headers={"Authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.removeprefix("dispatch_").rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: int(value) for name, value in pairs}


def until(condition):
    stop = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < stop
        time.sleep(0.01)


def logged(server, *texts):
    return any(all(text in line for text in texts) for line in server.errors)


def attempts(server, status):
    return metrics(server)[f'attempts_total{{status="STATUS_{status}"}}']


class Gate:
    """Answers when it is opened."""

    def __init__(self):
        self.event = threading.Event()

    def __call__(self, _request):
        self.event.wait(TIMEOUT_S)


def endpoints_that_fail_are_shown():
    """One call for each way to fail: the status is counted, and the last failure stands on the call."""
    gate = Gate()
    ways = {
        "TIMEOUT": gate,
        "HTTP_ERROR": lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 9\r\n\r\nhalf",
        "INVALID_RESPONSE": lambda _: http_reply(200, b"\xff\xff", "application/proto"),
        "THROTTLED": lambda _: http_reply(429, b"slowly"),
        "TEMPORARY_ERROR": lambda _: fails("TEMPORARY_ERROR"),
        "NOT_FOUND": lambda _: http_reply(404, b"no such function"),
        "INCOMPATIBLE_STATE": lambda request: {"status": STATUS["INCOMPATIBLE_STATE"]} if request.is_resume
        else poll(max_wait={"nanos": 1}),
    }
    server, api = start("--run-timeout", "500ms")
    try:
        for status, way in ways.items():
            with Endpoint(way) as endpoint:
                [id] = api.dispatch(endpoint.call("f"))
                until(lambda: attempts(server, status) > 0)
                until(lambda: dispatch("get", id, DISPATCH_API_URL=server.url, DISPATCH_API_KEY=KEY)[1].find(status) >= 0)
                api.post("/dispatch.v1.CallService/CancelCall", '{"dispatchId":"%s"}' % id, Content_Type="application/json")
        until(lambda: metrics(server)["calls_restarted_total"] > 0)
        gate.event.set()
        port = free_port()
        api.dispatch(*[{"endpoint": f"http://127.0.0.1:{port}", "function": "f"} for _ in range(40)])
        until(lambda: metrics(server)[f'group_down{{project="1",host="127.0.0.1:{port}"}}'] == 1)
        assert attempts(server, "TCP_ERROR") > 0
        until(lambda: "its endpoint cannot be reached" in
              dispatch("list", DISPATCH_API_URL=server.url, DISPATCH_API_KEY=KEY)[1])
    finally:
        gate.event.set()
        end(server)


def an_endpoint_with_too_much_to_do_gets_less():
    server, api = start()
    with Endpoint(lambda _: http_reply(429, b"slowly")) as endpoint:
        host = endpoint.url.removeprefix("http://")
        api.dispatch(*[endpoint.call("f") for _ in range(20)])
        until(lambda: metrics(server)[f'group_limit{{project="1",host="{host}"}}'] == 1)
        end(server)


def calls_that_expire_are_counted():
    server, api = start()
    [id] = api.dispatch({"endpoint": f"http://127.0.0.1:{free_port()}", "function": "f",
                         "expiration": {"nanos": 200_000_000}})
    assert "TimeoutError" in str(api.wait(id))
    assert metrics(server)["calls_expired_total"] == 1
    end(server)


def purged_results_are_counted():
    server, api = start("--retention", "100ms")
    with Endpoint(lambda _: returns("x")) as endpoint:
        api.run(endpoint.call("f"))
        until(lambda: metrics(server)["calls_purged_total"] == 1)
        end(server)


def a_server_that_was_killed_is_told_of():
    text = "the last server was not stopped in order"
    server, api = start()
    [id] = api.dispatch({"endpoint": f"http://127.0.0.1:{free_port()}", "function": "f"})
    server.kill()
    server, api = start()
    until(lambda: logged(server, text))
    assert id in dispatch("list", DISPATCH_API_URL=server.url, DISPATCH_API_KEY=KEY)[1]
    end(server)
    server, _ = start()
    end(server)
    assert not logged(server, text), server.report()


def attempts_that_a_stop_calls_off_are_told_of():
    gate = Gate()
    server, api = start("--drain-timeout", "0")
    with Endpoint(gate) as endpoint:
        api.dispatch(endpoint.call("f"))
        until(lambda: endpoint.requests)
        end(server)
        gate.event.set()
    assert logged(server, "attempts did not end in time", "attempts=1"), server.report()


def refusals_are_counted_and_logged():
    server, _ = start()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    status, _, _ = Api(server.port, "another").post("/dispatch.sdk.v1.DispatchService/Dispatch", b"")
    assert status == 401
    shown = metrics(server)
    assert shown['http_refused_total{kind="malformed"}'] == 1
    assert shown['api_answers_total{method="Dispatch",code="unauthenticated"}'] == 1, shown
    until(lambda: logged(server, "a connection was refused", "malformed"))
    until(lambda: logged(server, "a request was refused", "unauthenticated"))
    end(server)


def chaos_is_told_of():
    server, api = start("--chaos", "seed=7,fail=50%")
    with Endpoint(lambda _: returns("x")) as endpoint:
        for id in api.dispatch(*[endpoint.call("f") for _ in range(20)]):
            api.wait(id)
        assert metrics(server)['chaos_total{kind="fail"}'] > 0
        end(server)
    assert logged(server, "chaos", "seed=7"), server.report()


command.play([endpoints_that_fail_are_shown, an_endpoint_with_too_much_to_do_gets_less, calls_that_expire_are_counted,
              purged_results_are_counted, a_server_that_was_killed_is_told_of, attempts_that_a_stop_calls_off_are_told_of,
              refusals_are_counted_and_logged, chaos_is_told_of])
