"""A scenario: a kind of task, from which any number of sibling tasks is drawn.

A file of ``scenarios`` holds one. ``prepare`` changes a fresh world so that the task makes sense, and says
what must become of it; ``gold`` is a program that does it, written as a function of what the goal names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from palaestra.envs.apps.changes import Expected
from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Database, World

Item = TypeVar("Item")

SPLITS = ("train", "dev", "test_normal", "test_challenge")


class _NoAnswer(Enum):
    NO_ANSWER = "the task asks no question"


NO_ANSWER = _NoAnswer.NO_ANSWER
"""The task asks no question."""


class Draft(Database):
    """A fresh world while a task is prepared in it: its database, its ``life``, a random ``generator``."""

    def __init__(self, world: World, life: Life, generator: np.random.Generator) -> None:
        super().__init__(world.connection)
        self.world, self.life, self.generator = world, life, generator

    @property
    def me(self) -> Person:
        """The supervisor."""
        return self.life.supervisor

    def choose(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[int(self.generator.integers(len(items)))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """Return ``count`` different ones of the items."""
        return [items[int(place)] for place in self.generator.permutation(len(items))[:count]]

    def number(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return int(self.generator.integers(low, high + 1))

    def moment(self, first: int, last: int) -> str:
        """Return a random moment of a day ``first`` to ``last`` days from today."""
        return self.life.moment(self.generator, first, last)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A program that comes close and must not score: the gold program, changed in one way.

    ``edit`` replaces a piece of the (plain) gold program, ``parameters`` replaces some of its parameters,
    ``extra`` is more code, run before the task is completed.
    """

    name: str
    edit: tuple[str, str] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One task: the ``parameters`` of the gold program, and what must be true in the end.

    The goal names the parameters; ``words`` says how, where that is not just their text. Every change of
    ``must`` has to happen, those of ``may`` can, and any other makes the task fail. ``answer`` is what the
    task has to be completed with, where it asks something.
    """

    parameters: Mapping[str, Json]
    must: Sequence[Expected] = ()
    may: Sequence[Expected] = ()
    answer: Json = NO_ANSWER
    words: Mapping[str, str] = field(default_factory=dict)
    near_misses: Sequence[NearMiss] = ()


@dataclass(frozen=True)
class Scenario:
    """A kind of task. ``phrasings`` are ways to put the goal, with {parameters} in braces."""

    name: str
    split: str
    phrasings: tuple[str, ...]
    prepare: Callable[[Draft], Plan]
    gold: Callable[..., None]

    def goal(self, plan: Plan, generator: np.random.Generator) -> str:
        """Return the goal of a task, in one of the phrasings."""
        words: dict[str, Any] = {**plan.parameters, **plan.words}
        return self.phrasings[int(generator.integers(len(self.phrasings)))].format(**words)


def right_answer(wanted: Json, given: Json) -> bool:
    """Return whether an answer has the wanted value.

    Numbers may differ by half a cent and be written as text, texts in case and white space; a list is right
    in any order, also as a text with commas.
    """
    if wanted is NO_ANSWER:
        return given is None
    if isinstance(wanted, bool):
        return given is wanted or (isinstance(given, str) and _plain(given) == ("yes" if wanted else "no"))
    if isinstance(wanted, int | float):
        number = _number(given)
        return number is not None and abs(number - wanted) < 0.005
    if isinstance(wanted, list):
        parts = given.split(",") if isinstance(given, str) else given
        return isinstance(parts, list) and _matched(wanted, parts)
    return isinstance(given, str) and _plain(given) == _plain(str(wanted))


def _matched(wanted: list[Json], given: list[Json]) -> bool:
    left = list(given)
    for one in wanted:
        place = next((n for n, other in enumerate(left) if right_answer(one, other)), None)
        if place is None:
            return False
        left.pop(place)
    return not left


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .\"'").casefold()


def _number(given: Json) -> float | None:
    if isinstance(given, bool):
        return None
    if isinstance(given, int | float):
        return float(given)
    if isinstance(given, str) and re.fullmatch(
        r"-?\d+(\.\d+)?", text := given.strip().lstrip("$").replace(",", "")
    ):
        return float(text)
    return None
