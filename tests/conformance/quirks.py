"""What is peculiar about the known clients and endpoints, each shown against the running server (see QUIRKS.md).

    quirks.py --server build/bin/dispatch --work FOLDER [PATTERN...]

qNN_ names the quirk NN and cNN_ (in checklist.py) the line NN of the checklist in docs/protocol.md (13.1, 13.2). Needs
nothing but Python: endpoint.py plays the program, wire.py knows the messages."""

import argparse
import concurrent.futures
import fnmatch
import os
import re
import sys
import threading
import time
import traceback

import checklist
import wire
from endpoint import DISPATCH, RUN, Api, Endpoint, http_reply
from helpers import (BACKED_OFF_S, KEY, TIMEOUT_S, error, make_others_run, output, remove_database, wait_until)
from server import Server
from wire import STATUS, fails, poll, returns, tail_call, text, text_of

THREADS = 8


def q01_missing_max_wait_is_no_deadline(api, _):
    release = threading.Event()

    def answer(request):
        if request.function == "child":
            assert release.wait(TIMEOUT_S)
            return returns("late")
        if request.function == "parent":
            return returns(text_of(request.results[0]["output"])) if request.is_resume else poll(
                [endpoint.call("child", correlation_id=7)])
        return returns()

    with Endpoint(answer) as endpoint:
        [id] = api.dispatch(endpoint.call("parent"))
        wait_until(lambda: endpoint.of("child"))
        make_others_run(api, endpoint)
        assert len(endpoint.of("parent")) == 1
        release.set()
        assert output(api.wait(id)) == "late"


def q02_tail_call_without_a_result_is_followed(api, _):
    with Endpoint(lambda r: tail_call({"function": "two", "input": text("b")}) if r.function == "one"
                  else returns(text_of(r.run["input"]))) as endpoint:
        assert output(api.run(endpoint.call("one", "a"))) == "b"
        assert [r.function for r in endpoint.requests] == ["one", "two"]


def q02_tail_call_to_another_endpoint_is_made_there(api, _):
    with Endpoint(lambda r: returns("there")) as there:
        with Endpoint(lambda r: tail_call({"function": "two", "endpoint": there.url})) as here:
            assert output(api.run(here.call("one"))) == "there"
            assert len(here.requests) == len(there.requests) == 1


def q03_reset_replaces_the_call_and_is_a_failed_attempt(api, _):
    """A tail call with a temporary status backs off like a failure."""
    times = []

    def answer(request):
        times.append(time.monotonic())
        if request.function == "last":
            return returns(text_of(request.run["input"]))
        n = int(text_of(request.run["input"]))
        return tail_call({"function": "last" if n == 3 else "again", "input": text(str(n + 1))}, "TEMPORARY_ERROR")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("again", "0"))) == "4"
        assert [r.function for r in endpoint.requests] == ["again"] * 4 + ["last"]
        assert times[-1] - times[0] > BACKED_OFF_S, "no backoff"
        assert len({r.run["dispatch_id"] for r in endpoint.requests}) == 1


def q04_empty_endpoint_in_a_poll_is_the_callers(api, _):
    with Endpoint(lambda r: returns("child") if r.function == "child" else
                  returns(text_of(r.results[0]["output"])) if r.is_resume else
                  poll([{"function": "child", "correlation_id": 1}])) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "child"


def q05_min_results_beyond_outstanding_is_clamped(api, _):
    """As the Go SDK polls: min = max = number of calls at first, the same again with fewer outstanding."""
    release = threading.Event()

    def answer(request):
        if request.function == "slow":
            assert release.wait(TIMEOUT_S)
        if request.function != "parent":
            return returns()
        if not request.is_resume:
            return poll([endpoint.call("quick"), endpoint.call("slow")], 1, 5000, max_wait={"seconds": 300})
        if len(endpoint.of("parent")) == 2:
            release.set()
            return poll([], 5000, 5000, max_wait={"seconds": 300})
        return returns(str(len(request.results)))

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "1"
        assert [len(r.results) for r in endpoint.of("parent")] == [0, 1, 1]


