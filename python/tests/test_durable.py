"""`@durable`: what it makes, what refuses to be saved or loaded, and what stays the same."""

from __future__ import annotations

import copyreg
import gc
import os
import pickle
import subprocess
import sys
import tracemalloc
import types
import weakref
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
from durable_programs import Account, countdown, deep, pause

from dispatch.error import IncompatibleStateError
from dispatch.experimental.durable import (
    DurableCoroutine,
    DurableFunction,
    DurableGenerator,
    SaveError,
    discard,
    dumps,
    durable,
    explain,
    frame,
    lookup_function,
    unregister_function,
)

HERE = Path(__file__)


def suspended(coroutine: Any) -> Any:
    coroutine.send(None)
    return coroutine


def function_of(source: str, filename: str = "app.py", name: str = "main") -> DurableFunction:
    """The durable function `main` of a module with this text, in the place of the one before."""
    try:
        unregister_function(name)
    except KeyError:
        pass
    namespace: dict[str, Any] = {"__name__": "app", "durable": durable, "pause": pause}
    exec(compile(source, filename, "exec"), namespace)
    function: DurableFunction = namespace[name]
    return function


MAIN = "@durable\nasync def main():\n    x = await pause(1)\n    return x + 1\n"


def test_awaiting_makes_a_durable_generator() -> None:
    coroutine = deep(1)
    awaiter = coroutine.__await__()
    assert isinstance(awaiter, DurableGenerator) and awaiter.wrapped_coroutine is coroutine
    assert (coroutine.__name__, coroutine.__qualname__, awaiter.__name__) == ("deep", "deep", "deep")
    coroutine.close()


def test_what_is_returned_is_returned_whatever_it_is() -> None:
    @durable
    def returns(value: Any) -> Any:
        return value
        yield

    for value in ((1, 2), StopIteration(3), None, [4]):
        running = returns(value)
        with pytest.raises(StopIteration) as stop:
            next(running)
        assert stop.value.value is value


def test_a_finished_coroutine_is_loaded_finished() -> None:
    coroutine = suspended(deep(0))
    with pytest.raises(StopIteration):
        coroutine.send(1)
    copy = pickle.loads(pickle.dumps(coroutine))
    with pytest.raises(RuntimeError, match="already awaited"):
        copy.send(None)
    generator = countdown(0)
    assert list(generator) == [] == list(pickle.loads(pickle.dumps(generator)))


def test_a_coroutine_that_was_not_started_keeps_its_arguments() -> None:
    generator = countdown(2, 7, step=2, more=1)
    copy = pickle.loads(pickle.dumps(generator))
    assert next(copy) == 2
    with pytest.raises(StopIteration) as stop:
        copy.send(5)
    assert stop.value.value == ((7, 5), {"more": 1})


def test_a_durable_function_is_pickled_by_its_key() -> None:
    assert pickle.loads(pickle.dumps(countdown)) is countdown
    unknown = pickle.dumps(countdown).replace(b"countdown", b"countdooo")
    with pytest.raises(IncompatibleStateError, match="countdooo"):
        pickle.loads(unknown)


def test_a_durable_function_of_a_class_is_a_method() -> None:
    account = Account()
    assert isinstance(account.add, MethodType)
    assert isinstance(durable(account.add.__func__.__wrapped__), DurableFunction)
    coroutine = suspended(account.add(3))
    copy = pickle.loads(pickle.dumps((coroutine, account)))
    with pytest.raises(StopIteration) as stop:
        copy[0].send(4)
    assert stop.value.value == 18 == copy[1].balance
    assert account.balance == 10
    coroutine.close()


def test_a_bound_method_can_be_made_durable() -> None:
    class Counter:
        def __init__(self) -> None:
            self.n = 3

        def count(self) -> Any:
            yield self.n

    method = durable(Counter().count)
    assert list(method()) == [3]
    unregister_function(Counter.count.__qualname__)


def test_the_same_function_is_registered_once_and_another_of_its_name_refused() -> None:
    def twice() -> None: ...

    first = durable(twice)
    assert durable(twice).registered_fn is first.registered_fn is lookup_function(twice.__qualname__)
    with pytest.raises(ValueError, match="already registered with key"):

        def twice() -> None: ...  # type: ignore[no-redef]

        durable(twice)
    first.unregister()
    with pytest.raises(KeyError):
        lookup_function(twice.__qualname__)


