"""A tree of 127 calls, seven deep, each waiting for its two children."""

from typing import List

import dispatch


@dispatch.function
async def merge_sort(values: List[int]) -> List[int]:
    if len(values) <= 1:
        return values
    half = len(values) // 2
    left, right = await dispatch.gather(merge_sort(values[:half]), merge_sort(values[half:]))
    merged = []
    while left and right:
        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
    return merged + left + right


async def main():
    values = [i * 37 % 64 for i in range(64)]
    print(await merge_sort(values) == sorted(values))


dispatch.run(main())
