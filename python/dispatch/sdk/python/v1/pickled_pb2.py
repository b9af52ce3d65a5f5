"""Messages of dispatch/sdk/python/v1/pickled.proto: Pickled (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/python/v1/pickled")

_messages = _schema.messages(DESCRIPTOR, __name__)
Pickled = _messages["Pickled"]
