"""Reset: a temporary failure that replaces the call by another. The caller gets the result of the replacement."""

import dispatch

runs = []


@dispatch.function
async def ends(n: int) -> str:
    runs.append("ends")
    return f"reset {n} times"


@dispatch.function
async def starts(n: int) -> str:
    runs.append(f"starts {n}")
    if n < 2:
        raise dispatch.Reset(starts, n + 1)
    raise dispatch.Reset(ends, n + 1)


@dispatch.function
async def parent() -> str:
    return await starts(0)


async def main():
    print(await parent())
    print(", ".join(runs))


dispatch.run(main())