def test_another_module_may_have_a_function_of_that_name() -> None:
    mine = function_of(MAIN)
    namespace: dict[str, Any] = {"__name__": "other", "durable": durable, "pause": pause}
    exec(MAIN.replace("x + 1", "x + 2"), namespace)
    other = namespace["main"]
    assert (mine.registered_fn.key, other.registered_fn.key) == ("main", "other:main")
    state = pickle.dumps(suspended(other()))
    with pytest.raises(StopIteration) as stop:
        pickle.loads(state).send(1)
    assert stop.value.value == 3
    other.unregister()


def test_a_function_that_only_moved_takes_its_states() -> None:
    state = pickle.dumps(suspended(function_of(MAIN)()))
    function_of("\n\n# moved\n" + MAIN, "elsewhere.py")
    with pytest.raises(StopIteration) as stop:
        pickle.loads(state).send(1)
    assert stop.value.value == 2


@pytest.mark.parametrize(
    "change",
    [
        ("x + 1", "x + 2"),
        ("x + 1", "x - 1"),
        ("x + 1", "y + 1"),
        ("pause(1)", "other(1)"),
        ("main()", "main(z)"),
    ],
)
def test_a_changed_function_refuses_its_states(change: tuple[str, str]) -> None:
    state = pickle.dumps(suspended(function_of(MAIN)()))
    function_of(MAIN.replace(*change), "new.py")
    with pytest.raises(IncompatibleStateError, match=r"'main' \(new.py:1\) has changed.*app.py:1") as refused:
        pickle.loads(state)
    assert isinstance(refused.value, ValueError)


def test_a_change_inside_a_local_function_counts() -> None:
    inner = MAIN.replace("    return", "    f = lambda: 5\n    return f() +")
    state = pickle.dumps(suspended(function_of(inner)()))
    function_of(inner.replace("5", "6"))
    with pytest.raises(IncompatibleStateError):
        pickle.loads(state)


def test_an_unknown_function_refuses_its_states() -> None:
    state = pickle.dumps(suspended(function_of(MAIN)()))
    unregister_function("main")
    with pytest.raises(IncompatibleStateError, match="'main'.*app.py:1") as refused:
        pickle.loads(state)
    assert isinstance(refused.value, KeyError)


def test_what_cannot_be_saved_is_named_with_function_variable_and_line() -> None:
    @durable
    async def holds_a_file() -> None:
        with open(os.devnull) as file:
            await pause(file.name)

    @durable
    async def calls() -> None:
        await holds_a_file()

    coroutine = suspended(calls())
    with pytest.raises(SaveError) as refused:
        dumps({"some": [coroutine]})
    line = holds_a_file.registered_fn.lineno + 3
    assert "holds_a_file'" in str(refused.value) and f"{HERE}:{line}" in str(refused.value)
    assert "local variable 'file' (a _io.TextIOWrapper)" in str(refused.value)
    assert isinstance(refused.value, TypeError) and isinstance(refused.value, pickle.PicklingError)
    assert isinstance(refused.value.__cause__, TypeError)
    coroutine.close()


def test_what_is_on_the_stack_is_named_too() -> None:
    @durable
    async def stacks() -> Any:
        return [file, await pause(1)]

    with open(os.devnull) as file:
        coroutine = suspended(stacks())
        with pytest.raises(SaveError, match=r"value 0 in use \(a _io.TextIOWrapper\)"):
            dumps(coroutine)
        coroutine.close()


def test_an_error_of_something_else_is_not_explained() -> None:
    error = TypeError("other")
    assert explain([deep], error) is error
    with pytest.raises(TypeError, match="TextIOWrapper") as raised, open(os.devnull) as file:
        dumps([file])
    assert not isinstance(raised.value, SaveError)


def test_a_coroutine_of_an_unknown_function_is_named() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere", "pause": pause}
    exec("async def lost():\n    await pause(1)\n", namespace)

    @durable
    async def awaits_it() -> None:
        await namespace["lost"]()

    coroutine = suspended(awaits_it())
    with pytest.raises(TypeError, match="'lost'.*not @durable"):
        pickle.dumps(coroutine)
    coroutine.close()


def test_discarding_runs_nothing() -> None:
    log: list[str] = []

    @durable
    async def inner() -> None:
        try:
            await pause(1)
        finally:
            log.append("inner")

    @durable
    async def outer() -> None:
        try:
            await inner()
        finally:
            log.append("outer")

    coroutine = suspended(outer())
    gone = weakref.ref(coroutine)
    discard(coroutine)
    with pytest.raises(RuntimeError, match="already awaited"):
        coroutine.send(None)
    del coroutine
    gc.collect()
    assert log == [] and gone() is None


