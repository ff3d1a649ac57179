"""GuessNumber: the smallest complete environment, and the one that measures the harness's own cost."""

from __future__ import annotations

from typing import Any, ClassVar

from palaestra.envs.core import Task, TaskSet, TextEnv, Verdict
from palaestra.errors import OptionError, UnknownNameError

_SPLITS = ("train", "valid", "test")


def _mix(number: int) -> int:
    """Scatter a number over 64 bits (the finaliser of SplitMix64); a numpy generator is 50 times dearer."""
    number = (number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return number ^ (number >> 31)


class GuessNumberTasks(TaskSet):
    """``size`` secrets of one split; secret ``i`` depends on the split and ``i`` alone."""

    def __init__(self, split: str, highest: int, size: int = 10_000) -> None:
        if split not in _SPLITS:
            raise UnknownNameError("split", split, _SPLITS)
        self.split, self.highest, self.size = split, highest, size

    def __len__(self) -> int:
        return self.size

    def task(self, index: int) -> Task:
        """Return task ``index``."""
        mixed = _mix(_mix(_mix(_SPLITS.index(self.split)) ^ self.highest) ^ index)
        secret = 1 + (mixed * self.highest >> 64)
        goal = f"Guess my number between 1 and {self.highest}."
        return Task(f"{self.split}-{index}", goal, self.split, "guess", {"secret": secret})

    def index_of(self, task_id: str) -> int | None:
        """Return the index in a task id of this split."""
        split, _, number = task_id.rpartition("-")
        if split != self.split or not (number.isascii() and number.isdigit()) or str(int(number)) != number:
            return None
        return int(number) if int(number) < self.size else None


class GuessNumberEnv(TextEnv):
    """Find a secret whole number from the answers "higher" and "lower".

    Observation: the goal, then one of ``Higher.``, ``Lower.``, ``Correct.`` or a complaint.
    Action: a whole number in decimal digits.
    Reward: 1 for the right number, else 0.
    End: terminates at the right number; truncates after ``max_steps`` (default 12).
    Splits: train, valid, test (10,000 secrets each, drawn apart).
    Options: ``split``, ``highest`` (default 100), ``max_steps``, ``render_mode``.
    Versions: v0.
    """

    has_expert: ClassVar[bool] = True

    def __init__(
        self,
        split: str = "train",
        highest: int = 100,
        max_steps: int = 12,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        if highest < 2:
            raise OptionError(f"highest must be at least 2, not {highest}")
        tasks = GuessNumberTasks(split, highest)
        super().__init__(tasks, max_steps=max_steps, render_mode=render_mode, **unknown)
        self.highest = highest
        self._secret = self._low = 1
        self._high = highest
        self._found = False

    def _start(self, task: Task) -> str:
        self._secret = task.data["secret"]
        self._low, self._high, self._found = 1, self.highest, False
        return task.goal

    def _apply(self, action: str) -> tuple[str, bool]:
        text = action.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            return "Please answer with a whole number.", False
        guess = int(text)
        if guess == self._secret:
            self._found = True
            return "Correct.", True
        if guess < self._secret:
            self._low = max(self._low, guess + 1)
            return "Higher.", False
        self._high = min(self._high, guess - 1)
        return "Lower.", False

    def _verify(self) -> Verdict:
        return Verdict(float(self._found), self._found, {"found": self._found})

    def _save(self) -> tuple[int, int, int, bool]:
        return self._secret, self._low, self._high, self._found

    def _load(self, state: tuple[int, int, int, bool]) -> None:
        self._secret, self._low, self._high, self._found = state

    def expert(self) -> str:
        """Return the middle of what is still possible."""
        return str((self._low + self._high) // 2)

    def near_misses(self) -> list[list[str]]:
        """Return guesses one off, and the right digits with something around them."""
        secret = self.task.data["secret"]
        return [[str(secret + 1)], [str(secret - 1)], [f"-{secret}"], [f"{secret}.0"], [f"it is {secret}"]]
