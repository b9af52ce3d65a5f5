"""The stand-in server of the original package, as a process with a ready line like ours. The programs here were first
made to run against it. It knows neither backoff nor Reset, and resumes an empty gather for ever."""

import asyncio

import dispatch.test


async def main():
    async with dispatch.test.Server(dispatch.test.Service()) as server:
        print(f"listening on {server.url}", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
