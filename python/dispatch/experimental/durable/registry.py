"""The durable functions of this process, by name, and the identity of their code.

A saved state names its function and the hash of the function's code; it is loaded only where a function of
that name has that hash. The hash covers what the interpreter runs (byte code, constants, names, exception
handlers, also of the functions inside, and the version of CPython) and nothing that only tells where it
stands: a function that moved to another line or file is still the same."""

from __future__ import annotations

import importlib
import sys
from importlib.util import MAGIC_NUMBER
from types import CodeType, FunctionType
from typing import Any

from .errors import ChangedFunctionError, UnknownFunctionError

Identity = tuple[str, str, str, int]
"""What a state says of its function: key, hash, and the file and line it had, which go into messages only."""

CodePath = tuple[int, ...]
"""Where the code of a comprehension or local function is: indexes of constants, from the outermost function
inwards."""

_DECORATORS_MAX = 100


class RegisteredFunction:
    """A function that states can refer to: a durable one, or a plain one that is found by module and name."""

    __slots__ = ("_identity", "_placeholders", "durable", "filename", "fn", "key", "lineno")

    def __init__(self, fn: FunctionType, key: str) -> None:
        self.fn = fn
        self.key = key
        self.filename = fn.__code__.co_filename
        self.lineno = fn.__code__.co_firstlineno
        self.durable: Any = None
        """The DurableFunction that was made of it first."""
        self._identity: Identity | None = None
        self._placeholders: tuple[tuple[None, ...], dict[str, None]] | None = None

    @property
    def hash(self) -> str:
        """`sha256:` and the hash of the code, found when it is asked for first."""
        return self.identity[1]

    @property
    def identity(self) -> Identity:
        """The one tuple of this function, so that a pickle holds it once."""
        if self._identity is None:
            self._identity = (self.key, code_hash(self.fn.__code__), self.filename, self.lineno)
        return self._identity

    def suspended(self) -> Any:
        """A generator or coroutine of the function that was not started, with None for each argument: a call
        runs nothing of the function, its variables are set afterwards."""
        if self._placeholders is None:
            self._placeholders = placeholders(self.fn.__code__)
        args, kwargs = self._placeholders
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"RegisteredFunction({self.key}, {self.filename}:{self.lineno})"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_function, (self.identity,)


_functions: dict[str, RegisteredFunction] = {}
_plain: dict[str, RegisteredFunction] = {}
_inner: dict[int, tuple[RegisteredFunction, CodePath]] = {}
"""Of each code object inside a known function: the function, and its place in the constants."""


def register_function(fn: FunctionType) -> RegisteredFunction:
    """Makes a function known under its qualified name; again for the same function gives the same object. If
    a function of another module has that name already, the key is the module's name, a colon, and the
    qualified name.

    Raises ValueError if another function of the same module has that name.
    """
    key = fn.__qualname__
    known = _functions.get(key)
    if known is not None and known.fn is not fn and known.fn.__module__ != fn.__module__:
        key = f"{fn.__module__}:{key}"
        known = _functions.get(key)
    if known is not None:
        if known.fn is fn:
            return known
        raise ValueError(f"durable function already registered with key {key}")
    registered = RegisteredFunction(fn, key)
    _functions[key] = registered
    _note_inner(registered)
    return registered


def lookup_function(key: str) -> RegisteredFunction:
    """The function registered under a key. Raises KeyError if there is none."""
    return _functions[key]


def unregister_function(key: str) -> None:
    """Forgets a function. Raises KeyError if there is none of that key."""
    gone = _functions.pop(key)
    for code_id in [code_id for code_id, (owner, _) in _inner.items() if owner is gone]:
        del _inner[code_id]


def clear_functions() -> None:
    """Forgets all functions."""
    _functions.clear()
    _plain.clear()
    _inner.clear()


