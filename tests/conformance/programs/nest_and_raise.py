"""Calls that call calls. A child's ValueError is caught by its parent, or goes through it to the program."""

import dispatch


@dispatch.function
def broken(text: str) -> str:
    raise ValueError(text)


@dispatch.function
async def catches(text: str) -> str:
    try:
        return await broken(text)
    except ValueError as error:
        return f"caught {error}"


@dispatch.function
async def lets_go(text: str) -> str:
    return await broken(text)


@dispatch.function
async def depth(n: int) -> int:
    return 0 if n == 0 else 1 + await depth(n - 1)


async def main():
    print(await depth(20))
    print(await catches("one"))
    try:
        print(await lets_go("two"))
    except ValueError as error:
        print(f"went through {error}")


dispatch.run(main())
