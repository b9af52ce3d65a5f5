"""What else plain pickle needs to save frames, errors that say which variable cannot be saved, and `discard`.

Reducers are registered with `copyreg` for cells and tracebacks, and for the generators and coroutines that
turn up inside durable functions without being durable themselves: those of comprehensions and of local
functions (their code is a constant of a durable function), and those of plain functions that can be imported
by name."""

from __future__ import annotations

import copyreg
import gc
import io
import pickle
import types
import weakref
from collections.abc import Iterator
from types import CellType, CoroutineType, FunctionType, GeneratorType, TracebackType
from typing import Any


from . import frame
from .errors import DamagedStateError, SaveError
from .function import DurableCoroutine, DurableGenerator
from .registry import CodePath, Identity, find_function, find_running, inner_code, placeholders
from .trace import TRACE, code_of, is_null, line_of, print_frame, slot_names

_Closure = tuple[CellType | int, ...]
"""Cells of a local function: the cell, or its place in the closure of the known function around it."""


async def _some_coroutine() -> None: ...


def _wrapper_type() -> type:
    coroutine = _some_coroutine()
    try:
        return type(coroutine.__await__())
    finally:
        coroutine.close()


_CoroutineWrapper = _wrapper_type()
_GeneratorWrapper = types._GeneratorWrapper  # type: ignore[attr-defined]  # what types.coroutine() makes
_CO_NESTED = 0x10
"""`inspect.CO_NESTED`, without an import that takes longer than the rest of this package."""

_FRAMES = (GeneratorType, CoroutineType)
_WRAPPERS = (DurableCoroutine, DurableGenerator, _CoroutineWrapper, _GeneratorWrapper)
_HOLDERS = (*_WRAPPERS, CellType, list, tuple, dict, set)
"""Classes through which `discard` looks for suspended frames."""


