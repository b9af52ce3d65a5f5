"""Whether this process checks an upgrade (`python -m dispatch check-upgrade`): then it serves and submits nothing."""

from __future__ import annotations

is_on = False


class Handed(SystemExit):
    """The program is where it would serve, or use the server; the check goes on from here."""


def hand_over() -> None:
    """Raises Handed if this process checks an upgrade."""
    if is_on:
        raise Handed(0)
