"""Generators and coroutines that can be saved with pickle, and go on in another process.

    @durable
    def count(n):
        for i in range(n):
            yield i

    running = count(3)
    next(running)                                  # 0
    copy = pickle.loads(pickle.dumps(running))
    next(copy)                                     # 1

A state can be loaded where the same function is decorated with `@durable` under the same qualified name and
has the same code, by the same version of CPython; otherwise loading raises
`dispatch.error.IncompatibleStateError`. What the function holds (variables, and what it is in the middle of:
iterators, `async with`, handled exceptions) is pickled with it; what its own closure and module hold is not,
it is that of the process that loads."""

from .errors import ChangedFunctionError, DamagedStateError, SaveError, UnknownFunctionError
from .function import DurableCoroutine, DurableFunction, DurableGenerator, durable
from .registry import clear_functions, lookup_function, unregister_function
from .saving import discard, dumps, explain

__all__ = [
    "ChangedFunctionError",
    "DamagedStateError",
    "DurableCoroutine",
    "DurableFunction",
    "DurableGenerator",
    "SaveError",
    "UnknownFunctionError",
    "clear_functions",
    "discard",
    "dumps",
    "durable",
    "explain",
    "lookup_function",
    "unregister_function",
]