def q06_ids_are_not_used_again_after_a_restart(_, options):
    database = os.path.join(options.work, "ids.db")
    remove_database(database)
    seen = set()
    for end in Server.kill, Server.stop, Server.kill:
        server = Server(options.server, KEY, "--db", database)
        with Endpoint(lambda r: returns()) as endpoint:
            ids = Api(server.port, KEY).dispatch(*[endpoint.call("f") for _ in range(200)])
        assert len(set(ids)) == 200 and not seen & set(ids)
        seen |= set(ids)
        end(server)


def q07_the_arm_of_the_state_is_echoed(api, _):
    sent = {"legacy": {"coroutine_state": b"\x00bytes"},
            "typed": {"typed_coroutine_state": {"type_url": "x.y/State", "value": b"\x01typed"}},
            "none": {}}

    def answer(request):
        if request.is_resume:
            got = dict(request.run["poll_result"])
            got.pop("results", None)
            return returns("same" if got == sent[request.function] else repr(got))
        return {"status": STATUS["OK"], "poll": {**sent[request.function], "min_results": 1, "max_results": 1,
                                                 "calls": [endpoint.call("child")]}} \
            if request.function != "child" else returns()

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("legacy"))) == "same"
        assert output(api.run(endpoint.call("typed"))) == "same"
        assert output(api.run(endpoint.call("none"))) == "same"


def q08_http_500_is_tried_again(api, _):
    with Endpoint(lambda r: returns("then") if len(endpoint.requests) > 2 else
                  http_reply(500, b"500 Internal Server Error")) as endpoint:
        assert output(api.run(endpoint.call("f"))) == "then"
        assert len(endpoint.requests) == 3


def q09_every_result_is_delivered_exactly_once(api, _):
    """With replies lost on the way: the same resume comes again, and no result is in two different resumes."""
    taken = {}

    def answer(request):
        if request.function == "child":
            return returns(text_of(request.run["input"]))
        if not request.is_resume:
            return poll([endpoint.call("child", str(i), correlation_id=1000 + i) for i in range(25)], state=b"0")
        step = int(request.run["poll_result"]["typed_coroutine_state"]["value"])
        results = [(r["correlation_id"], r["dispatch_id"], text_of(r["output"])) for r in request.results]
        if step not in taken:
            taken[step] = results
            return None
        assert taken[step] == results, "a retry is the same request"
        n_taken = sum(map(len, taken.values()))
        return returns("all") if n_taken == 25 else poll(state=str(step + 1).encode())

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "all"
        results = sorted(result for step in taken.values() for result in step)
        assert [(c, o) for c, _, o in results] == [(1000 + i, str(i)) for i in range(25)]
        assert {d for _, d, _ in results} == {r.run["dispatch_id"] for r in endpoint.of("child")}
        assert all(1 <= len(step) <= 10 for step in taken.values())


def q09_results_come_exactly_once_through_kills(_, options):
    """The state of each run is what it has received; whatever the server forgets or repeats in a crash, no result comes
    to a state that has it, and none is missing in the end."""
    trees, children, leaves = 5, 30, 2
    repeated = []
    finished = set()  # roots that have returned: on a busy machine all may be over before a kill

    def answer(request):
        n = int(request.function.split("_")[1])
        if n == 0:
            return returns("1")
        if not request.is_resume:
            below = leaves if n == 1 else children
            calls = [endpoint.call(f"level_{n - 1}", correlation_id=i + 1) for i in range(below)]
            return poll(calls, state=f"{below}:".encode(), min_results=2)
        below, known = request.run["poll_result"]["typed_coroutine_state"]["value"].decode().split(":")
        known = dict(pair.split("=") for pair in known.split())
        fresh = {str(result["correlation_id"]): text_of(result["output"]) for result in request.results}
        if len(fresh) < len(request.results) or known.keys() & fresh.keys():
            repeated.append((request.run, known))
        known.update(fresh)
        if len(known) == int(below):
            if n == 2:
                finished.add(request.run["dispatch_id"])
            return returns(str(sum(map(int, known.values()))))
        return poll(state=(below + ":" + " ".join("=".join(pair) for pair in known.items())).encode(), min_results=2)

    database = os.path.join(options.work, "kills.db")
    remove_database(database)
    server = Server(options.server, KEY, "--db", database)
    with Endpoint(answer) as endpoint:
        ids = Api(server.port, KEY).dispatch(*[endpoint.call("level_2") for _ in range(trees)])
        for n_new, n_resumes in (40, 0), (40, 0), (40, 0), (1, 1), (1, 3), (1, 5), (1, 7):  # resumes of roots
            seen = len(endpoint.requests)
            wait_until(lambda: len(finished) == trees or len(endpoint.requests) >= seen + n_new
                       and sum(r.is_resume for r in endpoint.of("level_2")) >= n_resumes, "more runs")
            server.kill()
            server = Server(options.server, KEY, "--db", database)
        api = Api(server.port, KEY)
        assert [output(api.wait(id)) for id in ids] == [str(children * leaves)] * trees
        assert not repeated, repeated[0]
    assert server.stop() == 0


