"""Drawing inputs for generated tasks: small, plain Python values from a numpy generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

_SYLLABLES = (
    "ba",
    "co",
    "du",
    "el",
    "fi",
    "go",
    "hu",
    "in",
    "ka",
    "lo",
    "me",
    "no",
    "or",
    "pi",
    "ra",
    "su",
    "ta",
)


class Draw:
    """One task's source of inputs. ``chosen`` holds the values of the task's parameters by name."""

    def __init__(self, generator: np.random.Generator, chosen: Mapping[str, Any]) -> None:
        self._generator = generator
        self.chosen = chosen

    def integer(self, low: int, high: int) -> int:
        """Return a whole number between ``low`` and ``high``, both included."""
        return int(self._generator.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self._generator.random() < probability)

    def pick(self, values: Sequence[T]) -> T:
        """Return one of the values."""
        return values[self.integer(0, len(values) - 1)]

    def some(self, values: Sequence[T], least: int, most: int) -> list[T]:
        """Return ``least`` to ``most`` values, drawn with repetition."""
        return [self.pick(values) for _ in range(self.integer(least, most))]

    def distinct(self, values: Sequence[T], least: int, most: int) -> list[T]:
        """Return ``least`` to ``most`` different places of ``values``, in random order."""
        count = self.integer(least, min(most, len(values)))
        return [values[int(place)] for place in self._generator.permutation(len(values))[:count]]

    def integers(self, low: int, high: int, least: int = 0, most: int = 9) -> list[int]:
        """Return a list of ``least`` to ``most`` whole numbers."""
        return [self.integer(low, high) for _ in range(self.integer(least, most))]

    def ordered(self, low: int, high: int, least: int = 0, most: int = 9) -> list[int]:
        """Return such a list in ascending order."""
        return sorted(self.integers(low, high, least, most))

    def text(self, alphabet: str, least: int = 0, most: int = 12) -> str:
        """Return a text of ``least`` to ``most`` characters of ``alphabet``."""
        return "".join(self.some(alphabet, least, most))

    def word(self, most: int = 3) -> str:
        """Return a pronounceable lower-case word of at most ``most`` syllables, perhaps with an s or n
        behind.
        """
        return "".join(self.some(_SYLLABLES, 1, most)) + self.pick(("", "", "s", "n"))

    def words(self, least: int = 0, most: int = 7) -> list[str]:
        """Return a list of words, some of them equal."""
        known = [self.word() for _ in range(max(1, most - 2))]
        return self.some(known, least, most)

    def sentence(self, least: int = 0, most: int = 7) -> str:
        """Return words with single spaces between them, some of them capitalised."""
        return " ".join(word.capitalize() if self.chance(0.3) else word for word in self.words(least, most))

    def counts(self, least: int = 0, most: int = 5, low: int = -5, high: int = 9) -> dict[str, int]:
        """Return a dictionary from short words to whole numbers."""
        return {self.word(2): self.integer(low, high) for _ in range(self.integer(least, most))}

    def grid(self, low: int, high: int, least: int = 1, most: int = 4) -> list[list[int]]:
        """Return the rows of a rectangle of whole numbers."""
        rows, columns = self.integer(least, most), self.integer(least, most)
        return [[self.integer(low, high) for _ in range(columns)] for _ in range(rows)]

    def square(self, low: int, high: int, least: int = 1, most: int = 4) -> list[list[int]]:
        """Return the rows of a square of whole numbers."""
        size = self.integer(least, most)
        return [[self.integer(low, high) for _ in range(size)] for _ in range(size)]

    def intervals(
        self, low: int, high: int, least: int = 0, most: int = 6, length: int = 6
    ) -> list[tuple[int, int]]:
        """Return pairs ``(start, end)`` with ``start < end``, in random order."""
        starts = self.integers(low, high, least, most)
        return [(start, start + self.integer(1, length)) for start in starts]

    def nested(self, depth: int = 3) -> list[Any]:
        """Return a list of whole numbers and lists of the same kind, nested at most ``depth`` deep."""
        return [
            self.nested(depth - 1) if depth > 1 and self.chance(0.4) else self.integer(-9, 9)
            for _ in range(self.integer(0, 4))
        ]

    def tree(self, depth: int = 3) -> Any:
        """Return a binary tree ``(value, left, right)`` or None, at most ``depth`` levels high."""
        if depth == 0 or self.chance(0.25):
            return None
        return (self.integer(-9, 9), self.tree(depth - 1), self.tree(depth - 1))
