"""Blocking calls under a deadline, from asyncio."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from palaestra.errors import DeadlineError

Result = TypeVar("Result")


class DeadlineCaller:
    """Runs blocking calls one after another in one daemon thread.

    Python cannot kill a thread: after a missed deadline the thread is abandoned (it ends when its call
    does, and never holds up the process's exit) and the next call gets a fresh one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] | None = None

    async def call(self, function: Callable[[], Result], deadline_s: float, what: str) -> Result:
        """Return ``function()``; raises ``DeadlineError`` after ``deadline_s``, or what it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def deliver(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def run() -> None:
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(deliver, result, error)
            except RuntimeError:
                return  # the loop is gone: nobody waits any more

        if self._calls is None:
            self._calls = self._start()
        self._calls.put(run)
        try:
            return await asyncio.wait_for(future, deadline_s)
        except TimeoutError:
            self.close()
            raise DeadlineError(f"{what} took longer than {deadline_s:g} s and was abandoned") from None

    def close(self) -> None:
        """Let the thread end after its present call."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None

    def _start(self) -> queue.SimpleQueue[Callable[[], None] | None]:
        calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

        def serve() -> None:
            while (call := calls.get()) is not None:
                call()

        threading.Thread(target=serve, name=f"palaestra-{self._name}", daemon=True).start()
        return calls
