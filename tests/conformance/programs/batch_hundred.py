"""A hundred calls in one request; values of every kind come back as they were."""

from datetime import datetime, timedelta, timezone

import dispatch

VALUES = [None, True, 42, -1, 2**100, 1.5, "text \u00e9\u2713", b"\x00\xff", (1, "two"), {3, 4}, [1, [2.5, None]],
          {"key": ["value"]}, datetime(2024, 6, 25, 1, 2, 3, 456789, timezone.utc), timedelta(days=2, microseconds=5)]


@dispatch.function
async def same(value):
    return value


async def main():
    batch = dispatch.batch()
    for i in range(100):
        batch.add(same, VALUES[i % len(VALUES)])
    ids = await batch.dispatch()
    client = dispatch.default_registry().client
    print(len(set(ids)), [await client.wait(id) for id in ids] == [VALUES[i % len(VALUES)] for i in range(100)])


dispatch.run(main())
