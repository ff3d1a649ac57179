"""The test bed of the conformance suite: environments under watch, episodes as records, the table of checks.

Every call into the environment goes through ``Bed``, which notes what is going on and since when, so that the
runner can say which call hangs, and which closes what a check has made.
"""

from __future__ import annotations

import copy
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from gymnasium.utils.env_checker import data_equivalence

from palaestra.envs.core import Info, TextEnv
from palaestra.envs.panel import make_env
from palaestra.errors import DataError, UnknownNameError

Style = Literal["mixed", "junk", "expert"]

# What an untrained policy may say.
JUNK = ("", " ", "\n", "hello?", "😀 é 字", "go to nowhere 99", "\x00", "{}", "a" * 2000, "%s %d", "'; DROP")


class Violation(Exception):
    """The environment broke the law of a check; the text says what was seen."""


class NotApplicable(Exception):
    """The check does not apply to this environment; the text says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check that passed has seen, with its figures by name."""

    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One law with the function that looks whether it is kept, and what to do where it is not."""

    name: str
    run: Callable[[Bed], Seen]
    law: str
    mend: str
    needs: str = ""  # a check that must not have failed, since this one could not tell the two defects apart


@dataclass(frozen=True, slots=True)
class Record:
    """One transition as the outside saw it; the first of an episode has no action."""

    action: str | None
    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Info

    @property
    def over(self) -> bool:
        """Whether the episode ended here."""
        return bool(self.terminated or self.truncated)


class Bed:
    """One environment id with options, made as often as a check likes; ``doing`` is read by the watchdog."""

    def __init__(self, env_id: str, options: Mapping[str, Any], cycles: int, tasks: int, seed: int) -> None:
        self.env_id, self.options = env_id, dict(options)
        self.cycles, self.tasks, self.seed = cycles, tasks, seed
        self.doing: tuple[str, float] | None = None
        self.stop_at = float("inf")
        self._made: list[TextEnv] = []

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """Note that ``what`` is going on, from now until the block ends."""
        self.doing = (what, time.monotonic())
        try:
            yield
        finally:
            self.doing = None

    def make(self, **more: Any) -> TextEnv:
        """Make one environment with the options and ``more``; it is closed when the check ends."""
        with self.watched("making the environment"):
            env = make_env(self.env_id, {**self.options, **more})
        self._made.append(env)
        return env

    def close(self, env: TextEnv) -> None:
        """Close one environment that ``make`` returned."""
        self._made.remove(env)
        with self.watched("close()"):
            env.close()

    def close_all(self) -> None:
        """Close what the check left open."""
        while self._made:
            self.close(self._made[-1])

    def reset(self, env: TextEnv, seed: int | None = None, task: str | None = None) -> tuple[str, Info]:
        """Begin an episode, of a chosen task or of one that the seed draws."""
        with self.watched("reset()"):
            return env.reset(seed=seed, options=None if task is None else {"task": task})

    def step(self, env: TextEnv, action: str) -> Record:
        """Take one action."""
        with self.watched(f"step({shorten(action, 60)!r})"):
            answer = env.step(action)
        # A copy, because an environment that changes an info it gave out must not change what was seen.
        return Record(action, *answer[:4], copy.deepcopy(answer[4]))

    def play(
        self, env: TextEnv, seed: int, *, task: str | None = None, style: Style = "mixed", limit: int = 12
    ) -> list[Record]:
        """Play one episode of at most ``limit`` steps and return what was seen.

        The global generators stand at the same place at each call, so that comparing two plays judges the
        environment's own randomness; what it does with the global ones is judged by a check of its own.
        """
        with global_generators(0):
            observation, info = self.reset(env, seed, task)
            records = [Record(None, observation, 0.0, False, False, copy.deepcopy(info))]
            generator = np.random.default_rng(seed)
            while len(records) <= limit and not records[-1].over:
                action = _choose(env, records[-1].info, style, generator, len(records))
                records.append(self.step(env, action))
        return records

    def repeat(self, env: TextEnv, actions: Sequence[str]) -> list[Record]:
        """Take these actions, up to the end of the episode."""
        records: list[Record] = []
        with global_generators(1):
            for action in actions:
                records.append(self.step(env, action))
                if records[-1].over:
                    break
        return records

    def task_ids(self, env: TextEnv, salt: int) -> list[str]:
        """Return the ids of ``tasks`` distinct tasks (all, where there are fewer) of the set of ``env``."""
        with self.watched("drawing tasks"):
            size = len(env.tasks)
            generator = np.random.default_rng([self.seed, salt])
            chosen = generator.choice(size, size=min(self.tasks, size), replace=False)
            return [env.tasks[int(index)].id for index in chosen]

    def splits(self, env: TextEnv) -> list[dict[str, str]]:
        """Return the option ``split`` for each split to look at; nothing where it is fixed or no option."""
        if "split" in self.options or "split" not in env.options():
            return [{}]
        return [{"split": name} for name in type(env).splits]

    def make_split(self, split: Mapping[str, str]) -> TextEnv:
        """Make the environment of one split; raises ``NotApplicable`` where that split cannot be had here."""
        try:
            return self.make(**split)
        except UnknownNameError as error:
            if not split:
                raise
            raise NotApplicable("not with these options") from error
        except DataError as error:
            raise NotApplicable(f"not looked at ({shorten(str(error), 60)})") from error


def _choose(env: TextEnv, info: Info, style: Style, generator: np.random.Generator, turn: int) -> str:
    if style == "expert":
        return env.expert()
    if style == "junk" or turn % 3 == 0:
        return JUNK[int(generator.integers(len(JUNK)))]
    if admissible := info.get("admissible_actions"):
        return admissible[int(generator.integers(len(admissible)))]
    return env.expert() if type(env).has_expert else JUNK[int(generator.integers(len(JUNK)))]


@contextmanager
def global_generators(seed: int | None) -> Iterator[None]:
    """Seed ``random`` and ``numpy.random`` for the block (None: leave them), and put both back after it."""
    python, numpy = random.getstate(), np.random.get_state()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def kept_environment() -> Iterator[None]:
    """Put the environment variables, and the temporary folder they name, back after the block."""
    variables, folder = dict(os.environ), tempfile.tempdir
    try:
        yield
    finally:
        if dict(os.environ) != variables:
            os.environ.clear()
            os.environ.update(variables)
        tempfile.tempdir = folder


def difference(first: Sequence[Record], second: Sequence[Record]) -> str | None:
    """Say where two records of an episode part, or return None."""
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        for name in ("action", "observation", "reward", "terminated", "truncated", "info"):
            left, right = getattr(one, name), getattr(other, name)
            if name == "info":
                keys = [key for key in {**left, **right} if not _same(left.get(key), right.get(key))]
                if keys:
                    left, right = left.get(keys[0]), right.get(keys[0])
                    return (
                        f"after {number} steps info[{keys[0]!r}] is {shorten(left)!r} and {shorten(right)!r}"
                    )
            elif not _same(left, right):
                return f"after {number} steps the {name} is {shorten(left)!r} and {shorten(right)!r}"
    if len(first) != len(second):
        return f"one ended after {len(first) - 1} steps, the other after {len(second) - 1}"
    return None


def _same(left: Any, right: Any) -> bool:
    both_nan = left != left and right != right if isinstance(left, float) else False
    return both_nan or data_equivalence(left, right, exact=True)


def shorten(value: Any, length: int = 120) -> Any:
    """Return text cut to ``length`` characters; other values as they are, unless their repr is longer."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= length:
        return value
    return text[: length - 1] + "…"
