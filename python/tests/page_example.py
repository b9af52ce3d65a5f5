"""The example of the documentation of `dispatch.test`, to the letter; then what makes a script of it."""

import dispatch
import dispatch.test


@dispatch.function
def greet(name: str) -> str:
    return f"Hello {name}!"


@dispatch.test.function
async def test_greet():
    assert await greet("World") == "Hello World!"


if __name__ == "__main__":
    test_greet()
    print("passed")
