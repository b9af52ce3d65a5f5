"""What type checkers infer of a program; read by test_types.py, never run."""

from typing import Any, assert_type

import dispatch
import dispatch.test


@dispatch.function
def greet(name: str) -> str:
    return f"Hello {name}!"


@dispatch.function
async def count(names: list[str]) -> int:
    first = await greet(names[0])
    assert_type(first, str)
    assert_type(await greet.map(names), list[str])
    assert_type(await greet.options(expiration=30)("World"), str)
    await dispatch.sleep(1.5)
    return len(names)


@dispatch.test.function
async def test_types() -> None:
    assert_type(await count(["a"]), int)
    assert_type(await count.dispatch(["a"]), str)
    assert_type(greet.build_call("a"), dispatch.Call)
    results: list[Any] = await dispatch.gather(greet("a"), count([]))
    assert results


assert_type(dispatch.run(count(["a"])), int)
