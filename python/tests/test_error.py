"""Errors: exceptions that cross the wire (protocol 4.7)."""

from __future__ import annotations

import builtins
import pickle
import subprocess
import sys
import threading
import traceback

import pytest

from dispatch import error as errors
from dispatch.proto import Error
from dispatch.sdk.v1 import error_pb2
from dispatch.status import Status, register_error_type, status_for_error


def raised(exception):
    try:
        raise exception
    except Exception as error:
        return error


def over_the_wire(error):
    message = error_pb2.Error.FromString(error._as_proto().SerializeToString())
    return Error._from_proto(message)


def lines(exception):
    """The traceback as text, without the marks below the source lines, which only live frames have."""
    text = "".join(traceback.format_exception(exception))
    return [line for line in text.splitlines() if not line.strip() or line.strip(" ^~")]


def test_an_exception_becomes_an_error():
    error = Error.from_exception(raised(ValueError("text")))
    assert (error.status, error.type, error.message) == (Status.INVALID_ARGUMENT, "ValueError", "text")
    assert isinstance(error.value, ValueError)
    assert error.traceback.decode().splitlines()[-1] == "ValueError: text"


def test_the_status_may_be_given():
    assert Error.from_exception(ValueError(), status=Status.THROTTLED).status is Status.THROTTLED


def test_the_type_of_a_nested_class_is_its_qualified_name():
    class Inner(Exception):
        pass

    assert Error.from_exception(Inner()).type.endswith("<locals>.Inner")


def test_an_exception_crosses_the_wire_and_back_with_its_traceback():
    original = raised(ValueError("text"))
    expected = lines(original)
    error = over_the_wire(Error.from_exception(original))
    for _ in range(2):
        exception = error.to_exception()
        assert type(exception) is ValueError and exception.args == ("text",)
        assert lines(exception) == expected
        error = over_the_wire(Error.from_exception(exception))


def fails_twice():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error


def test_an_exception_with_a_cause_has_its_own_traceback():
    try:
        fails_twice()
    except ValueError as exception:
        error = over_the_wire(Error.from_exception(exception))
    assert b"KeyError" in error.traceback
    frames = traceback.extract_tb(error.to_exception().__traceback__)
    assert [frame.line for frame in frames] == ["fails_twice()", 'raise ValueError("second") from error']


def test_the_status_is_not_on_the_wire():
    assert over_the_wire(Error(Status.NOT_FOUND, "T", "text")).status is Status.UNSPECIFIED


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((Status.NOT_FOUND, None, "text"), "Error type is required"),
        ((Status.NOT_FOUND, "T", None), "Error message is required"),
        ((Status.OK, "T", "text"), "Status cannot be OK"),
    ],
)
def test_an_error_needs_a_type_a_message_and_a_status_of_failure(arguments, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        Error(*arguments)


def test_type_and_message_may_be_empty():
    assert Error(Status.NOT_FOUND, "", "").message == ""


def test_a_given_traceback_is_kept():
    assert Error(Status.NOT_FOUND, "T", "text", ValueError(), b"own").traceback == b"own"
    assert Error(Status.NOT_FOUND, "T", "text").traceback is None


def test_an_exception_whose_class_is_called_ok_fails_all_the_same():
    class Fine(Exception):
        pass

    register_error_type(Fine, Status.OK)
    assert Error.from_exception(Fine()).status is Status.PERMANENT_ERROR


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("IncompatibleStateError", errors.IncompatibleStateError),
        ("InvalidArgumentError", errors.InvalidArgumentError),
        ("TimeoutError", errors.TimeoutError),
        ("NotFoundError", errors.NotFoundError),
        ("DispatchError", errors.DispatchError),
        ("CanceledError", errors.CanceledError),
        ("STATUS_NOT_FOUND", errors.NotFoundError),
        ("STATUS_PERMANENT_ERROR", errors.PermanentError),
        ("STATUS_UNSPECIFIED", errors.DispatchError),
        ("STATUS_OK", RuntimeError),
        ("KeyError", RuntimeError),
        ("Status", RuntimeError),
        ("register_error_type", RuntimeError),
        ("builtins", RuntimeError),
        ("no such name", RuntimeError),
        ("", RuntimeError),
    ],
)
def test_an_error_without_value_is_the_exception_that_its_type_names(name, cls):
    exception = over_the_wire(Error(Status.NOT_FOUND, name, "text")).to_exception()
    assert type(exception) is cls and exception.args == ("text",)


def test_the_timeout_of_another_language_is_a_builtin_timeout_too():
    assert isinstance(Error(Status.TIMEOUT, "TimeoutError", "x").to_exception(), builtins.TimeoutError)


@pytest.mark.parametrize("name", ["TimeoutError", "HTTPError", "IncompatibleStateError", "STATUS_TIMEOUT"])
def test_how_a_call_ended_is_no_reason_to_run_its_caller_again(name):
    exception = Error(Status.UNSPECIFIED, name, "text").to_exception()
    assert status_for_error(exception) is Status.PERMANENT_ERROR
    again = over_the_wire(Error.from_exception(exception)).to_exception()
    assert type(again) is type(exception) and status_for_error(again) is Status.PERMANENT_ERROR
    assert status_for_error(type(exception)("text")).temporary


class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("has a lock")
        self.lock = threading.Lock()


class NoText(Exception):
    def __str__(self):
        raise KeyError("nothing")


class Empty(Exception):
    def __len__(self):
        return 0


@pytest.mark.parametrize(
    ("exception", "text"),
    [(TwoArguments(1, 2), "1 and 2"), (Unpicklable(), "has a lock")],
)
def test_an_exception_that_does_not_survive_pickling_arrives_as_its_message(exception, text):
    error = over_the_wire(Error.from_exception(raised(exception)))
    assert error.value is None
    result = error.to_exception()
    assert type(result) is RuntimeError and str(result) == text
    assert type(exception).__name__ in error.traceback.decode()
    assert result.__traceback__ is not None


@pytest.mark.parametrize("data", [b"x", b"\x80", pickle.dumps("no exception"), pickle.dumps(SystemExit(3))])
def test_a_value_that_is_no_exception_is_left_out(data):
    error = Error._from_proto(error_pb2.Error(type="T", message="text", value=data))
    assert error.value is None
    assert str(error.to_exception()) == "text"


def test_an_exception_without_a_text_still_makes_an_error():
    assert "KeyError" in Error.from_exception(NoText()).message


def test_an_exception_that_is_false_keeps_its_value():
    assert isinstance(over_the_wire(Error.from_exception(Empty("x"))).value, Empty)


def test_text_that_is_not_unicode_is_escaped():
    error = over_the_wire(Error.from_exception(ValueError("\ud800")))
    assert error.message == "\\ud800"
    assert error.to_exception().args == ("\ud800",)


def test_a_traceback_that_is_none_is_left_out():
    exception = Error(Status.NOT_FOUND, "T", "text", traceback=b"\xff no traceback").to_exception()
    assert exception.__traceback__ is None


def test_errors_are_values():
    error = Error(Status.NOT_FOUND, "T", "text")
    assert error == Error(Status.NOT_FOUND, "T", "text") != Error(Status.NOT_FOUND, "T", "other")
    assert "message='text'" in repr(error)
    assert pickle.loads(pickle.dumps(error)) == error


def test_tracebacks_are_a_matter_of_failures_only():
    script = "import sys, dispatch.proto\nassert 'tblib' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
