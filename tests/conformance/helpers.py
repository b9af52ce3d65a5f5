"""What the tests of quirks.py and checklist.py say again and again."""

import json
import os
import time

from wire import text_of

KEY = "0123456789abcdef0123456789abcdef"
TIMEOUT_S = 60
BACKED_OFF_S = 0.02  # four retries take less once in a million times: jitter is full


def output(result):
    assert "error" not in result, result
    return text_of(result["output"])


def error(result):
    assert "output" not in result, result
    return result["error"]


def seconds(timestamp):
    return timestamp.get("seconds", 0) + timestamp.get("nanos", 0) / 1e9


def wait_until(condition, what="the condition"):
    """For what the endpoint sees and nobody is told about."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, what + " never came"
        time.sleep(0.002)


def make_others_run(api, endpoint, n=20):
    """The server has worked: what it would wrongly do soon, it would have done by now."""
    for id in api.dispatch(*[endpoint.call("other") for _ in range(n)]):
        api.wait(id)


def connect_error(reply, status, code):
    got, headers, body = reply
    assert got == status, reply
    assert headers["content-type"].startswith("application/json"), reply
    assert json.loads(body)["code"] == code and json.loads(body)["message"], reply


def remove_database(database):
    for name in database, database + "-wal", database + "-shm":
        if os.path.exists(name):
            os.remove(name)
