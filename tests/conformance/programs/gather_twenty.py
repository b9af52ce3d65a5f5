"""Twenty calls gathered by one coroutine: more results than one resume delivers (ten)."""

import dispatch


@dispatch.function
def leaf(i: int) -> int:
    return i + 1


@dispatch.function
async def total(n: int) -> int:
    return sum(await dispatch.gather(*[leaf(i) for i in range(n)]))


async def main():
    print(await total(20))


dispatch.run(main())
