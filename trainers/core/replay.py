"""Replay: rows of earlier iterations that are learnt from once more, and the median they are judged by."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from palaestra.errors import OptionError
from palaestra.trainers.core.batch import Row


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it was learnt from first (its behaviour log-probs and its advantages are of that time), what
    it scored, and the iteration that it comes from.
    """

    row: Row
    score: float
    iteration: int


class Replay:
    """Stored rows. They are forgotten once they are older than ``age`` iterations, or taken."""

    def __init__(self, age: int) -> None:
        if age < 1:
            raise OptionError(f"a replay must keep rows for at least 1 iteration, not {age}")
        self.age = age
        self._stored: list[Stored] = []

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, iteration: int, rows: Sequence[Row], scores: Sequence[float]) -> None:
        """Store ``rows`` of ``iteration`` with what each scored."""
        self._stored += [Stored(row, score, iteration) for row, score in zip(rows, scores, strict=True)]

    def forget(self, iteration: int) -> None:
        """Drop what is older than ``age`` iterations at ``iteration``."""
        self._stored = [stored for stored in self._stored if iteration - stored.iteration <= self.age]

    def scores(self) -> list[float]:
        """Return the scores of all stored rows, oldest first."""
        return [stored.score for stored in self._stored]

    def take(self) -> list[Stored]:
        """Return all stored rows, oldest first, and be empty."""
        taken, self._stored = self._stored, []
        return taken

    def state(self) -> list[dict[str, Any]]:
        """Return the rows as plain values, for a checkpoint."""
        return [asdict(stored) for stored in self._stored]

    def load_state(self, state: Iterable[dict[str, Any]]) -> None:
        """Take back what ``state`` returned."""
        self._stored = [Stored(Row(**item["row"]), item["score"], item["iteration"]) for item in state]


class RunningMedian:
    """The median of the ``size`` newest values; 0 before there is any."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise OptionError(f"a median needs room for at least 1 value, not {size}")
        self._values: deque[float] = deque(maxlen=size)

    def add(self, values: Iterable[float]) -> None:
        """Add values, the newest last."""
        self._values.extend(values)

    @property
    def value(self) -> float:
        """The median; the mean of the two in the middle of an even number."""
        return statistics.median(self._values) if self._values else 0.0

    def state(self) -> list[float]:
        """Return the values, for a checkpoint."""
        return list(self._values)

    def load_state(self, state: Iterable[float]) -> None:
        """Take back what ``state`` returned."""
        self._values.clear()
        self._values.extend(state)
