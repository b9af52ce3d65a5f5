"""`@durable`: functions whose suspended calls can be saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    TracebackType,
)
from typing import Any, TypeVar

from . import frame
from .errors import DamagedStateError, UnknownFunctionError
from .registry import (
    Identity,
    RegisteredFunction,
    find_function,
    lookup_function,
    register_function,
    unregister_function,
)
from .trace import TRACE, print_frame

_YieldT = TypeVar("_YieldT", covariant=True)
_SendT = TypeVar("_SendT", contravariant=True)
_ReturnT = TypeVar("_ReturnT", covariant=True)


class DurableFunction:
    """A function whose generators and coroutines can be saved. Pickled, it is its key. As an attribute of a
    class it is a method, as functions are."""

    registered_fn: RegisteredFunction

    def __init__(self, fn: FunctionType) -> None:
        """Registers `fn` under its qualified name. ValueError if the module has another function of that
        name."""
        self.registered_fn = register_function(fn)
        if self.registered_fn.durable is None:
            self.registered_fn.durable = self
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function: a generator comes as DurableGenerator, a coroutine as DurableCoroutine,
        anything else as it is. NotImplementedError for an asynchronous generator."""
        result = self.registered_fn.fn(*args, **kwargs)
        if type(result) is CoroutineType:
            return DurableCoroutine(result, self.registered_fn)
        if type(result) is GeneratorType:
            return DurableGenerator(result, self.registered_fn, None)
        if type(result) is AsyncGeneratorType:
            raise NotImplementedError("only synchronous generator functions are supported at this time")
        return result

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def unregister(self) -> None:
        """Forgets the function: its states cannot be loaded any more. KeyError if it was forgotten before."""
        unregister_function(self.registered_fn.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_function, (self.registered_fn.key,)

    def __repr__(self) -> str:
        return f"DurableFunction({self.registered_fn.key})"


def _load_function(key: str) -> DurableFunction:
    try:
        registered = lookup_function(key)
    except KeyError:
        raise UnknownFunctionError(f"no durable function {key!r} here") from None
    function: DurableFunction = registered.durable or DurableFunction(registered.fn)
    return function


def durable(fn: Callable[..., Any]) -> Any:
    """Decorator that makes a function durable (see DurableFunction); of a bound method, the function behind
    it.

    Raises TypeError for anything but a function or method, ValueError if another function has its name.
    """
    if isinstance(fn, MethodType):
        return MethodType(durable(fn.__func__), fn.__self__)
    if isinstance(fn, FunctionType):
        return DurableFunction(fn)
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    raise TypeError(f"cannot create a durable function from value of type {name}")


class DurableCoroutine(frame.CoroutineBase, Coroutine[_YieldT, _SendT, _ReturnT]):
    """A coroutine that can be pickled while it is suspended; it behaves as the one it wraps.

    `DurableCoroutine(coroutine, registered_fn, *args, **kwargs)`: the arguments the function was called with
    are accepted and not needed. Awaiting it runs a DurableGenerator. What runs at each step is in
    native/frame_types.c."""

    __slots__ = ()

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> _YieldT:
        result: _YieldT = _throw(self.coroutine, typ, val, tb)
        return result

    def __setstate__(self, state: Any) -> None:
        _restore(self.coroutine, state)

    @property
    def cr_running(self) -> bool:
        return bool(self.coroutine.cr_running)

    @property
    def cr_suspended(self) -> bool:
        return bool(self.coroutine.cr_suspended)

    @property
    def cr_code(self) -> CodeType:
        code: CodeType = self.coroutine.cr_code
        return code

    @property
    def cr_frame(self) -> FrameType:
        shown: FrameType = self.coroutine.cr_frame
        return shown

    @property
    def cr_await(self) -> Any:
        return self.coroutine.cr_await

    @property
    def cr_origin(self) -> tuple[tuple[str, int, str], ...] | None:
        origin: tuple[tuple[str, int, str], ...] | None = self.coroutine.cr_origin
        return origin

    def __repr__(self) -> str:
        return f"DurableCoroutine({self.registered_fn.key})"


class DurableGenerator(frame.GeneratorBase, Generator[_YieldT, _SendT, _ReturnT]):
    """A generator that can be pickled while it is suspended, or what `__await__` of a DurableCoroutine
    returns.

    `DurableGenerator(generator, registered_fn, coroutine, *args, **kwargs)`: `coroutine` is the
    DurableCoroutine that is awaited, or None; the arguments are accepted and not needed."""

    __slots__ = ()

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> _YieldT:
        result: _YieldT = _throw(self.generator, typ, val, tb)
        return result

    def __setstate__(self, state: Any) -> None:
        _restore(self.generator, state)

    @property
    def gi_running(self) -> bool:
        return bool(self.generator.gi_running)

    @property
    def gi_suspended(self) -> bool:
        return bool(self.generator.gi_suspended)

    @property
    def gi_code(self) -> CodeType:
        code: CodeType = self.generator.gi_code
        return code

    @property
    def gi_frame(self) -> FrameType:
        shown: FrameType = self.generator.gi_frame
        return shown

    @property
    def gi_yieldfrom(self) -> Any:
        return self.generator.gi_yieldfrom

    def __repr__(self) -> str:
        what = "DurableGenerator" if self.wrapped_coroutine is None else "DurableCoroutineWrapper"
        return f"{what}({self.registered_fn.key})"


def _throw(target: Any, typ: Any, val: Any, tb: TracebackType | None) -> Any:
    """Throws in the form with one argument, the only one that is not deprecated."""
    if isinstance(typ, BaseException):
        error = typ
    elif val is None:
        error = typ()
    elif isinstance(val, BaseException):
        error = val
    else:
        error = typ(*val) if isinstance(val, tuple) else typ(val)
    return target.throw(error if tb is None else error.with_traceback(tb))


def _new_coroutine(identity: Identity, finished: bool = False) -> DurableCoroutine[Any, Any, Any]:
    registered = find_function(identity)
    coroutine = registered.suspended()
    if finished:
        coroutine.close()
    return DurableCoroutine(coroutine, registered)


def _new_generator(identity: Identity, finished: bool = False) -> DurableGenerator[Any, Any, Any]:
    registered = find_function(identity)
    generator = registered.suspended()
    if finished:
        generator.close()
    return DurableGenerator(generator, registered, None)


def _await(coroutine: DurableCoroutine[Any, Any, Any]) -> Any:
    return coroutine.__await__()


def _restore(fresh: Any, state: Any) -> None:
    try:
        frame.restore(fresh, state)
    except (ValueError, RuntimeError) as error:
        fresh.close()
        raise DamagedStateError(f"{fresh.__qualname__}: {error}") from error


frame.configure(DurableGenerator, _new_generator, _new_coroutine, _await, print_frame if TRACE else None)
