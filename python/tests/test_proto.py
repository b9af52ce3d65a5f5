"""Calls, inputs, outputs and results, and their messages (protocol 1.2, 5)."""

from __future__ import annotations

import inspect
import pickle
from datetime import datetime, timedelta

import pytest
from google.protobuf import any_pb2

from dispatch import proto
from dispatch.any import marshal_any, unmarshal_any
from dispatch.error import IncompatibleStateError, InvalidArgumentError
from dispatch.proto import Arguments, Call, CallResult, Error, Input, Output, TailCall
from dispatch.sdk.python.v1 import pickled_pb2
from dispatch.sdk.v1 import call_pb2, dispatch_pb2, error_pb2, exit_pb2, function_pb2, poll_pb2
from dispatch.status import Status, register_output_type, status_for_error

BROKEN = any_pb2.Any(
    type_url="buf.build/stealthrocket/dispatch-proto/dispatch.sdk.python.v1.Pickled", value=b"\x0a\x01x"
)


# --- messages ---


FIELDS = {
    call_pb2.Call: "correlation_id=1 endpoint=2 function=3 input=4 expiration=5 version=6",
    call_pb2.CallResult: "correlation_id=1 output=2 error=3 dispatch_id=4",
    dispatch_pb2.DispatchRequest: "calls=1",
    dispatch_pb2.DispatchResponse: "dispatch_ids=1",
    error_pb2.Error: "type=1 message=2 value=3 traceback=4",
    exit_pb2.Exit: "result=1 tail_call=2",
    function_pb2.RunRequest: "function=1 input=2 poll_result=3 dispatch_id=4 parent_dispatch_id=5 "
    "root_dispatch_id=6 creation_time=7 expiration_time=8",
    function_pb2.RunResponse: "status=1 exit=2 poll=3",
    poll_pb2.Poll: "coroutine_state=1 calls=2 max_wait=3 max_results=4 min_results=5 typed_coroutine_state=6",
    poll_pb2.PollResult: "coroutine_state=1 results=2 error=3 typed_coroutine_state=4",
    pickled_pb2.Pickled: "pickled_value=1",
}


@pytest.mark.parametrize("cls", FIELDS)
def test_a_message_has_the_fields_of_the_protocol(cls):
    fields = cls.DESCRIPTOR.fields_by_number
    assert " ".join(f"{fields[number].name}={number}" for number in sorted(fields)) == FIELDS[cls]


@pytest.mark.parametrize("cls", FIELDS)
def test_a_message_is_of_its_module_and_can_be_pickled(cls):
    message = cls()
    assert pickle.loads(pickle.dumps(message)) == message
    assert cls.DESCRIPTOR.file.name == cls.__module__.replace(".", "/").removesuffix("_pb2") + ".proto"


def test_scalars_have_no_presence_and_the_members_of_a_oneof_have():
    with pytest.raises(ValueError):
        call_pb2.Call().HasField("function")
    poll = poll_pb2.Poll(coroutine_state=b"")
    assert poll.WhichOneof("state") == "coroutine_state"
    poll.typed_coroutine_state.SetInParent()
    assert not poll.HasField("coroutine_state")


def test_a_submission_has_the_bytes_of_the_protocol():
    call = Call(function="f", input=42, endpoint="http://h:1", correlation_id=7)
    request = dispatch_pb2.DispatchRequest(calls=[call._as_proto()])
    assert request.SerializeToString().hex() == (
        "0a470807120a687474703a2f2f683a311a016622340a2e747970652e676f6f676c65617069732e636f6d2f676f"
        "6f676c652e70726f746f6275662e496e74363456616c75651202082a"
    )


# --- Call, CallResult ---


def test_a_call_without_input_sends_the_null_value():
    message = Call("f")._as_proto()
    assert message.input.type_url == "type.googleapis.com/google.protobuf.Empty"
    assert not message.HasField("expiration")


def test_a_call_carries_its_expiration_and_version():
    call = Call("f", expiration=timedelta(seconds=1.5), version="v2")
    message = call._as_proto()
    assert (message.expiration.seconds, message.expiration.nanos) == (1, 500_000_000)
    assert message.version == "v2"
    assert Call("f", expiration=timedelta())._as_proto().HasField("expiration")


