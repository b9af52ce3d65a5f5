"""Dispatch ids."""

from typing import TypeAlias

DispatchID: TypeAlias = str
"""Names a call, for ever. Opaque text; our server's ids are 32 hex digits."""
