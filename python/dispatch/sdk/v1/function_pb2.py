"""Messages of dispatch/sdk/v1/function.proto: RunRequest, RunResponse (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/function")

_messages = _schema.messages(DESCRIPTOR, __name__)
RunRequest = _messages["RunRequest"]
RunResponse = _messages["RunResponse"]
