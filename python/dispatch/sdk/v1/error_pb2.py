"""Messages of dispatch/sdk/v1/error.proto: Error (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/error")

_messages = _schema.messages(DESCRIPTOR, __name__)
Error = _messages["Error"]
