"""Gathering: what many episodes ask of a policy becomes few, large, repeatable batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from palaestra.agents.policies.core import Completion, PartialFailure, Policy, Request
from palaestra.errors import ContractError, DeadlineError

# How long a cancelled policy call may take to end before it counts as stuck.
_CANCEL_GRACE_S = 2.0


class Gathering:
    """Batches requests and generates them in one worker thread.

    A batch leaves when every live episode has asked, when ``max_batch`` requests are there, or after
    ``wait_s``, since an episode may be waiting for a slow environment. Requests are sorted by job, so that
    with environments that compute the same run always makes the same batches.
    """

    def __init__(
        self, policy: Policy, live: Callable[[], int], *, max_batch: int, wait_s: float, deadline_s: float
    ) -> None:
        self._policy = policy
        self._live = live
        self._max_batch, self._wait_s, self._deadline_s = max_batch, wait_s, deadline_s
        self._pending: list[tuple[int, Request, asyncio.Future[Completion]]] = []
        self._changed = asyncio.Event()
        self._forgotten: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="generation", daemon=True)
        self._thread.start()

    async def ask(self, index: int, request: Request) -> Completion:
        """Return the completion of ``request``, asked by job ``index``."""
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._pending.append((index, request, future))
        self._changed.set()
        return await future

    def forget(self, session: str) -> None:
        """Tell the policy, before its next batch, that ``session`` is over.

        Not at once: the policy may be generating in its thread.
        """
        self._forgotten.append(session)

    def changed(self) -> None:
        """Say that the number of live episodes changed."""
        self._changed.set()

    async def run(self) -> None:
        """Make batches until cancelled. Raises ``DeadlineError`` when the policy is stuck for good."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._gather()
            self._pending.sort(key=lambda entry: entry[0])
            batch, self._pending = self._pending[: self._max_batch], self._pending[self._max_batch :]
            if self._pending:
                self._changed.set()
            if batch:
                await self._answer(batch)

    def close(self) -> None:
        """Cancel the batch that is under way, let the policy forget the last sessions and end the thread.

        A policy that computes cannot be cancelled: its batch is finished first.
        """
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join(timeout=_CANCEL_GRACE_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        unfinished = asyncio.all_tasks() - {asyncio.current_task()}
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        self._forget_now()
        self._loop.stop()

    async def _gather(self) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + self._wait_s
        while len(self._pending) < min(self._max_batch, self._live()) and (left := end - clock()) > 0:
            try:
                # Not wait_for: before Python 3.12 it can swallow the cancellation that ends the rollout.
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return
            self._changed.clear()

    async def _answer(self, batch: Sequence[tuple[int, Request, asyncio.Future[Completion]]]) -> None:
        results: Sequence[Completion | Exception]
        try:
            results = await self._generate([request for _, request, _ in batch])
        except PartialFailure as failure:
            results = failure.results
        except Exception as error:  # the episodes of this batch decide what it means for them
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if not self._thread_answers():
                raise
            return
        for (_, _, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _generate(self, requests: list[Request]) -> list[Completion]:
        call = asyncio.run_coroutine_threadsafe(self._in_thread(requests), self._loop)
        wrapped = asyncio.wrap_future(call)
        done, _ = await asyncio.wait({wrapped}, timeout=self._deadline_s)
        if not done:
            wrapped.cancel()
            raise DeadlineError(
                f"the policy took longer than {self._deadline_s:g} s for {len(requests)} requests; "
                "raise generate_deadline_s or lower max_batch if it is only slow"
            )
        completions = wrapped.result()
        if len(completions) != len(requests):
            raise ContractError(f"{len(requests)} requests got {len(completions)} completions")
        return completions

    def _thread_answers(self) -> bool:
        """Say whether the worker thread is free again: a policy stuck in a computation cannot be cancelled,
        and a second call beside it would corrupt its caches.
        """
        free = threading.Event()
        self._loop.call_soon_threadsafe(free.set)
        return free.wait(_CANCEL_GRACE_S)

    async def _in_thread(self, requests: list[Request]) -> list[Completion]:
        self._forget_now()
        return await self._policy.generate(requests)

    def _forget_now(self) -> None:
        forgotten, self._forgotten = self._forgotten, []
        for session in forgotten:
            self._policy.forget(session)
