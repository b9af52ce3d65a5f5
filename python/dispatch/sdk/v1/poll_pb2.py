"""Messages of dispatch/sdk/v1/poll.proto: Poll, PollResult (protocol 1.2)."""

from dispatch.sdk import _schema

DESCRIPTOR = _schema.file_descriptor("dispatch/sdk/v1/poll")

_messages = _schema.messages(DESCRIPTOR, __name__)
Poll = _messages["Poll"]
PollResult = _messages["PollResult"]
