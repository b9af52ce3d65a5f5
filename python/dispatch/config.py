"""Settings that may come from the environment."""

from __future__ import annotations

import os
from typing import Any


class NamedValueFromEnvironment:
    """A setting: the value that was given, else that of an environment variable.

    Pickled, a value of the environment is left out, and read from the environment of the process that loads it: so a
    secret of the environment never gets into a state.

    Args:
        envvar: name of the variable.
        name: what the setting is called where it is given.
        value: what was given.
        from_envvar: whether `value` was read from the variable.
    """

    __slots__ = ("_envvar", "_name", "_value", "_from_envvar")

    def __init__(self, envvar: str, name: str, value: str | None = None, from_envvar: bool = False):
        self._envvar = envvar
        self._name = name
        self._value = value
        self._from_envvar = from_envvar
        if value is None:
            self._value = os.environ.get(envvar)
            self._from_envvar = True

    @property
    def name(self) -> str:
        """The variable's name when the value came from it, else that of the setting."""
        return self._envvar if self._from_envvar else self._name

    @property
    def value(self) -> str:
        """The value; "" without one."""
        return self._value or ""

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self._from_envvar = False

    def __str__(self) -> str:
        return self.value

    def __getstate__(self) -> tuple[str, str, str | None, bool]:
        return self._envvar, self._name, None if self._from_envvar else self._value, self._from_envvar

    def __setstate__(self, state: tuple[str, str, str | None, bool]) -> None:
        self._envvar, self._name, self._value, self._from_envvar = state
        if self._from_envvar:
            self._value = os.environ.get(self._envvar)
