"""The lines of the checklist for a server (protocol 13.2), each shown by the tests that carry its number; run by
quirks.py."""

import json
import os
import threading
import time

import wire
from endpoint import DISPATCH, RUN, WAIT, Api, Endpoint, http_reply
from helpers import (BACKED_OFF_S, KEY, TIMEOUT_S, connect_error, error, make_others_run, output, remove_database,
                     seconds)
from server import Server
from wire import STATUS, fails, poll, returns, tail_call, text, text_of


def c01_a_wrong_or_missing_key_is_unauthenticated(api, _):
    for path in DISPATCH, WAIT:
        for value in None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + KEY[:-1], "Bearer " + KEY + "0", KEY:
            connect_error(api.post(path, b"", Authorization=value), 401, "unauthenticated")


def c01_bad_requests_get_connect_errors(api, _):
    connect_error(api.post(DISPATCH, b"\xff\xff"), 400, "invalid_argument")
    connect_error(api.post(DISPATCH, b"\x0a\x05a"), 400, "invalid_argument")
    connect_error(api.post(DISPATCH, b"{", Content_Type="application/json"), 400, "invalid_argument")
    connect_error(api.post(DISPATCH, b"", Connect_Protocol_Version="2"), 400, "invalid_argument")
    connect_error(api.post(DISPATCH, b"", Connect_Timeout_Ms="soon"), 400, "invalid_argument")
    status, headers, _body = api.post(DISPATCH, b"x", Content_Type="text/plain")
    assert status == 415, status
    status, headers, _body = api.post(DISPATCH, None, method="GET")
    assert status == 405 and "POST" in headers["allow"], (status, headers)
    assert api.post("/nowhere", b"")[0] == 404


def c01_json_is_spoken_too(api, _):
    with Endpoint(lambda r: returns("yes " + text_of(r.run["input"]))) as endpoint:
        call = {"endpoint": endpoint.url, "function": "f",
                "input": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "json"}}
        status, headers, body = api.post(DISPATCH, json.dumps({"calls": [call]}), Content_Type="application/json")
        assert status == 200 and headers["content-type"].startswith("application/json"), (status, body)
        [id] = json.loads(body)["dispatchIds"]
        assert output(api.wait(id)) == "yes json"


def c02_a_submit_is_all_or_nothing(api, _):
    with Endpoint(lambda r: returns()) as endpoint:
        good = endpoint.call("f")
        for bad in ({**good, "endpoint": ""}, {**good, "endpoint": "ftp://x"}, {**good, "function": ""},
                    {**good, "expiration": {"seconds": -1}}):
            reply = api.post(DISPATCH, wire.encode("DispatchRequest", {"calls": [good, bad, good]}))
            connect_error(reply, 400, "invalid_argument")
        make_others_run(api, endpoint)
        assert not endpoint.of("f")


def c02_ids_come_in_the_order_of_the_calls(api, _):
    with Endpoint(lambda r: returns(text_of(r.run["input"]))) as endpoint:
        ids = api.dispatch(*[endpoint.call("f", str(i)) for i in range(100)])
        assert len(set(ids)) == 100
        assert [output(api.wait(id)) for id in ids] == [str(i) for i in range(100)]


def c02_what_was_acknowledged_survives_a_kill(_, options):
    database = os.path.join(options.work, "acknowledged.db")
    remove_database(database)
    gate = threading.Event()
    with Endpoint(lambda r: returns(text_of(r.run["input"])) if gate.is_set() else None) as endpoint:
        server = Server(options.server, KEY, "--db", database)
        ids = Api(server.port, KEY).dispatch(*[endpoint.call("f", str(i)) for i in range(500)])
        server.kill()
        gate.set()
        server = Server(options.server, KEY, "--db", database)
        api = Api(server.port, KEY)
        assert [output(api.wait(id)) for id in ids] == [str(i) for i in range(500)]
        server.kill()
        server = Server(options.server, KEY, "--db", database)
        api = Api(server.port, KEY)
        n = len(endpoint.requests)
        assert [output(api.wait(id)) for id in ids] == [str(i) for i in range(500)], "a result was taken back"
        assert len(endpoint.requests) == n, "a finished call ran again"
        assert server.stop() == 0


