"""Each kind of temporary failure once; the call is tried again until it succeeds."""

import dispatch
from dispatch.error import DNSError, TemporaryError, ThrottleError

failures = [TemporaryError("busy"), ThrottleError("slow down"), TimeoutError("late"), ConnectionError("gone"),
            DNSError("who?"), EOFError("cut off")]
attempts = 0


@dispatch.function
def flaky(text: str) -> str:
    global attempts
    attempts += 1
    if failures:
        raise failures.pop()
    return text


@dispatch.function
async def patient(text: str) -> str:
    return await flaky(text)


async def main():
    print(await patient("SUCCESS"), attempts)


dispatch.run(main())
