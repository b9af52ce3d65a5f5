"""Statuses, and which exceptions and values mean which (protocol 4)."""

from __future__ import annotations

import asyncio
import builtins
import errno
import pickle
import socket
import ssl
import subprocess
import sys

import pytest

from dispatch import error as errors
from dispatch.sdk.v1 import status_pb2
from dispatch.status import (
    Status,
    register_error_type,
    register_output_type,
    status_for_error,
    status_for_output,
)

FINAL = {
    Status.UNSPECIFIED,
    Status.OK,
    Status.INVALID_ARGUMENT,
    Status.INVALID_RESPONSE,
    Status.PERMANENT_ERROR,
    Status.UNAUTHENTICATED,
    Status.PERMISSION_DENIED,
    Status.NOT_FOUND,
}


def test_statuses_are_those_of_the_protocol():
    assert {f"STATUS_{status.name}": int(status) for status in Status} == dict(status_pb2.Status.items())
    assert status_pb2.STATUS_NOT_FOUND == 15
    assert all(status._proto == status.value for status in Status)


def test_half_of_the_statuses_are_temporary():
    assert {status for status in Status if not status.temporary} == FINAL


@pytest.mark.parametrize("status", Status)
def test_a_status_is_an_int_with_a_name_and_a_text(status):
    assert str(status) == repr(status) == f"{status}" == status.name
    assert Status(int(status)) is status
    assert pickle.loads(pickle.dumps(status)) is status
    assert status.__doc__ != Status.__doc__


class OwnTimeout(builtins.TimeoutError):
    pass


class OwnError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (builtins.TimeoutError(), Status.TIMEOUT),
        (asyncio.TimeoutError(), Status.TIMEOUT),
        (OwnTimeout(), Status.TIMEOUT),
        (OSError(errno.ETIMEDOUT, "slow"), Status.TIMEOUT),
        (TypeError(), Status.INVALID_ARGUMENT),
        (ValueError(), Status.INVALID_ARGUMENT),
        (UnicodeDecodeError("utf-8", b"", 0, 1, ""), Status.INVALID_ARGUMENT),
        (ConnectionError(), Status.TCP_ERROR),
        (ConnectionResetError(), Status.TCP_ERROR),
        (OSError(errno.ECONNREFUSED, "refused"), Status.TCP_ERROR),
        (OSError(errno.ENETUNREACH, "unreachable"), Status.TCP_ERROR),
        (OSError(errno.EHOSTUNREACH, "unreachable"), Status.TCP_ERROR),
        (socket.gaierror(socket.EAI_NONAME, "no name"), Status.DNS_ERROR),
        (PermissionError(), Status.PERMISSION_DENIED),
        (FileNotFoundError(), Status.NOT_FOUND),
        (EOFError(), Status.TEMPORARY_ERROR),
        (InterruptedError(), Status.TEMPORARY_ERROR),
        (KeyboardInterrupt(), Status.TEMPORARY_ERROR),
        (OSError(), Status.TEMPORARY_ERROR),
        (OSError(errno.ENOSPC, "full"), Status.TEMPORARY_ERROR),
        (ssl.SSLError(), Status.TLS_ERROR),
        (ssl.SSLCertVerificationError(), Status.TLS_ERROR),
        (ssl.CertificateError(), Status.TLS_ERROR),
        (KeyError(), Status.PERMANENT_ERROR),
        (Exception(), Status.PERMANENT_ERROR),
        (BaseException(), Status.PERMANENT_ERROR),
        (OwnError(), Status.PERMANENT_ERROR),
    ],
)
def test_an_exception_has_the_status_of_its_class(error, status):
    assert status_for_error(error) is status


@pytest.mark.parametrize(
    ("cls", "status", "base"),
    [
        (errors.DispatchError, Status.UNSPECIFIED, Exception),
        (errors.TimeoutError, Status.TIMEOUT, builtins.TimeoutError),
        (errors.ThrottleError, Status.THROTTLED, errors.DispatchError),
        (errors.InvalidArgumentError, Status.INVALID_ARGUMENT, ValueError),
        (errors.InvalidResponseError, Status.INVALID_RESPONSE, ValueError),
        (errors.TemporaryError, Status.TEMPORARY_ERROR, errors.DispatchError),
        (errors.PermanentError, Status.PERMANENT_ERROR, errors.DispatchError),
        (errors.CanceledError, Status.PERMANENT_ERROR, errors.DispatchError),
        (errors.IncompatibleStateError, Status.INCOMPATIBLE_STATE, errors.DispatchError),
        (errors.DNSError, Status.DNS_ERROR, ConnectionError),
        (errors.TCPError, Status.TCP_ERROR, ConnectionError),
        (errors.TLSError, Status.TLS_ERROR, ConnectionError),
        (errors.HTTPError, Status.HTTP_ERROR, ConnectionError),
        (errors.UnauthenticatedError, Status.UNAUTHENTICATED, errors.DispatchError),
        (errors.PermissionDeniedError, Status.PERMISSION_DENIED, PermissionError),
        (errors.NotFoundError, Status.NOT_FOUND, errors.DispatchError),
    ],
)
def test_an_exception_of_dispatch_has_the_status_of_its_name(cls, status, base):
    assert status_for_error(cls("text")) is status
    assert issubclass(cls, errors.DispatchError) and issubclass(cls, base)

    class Derived(cls):
        pass

    assert status_for_error(Derived()) is status


def test_a_registered_class_has_its_status_and_a_derived_one_may_have_another():
    class Base(ValueError):
        pass

    class Derived(Base):
        pass

    class Last(Derived):
        pass

    register_error_type(Base, Status.THROTTLED)
    assert status_for_error(Last()) is Status.THROTTLED
    register_error_type(Derived, lambda error: Status(error.args[0]))
    assert status_for_error(Last(9)) is Status.DNS_ERROR
    assert status_for_error(Base()) is Status.THROTTLED


def test_registering_again_replaces():
    class Twice(Exception):
        pass

    register_error_type(Twice, Status.THROTTLED)
    register_error_type(Twice, lambda error: Status.OK)
    assert status_for_error(Twice()) is Status.OK


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", b"x", [], {}, (), set(), object()])
def test_a_returned_value_is_ok(value):
    assert status_for_output(value) is Status.OK


def test_a_returned_value_of_a_registered_class_has_its_status():
    class Base:
        pass

    class Derived(Base):
        pass

    register_output_type(Base, Status.TEMPORARY_ERROR)
    assert status_for_output(Derived()) is Status.TEMPORARY_ERROR
    register_output_type(Derived, lambda value: Status.NOT_FOUND)
    assert status_for_output(Derived()) is Status.NOT_FOUND


def test_a_plain_type_may_be_registered():
    script = (
        "from dispatch.status import *\n"
        "register_output_type(int, lambda value: Status.OK if value else Status.NOT_FOUND)\n"
        "assert status_for_output(0) is status_for_output(False) is Status.NOT_FOUND\n"
        "assert status_for_output(1) is status_for_output('') is Status.OK\n"
        "register_output_type(object, Status.THROTTLED)\n"
        "assert status_for_output('') is Status.THROTTLED\n"
        "assert status_for_output(1) is Status.OK\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