def c03_only_200_with_application_proto_is_a_run_response(api, _):
    message = wire.encode("RunResponse", returns("no"))
    for reply in (http_reply(200, message, "text/plain"), http_reply(201, message, "application/proto"),
                  http_reply(200, message, "application/protobuf"), http_reply(204),
                  http_reply(302, b"", "text/plain", "Location: http://127.0.0.1:1/\r\n"), http_reply(501),
                  http_reply(418)):
        with Endpoint(lambda r, reply=reply: reply) as endpoint:
            assert error(api.run(endpoint.call("f")))["message"], reply
            assert len(endpoint.requests) == 1, reply


def c03_a_malformed_run_response_is_an_error(api, _):
    negative = wire.encode("RunResponse", poll([{"function": "f", "expiration": {"seconds": -1}}]))
    for body in b"\xff\xff\xff", b"", b"\x08\x01", b"\x08\x01\x12\x7fshort", negative:
        with Endpoint(lambda r, body=body: http_reply(200, body, "application/proto")) as endpoint:
            assert error(api.run(endpoint.call("f", expiration={"seconds": 3})))["message"], body


def c03_http_failures_that_may_pass_are_tried_again(api, _):
    statuses = [408, 429, 500, 502, 503, 504, 599]
    with Endpoint(lambda r: http_reply(int(r.function[1:])) if len(endpoint.of(r.function)) == 1 else returns("then")) \
            as endpoint:
        ids = api.dispatch(*[endpoint.call(f"f{status}") for status in statuses])
        assert [output(api.wait(id)) for id in ids] == ["then"] * len(statuses)


def c03_chunked_replies_and_reused_connections_are_read(api, _):
    message = wire.encode("RunResponse", returns("chunks"))
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (message[:5], message[5:])) + b"0\r\n\r\n"
    with Endpoint(lambda r: b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n"
                  + chunks) as endpoint:
        assert output(api.run(endpoint.call("f"))) == "chunks"


def c03_an_endpoint_may_have_a_path(api, _):
    with Endpoint(lambda r: returns("prefix")) as endpoint:
        for suffix in "/app/v1", "/app/v1/":
            assert output(api.run({**endpoint.call("f"), "endpoint": endpoint.url + suffix})) == "prefix"
        assert {r.line for r in endpoint.requests} == {"POST /app/v1" + RUN + " HTTP/1.1"}


def c04_ids_and_times_are_on_every_request(api, _):
    """Over a retry, a poll and a tail call."""
    def answer(request):
        if request.function == "child":
            return returns()
        if request.function == "tail":
            return returns("end")
        if request.is_resume:
            return tail_call({"function": "tail"})
        return fails("TEMPORARY_ERROR") if len(endpoint.of("root")) == 1 else poll([endpoint.call("child")])

    before = time.time()
    with Endpoint(answer) as endpoint:
        [id] = api.dispatch(endpoint.call("root", expiration={"seconds": 100}))
        assert output(api.wait(id)) == "end"
        roots = endpoint.of("root") + endpoint.of("tail")
        assert len(roots) == 4
        for key in "dispatch_id", "root_dispatch_id", "creation_time", "expiration_time":
            assert len({repr(r.run[key]) for r in roots}) == 1, key
        run = roots[0].run
        assert run["dispatch_id"] == run["root_dispatch_id"] == id
        assert not run.get("parent_dispatch_id")
        assert before - 1 < seconds(run["creation_time"]) < time.time() + 1
        assert 99.9 < seconds(run["expiration_time"]) - seconds(run["creation_time"]) < 100.1
        [child] = [r.run for r in endpoint.of("child")]
        assert child["parent_dispatch_id"] == child["root_dispatch_id"] == id != child["dispatch_id"]
        assert "creation_time" in child and "expiration_time" in child


def c05_incompatible_state_restarts_from_the_original_input(api, _):
    def answer(request):
        if request.function == "child":
            return returns()
        if not request.is_resume:
            return poll([endpoint.call("child")], state=b"%d" % len(endpoint.of("root")))
        return fails("INCOMPATIBLE_STATE") if len(endpoint.of("root")) == 2 else returns("fresh")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("root", "original"))) == "fresh"
        assert [r.is_resume for r in endpoint.of("root")] == [False, True, False, True]
        first, second = [r.run for r in endpoint.of("root") if not r.is_resume]
        assert first == second and text_of(first["input"]) == "original"
        assert endpoint.of("root")[3].run["poll_result"]["typed_coroutine_state"]["value"] == b"3"
        assert len(endpoint.of("root")[3].results) == 1, "results of the abandoned run are not delivered"


