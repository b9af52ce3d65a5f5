"""`python -m dispatch`."""

from __future__ import annotations

import sys

from dispatch import _check_upgrade

USAGE = """usage: python -m dispatch check-upgrade [FLAGS] PROGRAM.py [ARGUMENTS]

Tells which suspended calls would start again with the code of the program. `python -m dispatch check-upgrade --help`
tells more."""


def main(words: list[str]) -> int:
    """The exit status of the command."""
    if words[:1] == ["check-upgrade"]:
        return _check_upgrade.main(words[1:])
    is_help = words[:1] in (["help"], ["-h"], ["--help"])
    print(USAGE, file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
