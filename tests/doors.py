"""A game small enough to be learnt, and missed, within seconds: go through the door of the right colour."""

from __future__ import annotations

from typing import Any, ClassVar

from palaestra.envs.core import ListTaskSet, Task, TextEnv, Verdict
from palaestra.envs.registration import register

ID = "test/Doors-v0"
COLOURS = ("red", "blue", "green", "white")


class DoorsEnv(TextEnv):
    """Task i asks for colour i mod 4. Two tries; a wrong door costs one. ``expert_of`` are the colours that
    the expert knows: it opens the first of them for the others, so its clone fails those. An expert that
    ``knocks`` does so before it opens, so that its first action can be hinted at.
    """

    has_expert: ClassVar[bool] = True

    def __init__(
        self,
        split: str = "train",
        colours: int = 4,
        expert_of: int = 4,
        max_steps: int = 2,
        knocks: bool = False,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        names = [COLOURS[i % colours] for i in range(40)]
        tasks = [Task(f"{split}-{i}", f"Find {name}.", split, name) for i, name in enumerate(names)]
        super().__init__(ListTaskSet(tasks), max_steps=max_steps, render_mode=render_mode, **unknown)
        self.known = COLOURS[:expert_of]
        self.knocks = knocks
        self.through = False

    def _start(self, task: Task) -> str:
        self.through = False
        return task.goal

    def _apply(self, action: str) -> tuple[str, bool]:
        self.through = action == f"open {self.task.scenario}"
        return ("It is here." if self.through else "Not here."), self.through

    def _info(self) -> dict[str, Any]:
        return {"admissible_actions": [f"open {colour}" for colour in COLOURS]}

    def _verify(self) -> Verdict:
        return Verdict(float(self.through), self.through, {"through": self.through})

    def expert(self) -> str:
        """Open the right door, or the first one where the colour is not known."""
        act = "knock at" if self.knocks and not self.steps else "open"
        return f"{act} {self.task.scenario if self.task.scenario in self.known else self.known[0]}"


register(ID, "doors:DoorsEnv")
