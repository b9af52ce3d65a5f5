"""`ClientError`, apart because its base class is aiohttp's, whose import takes longer than all of ours."""

from __future__ import annotations

import json

import aiohttp


class ClientError(aiohttp.ClientError):
    """A request that the Dispatch server refused.

    Attributes:
        status: HTTP status; 0 when there was none.
        code: of the Connect protocol, such as "invalid_argument"; "unknown" when the answer had none.
        message: one line.
    """

    status: int
    code: str
    message: str

    def __init__(self, status: int = 0, code: str = "unknown", message: str = "unknown") -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @classmethod
    def from_response(cls, status: int, body: bytes) -> ClientError:
        """Reads the JSON of an answer (protocol 2.4); what is no such JSON becomes the message."""
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            return cls(status, "unknown", repr(body))
        return cls(status, str(data.get("code", "unknown")), str(data.get("message", "unknown")))
