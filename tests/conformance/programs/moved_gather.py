"""gather_twenty whose program dies in the middle: the first instance submits the call, says its id, and says "half" when the
root has received the ten quick results; the slow leaves hang in it. The instance that finds the file GATE runs them, and
resumes the root from a state that another process saved."""

import asyncio
import os
from urllib.parse import urlsplit

from aiohttp import web

import dispatch
from dispatch.sdk.v1.function_pb2 import RunRequest

IS_SECOND = os.path.exists(os.environ["GATE"])
n_received = 0


@dispatch.function
async def leaf(i: int) -> int:
    if i >= 10 and not IS_SECOND:
        await asyncio.Event().wait()
    return i + 1


@dispatch.function
async def total(n: int) -> int:
    before = "a local variable"
    values = await dispatch.gather(*[leaf(i) for i in range(n)])
    assert before == "a local variable"
    return sum(values)


@web.middleware
async def count_results(request, handler):
    global n_received
    run = RunRequest.FromString(await request.read())
    response = await handler(request)
    n_received += len(run.poll_result.results)
    if n_received == 10:
        print("half", flush=True)
    return response


async def main():
    address = urlsplit(os.environ["DISPATCH_ENDPOINT_URL"])
    app = dispatch.Dispatch(dispatch.default_registry())
    app.middlewares.append(count_results)
    async with dispatch.Server(address.hostname, address.port, app):
        if not IS_SECOND:
            print(await total.dispatch(20), flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