def c05_a_tail_call_is_honoured_whatever_the_status(api, _):
    with Endpoint(lambda r: returns("end") if r.function == "end" else tail_call({"function": "end"}, r.function)) \
            as endpoint:
        ids = api.dispatch(*[endpoint.call(status) for status in STATUS])
        assert [output(api.wait(id)) for id in ids] == ["end"] * len(STATUS)
        assert [len(endpoint.of(status)) for status in STATUS] == [1] * len(STATUS)
        assert {r.run["dispatch_id"] for r in endpoint.of("end")} == set(ids)


def c06_a_retry_is_the_same_request_after_a_backoff(api, _):
    times = []

    def answer(request):
        times.append(time.monotonic())
        return fails("TEMPORARY_ERROR") if len(times) < 5 else returns("end")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("f", "same"))) == "end"
        assert all(r.run == endpoint.requests[0].run for r in endpoint.requests)
        assert times[-1] - times[0] > BACKED_OFF_S, "no backoff"


def c06_retry_after_is_obeyed(api, _):
    times = []

    def answer(request):
        times.append(time.monotonic())
        return http_reply(503, b"", "text/plain", "Retry-After: 1\r\n") if len(times) == 1 else returns("end")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("f"))) == "end"
        assert 0.95 < times[1] - times[0] < 10


def c06_an_unreachable_endpoint_is_tried_again_until_expiration(api, _):
    with Endpoint(lambda r: returns()) as endpoint:
        call = endpoint.call("f", expiration={"seconds": 1})
    assert error(api.run(call))["message"]
    assert error(api.run({**call, "endpoint": "http://no-such-host.invalid"}))["message"]


def c07_max_wait_resumes_with_what_is_there(api, _):
    release = threading.Event()

    def answer(request):
        if request.function == "slow":
            assert release.wait(TIMEOUT_S)
        if request.function != "parent":
            return returns()
        if not request.is_resume:
            return poll([endpoint.call("quick"), endpoint.call("slow")], 2, 2, max_wait={"seconds": 1})
        if len(endpoint.of("parent")) == 2:
            release.set()
            return poll([], 1, 10)
        return returns("done")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "done"
        assert [len(r.results) for r in endpoint.of("parent")] == [0, 1, 1]


def c07_a_poll_of_nothing_with_max_wait_is_a_sleep(api, _):
    with Endpoint(lambda r: returns(str(len(r.results))) if r.is_resume else poll([], 1, 1, max_wait={"seconds": 1})) \
            as endpoint:
        started = time.monotonic()
        assert output(api.run(endpoint.call("sleeper"))) == "0"
        assert 0.9 < time.monotonic() - started < 20


def c07_at_most_max_results_are_delivered_and_the_rest_kept(api, _):
    gathered = []

    def answer(request):
        if request.function == "child":
            return returns()
        if not request.is_resume:
            return poll([endpoint.call("child", correlation_id=i + 1) for i in range(7)], 7, 3)
        gathered.extend(r["correlation_id"] for r in request.results)
        return poll([], 1, 3) if len(gathered) < 7 else returns("all")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "all"
        assert [len(r.results) for r in endpoint.of("parent")] == [0, 3, 3, 1]
        assert sorted(gathered) == list(range(1, 8))


def c07_an_invalid_call_in_a_poll_refuses_the_whole_poll(api, _):
    bad = [{"function": ""}, {"function": "f", "endpoint": "ftp://x"}, {"function": "f", "endpoint": "http://a b"}]

    def answer(request):
        if request.function == "child":
            return returns()
        if request.is_resume:
            failure = request.run["poll_result"].get("error", {})
            state = request.run["poll_result"]["typed_coroutine_state"]["value"]
            return returns("refused" if failure.get("message") and not request.results and state == b"state" else "?")
        return poll([endpoint.call("child"), bad[int(text_of(request.run["input"]))]])

    with Endpoint(answer) as endpoint:
        for i in range(len(bad)):
            assert output(api.run(endpoint.call("parent", str(i)))) == "refused"
        for _ in range(3):
            api.run(endpoint.call("child"))
        assert len(endpoint.of("child")) == 3, "a call of a refused poll was made"


