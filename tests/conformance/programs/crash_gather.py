"""gather_twenty with ten quick leaves and ten slow ones, through a crash of the server.

The program says "half" when the root has received the ten quick results; then the server is killed and comes back, and
only then the file GATE exists. A slow leaf that began before does not end with a result: the package answers
every further run of an id with an error once a final result was made, even if nobody received it."""

import asyncio
import os
from urllib.parse import urlsplit

from aiohttp import web

import dispatch
from dispatch.error import TemporaryError
from dispatch.sdk.v1.function_pb2 import RunRequest

GATE = os.environ["GATE"]
n_received = 0


@dispatch.function
async def leaf(i: int) -> int:
    if i < 10:
        return i + 1
    is_open = os.path.exists(GATE)
    await asyncio.sleep(0.05)
    if not is_open:
        raise TemporaryError("not yet")
    return i + 1


@dispatch.function
async def total(n: int) -> int:
    return sum(await dispatch.gather(*[leaf(i) for i in range(n)]))


@web.middleware
async def count_results(request, handler):
    global n_received
    run = RunRequest.FromString(await request.read())
    response = await handler(request)
    before = n_received
    if run.function == "total" and not os.path.exists(GATE):
        n_received += len(run.poll_result.results)
    if before < 10 <= n_received:
        print("half", flush=True)
    return response


async def main():
    address = urlsplit(os.environ["DISPATCH_ENDPOINT_URL"])
    app = dispatch.Dispatch(dispatch.default_registry())
    app.middlewares.append(count_results)
    async with dispatch.Server(address.hostname, address.port, app):
        print(await total(20))


asyncio.run(main())
