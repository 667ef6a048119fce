"""The only place where tasks and threads are born.

A task has a name, is kept alive until it ends, and tells the log when it crashes. A thread is a
daemon: one that hangs in a name server or on a disk never keeps the program from ending.
"""

import asyncio
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from qsh.errors import QshError
from qsh.log import logger

if TYPE_CHECKING:
    from queue import SimpleQueue

T = TypeVar("T")
_log = logger("tasks")
_tasks: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Run the coroutine as a task. Its failure is logged even if nobody awaits it."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _tasks.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        report(error, task.get_name())


def report(error: BaseException, where: str) -> None:
    """Log an error that ended something: one line, the traceback only at DEBUG3."""
    if isinstance(error, QshError):
        _log.debug1("%s ended: %s", where, error)
        return
    _log.error("internal error in %s: %s: %s", where, type(error).__name__, error)
    for line in traceback.format_exception(error):
        _log.debug3("%s", line.rstrip())


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """End the tasks and wait until they have ended. Their own errors are not raised here."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """The result of a blocking call, made in a thread of its own. Cancelled, the call goes on
    and its result is dropped."""
    caller = Caller()
    try:
        return await caller.call(function, *arguments)
    finally:
        caller.close()


class Caller:
    """A thread that makes blocking calls, one after the other. It begins with the first call."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[_Call | None] | None = None

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of the call. Cancelled, the call goes on and its result is dropped."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._calls is None:
            from queue import SimpleQueue  # a start without blocking calls does without it

            self._calls = SimpleQueue()
            name = getattr(function, "__name__", "call")
            threading.Thread(
                target=_make_calls, args=[self._loop, self._calls], name=name, daemon=True
            ).start()
        self._calls.put((future, function, arguments))
        return await future

    def close(self) -> None:
        """Let the thread end, after the calls that were asked for."""
        if self._calls is not None:
            self._calls.put(None)


_Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


def _make_calls(loop: asyncio.AbstractEventLoop, calls: "SimpleQueue[_Call | None]") -> None:
    while (call := calls.get()) is not None:
        future, function, arguments = call
        result, error = None, None
        try:
            result = function(*arguments)
        except BaseException as caught:  # goes to the one who awaits
            error = caught
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