def test_a_negative_expiration_is_refused():
    with pytest.raises(ValueError, match="expiration is negative"):
        Call("f", expiration=timedelta(seconds=-1))._as_proto()


def test_calls_and_results_are_values():
    call = Call("f", 1, "http://h", 2, timedelta(1), "v")
    assert call == pickle.loads(pickle.dumps(call)) != Call("f")
    result = CallResult(1, "x", None, "id")
    assert result == pickle.loads(pickle.dumps(result)) != CallResult()
    assert repr(Call("f", 1)).startswith("Call(function='f', input=1, endpoint=None")


@pytest.mark.parametrize("output", ["x", 0, False, (1, 2), [], None])
def test_a_result_carries_its_output(output):
    message = CallResult.from_value(output, correlation_id=5)._as_proto()
    assert message.HasField("output") == (output is not None)
    assert not message.HasField("error")
    assert CallResult._from_proto(message) == CallResult(5, output)


def test_a_result_carries_its_error():
    error = Error(Status.NOT_FOUND, "T", "text")
    message = CallResult.from_error(error, correlation_id=2**64 - 1)._as_proto()
    assert not message.HasField("output")
    result = CallResult._from_proto(message)
    assert (result.correlation_id, result.output) == (2**64 - 1, None)
    assert (result.error.type, result.error.message, result.error.status) == ("T", "text", Status.UNSPECIFIED)


def test_a_partial_result_has_output_and_error():
    error = Error(Status.NOT_FOUND, "T", "text")
    result = CallResult._from_proto(CallResult(1, "part", error, "id")._as_proto())
    assert (result.output, result.error.message, result.dispatch_id) == ("part", "text", "id")


def test_an_output_that_cannot_be_decoded_is_an_error_of_its_result_only():
    good, bad = call_pb2.CallResult(correlation_id=1), call_pb2.CallResult(correlation_id=2, output=BROKEN)
    request = function_pb2.RunRequest(poll_result=poll_pb2.PollResult(results=[good, bad]))
    one, other = Input(request).call_results
    assert one.error is None
    assert "unpickle" in other.error.message and other.error.status is Status.INVALID_RESPONSE


# --- Input ---


def test_the_first_input_holds_arguments():
    input = Input.from_input_arguments("f", 1, "a", k=2)
    assert input.is_first_call and not input.is_resume
    assert input.input == Arguments((1, "a"), {"k": 2})
    assert input.input_arguments() == input.arguments_or_value() == ((1, "a"), {"k": 2})


@pytest.mark.parametrize("attribute", ["coroutine_state", "call_results", "poll_error"])
def test_the_first_input_has_nothing_of_a_poll(attribute):
    with pytest.raises(ValueError, match="^This input is for a first function call$"):
        getattr(Input.from_input_arguments("f"), attribute)


@pytest.mark.parametrize(
    "read",
    [lambda i: i.input, lambda i: i.input_arguments(), lambda i: i.arguments_or_value()],
)
def test_the_input_of_a_resume_has_nothing_of_the_call(read):
    with pytest.raises(ValueError, match="^This input is for a resumed coroutine$"):
        read(Input.from_poll_results("f", None, []))


def test_the_input_of_a_resume_holds_state_and_results():
    error = Error(Status.THROTTLED, "T", "text")
    results = [CallResult.from_value(1, correlation_id=3), CallResult.from_error(error, correlation_id=4)]
    input = Input.from_poll_results("f", {"a": (1,)}, results, error)
    assert input.is_resume and not input.is_first_call
    assert input.coroutine_state == {"a": (1,)}
    assert [result.correlation_id for result in input.call_results] == [3, 4]
    assert input.call_results[0].output == 1
    assert input.poll_error.message == "text"
    assert Input.from_poll_results("f", None, []).poll_error is None


