"""The ``Unicode`` space: text of any script, checked in constant time."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class Unicode(gymnasium.Space[str]):
    """All strings of at most ``max_length`` characters.

    Gymnasium's ``Text`` allows a fixed character set only (é, CJK and emoji fall outside), looks at
    every character in ``contains``, and comes back as garbage through the shared memory of
    ``AsyncVectorEnv``. This space has none of the three faults; it is not flattenable, so shared memory
    refuses it with an error instead of corrupting it.
    """

    def __init__(self, max_length: int = 1_000_000, seed: int | np.random.Generator | None = None) -> None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, not {max_length}")
        self.max_length = int(max_length)
        super().__init__(dtype=str, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return a short random string of letters of several scripts; masks are not supported."""
        if mask is not None or probability is not None:
            raise ValueError("Unicode.sample takes neither mask nor probability")
        letters = "abcdefghijklmnopqrstuvwxyz éßжक字🙂"
        length = int(self.np_random.integers(1, min(self.max_length, 16) + 1))
        return "".join(letters[int(i)] for i in self.np_random.integers(0, len(letters), length))

    def contains(self, x: Any) -> bool:
        """Say whether ``x`` is a string no longer than ``max_length``."""
        return isinstance(x, str) and len(x) <= self.max_length

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def __repr__(self) -> str:
        return f"Unicode(max_length={self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode) and other.max_length == self.max_length

    def __hash__(self) -> int:
        return hash((Unicode, self.max_length))
