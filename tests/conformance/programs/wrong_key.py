"""A wrong key is refused as such, whether it came as an argument or from the environment."""

import asyncio
import os

import dispatch


async def main():
    call = dispatch.Call(function="f", endpoint=os.environ["DISPATCH_ENDPOINT_URL"])
    os.environ["DISPATCH_API_KEY"] = "not-the-key"
    for client in dispatch.Client(api_key="not-the-key"), dispatch.Client():
        try:
            print(await client.dispatch([call]))
        except PermissionError as error:
            print(error)


asyncio.run(main())