@pytest.mark.parametrize("value", [1, "x", [1.0], Arguments])
def test_a_plain_input_is_the_only_argument(value):
    input = Input(function_pb2.RunRequest(input=marshal_any(value)))
    assert input.input == value
    assert input.arguments_or_value() == ((value,), {})
    with pytest.raises(RuntimeError, match="^input does not hold arguments$") as raised:
        input.input_arguments()
    assert status_for_error(raised.value) is Status.PERMANENT_ERROR


@pytest.mark.parametrize(
    "request_", [function_pb2.RunRequest(), function_pb2.RunRequest(input=marshal_any(None))]
)
def test_a_missing_input_is_no_argument(request_):
    input = Input(request_)
    assert input.is_first_call and input.input is None
    assert input.arguments_or_value() == ((), {})
    with pytest.raises(RuntimeError, match="^input does not hold arguments$"):
        input.input_arguments()


def test_an_input_that_cannot_be_decoded_fails_when_it_is_read():
    input = Input(function_pb2.RunRequest(input=BROKEN, dispatch_id="7"))
    assert input.dispatch_id == "7" and input.is_first_call
    with pytest.raises(InvalidArgumentError, match="unpickle"):
        input.arguments_or_value()


def test_a_state_that_cannot_be_decoded_fails_when_it_is_read():
    result = poll_pb2.PollResult(typed_coroutine_state=BROKEN)
    input = Input(function_pb2.RunRequest(poll_result=result))
    assert input.is_resume and input.call_results == []
    with pytest.raises(IncompatibleStateError, match="unpickle"):
        input.coroutine_state


def test_a_state_of_an_old_program_is_incompatible():
    request = function_pb2.RunRequest(poll_result=poll_pb2.PollResult(coroutine_state=b"old"))
    with pytest.raises(IncompatibleStateError):
        Input(request)


def test_the_state_of_a_resume_without_one_is_none():
    assert Input(function_pb2.RunRequest(poll_result=poll_pb2.PollResult())).coroutine_state is None


def test_an_input_knows_its_call():
    request = function_pb2.RunRequest(dispatch_id="3", parent_dispatch_id="2", root_dispatch_id="1")
    request.creation_time.FromJsonString("2024-06-26T03:35:09.641448Z")
    request.expiration_time.FromJsonString("2024-06-26T03:36:09Z")
    input = Input(request)
    assert (input.dispatch_id, input.parent_dispatch_id, input.root_dispatch_id) == ("3", "2", "1")
    assert input.creation_time == datetime(2024, 6, 26, 3, 35, 9, 641448)
    assert input.expiration_time == datetime(2024, 6, 26, 3, 36, 9)


def test_times_that_the_server_left_out_are_the_epoch():
    input = Input(function_pb2.RunRequest())
    assert input.creation_time == input.expiration_time == datetime(1970, 1, 1)


def test_what_an_input_has_decoded_it_keeps():
    input = Input.from_input_arguments("f", [1])
    assert input.input is input.input
    resumed = Input.from_poll_results("f", (1, [2]), [CallResult()])
    assert resumed.coroutine_state is resumed.coroutine_state
    assert resumed.call_results is resumed.call_results


# --- Output ---


def test_outputs_have_the_bytes_of_the_protocol():
    assert Output.value("x")._message.SerializeToString().hex() == (
        "0801123a0a3812360a2f747970652e676f6f676c65617069732e636f6d2f676f6f676c652e70726f746f6275"
        "662e537472696e6756616c756512030a0178"
    )
    assert Output.value(None)._message.SerializeToString().hex() == "080112020a00"


def test_the_status_of_a_value_is_that_of_its_type_or_the_one_given():
    class Answer:
        pass

    register_output_type(Answer, Status.THROTTLED)
    Answer.__reduce__ = lambda self: (int, ())
    assert Output.value(Answer())._message.status == Status.THROTTLED
    assert Output.value(Answer(), status=Status.OK)._message.status == Status.OK
    assert Output.value(1, status=Status.TEMPORARY_ERROR)._message.status == Status.TEMPORARY_ERROR


