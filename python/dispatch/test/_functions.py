"""The functions that `dispatch.test.TestCase` calls. A program may register others of these names in their place."""

from typing import Any, List, cast

import dispatch
from dispatch.registry import Registry


def greet() -> str:
    return "Hello World!"


def greet_name(name: str) -> str:
    return f"Hello world: {name}"


def echo(name: str) -> str:
    return name


def length(name: str) -> int:
    return len(name)


def broken() -> str:
    raise ValueError("something went wrong!")


def merge(l: List[int], r: List[int]) -> List[int]:
    """Two sorted lists to one."""
    merged: List[int] = []
    i = j = 0
    while i < len(l) and j < len(r):
        if r[j] < l[i]:
            merged.append(r[j])
            j += 1
        else:
            merged.append(l[i])
            i += 1
    return merged + l[i:] + r[j:]


def register(registry: Registry) -> dict[str, object]:
    """Registers them; the names that `dispatch.test` shows."""
    plain: dict[str, Any] = {f.__name__: registry.function(f) for f in (greet, greet_name, echo, length, broken)}

    async def echo_nested(name: str) -> str:
        return cast(str, await plain["echo"](name))

    async def broken_nested(name: str) -> str:
        return cast(str, await plain["broken"]())

    async def distributed_merge_sort(values: List[int]) -> List[int]:
        if len(values) < 2:
            return values
        middle = len(values) // 2
        (left, right) = await dispatch.gather(
            shown["distributed_merge_sort"](values[:middle]),
            shown["distributed_merge_sort"](values[middle:]),
        )
        return merge(left, right)

    shown = dict(plain)
    for coroutine in (echo_nested, broken_nested, distributed_merge_sort):
        coroutine.__qualname__ = coroutine.__name__
        shown[coroutine.__name__] = registry.function(coroutine)
    registry._replaceable.update(shown)
    return {"merge": merge, **shown}
