"""Stages: the environments of a rollout, kept across episodes, with deadlines where they can hang."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from palaestra.agents.policies.core import View
from palaestra.envs.core import TextEnv
from palaestra.envs.panel import PanelItem, make_env
from palaestra.envs.registration import spec
from palaestra.errors import (
    DeadlineError,
    InfrastructureError,
    MissingExtraError,
    OptionError,
    StorageError,
    UnknownNameError,
)

# Mistakes of whoever started the run: another try or another episode would only repeat them.
FATAL = (OptionError, UnknownNameError, MissingExtraError, StorageError)


class Stage:
    """One environment. One that waits (``step_kind`` "io") lives in a thread of its own from the first call
    to the last, as browsers and databases demand, and may be abandoned there; one that computes is called
    where it stands, since its steps take microseconds.
    """

    def __init__(self, item: PanelItem, deadline_s: float) -> None:
        self.key = _key(item)
        kind = _kind(item.env_id)
        self.waits = getattr(kind, "step_kind", "compute") == "io"
        self.siblings = bool(getattr(kind, "siblings", False))
        self._env_id = item.env_id
        self._options = item.options
        self._deadline_s = deadline_s
        self._calls = _CallThread(item.env_id) if self.waits else None
        self._env: TextEnv | None = None

    async def reset(self, item: PanelItem) -> tuple[str, dict[str, Any]]:
        """Begin the item's task; makes the environment the first time. Raises ``InfrastructureError``."""
        if self._env is None:
            self._env = await self._call(make_env, self._env_id, self._options)
        reset = self._made.reset
        return await self._call(lambda: reset(seed=item.seed, options={"task": item.task_id}))

    async def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action. Raises ``InfrastructureError`` when the environment fails, or is too slow."""
        return await self._call(self._made.step, action)

    def scenario(self, item: PanelItem) -> str:
        """Return the scenario of the item's task, or "" before a reset (even a failed one) came to it."""
        if self._env is None:
            return ""
        try:
            task = self._env.task
        except gymnasium.error.ResetNeeded:
            return ""
        return task.scenario if task.id == item.task_id else ""

    def view(self, observation: str, info: Mapping[str, Any]) -> View:
        """Return what a policy that reads no tokens may look at."""
        return View(observation, info, self._expert if self._made.has_expert else None)

    def close(self) -> Future[Any] | None:
        """Close the environment; where it waits, return the future of that instead of waiting for it."""
        env, self._env = self._env, None
        if self._calls is not None:
            future = self._calls.submit(env.close) if env is not None else None
            self._calls.stop()
            return future
        if env is not None:
            # What a broken environment says while it is put away helps nobody.
            with contextlib.suppress(Exception):
                env.close()
        return None

    @property
    def _made(self) -> TextEnv:
        assert self._env is not None
        return self._env

    def _expert(self) -> str:
        """Ask the environment's expert, from the thread of the policy."""
        try:
            if self._calls is None:
                return self._made.expert()
            return self._calls.submit(self._made.expert).result(self._deadline_s)
        except Exception as error:
            raise self._typed("expert", error) from error

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        name = getattr(function, "__name__", "reset").replace("<lambda>", "reset")
        try:
            if self._calls is None:
                return function(*arguments)
            future = self._calls.submit(function, *arguments)
            wrapped = asyncio.wrap_future(future)
            done, _ = await asyncio.wait({wrapped}, timeout=self._deadline_s)
            if not done:
                raise DeadlineError(
                    f"{self._env_id}: {name} took longer than {self._deadline_s:g} s; the environment was "
                    "abandoned. Raise step_deadline_s if it is only slow"
                )
            return wrapped.result()
        except Exception as error:
            raise self._typed(name, error) from error

    def _typed(self, name: str, error: Exception) -> Exception:
        """Return ``error`` where it is one of ours, else an ``InfrastructureError`` that quotes it."""
        if isinstance(error, (InfrastructureError, *FATAL)):
            return error
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        return InfrastructureError(f"{self._env_id}: {name} raised {error!r}{where}")


class Stages:
    """The idle environments of a rollout, by id and options."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._idle: dict[str, list[Stage]] = {}
        self._all: set[Stage] = set()

    def take(self, item: PanelItem) -> Stage:
        """Return an idle environment of the item's kind, or a new one (made at its first reset)."""
        idle = self._idle.get(_key(item))
        if idle:
            return idle.pop()
        stage = Stage(item, self._deadline_s)
        self._all.add(stage)
        return stage

    def give_back(self, stage: Stage) -> None:
        """Keep an environment for the next episode."""
        self._idle.setdefault(stage.key, []).append(stage)

    def discard(self, stage: Stage) -> None:
        """Close an environment that failed."""
        self._all.discard(stage)
        stage.close()

    def close(self) -> None:
        """Close all, waiting no longer than one deadline for those that hang."""
        closing = [future for stage in self._all if (future := stage.close()) is not None]
        end = time.monotonic() + self._deadline_s
        for future in closing:
            with contextlib.suppress(Exception):
                future.result(max(0.0, end - time.monotonic()))
        self._all.clear()
        self._idle.clear()


class _CallThread:
    """A daemon thread that makes calls in order. One that hangs is abandoned: it cannot delay the exit."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None]
        self._queue = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"environment {name}", daemon=True).start()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Queue a call."""
        future: Future[Any] = Future()
        self._queue.put((future, function, arguments))
        return future

    def stop(self) -> None:
        """End the thread after the calls queued so far."""
        self._queue.put(None)

    def _run(self) -> None:
        while (call := self._queue.get()) is not None:
            future, function, arguments = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # whatever it is belongs to the caller, not to this thread
                future.set_exception(error)


def _key(item: PanelItem) -> str:
    return f"{item.env_id} {json.dumps(dict(item.options), sort_keys=True, default=repr)}"


def _kind(env_id: str) -> object:
    """Return what makes the environment: a class, unless somebody registered a function."""
    entry_point = spec(env_id).entry_point
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