def q10_an_empty_poll_waits_for_expiration_without_spinning(api, _):
    with Endpoint(lambda r: poll() if r.function == "empty" else returns()) as endpoint:
        [id] = api.dispatch(endpoint.call("empty", expiration={"seconds": 2}))
        make_others_run(api, endpoint)
        assert error(api.wait(id))["message"]
        assert len(endpoint.of("empty")) == 1


def q11_http_413_of_a_large_body_ends_the_call(api, _):
    body = b"Maximum request body size 1048576 exceeded, actual body size 2000100"
    with Endpoint(lambda r: http_reply(413, body)) as endpoint:
        failure = error(api.run(endpoint.call("f", "x" * 2000000)))
        assert "413" in failure["message"], failure
        assert len(endpoint.requests) == 1 and endpoint.requests[0].size > 2000000


def q12_runs_have_a_content_length(api, _):
    with Endpoint(lambda r: returns()) as endpoint:
        api.run(endpoint.call("f", "x" * 100000))
        [request] = endpoint.requests
        assert request.header("content-length") == [str(request.size)] and not request.header("transfer-encoding")
        assert request.header("content-type") == ["application/proto"]
        assert request.line == "POST " + RUN + " HTTP/1.1"
        assert not request.header("expect")


def q13_a_reply_of_http_1_0_ends_with_the_connection(api, _):
    message = wire.encode("RunResponse", returns("old"))
    with Endpoint(lambda r: b"HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6\r\nContent-Type: application/proto\r\n\r\n"
                  + message) as endpoint:
        assert output(api.run(endpoint.call("f"))) == "old"


def q13_a_connection_closed_without_a_reply_is_tried_again(api, _):
    with Endpoint(lambda r: returns("then") if len(endpoint.requests) > 2 else None) as endpoint:
        assert output(api.run(endpoint.call("f"))) == "then"
        assert len(endpoint.requests) == 3


def q13_a_reply_cut_off_in_its_body_is_tried_again(api, _):
    whole = http_reply(200, wire.encode("RunResponse", returns("whole")), "application/proto")
    with Endpoint(lambda r: whole if len(endpoint.requests) > 1 else whole[:-3]) as endpoint:
        assert output(api.run(endpoint.call("f"))) == "whole"


def q14_an_error_body_may_be_invalid_json(api, _):
    body = b'{"code":"unauthenticated","message":"Expected "Signature-Input" header field"}'
    with Endpoint(lambda r: http_reply(401, body, "application/json")) as endpoint:
        failure = error(api.run(endpoint.call("f")))
        assert failure["type"] and failure["message"] and "value" not in failure
        assert len(endpoint.requests) == 1


def q15_a_path_with_two_slashes_is_accepted(api, _):
    status, _, body = api.post("/" + DISPATCH, wire.encode("DispatchRequest", {"calls": []}))
    assert (status, body) == (200, b"")