def test_discarding_goes_through_what_types_coroutine_makes() -> None:
    log: list[str] = []

    @types.coroutine
    @durable
    def waits() -> Any:
        try:
            yield 1
        finally:
            log.append("ran")

    @durable
    async def outer_of_waits() -> None:
        await waits()

    discard(suspended(outer_of_waits()))
    gc.collect()
    assert log == []


def test_one_object_in_several_frames_stays_one() -> None:
    @durable
    async def adds(items: list[Any]) -> None:
        items.append(await pause(1))

    @durable
    async def shares() -> Any:
        mine: list[Any] = []
        await adds(mine)
        return mine

    copy = pickle.loads(pickle.dumps(suspended(shares())))
    with pytest.raises(StopIteration) as stop:
        copy.send("added")
    assert stop.value.value == ["added"]


def test_a_coroutine_that_holds_itself_is_saved() -> None:
    @durable
    def holds_itself(box: list[Any]) -> Any:
        yield box
        yield box[0]

    box: list[Any] = []
    running = holds_itself(box)
    box.append(running)
    next(running)
    copy = pickle.loads(pickle.dumps(running))
    assert next(copy) is copy
    box.clear()


def test_frames_are_dumped_if_asked_for() -> None:
    code = "import pickle; from durable_programs import countdown as c; g = c(3); next(g); pickle.dumps(g)"
    shown = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "DISPATCH_TRACE": value},
            cwd=HERE.parent,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for value in ("", "1")
    ]
    assert shown[0] == "" and "[DISPATCH] saving countdown" in shown[1] and "n = 3" in shown[1]


def test_ten_thousand_coroutines_wait_at_once() -> None:
    waiting = [suspended(deep(2)) for _ in range(10_000)]
    copies = pickle.loads(pickle.dumps(waiting))
    for copy in copies:
        assert copy.send(100) == 1 and isinstance(copy, DurableCoroutine)
    discard(copies)
    discard(waiting)


def test_saving_and_loading_leaks_nothing() -> None:
    coroutine = suspended(deep(5))

    def rounds(count: int) -> None:
        for _ in range(count):
            discard(pickle.loads(pickle.dumps(coroutine)))
            forged = frame.save(coroutine.coroutine)
            assert forged is not None
            fresh = coroutine.registered_fn.suspended()
            with pytest.raises(ValueError):
                frame.restore(fresh, (forged[0], forged[1], forged[2][1:], forged[3]))
            fresh.close()

    rounds(20)
    tracemalloc.start()
    try:
        rounds(1000)  # until free lists and the like have the size that they keep
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        rounds(300)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    discard(coroutine)


def test_every_failing_allocation_is_an_ordinary_error() -> None:
    capi = pytest.importorskip("_testcapi")
    coroutine = suspended(deep(3))
    target = coroutine.coroutine
    state = frame.save(target)
    fresh = [coroutine.registered_fn.suspended() for _ in range(40)]
    frame.restore(fresh[-1], state)  # imports what it needs
    for operation in (lambda _: frame.save(target), lambda i: frame.restore(fresh[i], state)):
        for i in range(30):
            failed = False
            capi.set_nomemory(i, i + 1)
            try:
                operation(i)
            except MemoryError:
                failed = True
            finally:
                capi.remove_mem_hooks()
            if not failed and i > 10:
                break
    assert coroutine.send(1) == 1
    discard([coroutine, *fresh])


def test_cells_are_known_to_pickle_once() -> None:
    one = (lambda: coroutine_cell).__closure__
    coroutine_cell = 5
    assert one is not None
    copies = pickle.loads(pickle.dumps([one[0], one[0]]))
    assert copies[0] is copies[1] and copies[0].cell_contents == 5
    assert type(one[0]) in copyreg.dispatch_table


def test_parts_of_a_frame_have_the_errors_of_the_original() -> None:
    generator = countdown(3).generator
    next(generator)
    for wrong in (lambda: frame.get_frame_stack_at(generator, 99), lambda: frame.set_frame_sp(generator, 99)):
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(ValueError, match="Invalid frame state"):
        frame.set_frame_state(generator, 7)
    with pytest.raises(TypeError, match="not a generator or coroutine"):
        frame.get_frame_ip(1)  # type: ignore[arg-type]
    generator.close()
    assert frame.get_frame_state(generator) == 4 and frame.save(generator) is None
    for call, text in ((frame.get_frame_ip, "access"), (lambda g: frame.set_frame_sp(g, 1), "mutate")):
        with pytest.raises(RuntimeError, match=f"Cannot {text} cleared frame"):
            call(generator)