def c08_every_result_comes_once_to_one_attempt_at_a_time(api, _):
    """The results of thirty calls in portions, while each resume is refused once before it is taken."""
    lock, running, most, taken, refused = threading.Lock(), {}, [0], [], set()

    def answer(request):
        id = request.run["dispatch_id"]
        with lock:
            running[id] = running.get(id, 0) + 1
            most[0] = max(most[0], running[id])
        reply = judge(request)
        with lock:
            running[id] -= 1
        return reply

    def judge(request):
        if request.function == "child":
            return returns(text_of(request.run["input"]))
        if not request.is_resume:
            return poll([endpoint.call("child", str(i), correlation_id=i + 1) for i in range(30)], 4, 7)
        if len(taken) not in refused:
            refused.add(len(taken))
            return fails("TEMPORARY_ERROR")
        taken.extend((r["correlation_id"], r["dispatch_id"], text_of(r["output"])) for r in request.results)
        return poll([], 4, 7) if len(taken) < 30 else returns("all")

    with Endpoint(answer) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == "all"
        assert most[0] == 1, "two attempts of a call at the same time"
        assert sorted((c, o) for c, _, o in taken) == [(i + 1, str(i)) for i in range(30)]
        ids = {text_of(r.run["input"]): r.run["dispatch_id"] for r in endpoint.of("child")}
        assert all(d == ids[o] for _, d, o in taken)


def c09_a_result_is_the_exits_output_and_error(api, _):
    failure = {"type": "E", "message": "partial", "value": b"v", "traceback": b"t"}

    def answer(request):
        if request.function == "child":
            return tail_call({"function": "replacement"})
        if request.function == "replacement":
            return {"status": STATUS["PERMANENT_ERROR"], "exit": {"result": {"output": text("half"), "error": failure}}}
        if not request.is_resume:
            return poll([endpoint.call("child", correlation_id=2**64 - 1)])
        [result] = request.results
        assert result["correlation_id"] == 2**64 - 1
        assert result["dispatch_id"] == endpoint.of("child")[0].run["dispatch_id"]
        return {"status": STATUS["OK"], "exit": {"result": {"output": result["output"], "error": result["error"]}}}

    with Endpoint(answer) as endpoint:
        result = api.run(endpoint.call("parent"))
        assert result["error"] == failure and text_of(result["output"]) == "half"


def c09_no_output_and_no_error_is_a_result_without_value(api, _):
    with Endpoint(lambda r: returns() if r.function == "child" else poll([endpoint.call("child", correlation_id=3)])
                  if not r.is_resume else returns(repr(sorted(r.results[0])))) as endpoint:
        assert output(api.run(endpoint.call("parent"))) == repr(["correlation_id", "dispatch_id"])


def c10_an_empty_endpoint_below_is_that_of_the_caller(api, _):
    """Of a child, of its child, and of what takes the place of a call; the path included."""
    def answer(request):
        if request.function == "tail":
            return returns("end")
        if request.is_resume:
            return returns(text_of(request.results[0]["output"]))
        below = {"root": "child", "child": "grandchild"}.get(request.function)
        return poll([{"function": below}]) if below else tail_call({"function": "tail"})

    with Endpoint(answer) as endpoint:
        assert output(api.run({**endpoint.call("root"), "endpoint": endpoint.url + "/app"})) == "end"
        assert [len(endpoint.of(f)) for f in ("root", "child", "grandchild", "tail")] == [2, 2, 1, 1]
        assert {r.line for r in endpoint.requests} == {"POST /app" + RUN + " HTTP/1.1"}


def c11_nothing_runs_again_after_a_terminal_exit(api, _):
    replies = [returns("x"), fails("PERMANENT_ERROR"), fails("UNSPECIFIED"), fails("INVALID_RESPONSE")]
    with Endpoint(lambda r: returns() if r.function == "other" else replies[int(r.function[1])]) as endpoint:
        ids = api.dispatch(*[endpoint.call(f"f{i}") for i in range(len(replies))])
        results = [api.wait(id) for id in ids]
        make_others_run(api, endpoint)
        assert [len(endpoint.of(f"f{i}")) for i in range(len(replies))] == [1] * len(replies)
        assert [api.wait(id) for id in ids] == results, "a result was taken back"