def q16_a_submit_is_answered_with_200_before_anything_ran(api, _):
    release = threading.Event()

    def answer(_request):
        assert release.wait(TIMEOUT_S)
        return returns("done")

    with Endpoint(answer) as endpoint:
        started = time.monotonic()
        status, headers, body = api.post(DISPATCH, wire.encode("DispatchRequest", {"calls": [endpoint.call("f")]}))
        assert status == 200 and time.monotonic() - started < 5
        assert headers["content-type"] == "application/proto"
        release.set()
        assert output(api.wait(wire.decode("DispatchResponse", body)["dispatch_ids"][0])) == "done"


def q17_errors_made_by_the_server_have_no_value(api, _):
    replies = [fails("OK"), {"status": STATUS["PERMANENT_ERROR"]}, {"status": STATUS["PERMANENT_ERROR"], "exit": {}},
               {"status": STATUS["NOT_FOUND"], "exit": {"result": {}}}, http_reply(400, b"{}", "application/json"),
               http_reply(403), http_reply(200, b"hello", "text/html")]
    with Endpoint(lambda r: replies[int(text_of(r.run["input"]))]) as endpoint:
        for i in range(1, len(replies)):
            failure = error(api.run(endpoint.call("f", str(i))))
            assert failure.get("type") and failure.get("message"), (i, failure)
            assert "value" not in failure and "traceback" not in failure, (i, failure)


def q17_values_of_errors_and_unknown_types_pass_through(api, _):
    failure = {"type": "ValueError", "message": "m", "value": b"\x80\x04pickle", "traceback": b"Traceback ..."}
    odd = {"type_url": "nowhere.example/made.up.Type", "value": b"\xff\x00"}
    with Endpoint(lambda r: {"status": STATUS["INVALID_ARGUMENT"], "exit": {"result": {"error": failure, "output": odd}}}
                  if r.run["input"] == odd else returns("input changed")) as endpoint:
        result = api.run({**endpoint.call("f"), "input": odd})
        assert result["error"] == failure and result["output"] == odd


def q18_a_retryable_status_with_an_output_is_tried_again(api, _):
    statuses = "TIMEOUT THROTTLED TEMPORARY_ERROR DNS_ERROR TCP_ERROR TLS_ERROR HTTP_ERROR".split()
    with Endpoint(lambda r: returns("first", r.function) if len(endpoint.of(r.function)) == 1 else returns("second")) \
            as endpoint:
        ids = api.dispatch(*[endpoint.call(status) for status in statuses])
        assert [output(api.wait(id)) for id in ids] == ["second"] * len(statuses)


def q19_unspecified_with_an_error_ends_the_call(api, _):
    with Endpoint(lambda r: fails("UNSPECIFIED", "DispatchError", "bare")) as endpoint:
        assert error(api.run(endpoint.call("f"))) == {"type": "DispatchError", "message": "bare"}
        assert len(endpoint.requests) == 1


def q20_an_unknown_function_ends_the_call_either_way(api, _):
    body = b'{"code":"not_found","message":"function \'f\' does not exist"}'
    with Endpoint(lambda r: http_reply(404, body, "application/json")) as endpoint:
        assert "function 'f' does not exist" in error(api.run(endpoint.call("f")))["message"]
        assert len(endpoint.requests) == 1
    with Endpoint(lambda r: fails("NOT_FOUND", "NotFound", 'function "f" not found')) as endpoint:
        assert error(api.run(endpoint.call("f")))["message"] == 'function "f" not found'
        assert len(endpoint.requests) == 1


def q21_a_refused_signature_ends_the_call_either_way(api, _):
    for reply in http_reply(403), http_reply(401, b'{"code":"unauthenticated","message":"m"}', "application/json"):
        with Endpoint(lambda r, reply=reply: reply) as endpoint:
            assert error(api.run(endpoint.call("f")))["message"]
            assert len(endpoint.requests) == 1


def q22_runs_ask_for_no_compression(api, _):
    with Endpoint(lambda r: returns()) as endpoint:
        api.run(endpoint.call("f"))
        assert endpoint.requests[0].header("accept-encoding") in ([], ["identity"])


