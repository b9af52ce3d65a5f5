"""Programs of test_durable_*.py: each is suspended many times, in the middle of something. They yield numbers
and are sent back the number plus 100; what they return shows whether all went on as it should."""

from __future__ import annotations

import types
from collections.abc import Callable, Generator
from typing import Any

from dispatch.experimental.durable import durable


@types.coroutine
@durable
def pause(value: Any) -> Generator[Any, Any, Any]:
    return (yield value)


PROGRAMS: dict[str, Callable[[], Any]] = {}


def program(function: Any) -> Any:
    PROGRAMS[function.__name__] = function
    return function


@durable
async def deep(level: int) -> Any:
    if level == 0:
        return await pause(0)
    before = level * 2
    inner = await deep(level - 1)
    return [before, inner, await pause(level)]


@program
@durable
async def nested_awaits_ten_deep() -> Any:
    return await deep(10)


class AsyncRange:
    def __init__(self, stop: int) -> None:
        self.at = 0
        self.stop = stop

    def __aiter__(self) -> AsyncRange:
        return self

    @durable
    async def __anext__(self) -> int:
        if self.at == self.stop:
            raise StopAsyncIteration
        self.at += 1
        got: int = await pause(self.at)
        return got - 100


@program
@durable
async def async_for() -> Any:
    seen = []
    async for item in AsyncRange(4):
        seen.append(item)
        if item == 3:
            await pause(33)
    else:
        seen.append(await pause(44))
    return seen


class Guard:
    def __init__(self, name: str, log: list[Any], swallow: bool = False) -> None:
        self.name, self.log, self.swallow = name, log, swallow

    @durable
    async def __aenter__(self) -> str:
        self.log.append(("enter", self.name, await pause(1)))
        return self.name

    @durable
    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.log.append(("exit", self.name, repr(error), await pause(2)))
        return self.swallow

    def __enter__(self) -> Guard:
        self.log.append("enter")
        return self

    def __exit__(self, *error: Any) -> bool:
        self.log.append(("exit", repr(error[1])))
        return self.swallow


@program
@durable
async def async_with() -> Any:
    log: list[Any] = []
    async with Guard("a", log) as a, Guard("b", log, swallow=True) as b:
        log.append((a, b, await pause(5)))
        with Guard("c", log):
            log.append(await pause(6))
            raise ValueError("inside")
    return log


@program
@durable
async def handlers() -> Any:
    log: list[Any] = []
    for _ in range(2):
        try:
            log.append(await pause(1))
            raise KeyError("first")
        except KeyError as error:
            log.append((repr(error), await pause(2)))
            try:
                await pause(3)
                raise TypeError("second")
            except TypeError as inner:
                log.append((repr(inner), repr(inner.__context__), await pause(4)))
            finally:
                log.append(await pause(5))
            try:
                raise
            except KeyError as again:
                log.append(("again", again is error, await pause(6)))
        finally:
            log.append(await pause(7))
    return log


@program
@durable
async def groups() -> Any:
    log: list[Any] = []
    try:
        raise ExceptionGroup("both", [ValueError(1), TypeError(2), KeyError(3)])
    except* ValueError as some:
        log.append((repr(some), await pause(1)))
    except* TypeError as some:
        log.append((repr(some), await pause(2)))
    except* KeyError:
        log.append(await pause(3))
    return log


@program
@durable
async def returns_through_finally() -> Any:
    try:
        for i in range(3):
            try:
                if i == 1:
                    return ["done", await pause(i)]
            finally:
                await pause(10 + i)
    finally:
        await pause(20)


@program
@durable
async def comprehensions() -> Any:
    offset = await pause(0)
    listed = [await pause(i) + offset for i in range(3) if i != 1]
    paired = {await pause(i): await pause(i + 1) for i in (7, 8)}
    grouped = {await pause(i) % 2 for i in range(3)}
    asynchronous = [i async for i in AsyncRange(2)]
    nested = [[await pause(i * j + offset) for j in range(2)] for i in range(2)]
    return listed, sorted(paired.items()), sorted(grouped), asynchronous, nested


@program
@durable
async def comprehension_with_cells() -> Any:
    x = 5
    functions = [await pause(i) + (lambda: x + i)() for i in range(2) for x in (i, i + 1)]

    def add(n: int) -> None:
        nonlocal x
        x += n

    await pause(x)
    shown = x
    del add
    return functions, shown, x


@program
@durable
async def expressions() -> Any:
    name = "text"
    values = [*(1, 2), await pause(1), *[3], await pause(2)]
    joined = f"{name}-{await pause(3)}-{await pause(4):>8}"
    chosen = (await pause(5)) < (await pause(6)) < 1000
    called = max(values[0], await pause(7), key=lambda v: -v)
    method = name.replace("t", str(await pause(8)), await pause(9) - 109 + 1)
    keywords = dict(a=await pause(10), **{"b": await pause(11)}, c=await pause(12))
    sliced = values[await pause(0) - 100 : await pause(2) - 100]
    default = name and await pause(13) or await pause(14)
    return values, joined, chosen, called, method, keywords, sliced, default


