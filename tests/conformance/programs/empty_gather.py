"""A gather of nothing waits for ever. It must not be resumed over and over while others work."""

import asyncio
import os
from urllib.parse import urlsplit

from aiohttp import web

import dispatch

runs = {}


@dispatch.function
async def gathers_nothing():
    return await dispatch.gather()


@dispatch.function
async def echo(text: str) -> str:
    return text


@web.middleware
async def count_runs(request, handler):
    body = await request.read()
    name = "gathers_nothing" if b"gathers_nothing" in body[:40] else "echo"
    runs[name] = runs.get(name, 0) + 1
    return await handler(request)


async def main():
    address = urlsplit(os.environ["DISPATCH_ENDPOINT_URL"])
    app = dispatch.Dispatch(dispatch.default_registry())
    app.middlewares.append(count_runs)
    async with dispatch.Server(address.hostname, address.port, app):
        await gathers_nothing.dispatch()
        while "gathers_nothing" not in runs:
            await echo("x")
        for _ in range(50):
            await echo("x")
    print(runs["gathers_nothing"])


asyncio.run(main())
