"""Messages of dispatch/sdk/v1/call.proto: Call, CallResult (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/call")

_messages = _schema.messages(DESCRIPTOR, __name__)
Call = _messages["Call"]
CallResult = _messages["CallResult"]
