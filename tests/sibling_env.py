"""An environment of scenarios with three sibling tasks each, for the tests of what is measured."""

from __future__ import annotations

from typing import ClassVar

from palaestra.envs.core import Info, ListTaskSet, Task, TextEnv, Verdict
from palaestra.envs.registration import register

ID = "test/Siblings-v0"
SCENARIOS = ("pay", "mail", "note")


class SiblingEnv(TextEnv):
    """Solved by saying the task's word. Tasks are ``<scenario>_<1 to 3>``.

    ``hard`` are tasks whose word the expert does not know, ``broken`` those that cannot be reset. Metrics:
    ``calls``, the length of all actions, and in the scenario "pay" also ``paid``, always 2.
    """

    siblings: ClassVar[bool] = True
    has_expert: ClassVar[bool] = True

    def __init__(
        self, hard="", broken="", metric=1.0, max_steps=3, render_mode=None, **unknown: object
    ) -> None:
        tasks = [Task(f"{name}_{i}", "Say it.", "train", name) for name in SCENARIOS for i in (1, 2, 3)]
        super().__init__(ListTaskSet(tasks), max_steps=max_steps, render_mode=render_mode, **unknown)
        self._hard, self._broken, self._metric = hard.split("+"), broken.split("+"), metric
        self._said = ""
        self._calls = 0

    def _start(self, task: Task) -> str:
        if task.id in self._broken:
            raise RuntimeError("no reset today")
        self._said, self._calls = "", 0
        return "Say it."

    def _apply(self, action: str) -> tuple[str, bool]:
        self._said = action
        self._calls += len(action)
        return "Said.", action in ("word", "enough")

    def _verify(self) -> Verdict:
        right = self._said == "word"
        return Verdict(float(right), right, {"said": right})

    def _info(self) -> Info:
        paid = {"paid": 2} if self.task.scenario == "pay" else {}
        return {"metrics": {"calls": self._calls * self._metric, **paid}}

    def expert(self) -> str:
        return "enough" if self.task.id in self._hard else "word"


register(ID, "sibling_env:SiblingEnv")