@program
@durable
async def iterators() -> Any:
    log = []
    for item in [1, 2]:
        for key in {"k": 1, "l": 2}:
            for number, letter in enumerate("ab"):
                for a, b in zip((1, 2), range(5), strict=False):
                    log.append((item, key, number, letter, a, b, await pause(a)))
    for item in reversed([1, 2]):
        log.append(await pause(item))
    for item in map(abs, [-1, -2]):
        log.append(await pause(item))
    for pair in sorted({"x": 1}.items()):
        log.append((pair, await pause(1)))
    return log


@program
@durable
async def matches() -> Any:
    log = []
    for subject in ({"kind": "a", "n": 1}, [1, 2, 3], (4, 5), "text"):
        match subject:
            case {"kind": kind, **rest} if await pause(1) > 0:
                log.append((kind, rest, await pause(2)))
            case [first, *others] if await pause(3) != 104 and len(others) == 2:
                log.append((first, others, await pause(4)))
            case (a, b):
                log.append((a, b, await pause(5)))
            case _:
                log.append(await pause(6))
    return log


@program
@durable
async def loops() -> Any:
    count = 0
    while True:
        count += 1
        if count == 2:
            continue
        if (got := await pause(count)) == 104:
            break
        for _ in range(await pause(1) - 100):
            await pause(got)
    else:
        return "never"
    del got
    unbound = "unbound"
    try:
        unbound = got
    except UnboundLocalError:
        await pause(50)
    return count, unbound


@durable
def countdown(n: int, *rest: int, step: int = 1, **more: Any) -> Generator[int, int, Any]:
    while n > 0:
        got = yield n
        rest = (*rest, got)
        n -= step
    return rest, more


@program
@durable
def generators() -> Generator[int, int, Any]:
    first = yield from countdown(2, 5, x=1)
    second = yield from countdown(4, step=2)
    third = yield from (i * 2 for i in range(3))  # sends nothing on
    other = countdown(3)
    fourth = yield next(other)
    yield 9
    return first, second, third, fourth, list(other)


@program
@durable
async def locals_functions() -> Any:
    total = 0

    async def add(n: int, /, *, twice: bool = False) -> int:
        nonlocal total
        got: int = await pause(n)
        total += got * (2 if twice else 1)
        return total

    first = await add(1)
    second = await add(2, twice=True)
    numbers = (n for n in range(first))
    next(numbers)
    await pause(3)
    return first, second, total, next(numbers)


async def plain_helper(n: int) -> Any:
    return [n, await pause(n)]


@program
@durable
async def plain_coroutines() -> Any:
    return [await plain_helper(1), await plain_helper(2)]


class Account:
    def __init__(self) -> None:
        self.balance = 10

    @durable
    async def add(self, amount: int, *others: int, factor: int = 2, **named: int) -> int:
        self.balance += factor * (await pause(amount))
        for other in (*others, *named.values()):
            self.balance += await pause(other)
        return self.balance


class Savings(Account):
    @durable
    async def save(self) -> int:
        return await super().add(1, 2, 3, factor=3, extra=4) + await self.add(5)


@program
@durable
async def methods() -> Any:
    account = Savings()
    return await account.save(), account.balance, await durable(Account.add.registered_fn.fn)(account, 1)


class Awaitable:
    """One step without a frame."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.step = 0

    def __await__(self) -> Awaitable:
        return self

    def __iter__(self) -> Awaitable:
        return self

    def __next__(self) -> int:
        return self.send(None)

    def send(self, value: Any) -> int:
        self.step += 1
        if self.step == 1:
            return self.value
        raise StopIteration(value)


@program
@durable
async def awaitable_objects() -> Any:
    return [await Awaitable(1), await Awaitable(2)]


def closure_over(word: str) -> Any:
    @program
    @durable
    async def closures() -> Any:
        return word, await pause(1), [word + str(await pause(i)) for i in range(2)]

    return closures


closure_over("kept")


def drive(running: Any, sends: int | None = None) -> tuple[list[Any], Any]:
    """Runs to the end, or for so many steps: what was yielded, and what was returned. Nothing is lost in
    between."""
    yielded: list[Any] = []
    value = None
    while sends is None or len(yielded) < sends:
        try:
            item = running.send(value)
        except StopIteration as stop:
            return yielded, stop.value
        yielded.append(item)
        value = item + 100
    return yielded, None


def resume(running: Any, last: Any) -> tuple[list[Any], Any]:
    """Goes on after the item that was yielded last."""
    yielded: list[Any] = []
    value = last + 100
    while True:
        try:
            item = running.send(value)
        except StopIteration as stop:
            return yielded, stop.value
        yielded.append(item)
        value = item + 100