def dumps(obj: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> bytes:
    """As `pickle.dumps`, but if a suspended function holds something that cannot be pickled, raises
    SaveError, which names the function, the variable and the line."""
    try:
        return pickle.dumps(obj, protocol)
    except Exception as error:
        better = explain(obj, error)
        if better is error:
            raise
        raise better from error


def explain(obj: Any, error: Exception) -> Exception:
    """The SaveError that says which variable of which suspended function made pickling `obj` fail with
    `error`; `error` itself if none did."""
    probe = _Probe(io.BytesIO(), pickle.HIGHEST_PROTOCOL)
    try:
        probe.dump(obj)
    except Exception:
        for suspended in reversed(probe.seen):
            place = _unsaveable(suspended)
            if place is not None:
                where = f"{code_of(suspended).co_filename}:{line_of(suspended)}"
                name = code_of(suspended).co_qualname
                return SaveError(f"cannot save function {name!r}: {place} at {where}: {error}")
    return error


class _Probe(pickle.Pickler):
    """Notes the frames it comes by, the one that failed last."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.seen: list[Any] = []

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, DurableCoroutine):
            self.seen.append(obj.coroutine)
        elif isinstance(obj, DurableGenerator) and obj.wrapped_coroutine is None:
            self.seen.append(obj.generator)
        elif type(obj) in _FRAMES:
            self.seen.append(obj)
        return None


def _unsaveable(suspended: Any) -> str | None:
    """What of one frame cannot be pickled, in words."""
    try:
        state = frame.save(suspended)
    except RuntimeError as error:
        return str(error)
    if state is None:
        return None
    _, nulls, items, handled = state
    names = slot_names(code_of(suspended))
    held = [(f"local variable {name!r}", item) for name, item in zip(names, items, strict=False)]
    held += [(f"value {i} in use", item) for i, item in enumerate(items[len(names) :])]
    held.append(("the exception being handled", handled))
    for i, (name, item) in enumerate(held):
        if not (i < len(items) and is_null(nulls, i)) and not _can_pickle(item):
            shown = item
            if type(item) is CellType:
                shown = item.cell_contents
            return f"{name} (a {type(shown).__module__}.{type(shown).__qualname__})"
    return None


def _can_pickle(item: Any) -> bool:
    try:
        pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return False
    return True


def discard(obj: Any) -> None:
    """Ends a suspended durable generator or coroutine, and those that it holds, without running anything of
    them: no `finally`, no `__aexit__`. For one that was saved and goes on elsewhere. RuntimeError if it
    runs."""
    pending = [obj]
    seen = {}
    while pending:
        held = pending.pop()
        if id(held) in seen:
            continue
        seen[id(held)] = held
        if type(held) in _FRAMES:
            pending.extend(frame.discard(held))
        elif isinstance(held, _HOLDERS):
            pending.extend(gc.get_referents(held))


def _reduce_cell(cell: CellType) -> tuple[Any, ...]:
    try:
        contents = cell.cell_contents
    except ValueError:
        return _new_cell, ()
    return _new_cell, (), (stand_in(contents),), None, None, _set_cell


def _new_cell() -> CellType:
    return CellType()


def _set_cell(cell: CellType, contents: tuple[Any]) -> None:
    (cell.cell_contents,) = contents


def _reduce_wrapper(wrapper: Any) -> tuple[Any, ...]:
    (coroutine,) = gc.get_referents(wrapper)
    return _await, (coroutine,)


def _await(coroutine: Any) -> Any:
    return coroutine.__await__()


def _reduce_frame(suspended: Any) -> tuple[Any, ...]:
    """Reducer of generators and coroutines that are not durable themselves."""
    state = frame.save(suspended)
    if state is None:
        return _finished, (type(suspended) is CoroutineType,)
    function = frame.get_frame_function(suspended)
    found = find_running(function)
    if found is None:
        kind = "coroutine" if type(suspended) is CoroutineType else "generator"
        code = code_of(suspended)
        raise TypeError(
            f"cannot pickle {kind!r} object: function {code.co_qualname!r}"
            f" ({code.co_filename}:{code.co_firstlineno}) is not @durable"
        )
    registered, path = found
    closure = _closure(function, registered.fn) if path else ()
    if TRACE:
        print_frame(suspended, state, registered.identity)
    return _new_frame, (registered.identity, path, closure), state, None, None, _set_frame


def _closure(function: FunctionType, around: FunctionType) -> _Closure:
    outer = {id(cell): place for place, cell in enumerate(around.__closure__ or ())}
    return tuple(outer.get(id(cell), cell) for cell in function.__closure__ or ())


class _LocalFunction:
    """Pickled in the place of a local function, which pickle itself only knows by name; loads as the
    function."""

    __slots__ = ("function",)

    def __init__(self, function: FunctionType) -> None:
        self.function = weakref.ref(function)

    def __reduce__(self) -> tuple[Any, ...]:
        function = self.function()
        found = find_running(function) if function is not None else None
        if function is None or found is None:
            raise TypeError("a local function went away while it was saved")
        registered, path = found
        extra = (function.__defaults__, function.__kwdefaults__, function.__dict__ or None)
        recipe = (registered.identity, path, _closure(function, registered.fn))
        return _new_function, recipe, extra, None, None, _set_extra


_stand_ins: weakref.WeakKeyDictionary[FunctionType, _LocalFunction] = weakref.WeakKeyDictionary()


def stand_in(value: Any) -> Any:
    """What is saved for a value that a frame or cell holds: the value, or for a local function what loads as
    one. The same object each time, so that a pickle holds it once."""
    if type(value) is not FunctionType or not value.__code__.co_flags & _CO_NESTED:
        return value
    found = find_running(value)
    if found is None or not found[1]:
        return value
    known = _stand_ins.get(value)
    if known is None:
        known = _stand_ins[value] = _LocalFunction(value)
    return known


def _new_function(identity: Identity, path: CodePath, closure: _Closure) -> FunctionType:
    registered = find_function(identity)
    try:
        code = inner_code(registered, path)
        cells = tuple(_cells(closure, registered.fn.__closure__ or ()))
        function = FunctionType(code, registered.fn.__globals__, code.co_name, None, cells)
    except (ValueError, TypeError, IndexError) as error:
        raise DamagedStateError(f"{registered.key}: {error}") from error
    function.__qualname__ = code.co_qualname
    return function


def _set_extra(function: FunctionType, extra: tuple[Any, Any, Any]) -> None:
    function.__defaults__, function.__kwdefaults__, attributes = extra
    function.__dict__.update(attributes or {})


def _finished(is_coroutine: bool) -> Any:
    finished = _some_coroutine() if is_coroutine else (_ for _ in ())
    finished.close()
    return finished


def _new_frame(identity: Identity, path: CodePath, closure: _Closure) -> Any:
    if not path:
        return find_function(identity).suspended()
    function = _new_function(identity, path, closure)
    args, kwargs = placeholders(function.__code__)
    return function(*args, **kwargs)


def _cells(closure: _Closure, outer: tuple[CellType, ...]) -> Iterator[CellType]:
    for cell in closure:
        yield outer[cell] if isinstance(cell, int) else cell


def _set_frame(fresh: Any, state: Any) -> None:
    try:
        frame.restore(fresh, state)
    except (ValueError, RuntimeError) as error:
        fresh.close()
        raise DamagedStateError(f"{fresh.__qualname__}: {error}") from error


def _reduce_traceback(traceback: TracebackType) -> tuple[Any, ...]:
    import tblib  # type: ignore[import-untyped]

    return _load_traceback, (tblib.Traceback(traceback).to_dict(),)


def _load_traceback(saved: dict[str, Any]) -> Any:
    import tblib

    import tblib

    return tblib.Traceback.from_dict(saved).as_traceback()


if TracebackType not in copyreg.dispatch_table:
    copyreg.pickle(TracebackType, _reduce_traceback)
copyreg.pickle(CellType, _reduce_cell)
copyreg.pickle(GeneratorType, _reduce_frame)
copyreg.pickle(CoroutineType, _reduce_frame)
copyreg.pickle(_CoroutineWrapper, _reduce_wrapper)
