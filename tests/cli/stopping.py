"""How a stop treats what goes on: attempts that run, clients that wait, new requests. stopping.py BINARY"""

import json
import signal
import threading
import time

import command
import wire
from command import TIMEOUT_S
from endpoint import DISPATCH, WAIT, Api, Endpoint
from server import Server
from wire import returns, text_of

KEY = "key"
GET = "/dispatch.v1.CallService/GetCall"


def wait_until(condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def start(*options):
    server = Server(command.sys.argv[1], KEY, "--db", "dispatch.db", *options)
    return server, Api(server.port, KEY)


def attempts(api, id):
    body = api.post(GET, json.dumps({"dispatchId": id}), Content_Type="application/json")[2]
    return json.loads(body)["call"]["attempts"]


def begin_to_stop(server):
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: any("stopping" in line for line in server.errors))


class Held:
    """An endpoint that answers its first attempt when it is told to, all others at once."""

    def __init__(self):
        self.gate = threading.Event()
        self.endpoint = Endpoint(self.answer)

    def answer(self, _request):
        if len(self.endpoint.requests) == 1:
            self.gate.wait(TIMEOUT_S)
            return returns("first")
        return returns("again")

    def __enter__(self):
        self.endpoint.__enter__()
        return self

    def __exit__(self, *error):
        self.gate.set()
        self.endpoint.__exit__(*error)


def an_attempt_that_ends_within_the_drain_timeout_is_kept():
    with Held() as held:
        server, api = start("--drain-timeout", "1h")
        [id] = api.dispatch(held.endpoint.call("f"))
        wait_until(lambda: held.endpoint.requests)
        begin_to_stop(server)
        held.gate.set()
        assert server.wait(TIMEOUT_S) == 0, server.report()
        server, api = start()
        assert text_of(api.wait(id)["output"]) == "first"
        assert len(held.endpoint.requests) == 1 and attempts(api, id) == 1
        assert server.stop() == 0


def an_attempt_that_takes_longer_is_made_again_and_is_no_failure():
    for timeout in "100ms", "0":
        with Held() as held:
            server, api = start("--drain-timeout", timeout)
            [id] = api.dispatch(held.endpoint.call("f"))
            wait_until(lambda: held.endpoint.requests)
            assert server.stop() == 0, server.report()
            server, api = start()
            assert text_of(api.wait(id)["output"]) == "again"
            assert len(held.endpoint.requests) == 2 and attempts(api, id) == 1
            assert server.stop() == 0


def who_waits_is_told_and_nothing_new_is_taken():
    with Held() as held:
        server, api = start("--drain-timeout", "1h")
        [id] = api.dispatch(held.endpoint.call("f"))
        wait_until(lambda: held.endpoint.requests)
        told = []
        waiter = threading.Thread(target=lambda: told.append(api.post(WAIT, id.encode())))
        waiter.start()
        begin_to_stop(server)
        waiter.join(TIMEOUT_S)
        assert told[0][0] == 503 and json.loads(told[0][2])["code"] == "unavailable", told
        try:
            message = wire.encode("DispatchRequest", {"calls": [held.endpoint.call("f")]})
            status, _, body = api.post(DISPATCH, message)
            assert status == 503 and json.loads(body)["code"] == "unavailable", (status, body)
        except ConnectionError:
            pass  # nobody listens any more, which says the same
        held.gate.set()
        assert server.wait(TIMEOUT_S) == 0, server.report()


command.play([an_attempt_that_ends_within_the_drain_timeout_is_kept,
              an_attempt_that_takes_longer_is_made_again_and_is_no_failure, who_waits_is_told_and_nothing_new_is_taken])
