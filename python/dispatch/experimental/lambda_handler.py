"""Functions in AWS Lambda: a Lambda function whose invocations are runs (protocol 3.6).

    dispatch = Dispatch(registry)

    @dispatch.function
    def greet(name): ...

    def handler(event, context):
        return dispatch.handle(event, context)

Nothing of AWS is imported: the runtime of Lambda brings the context.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Protocol

from google.protobuf.message import DecodeError

from dispatch._serve import Refusal, run_function
from dispatch.function import Registry
from dispatch.http import BlockingFunctionService
from dispatch.sdk.v1.function_pb2 import RunRequest

__all__ = ["Dispatch"]


class _Context(Protocol):
    """What is used of the context of an invocation."""

    @property
    def invoked_function_arn(self) -> str: ...


class Dispatch(BlockingFunctionService):
    """Answers invocations with the functions of a registry.

    Args:
        registry: what is served; None is the default registry. Its endpoint is known with the first invocation only; until
            then any URL will do, such as http://localhost.
    """

    def __init__(self, registry: Registry | None = None):
        super().__init__(registry)

    def handle(self, event: str, context: _Context, entrypoint: str | None = None) -> bytes:
        """Answers an invocation. From now on the calls that functions make come back to the function's ARN.

        Args:
            event: base64 of an encoded RunRequest.
            context: of the runtime; its `invoked_function_arn` may be empty.
            entrypoint: name of the function for a request that names none.

        Returns:
            JSON: a string, which is base64 of the encoded RunResponse.

        Raises:
            ValueError: the event is no request, or its function is not known.
            Exception: what a primitive function raised.
        """
        if context.invoked_function_arn:
            # Not through the property: that takes what an application may say of itself, which are URLs.
            self.registry._endpoint = context.invoked_function_arn
        request = _request(event)
        name = request.function or entrypoint
        if not name:
            raise ValueError("function is required")
        function = self.registry.functions.get(name)
        if function is None:
            raise ValueError(f"function {name} not found")
        try:
            output = asyncio.run(run_function(function, request))
        except Refusal as refusal:
            raise refusal.__cause__ or refusal from None
        return json.dumps(base64.b64encode(output._message.SerializeToString()).decode()).encode()


def _request(event: str) -> RunRequest:
    if not event:
        raise ValueError("event is required")
    try:
        data = base64.b64decode(event, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError("event is not base64 encoded") from error
    try:
        return RunRequest.FromString(data)
    except DecodeError as error:
        raise ValueError(f"event is not a run request: {error}") from error