def q23_a_resume_is_never_in_flight_twice(api, _):
    running, most, lock = {}, [0], threading.Lock()

    def answer(request):
        id = request.run["dispatch_id"]
        with lock:
            running[id] = running.get(id, 0) + 1
            most[0] = max(most[0], running[id])
        if request.function == "other":
            reply = returns()
        elif request.function == "child":
            reply = returns()
        elif not request.is_resume:
            reply = poll([endpoint.call("child") for _ in range(20)], state=b"20")
        else:
            left = int(request.run["poll_result"]["typed_coroutine_state"]["value"]) - len(request.results)
            for _ in range(3):  # the other results come in meanwhile
                Api(api.port, KEY).run(endpoint.call("other"))
            reply = poll(state=str(left).encode(), max_results=3) if left else returns("done")
        with lock:
            running[id] -= 1
        return reply

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "done"
        assert most[0] == 1


def q24_a_function_name_with_a_hyphen_is_called_from_a_poll(api, _):
    with Endpoint(lambda r: returns("hyphen") if r.function == "double-repeat" else
                  returns(text_of(r.results[0]["output"])) if r.is_resume else
                  poll([endpoint.call("double-repeat")])) as endpoint:
        assert output(api.run(endpoint.call("main.<locals>.parent"))) == "hyphen"


def q26_host_is_the_endpoints_without_a_default_port(api, _):
    with Endpoint(lambda r: returns()) as endpoint:
        api.run(endpoint.call("f"))
        assert endpoint.requests[0].header("host") == [endpoint.url[len("http://"):]]
    try:
        endpoint = Endpoint(lambda r: returns(), "127.0.0.2", 80)
    except PermissionError:
        return "port 80 is not ours to listen on"
    with endpoint:
        for url in "http://127.0.0.2:80", "http://127.0.0.2", "http://127.0.0.2:80/", "http://127.0.0.2/":
            api.run({**endpoint.call("f"), "endpoint": url})
        assert [r.header("host") for r in endpoint.requests] == [["127.0.0.2"]] * 4
        assert {r.line for r in endpoint.requests} == {"POST " + RUN + " HTTP/1.1"}


def q30_what_the_python_client_always_sends_is_tolerated(api, _):
    status, headers, body = api.post(DISPATCH, wire.encode("DispatchRequest", {"calls": []}), Connect_Timeout_Ms="5000",
                                     Connect_Protocol_Version="1", Accept_Encoding="gzip, deflate", Accept="*/*")
    assert (status, body) == (200, b"") and "content-encoding" not in headers


def run(test, port, options):
    """The lines to show, and whether it went well."""
    started = time.monotonic()
    try:
        skipped = test(Api(port, KEY), options)
    except Exception:
        return False, f"FAILED {test.__name__}\n" + "".join("  | " + line for line in
                                                            traceback.format_exc().splitlines(True)).rstrip()
    return True, (f"{'skip  ' if skipped else 'ok    '} {test.__name__} ({time.monotonic() - started:.2f} s)"
                  + (f": {skipped}" if skipped else ""))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", metavar="BINARY", required=True)
    parser.add_argument("--work", metavar="FOLDER", required=True)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", default=["*"])
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    tests = [test for name, test in {**globals(), **vars(checklist)}.items() if re.match(r"[qc]\d\d_", name)
             and any(fnmatch.fnmatch(name, pattern) for pattern in options.patterns)]
    server = Server(options.server, KEY, "--memory")
    failed = []
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(run, test, server.port, options): test.__name__ for test in tests}
        for future in concurrent.futures.as_completed(running):
            is_right, lines = future.result()
            print(lines, flush=True)
            if not is_right:
                failed.append(running[future])
    code = server.stop()
    if code != 0:
        failed.append("server stops cleanly")
        print(f"FAILED server stops cleanly: exit code {code}, output:\n{server.report()}")
    print(f"{len(failed)} failed of {len(tests)}: {' '.join(failed)}" if failed else f"all {len(tests)} passed")
    return 1 if failed else 0


sys.exit(main())