def find_function(identity: Identity) -> RegisteredFunction:
    """The function of a saved state.

    Raises UnknownFunctionError if there is none of that name, ChangedFunctionError if its code is another.
    """
    key, saved_hash, filename, lineno = identity
    known = _functions.get(key) or _plain.get(key)
    if known is not None and known.identity[1] == saved_hash:
        return known
    same_name = [function for name, function in _functions.items() if _bare(name) == _bare(key)]
    for function in same_name:  # the order of imports decides which of two modules has the bare name
        if function.identity[1] == saved_hash:
            return function
    known = known or (same_name[0] if same_name else _find_plain(key))
    if known is None:
        where = f"{filename}:{lineno}"
        raise UnknownFunctionError(f"no durable function {key!r} here; its state was saved at {where}")
    if known.identity[1] != saved_hash:
        raise ChangedFunctionError(
            f"function {key!r} ({known.filename}:{known.lineno}) has changed since its state was saved"
            f" (then at {filename}:{lineno})"
        )
    return known


def find_running(fn: FunctionType) -> tuple[RegisteredFunction, CodePath] | None:
    """The known function that contains the code of `fn`, and where in its constants (nowhere if it is its own
    code). A function of a module needs no decorator for this. None if it cannot be found again by name."""
    code = fn.__code__
    known = _functions.get(code.co_qualname)
    if known is not None and known.fn.__code__ is code:
        return known, ()
    inside = _inner.get(id(code))
    if inside is not None:
        return inside
    for known in _functions.values():
        if known.fn.__code__ is code:
            return known, ()
    known = _find_plain(f"{fn.__module__}:{code.co_qualname.partition('.<locals>.')[0]}")
    if known is not None and known.fn.__code__ is code:
        return known, ()
    return _inner.get(id(code))


def _find_plain(key: str) -> RegisteredFunction | None:
    """The function of a key `module:qualified name`, behind its decorators; imports the module."""
    if key in _plain:
        return _plain[key]
    module, colon, name = key.partition(":")
    if not colon:
        return None
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    for _ in range(_DECORATORS_MAX):
        inner = getattr(found, "__wrapped__", None) or getattr(found, "__func__", None)
        if inner is None:
            break
        found = inner
    if not isinstance(found, FunctionType) or found.__qualname__ != name:
        return None
    plain = RegisteredFunction(found, key)
    _plain[key] = plain
    _note_inner(plain)
    return plain


def _bare(key: str) -> str:
    return key.rpartition(":")[2]


def _note_inner(registered: RegisteredFunction) -> None:
    for path, code in _inner_code(registered.fn.__code__, ()):
        _inner.setdefault(id(code), (registered, path))


def inner_code(registered: RegisteredFunction, path: CodePath) -> CodeType:
    """The code at a place given by find_inner. Raises ValueError if there is none."""
    code: Any = registered.fn.__code__
    for index in path:
        if type(index) is not int or not 0 <= index < len(code.co_consts):
            raise ValueError(f"function {registered.key!r} has no inner function at {path!r}")
        code = code.co_consts[index]
        if not isinstance(code, CodeType):
            raise ValueError(f"function {registered.key!r} has no inner function at {path!r}")
    found: CodeType = code
    return found


def placeholders(code: CodeType) -> tuple[tuple[None, ...], dict[str, None]]:
    """Positional and keyword arguments, all None, with which a function of this code can be called."""
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return (None,) * code.co_argcount, dict.fromkeys(keyword_only)


def code_hash(code: CodeType) -> str:
    """`sha256:` and 64 hexadecimal digits over everything that the interpreter would run."""
    return "sha256:" + _sha256(repr((MAGIC_NUMBER, sys.version_info[:2], _digest(code))))


def _digest(code: CodeType) -> str:
    parts = (
        code.co_code,
        code.co_exceptiontable,
        code.co_names,
        code.co_varnames,
        code.co_cellvars,
        code.co_freevars,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_stacksize,
        [_constant(value) for value in code.co_consts],
    )
    return _sha256(repr(parts))


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _constant(value: object) -> object:
    """A constant as something whose repr is the same in each process, with its class: 1, 1.0 and True
    differ."""
    if isinstance(value, CodeType):
        return "code", _digest(value)
    if isinstance(value, tuple):
        return "tuple", [_constant(item) for item in value]
    if isinstance(value, frozenset):
        return "frozenset", sorted(repr(_constant(item)) for item in value)
    return type(value).__name__, repr(value)


def _inner_code(code: CodeType, path: CodePath) -> list[tuple[CodePath, CodeType]]:
    found = []
    for index, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            found.append(((*path, index), constant))
            found += _inner_code(constant, (*path, index))
    return found
