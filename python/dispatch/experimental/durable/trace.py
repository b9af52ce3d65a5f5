"""Dumps of saved frames for people; on when the environment variable DISPATCH_TRACE is not empty."""

from __future__ import annotations

import os
from types import CodeType
from typing import Any

TRACE = bool(os.environ.get("DISPATCH_TRACE"))


def code_of(suspended: Any) -> CodeType:
    """The code of a generator, a coroutine, or a durable one."""
    code = getattr(suspended, "gi_code", None) or getattr(suspended, "cr_code", None)
    assert isinstance(code, CodeType)
    return code


def line_of(suspended: Any) -> int:
    """The line where it is suspended; the first of the function if that is not known any more."""
    frame = getattr(suspended, "gi_frame", None) or getattr(suspended, "cr_frame", None)
    return (frame.f_lineno if frame is not None else None) or code_of(suspended).co_firstlineno


def slot_names(code: CodeType) -> tuple[str, ...]:
    """Names of the variables in the order of their slots: a cell that is an argument has one slot only."""
    own = code.co_varnames
    return own + tuple(name for name in code.co_cellvars if name not in own) + code.co_freevars


def is_null(nulls: bytes, slot: int) -> bool:
    """Whether slot is marked in the `nulls` of a saved frame."""
    return bool(nulls) and bool(nulls[slot // 8] >> slot % 8 & 1)


def print_frame(suspended: Any, state: Any, identity: tuple[str, str, str, int]) -> None:
    """Prints what is saved of one frame to the standard output."""
    key, code_hash, filename, _ = identity
    code = code_of(suspended)
    print(f"\n[DISPATCH] saving {code.co_qualname} ({filename}:{line_of(suspended)})")
    print(f"  function = {key} {code_hash}")
    if state is None:
        print("  finished")
        return
    ip, nulls, items, handled = state
    names = slot_names(code)
    print(f"  IP = {ip}\n  SP = {len(items)}\n  handled exception = {handled!r}")
    for slot, item in enumerate(items):
        name = names[slot] if slot < len(names) else f"stack[{slot - len(names)}]"
        print(f"  {name} = {'NULL' if is_null(nulls, slot) else repr(item)}")
