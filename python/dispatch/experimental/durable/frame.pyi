"""Frames of suspended generators and coroutines, the C extension. Its functions also take the object that
`coroutine.__await__()` returns.

Errors: TypeError for any other object, RuntimeError `Cannot access cleared frame` (or `mutate`; or
`executing` instead of `cleared`) for a frame that is finished (or runs), IndexError for a place that a frame
does not have, ValueError for what would make a frame that the interpreter cannot run."""

from collections.abc import Callable, Coroutine, Generator
from types import FunctionType
from typing import Any

from typing_extensions import disjoint_base

_Suspended = Generator[Any, Any, Any] | Coroutine[Any, Any, Any]
_State = tuple[int, bytes, tuple[Any, ...], BaseException | None]

@disjoint_base
class CoroutineBase:
    """What DurableCoroutine is made of: a coroutine, and the function it runs."""

    __name__: str
    __qualname__: str
    coroutine: Any
    registered_fn: Any
    def __init__(self, coroutine: Any, registered_fn: Any, *args: Any, **kwargs: Any) -> None: ...
    def __await__(self) -> Generator[Any, None, Any]: ...
    def send(self, value: Any, /) -> Any: ...
    def close(self) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@disjoint_base
class GeneratorBase:
    """What DurableGenerator is made of: a generator or what awaits a coroutine, and the function it runs."""

    __name__: str
    __qualname__: str
    generator: Any
    registered_fn: Any
    wrapped_coroutine: Any
    def __init__(
        self, generator: Any, registered_fn: Any, coroutine: Any, *args: Any, **kwargs: Any
    ) -> None: ...
    def __iter__(self) -> Any: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def close(self) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def configure(
    generator_class: type,
    new_generator: Callable[..., Any],
    new_coroutine: Callable[..., Any],
    await_: Callable[..., Any],
    trace: Callable[..., Any] | None,
    /,
) -> None:
    """What the two classes need of function.py: the class of what awaits a coroutine, the functions that
    their pickles name, and what is told each frame that is saved."""

def save(object: _Suspended, /) -> _State | None:
    """State of a suspended frame: instruction, unbound slots, variables and stack, exception being handled.
    None if it is finished."""

def restore(object: _Suspended, state: _State, /) -> None:
    """Puts a state into a generator or coroutine of the same function that was never run. ValueError, and no
    change, if the state does not fit the function; RuntimeError if the frame was run."""

def discard(object: _Suspended, /) -> tuple[Any, ...]:
    """Ends a suspended frame without running anything of it. What it held, which the caller should discard
    before it lets go of it; nothing if it is finished."""

def get_frame_function(object: _Suspended, /) -> FunctionType: ...
def get_frame_ip(object: _Suspended, /) -> int: ...
def get_frame_sp(object: _Suspended, /) -> int: ...
def get_frame_bp(object: _Suspended, /) -> int: ...
def get_frame_state(object: _Suspended, /) -> int: ...
def get_frame_stack_at(object: _Suspended, index: int, /) -> tuple[bool, Any]: ...
def get_frame_block_at(object: _Suspended, index: int, /) -> tuple[int, int, int]: ...
def set_frame_ip(object: _Suspended, ip: int, /) -> None: ...
def set_frame_sp(object: _Suspended, sp: int, /) -> None: ...
def set_frame_bp(object: _Suspended, bp: int, /) -> None: ...
def set_frame_state(object: _Suspended, state: int, /) -> None: ...
def set_frame_stack_at(object: _Suspended, index: int, unset: bool, value: Any, /) -> None: ...
def set_frame_block_at(object: _Suspended, index: int, value: tuple[int, int, int], /) -> None: ...
