"""What the frame of a generator or coroutine holds where it can be suspended.

The interpreter trusts its bytecode: `FOR_ITER` takes what lies on the stack for an iterator without looking.
So a frame that is made from data must be compared with what the code would have left there, and that is found
here, by following all paths through the code once and noting the kind of each slot.

A shape is bytes. The first says how the frame is suspended: `c` before its first instruction, `y` at a
`yield`, `f` at a `yield from` or `await`. Then one letter for each slot, variables first, then the stack:

    O  any object                      E  an exception
    N  NULL                            X  an exception or None
    M  any object, or NULL             P  offset of an instruction, an int
    C  a cell                          L  D  S  T  a list, dict, set, tuple of exactly that class
    I  an iterator                     R  a list of exceptions or None (what `except*` has to raise again)

A letter is only ever wrong in the direction of `O` and `M`, which accept more: a kind that is not followed
(the result of an operation that is not named below) becomes `O`."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from .trace import slot_names

_AFTER_YIELD = sys.version_info >= (3, 13)
"""Whether the saved instruction of a suspended frame is the one behind `YIELD_VALUE` (frame_layout.h)."""

_CALLABLE_FIRST = sys.version_info >= (3, 13)
"""Whether a call finds `callable, self or NULL` on the stack; before 3.13 it was `method or NULL,
callable`."""

_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_ENDS = frozenset(
    "RETURN_VALUE RETURN_CONST RAISE_VARARGS RERAISE INTERPRETER_EXIT"
    " JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT".split()
)
_UNTOUCHED = frozenset(
    "NOP RESUME CACHE EXTENDED_ARG KW_NAMES NOT_TAKEN JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT"
    " DELETE_NAME DELETE_GLOBAL DELETE_DEREF SETUP_ANNOTATIONS".split()
)
_POPS = frozenset(
    "POP_TOP END_FOR POP_ITER STORE_NAME STORE_GLOBAL STORE_DEREF STORE_ATTR STORE_SUBSCR STORE_SLICE"
    " DELETE_ATTR"
    " DELETE_SUBSCR POP_EXCEPT LIST_APPEND SET_ADD MAP_ADD LIST_EXTEND SET_UPDATE DICT_UPDATE DICT_MERGE"
    " POP_JUMP_IF_TRUE POP_JUMP_IF_FALSE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE"
    " POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_NONE"
    " POP_JUMP_FORWARD_IF_NOT_NONE"
    " POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_NONE"
    " POP_JUMP_BACKWARD_IF_NOT_NONE JUMP_IF_TRUE_OR_POP JUMP_IF_FALSE_OR_POP END_ASYNC_FOR"
    " RETURN_VALUE".split()
)
_PUSHES = frozenset(
    "LOAD_NAME LOAD_DEREF LOAD_CLASSDEREF LOAD_BUILD_CLASS LOAD_ASSERTION_ERROR LOAD_LOCALS LOAD_SMALL_INT"
    " LOAD_COMMON_CONSTANT LOAD_SPECIAL GET_ANEXT GET_LEN MATCH_MAPPING MATCH_SEQUENCE MATCH_KEYS IMPORT_FROM"
    " WITH_EXCEPT_START FOR_ITER".split()
)
_BUILT = {"BUILD_LIST": "L", "BUILD_MAP": "D", "BUILD_CONST_KEY_MAP": "D", "BUILD_SET": "S"}
_BUILT |= {"BUILD_TUPLE": "T", "LIST_TO_TUPLE": "T", "GET_ITER": "I", "PREP_RERAISE_STAR": "X"}
_METHOD_LOADS = {("LOAD_METHOD", 1), ("LOAD_ATTR", 1), ("LOAD_SUPER_ATTR", -1)}
_INTRINSICS = {("CALL_INTRINSIC_1", "INTRINSIC_LIST_TO_TUPLE"): "T"}
_INTRINSICS_312 = {("CALL_INTRINSIC_1", 6): "INTRINSIC_LIST_TO_TUPLE"}
_INTRINSICS_312 |= {("CALL_INTRINSIC_2", 1): "INTRINSIC_PREP_RERAISE_STAR"}
_INTRINSICS |= {("CALL_INTRINSIC_2", "INTRINSIC_PREP_RERAISE_STAR"): "X"}


class _Handler(NamedTuple):
    start: int
    end: int
    target: int
    depth: int
    lasti: bool


class _Point(NamedTuple):
    """Kinds of the variables and of the stack before an instruction."""

    variables: str
    stack: str


def suspended_shapes(code: CodeType) -> dict[int, bytes]:
    """The shape of a frame of `code` at each instruction pointer at which it can be suspended.

    Raises ValueError for code that is not of a generator or coroutine.
    """
    if not code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE):
        raise ValueError(f"{code.co_qualname} is not the code of a generator or coroutine")
    return _Analysis(code).run()


class _Analysis:
    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.instructions = list(dis.get_instructions(code))
        self.index = {instruction.offset: at for at, instruction in enumerate(self.instructions)}
        self.handlers = list(_exception_handlers(code.co_exceptiontable))
        self.names = slot_names(code)
        self.points: dict[int, _Point] = {}
        self.pending: list[int] = []
        self.shapes: dict[int, bytes] = {}

    def run(self) -> dict[int, bytes]:
        self.reach(0, _Point(self.first_variables(), ""))
        while self.pending:
            self.step(self.pending.pop())
        return self.shapes

    def first_variables(self) -> str:
        code = self.code
        arguments = code.co_argcount + code.co_kwonlyargcount
        arguments += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
        kinds = ["O"] * arguments + ["N"] * (len(self.names) - arguments)
        if arguments and self.names[0] == ".0" and self.iterates_argument():
            kinds[0] = "I"
        return "".join(kinds)

    def iterates_argument(self) -> bool:
        """Whether the first variable, the `.0` of a comprehension, goes to FOR_ITER as it is."""
        real = [i for i in self.instructions if i.opname != "EXTENDED_ARG"]
        pairs = zip(real, real[1:], strict=False)
        return any(
            i.opname.startswith("LOAD_FAST") and i.arg == 0 and j.opname == "FOR_ITER" for i, j in pairs
        )

    def reach(self, at: int, point: _Point) -> None:
        before = self.points.get(at)
        if before is not None:
            if len(before.stack) != len(point.stack):
                raise ValueError(f"{self.code.co_qualname}: two depths of the stack at instruction {at}")
            point = _Point(_merge(before.variables, point.variables), _merge(before.stack, point.stack))
            if point == before:
                return
        self.points[at] = point
        self.pending.append(at)

    def step(self, at: int) -> None:
        instruction = self.instructions[at]
        point = self.points[at]
        for handler in self.handlers:
            if handler.start <= instruction.offset < handler.end:
                stack = point.stack[: handler.depth] + ("P" if handler.lasti else "") + "E"
                self.reach(self.index[handler.target], _Point(point.variables, stack))
        if instruction.opcode in _JUMPS:
            target = self.index[instruction.argval]
            self.reach(target, self.effect(instruction, at, point, jump=True))
        if instruction.opname not in _ENDS:
            self.reach(at + 1, self.effect(instruction, at, point, jump=False))

    def effect(self, instruction: dis.Instruction, at: int, point: _Point, *, jump: bool) -> _Point:
        name = instruction.opname
        variables, stack = point
        arg = instruction.arg or 0
        if name == "RETURN_GENERATOR":
            self.suspended(at, "c", point)
            return _Point(variables, stack + "O")
        if name == "YIELD_VALUE":
            self.suspended(at, "f" if self.awaits(at) else "y", _Point(variables, stack[:-1]))
            return _Point(variables, stack[:-1] + "O")
        if "_FAST" in name or name in ("MAKE_CELL", "COPY_FREE_VARS", "LOAD_CLOSURE"):
            return self.variable_effect(name, arg, variables, stack)
        if name in _UNTOUCHED:
            return point
        if name == "BUILD_LIST" and self.starts_groups(at, stack):
            return _Point(variables, stack + "R")
        net = dis.stack_effect(instruction.opcode, instruction.arg, jump=jump)
        if name in _POPS:
            return _Point(variables, stack[: len(stack) + net])
        return _Point(variables, _stack_effect(instruction, arg, net, stack))

    def variable_effect(self, name: str, arg: int, variables: str, stack: str) -> _Point:
        kinds = list(variables)
        high, low = arg >> 4, arg & 15
        if name == "COPY_FREE_VARS":
            kinds[len(kinds) - arg :] = "C" * arg
        elif name == "MAKE_CELL":
            kinds[arg] = "C"
        elif name == "DELETE_FAST":
            kinds[arg] = "N"
        elif name == "LOAD_FAST_AND_CLEAR":
            stack += kinds[arg]
            kinds[arg] = "N"
        elif name in ("STORE_FAST", "STORE_FAST_MAYBE_NULL"):
            kinds[arg] = _stored(stack[-1])
            stack = stack[:-1]
        elif name == "STORE_FAST_STORE_FAST":
            kinds[high] = _stored(stack[-1])
            kinds[low] = _stored(stack[-2])
            stack = stack[:-2]
        elif name == "STORE_FAST_LOAD_FAST":
            kinds[high] = _stored(stack[-1])
            stack = stack[:-1] + _loaded(kinds[low])
        elif name.count("LOAD_FAST") == 2:
            stack += _loaded(kinds[high]) + _loaded(kinds[low])
        else:
            stack += _loaded(kinds[arg])
            if kinds[arg] == "M" and name != "LOAD_CLOSURE":
                kinds[arg] = "O"
        return _Point("".join(kinds), stack)

    def starts_groups(self, at: int, stack: str) -> bool:
        """Whether the list built here collects what `except*` is to raise again; a copy of the exception,
        which it will split, is made just before it, or (3.12) behind it."""
        following = self.instructions[at + 1]
        copies = following.opname == "COPY" and following.arg == 2 and stack.endswith("E")
        return self.instructions[at].arg == 0 and (copies or stack.endswith("EE"))

    def awaits(self, at: int) -> bool:
        """Whether the YIELD_VALUE at this index is one of a `yield from` or `await`: its RESUME says so."""
        following = self.instructions[at + 1]
        return following.opname == "RESUME" and (following.arg or 0) & 3 >= 2

    def suspended(self, at: int, how: str, point: _Point) -> None:
        at += _AFTER_YIELD
        shape = (how + point.variables + point.stack).encode("ascii")
        self.shapes[self.instructions[at].offset] = shape


def _stack_effect(instruction: dis.Instruction, arg: int, net: int, stack: str) -> str:
    """The stack behind an instruction that changes it by `net` slots and is no plain pop."""
    name = instruction.opname
    if name == "COPY":
        return stack + stack[-arg]
    if name == "SWAP":
        kinds = list(stack)
        kinds[-1], kinds[-arg] = kinds[-arg], kinds[-1]
        return "".join(kinds)
    if name == "LOAD_CONST":
        return stack + ("T" if type(instruction.argval) is tuple else "O")
    if name == "PUSH_NULL":
        return stack + "N"
    if name == "PUSH_EXC_INFO":
        return stack[:-1] + "XE"
    if name == "CHECK_EG_MATCH":
        return stack[:-2] + "XX"
    if name == "LOAD_GLOBAL":
        return stack + (("ON" if _CALLABLE_FIRST else "NO") if net == 2 else "O")
    if (name, net) in _METHOD_LOADS:
        popped = 3 if name == "LOAD_SUPER_ATTR" else 1
        return stack[:-popped] + ("OM" if _CALLABLE_FIRST else "MO")
    if name in _PUSHES:
        return stack + "O" * net if net >= 0 else stack[:net]
    made = _BUILT.get(name) or _INTRINSICS.get((name, _intrinsic_name(instruction))) or "O"
    if net < 0:
        left = stack[: len(stack) + net]
        return left[:-1] + made if left else left
    if name in _BUILT and net > 0:
        return stack + made
    kept = stack[:-1]
    return kept + "O" * (len(stack) + net - len(kept) - 1) + made


def _intrinsic_name(instruction: dis.Instruction) -> str:
    if not instruction.opname.startswith("CALL_INTRINSIC"):
        return ""
    if sys.version_info >= (3, 13):
        return instruction.argrepr
    return _INTRINSICS_312.get((instruction.opname, instruction.arg or 0), "")


def _stored(kind: str) -> str:
    """Kind of a variable that was assigned: a debugger may assign another object of any class later."""
    return kind if kind in "CMN" else "O"


def _loaded(kind: str) -> str:
    """Kind on the stack of a variable that was read: reading an unbound one raises."""
    return kind if kind in "CI" else "O"


def _merge(one: str, other: str) -> str:
    if one == other:
        return one
    return "".join(map(_merge_kind, one, other))


def _merge_kind(one: str, other: str) -> str:
    if one == other:
        return one
    if one in "NM" or other in "NM":
        return "M"
    return "X" if one in "EX" and other in "EX" else "O"


def _exception_handlers(table: bytes) -> Iterator[_Handler]:
    """Entries of `co_exceptiontable`; its format is that of CPython's InternalDocs/exception_handling.md."""
    numbers = _varints(table)
    for start in numbers:
        length, target, depth_lasti = next(numbers), next(numbers), next(numbers)
        yield _Handler(start * 2, (start + length) * 2, target * 2, depth_lasti >> 1, bool(depth_lasti & 1))


def _varints(table: bytes) -> Iterator[int]:
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            yield value
            value = 0
