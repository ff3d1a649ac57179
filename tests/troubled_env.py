"""Environments that fail on purpose, for the tests of rollouts."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from palaestra.envs.core import ListTaskSet, Task, TextEnv, Verdict
from palaestra.envs.registration import register

TASKS = 40
ID, WAITING_ID = "test/Troubled-v0", "test/TroubledWaiting-v0"


class TroubledEnv(TextEnv):
    """Five steps of ``go``; ``trouble`` says what goes wrong, in every third task."""

    has_expert: ClassVar[bool] = True
    made: ClassVar[int] = 0
    closed: ClassVar[int] = 0
    seen: ClassVar[set[str]] = set()
    release: ClassVar[threading.Event] = threading.Event()

    def __init__(self, trouble="none", max_steps=10, render_mode=None, **unknown) -> None:
        tasks = [Task(f"task-{i}", f"Go {i}.", "train", f"scenario-{i % 2}") for i in range(TASKS)]
        super().__init__(ListTaskSet(tasks), max_steps=max_steps, render_mode=render_mode, **unknown)
        self.trouble = trouble
        self.thread = threading.get_ident()
        type(self).made += 1

    @classmethod
    def forget(cls) -> None:
        for kind in (TroubledEnv, TroubledWaitingEnv):
            kind.made = kind.closed = 0
        cls.seen.clear()
        cls.release.clear()

    def _troubled(self) -> bool:
        return int(self.task.id.split("-")[1]) % 3 == 0

    def _start(self, task: Task) -> str:
        assert threading.get_ident() == self.thread
        if self._troubled() and self.trouble == "reset":
            raise RuntimeError("no reset today")
        return f"{task.goal} <stop></s><|im_end|>"

    def _apply(self, action: str) -> tuple[str, bool]:
        assert threading.get_ident() == self.thread
        if self._troubled() and self.steps == 2:
            if self.trouble == "step":
                raise RuntimeError("broken at step 3")
            if self.trouble == "once" and self.task.id not in self.seen:
                self.seen.add(self.task.id)
                raise RuntimeError("broken once")
            if self.trouble == "hang":
                self.release.wait(30)
        if self.trouble == "slow":
            time.sleep(0.001 * (1 + int(self.task.id.split("-")[1]) % 5))
        return f"Step {self.steps + 1}.", self.steps == 4

    def _verify(self) -> Verdict:
        if self._troubled() and self.trouble == "verdict":
            return Verdict(float("nan"), True)
        return Verdict(1.0, True, {"went": True})

    def expert(self) -> str:
        assert threading.get_ident() == self.thread or self.step_kind == "compute"
        return "go"

    def close(self) -> None:
        type(self).closed += 1


class TroubledWaitingEnv(TroubledEnv):
    """The same, declared as waiting for something outside."""

    step_kind: ClassVar = "io"


register(ID, "troubled_env:TroubledEnv")
register(WAITING_ID, "troubled_env:TroubledWaitingEnv")
