"""Members of a vector environment that live in a thread or a process of their own."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import gymnasium

from palaestra.envs.core import TextEnv
from palaestra.errors import DeadlineError, OptionError
from palaestra.sandboxes.worker import Worker

_CLOSE_DEADLINE_S = 10.0  # longer than a worker's own


def make_member(env_id: str, entry_point: Any, options: dict[str, Any]) -> TextEnv:
    """Make one bare environment; registers the id first in a process that has not seen it registered."""
    if env_id not in gymnasium.registry:
        gymnasium.register(env_id, entry_point)
    env = gymnasium.make(env_id, disable_env_checker=True, **options).unwrapped
    if not isinstance(env, TextEnv):
        raise OptionError(f"{env_id} is not a TextEnv; use gymnasium's own vector environments for it")
    return env


class RemoteMember:
    """A member in a killable process; ``kwargs`` are those of ``make_member``."""

    def __init__(self, kwargs: dict[str, Any], step_deadline_s: float, reset_deadline_s: float) -> None:
        self._step_deadline_s, self._reset_deadline_s = step_deadline_s, reset_deadline_s
        self._worker = Worker(f"{__name__}:make_member", kwargs, start_deadline_s=reset_deadline_s)
        self.observation_space = self._worker.get("observation_space")
        self.action_space = self._worker.get("action_space")

    def reset(self, **kwargs: Any) -> Any:
        """Reset the environment; a process that hangs is killed and ``DeadlineError`` raised."""
        return self._worker.call("reset", deadline_s=self._reset_deadline_s, **kwargs)

    def close(self) -> None:
        """Close the environment and end the process."""
        self._worker.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the environment's method ``name``, ``step`` among them, with the deadline of a step."""
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(self._worker.call, name, deadline_s=self._step_deadline_s)


class ThreadedMember:
    """A member that is built, used and closed in one daemon thread (some libraries insist on that).

    ``begin`` sets a call going; the method of the same name then waits for its end, or does both in one.
    A thread that outlasts its deadline cannot be killed: it is given up, and closes its member when it
    comes back.
    """

    def __init__(
        self, build: Callable[[], Any], name: str, step_deadline_s: float, reset_deadline_s: float
    ) -> None:
        self._name = name
        self._step_deadline_s = step_deadline_s
        self._deadlines_s = {
            "spaces": reset_deadline_s,
            "reset": reset_deadline_s,
            "close": _CLOSE_DEADLINE_S,
        }
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._number = 0
        self._until: float | None = None
        self.observation_space: Any = None
        self.action_space: Any = None
        arguments = (build, self._jobs, self._results)
        threading.Thread(target=_work, args=arguments, name=name, daemon=True).start()

    def begin(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Set a call going; an earlier one that nobody waited for is forgotten."""
        self._number += 1
        self._until = time.monotonic() + self._deadline_s(method)
        self._jobs.put((self._number, method, args, kwargs))

    def spaces(self) -> None:
        """Build the member and read its spaces; raises what building it raises."""
        self.observation_space, self.action_space = self._do("spaces")

    def step(self, action: str) -> Any:
        """Return the member's step; raises what it raised, or ``DeadlineError``."""
        return self._do("step", action)

    def reset(self, **kwargs: Any) -> Any:
        """Return the member's reset; raises what it raised, or ``DeadlineError``."""
        return self._do("reset", **kwargs)

    def close(self) -> None:
        """Close the member and end the thread."""
        self._do("close")

    def abandon(self) -> None:
        """Let the thread close the member and end, whenever that is; nobody waits."""
        self._jobs.put(None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the member's method ``name``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(self._do, name)

    def __del__(self) -> None:
        self.abandon()

    def _deadline_s(self, method: str) -> float:
        return self._deadlines_s.get(method, self._step_deadline_s)

    def _do(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if self._until is None:
            self.begin(method, *args, **kwargs)
        until, self._until = self._until or 0.0, None
        while True:
            try:
                number, value, error = self._results.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise DeadlineError(
                    f"{self._name}: {method} took longer than {self._deadline_s(method):g} s"
                ) from None
            if number != self._number:
                continue
            if error is not None:
                raise error
            return value


def _work(build: Callable[[], Any], jobs: queue.SimpleQueue[Any], results: queue.SimpleQueue[Any]) -> None:
    """Do the jobs of one member until ``close`` or None; the body of its thread."""
    built: list[Any] = []
    while (job := jobs.get()) is not None:
        number, method, args, kwargs = job
        try:
            results.put((number, _perform(build, built, method, args, kwargs), None))
        except (Exception, SystemExit) as error:  # handed to the thread that waits for it
            results.put((number, None, error))
        if method == "close":
            return
    for env in built:
        with contextlib.suppress(Exception, SystemExit):
            env.close()


def _perform(
    build: Callable[[], Any], built: list[Any], method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if not built:
        if method == "close":
            return None
        built.append(build())
    env = built[0]
    if method == "spaces":
        return env.observation_space, env.action_space
    return getattr(env, method)(*args, **kwargs)
