"""Serves a function that greets, until its standard input ends; prints the port. Run by compare.py with either package."""

import asyncio
import sys

import dispatch.test
from dispatch.function import Registry
from dispatch.http import Dispatch, Server

client = dispatch.test.Client(api_key="key", api_url="http://127.0.0.1:1")
registry = Registry("bench", client=client, endpoint="http://127.0.0.1:1")


@registry.function
async def welcome(name: str) -> str:
    return f"Hello {name}!"


async def main() -> None:
    server = Server("127.0.0.1", 0, Dispatch(registry))
    await server.start()
    print(server.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
