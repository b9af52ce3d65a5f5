"""The other two ways to await several calls, and calls of calls gathered."""

import asyncio

import dispatch

over = asyncio.Event()


@dispatch.function
def fails(text: str) -> str:
    raise ValueError(text)


@dispatch.function
async def echo(text: str) -> str:
    return text


@dispatch.function
async def slow(text: str) -> str:
    await over.wait()
    return text


@dispatch.function
async def first_success() -> str:
    return await dispatch.any(fails("a"), echo("b"), fails("c"))


@dispatch.function
async def all_fail() -> str:
    return await dispatch.any(fails("a"), fails("b"))


@dispatch.function
async def first_to_finish() -> str:
    return await dispatch.race(slow("slow"), echo("quick"))


@dispatch.function
async def pair(i: int) -> list:
    return await dispatch.gather(echo(f"{i}a"), echo(f"{i}b"))


@dispatch.function
async def pairs(n: int) -> list:
    return await dispatch.gather(*[pair(i) for i in range(n)])


async def main():
    print(await first_success())
    try:
        print(await all_fail())
    except RuntimeError as error:
        print(error)
    print(await first_to_finish())
    print(await pairs(3))
    over.set()


dispatch.run(main())
