"""Errors of saving and loading durable generators and coroutines."""

from __future__ import annotations

import pickle

from dispatch.error import IncompatibleStateError


class SaveError(pickle.PicklingError, TypeError):
    """A suspended function holds something that cannot be saved; the text names the function, the variable
    and the line. `__cause__` is the error of the object itself."""


class UnknownFunctionError(IncompatibleStateError, KeyError):
    """A state needs a durable function that this process does not have."""

    __str__ = Exception.__str__


class ChangedFunctionError(IncompatibleStateError, ValueError):
    """A state was saved by other code than that which the function has in this process."""


class DamagedStateError(IncompatibleStateError, ValueError):
    """A state does not fit its function although the code is the same: it was damaged or forged."""
