"""Messages of dispatch/sdk/v1/exit.proto: Exit (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/exit")

_messages = _schema.messages(DESCRIPTOR, __name__)
Exit = _messages["Exit"]
