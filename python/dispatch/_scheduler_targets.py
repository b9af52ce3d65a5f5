"""What a coroutine of the scheduler drives: the durable awaitables, as objects with send, throw and close."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any

from dispatch.coroutine import Step
from dispatch.experimental import durable
from dispatch.experimental.durable.function import DurableCoroutine, DurableGenerator

logger = logging.getLogger("dispatch.scheduler")

NOT_DURABLE = "awaitable is not a @dispatch.function"


def durable_target(awaitable: Any) -> Any:
    """What drives a durable awaitable. TypeError for any other."""
    if type(awaitable) is Step or type(awaitable) is DurableCoroutine:
        return awaitable
    target = awaitable.__await__() if hasattr(awaitable, "__await__") else None
    if not isinstance(target, (Step, DurableGenerator)):
        raise TypeError(NOT_DURABLE)
    return target


def save(state: Any) -> bytes:
    """The pickle of a state; pickle.PicklingError, or what else pickling raises, for one that cannot be saved."""
    return durable.dumps(state, pickle.HIGHEST_PROTOCOL)


def discard(target: Any) -> None:
    """Lets go of what was saved and goes on elsewhere: none of its code may run, such as its `finally` blocks."""
    if type(target) is Step:
        target.close()
    else:
        durable.discard(target)


def close_quietly(target: Any) -> None:
    """Closes it, if it can be closed; what its `finally` blocks raise is logged."""
    close: Callable[[], None] | None = getattr(target, "close", None)
    if close is None:
        return
    try:
        close()
    except GeneratorExit:
        pass
    except BaseExceptionGroup as group:  # what asyncio.TaskGroup makes of a GeneratorExit
        rest = group.split(GeneratorExit)[1]
        if rest is not None:
            logger.warning("%r could not be closed", target, exc_info=rest)
    except Exception:
        logger.warning("%r could not be closed", target, exc_info=True)
