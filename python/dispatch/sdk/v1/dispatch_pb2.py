"""Messages of dispatch/sdk/v1/dispatch.proto: DispatchRequest, DispatchResponse (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/dispatch")

_messages = _schema.messages(DESCRIPTOR, __name__)
DispatchRequest = _messages["DispatchRequest"]
DispatchResponse = _messages["DispatchResponse"]