def test_an_error_ends_with_its_status():
    message = Output.error(Error(Status.NOT_FOUND, "T", "text"))._message
    assert message.status == Status.NOT_FOUND
    assert (message.exit.result.error.type, message.exit.result.error.message) == ("T", "text")
    assert not message.exit.result.HasField("output")


def test_a_tail_call_leaves_the_result_out():
    message = Output.tail_call(Call("g", 1))._message
    assert message.status == Status.OK and message.exit.tail_call.function == "g"
    assert not message.exit.HasField("result")
    assert Output.tail_call(Call("g"), Status.TEMPORARY_ERROR)._message.status == Status.TEMPORARY_ERROR


def test_an_exit_may_have_neither_result_nor_tail_call():
    message = Output.exit()._message
    assert message.WhichOneof("directive") == "exit" and message.exit.ByteSize() == 0


def test_a_poll_always_has_a_typed_state_and_a_wait_only_when_asked():
    poll = Output.poll()._message.poll
    assert unmarshal_any(poll.typed_coroutine_state) is None
    assert poll.typed_coroutine_state.type_url.endswith("google.protobuf.Empty")
    assert (poll.min_results, poll.max_results, len(poll.calls)) == (1, 10, 0)
    assert not poll.HasField("max_wait") and not poll.HasField("coroutine_state")
    assert Output.poll(max_wait_seconds=0)._message.poll.HasField("max_wait")


def test_a_poll_carries_state_calls_and_limits():
    message = Output.poll((1,), [Call("f"), Call("g")], 2, 3, 60)._message
    assert message.status == Status.OK
    assert unmarshal_any(message.poll.typed_coroutine_state) == (1,)
    assert [call.function for call in message.poll.calls] == ["f", "g"]
    assert (message.poll.min_results, message.poll.max_results) == (2, 3)
    assert message.poll.max_wait.seconds == 60


def test_outputs_are_compared_by_their_messages():
    assert Output.value(1) == Output.value(1) != Output.value(2)
    assert Output(function_pb2.RunResponse(status=1)) != 1


# --- TailCall ---


def test_a_tail_call_is_an_exception_that_names_the_function():
    call = Call("g")
    raised = TailCall(call)
    assert (raised.call, raised.status) == (call, Status.TEMPORARY_ERROR)
    assert str(raised).endswith("call of g")
    assert TailCall(call, Status.OK).status is Status.OK


class Derived(TailCall):
    def __init__(self, name):
        super().__init__(Call(name), Status.THROTTLED)
        self.name = name


@pytest.mark.parametrize("raised", [TailCall(Call("g"), Status.OK), Derived("g")])
def test_a_tail_call_can_be_pickled(raised):
    loaded = pickle.loads(pickle.dumps(raised))
    assert type(loaded) is type(raised)
    assert (str(loaded), vars(loaded)) == (str(raised), vars(raised))


# --- signatures ---


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Input, "req"),
        (Input.from_input_arguments, "function, *args, **kwargs"),
        (Input.from_poll_results, "function, coroutine_state, call_results, error=None"),
        (Arguments, "args, kwargs"),
        (Output, "proto"),
        (Output.value, "value, status=None"),
        (Output.error, "error"),
        (Output.tail_call, "tail_call, status=OK"),
        (Output.exit, "result=None, tail_call=None, status=OK"),
        (
            Output.poll,
            "coroutine_state=None, calls=None, min_results=1, max_results=10, max_wait_seconds=None",
        ),
        (Call, "function, input=None, endpoint=None, correlation_id=None, expiration=None, version=None"),
        (CallResult, "correlation_id=None, output=None, error=None, dispatch_id=''"),
        (CallResult.from_value, "output, correlation_id=None"),
        (CallResult.from_error, "error, correlation_id=None"),
        (Error, "status, type, message, value=None, traceback=None"),
        (Error.from_exception, "ex, status=None"),
        (TailCall, "call, status=TEMPORARY_ERROR"),
    ],
)
def test_a_signature_is_that_of_the_original_package(function, parameters):
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == f"({parameters})"


def test_the_module_has_the_names_of_its_pickles():
    assert proto.Arguments.__module__ == "dispatch.proto" and proto.Arguments.__qualname__ == "Arguments"
