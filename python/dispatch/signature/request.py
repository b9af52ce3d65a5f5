"""A request, as it is signed."""

from __future__ import annotations

from dataclasses import dataclass

from http_message_signatures.structures import CaseInsensitiveDict


@dataclass
class Request:
    """What a signature may cover; signing adds to the headers.

    Attributes:
        method: such as "POST".
        url: whole.
        headers: by name, in any case.
        body: text counts as UTF-8.
    """

    method: str
    url: str
    headers: CaseInsensitiveDict
    body: str | bytes
