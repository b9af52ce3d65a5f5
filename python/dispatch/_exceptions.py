"""Exceptions as text and bytes, and back (protocol 4.7). However odd an exception, none of this fails."""

from __future__ import annotations

import pickle

from dispatch import error as _errors
from dispatch.any import PICKLE_PROTOCOL
from dispatch.error import DispatchError
from dispatch.status import Status

_TRACEBACK_HEADER = b"Traceback (most recent call last):"

# By the text of Error.type: names of classes, and of statuses, which servers write when there is no error.
_EXCEPTIONS: dict[str, type[DispatchError]] = {}
for _class in vars(_errors).values():
    if isinstance(_class, type) and issubclass(_class, DispatchError):
        _EXCEPTIONS[_class.__name__] = _class
        _EXCEPTIONS.setdefault(f"STATUS_{_class._status.name}", _class)


def as_unicode(text: str) -> str:
    """Text that can be sent: what is not Unicode, lone surrogates, is escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_of(exception: BaseException) -> str:
    """str() of an exception, whatever that raises."""
    try:
        return str(exception)
    except Exception as error:
        return f"<its text cannot be made: {type(error).__name__}>"


def format_traceback(exception: BaseException) -> bytes:
    """The traceback of an exception as Python prints it, with those that it was raised from, in UTF-8."""
    from traceback import format_exception

    return "".join(format_exception(exception)).encode("utf-8", "backslashreplace")


def attach_traceback(exception: BaseException, text: bytes) -> None:
    """Give an exception the traceback that a text describes; one that cannot be read leaves it as it is."""
    try:
        import tblib  # type: ignore[import-untyped]

        # The text begins with the exceptions that this one was raised from.
        own = text[max(text.rfind(_TRACEBACK_HEADER), 0) :]
        exception.__traceback__ = tblib.Traceback.from_string(own.decode("utf-8")).as_traceback()
    except Exception:
        return  # an exception without its traceback is better than none


def make_exception(type_name: str, message: str) -> Exception:
    """The exception of a failure that carries none: of the named class or status, else a RuntimeError."""
    cls = _EXCEPTIONS.get(type_name)
    if cls is None:
        return RuntimeError(message)
    exception = cls(message)
    if cls._status.temporary:  # the caller would meet the same failure each time that it ran again
        exception._status = Status.PERMANENT_ERROR
    return exception


def dump_exception(exception: Exception) -> bytes:
    """The pickle of an exception; empty if it has none, so that the failure itself still arrives."""
    try:
        return pickle.dumps(exception, PICKLE_PROTOCOL)
    except Exception:
        return b""


def load_exception(data: bytes) -> Exception | None:
    """The exception of a pickle; None if it cannot be read here, or is something else."""
    try:
        value = pickle.loads(data)
    except Exception:
        return None
    return value if isinstance(value, Exception) else None
