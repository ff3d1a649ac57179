"""GuessRanges: numbers from ranges of several sizes, for studies of curricula that run in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from palaestra.envs.core import Task
from palaestra.envs.guess_number import GuessNumberEnv, GuessNumberTasks
from palaestra.envs.registration import register

ENV = "studies/GuessRanges-v0"
# Four guesses find any of 15 numbers by halving, and one of 200 hardly ever.
HIGHEST = (3, 8, 15, 200)


class GuessRangesTasks(GuessNumberTasks):
    """2,000 secrets of one split; the range of secret ``i`` goes round, its number depends on the split and
    ``i`` alone.
    """

    def __init__(self, split: str) -> None:
        super().__init__(split, max(HIGHEST), size=2000)

    def task(self, index: int) -> Task:
        """Return task ``index``."""
        highest = HIGHEST[index % len(HIGHEST)]
        secret = int(np.random.default_rng([*self.split.encode(), index]).integers(1, highest + 1))
        goal = f"Guess my number between 1 and {highest}."
        data = {"secret": secret, "highest": highest}
        return Task(f"{self.split}-{index}", goal, self.split, kind(highest), data)


class GuessRangesEnv(GuessNumberEnv):
    """GuessNumber whose range is another from task to task; four guesses unless ``max_steps`` says otherwise.

    Splits: train, valid, test (2,000 secrets each, drawn apart; the ranges are the same).
    """

    def __init__(
        self, split: str = "train", max_steps: int = 4, render_mode: str | None = None, **unknown: Any
    ) -> None:
        super().__init__(max_steps=max_steps, render_mode=render_mode, **unknown)
        self.tasks = GuessRangesTasks(split)

    def _start(self, task: Task) -> str:
        self.highest = task.data["highest"]
        return super()._start(task)


def kind(highest: int) -> str:
    """Return the scenario of the tasks of a range."""
    return f"1 to {highest}"


register(ENV, f"{__name__}:GuessRangesEnv")
