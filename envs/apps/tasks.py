"""The tasks of a split: siblings of its scenarios, each prepared in a world of that split."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from palaestra.envs.apps import catalogue as catalogues
from palaestra.envs.apps.changes import Change, Ledger
from palaestra.envs.apps.life import Life
from palaestra.envs.apps.scenario import NO_ANSWER, SPLITS, Draft, Plan, Scenario, right_answer
from palaestra.envs.apps.world import World, base_image
from palaestra.envs.core import Task, TaskSet, Verdict
from palaestra.errors import OptionError, UnknownNameError

WORLDS = {
    "train": range(0, 6),
    "dev": range(6, 9),
    "test_normal": range(9, 13),
    "test_challenge": range(13, 17),
}
"""The worlds of each split: nobody lives in two of them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task and the world it begins in."""

    task: Task
    scenario: Scenario
    plan: Plan
    life: Life
    image: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the changes that it found uncalled for."""

    verdict: Verdict
    uncalled: tuple[Change, ...]


class AppsTasks(TaskSet):
    """``siblings`` tasks of each scenario of a split; task ``i`` of a scenario depends on both alone."""

    def __init__(
        self,
        split: str = "train",
        siblings: int = 3,
        scenarios: Iterable[str] | None = None,
        extensions: Iterable[str] = (),
    ) -> None:
        """Choose the tasks. Raises ``UnknownNameError`` or ``OptionError`` for what there is not."""
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        if siblings < 1:
            raise OptionError(f"siblings must be at least 1, not {siblings}")
        self.split, self.siblings, self.extensions = split, siblings, tuple(extensions)
        self._load(None if scenarios is None else tuple(scenarios))

    def _load(self, names: tuple[str, ...] | None) -> None:
        self.catalogue = catalogues.load(self.extensions)
        known = {scenario.name: scenario for scenario in self.catalogue.of_split(self.split)}
        for name in names or ():
            if name not in known:
                raise UnknownNameError(f"scenario of the split {self.split}", name, known)
        self.scenarios = [known[name] for name in (known if names is None else names)]
        if not self.scenarios:
            raise OptionError("scenarios must name at least one")
        self._prepared: Prepared | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps: the names alone, since the catalogue is found again by them."""
        names = tuple(scenario.name for scenario in self.scenarios)
        return {
            "split": self.split,
            "siblings": self.siblings,
            "extensions": self.extensions,
            "scenarios": names,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take back what ``__getstate__`` returned."""
        names = state.pop("scenarios")
        self.__dict__.update(state)
        self._load(names)

    def __len__(self) -> int:
        return len(self.scenarios) * self.siblings

    def task(self, index: int) -> Task:
        """Return task ``index``: siblings stand side by side."""
        scenario, sibling = divmod(index, self.siblings)
        return self._prepare(self.scenarios[scenario], sibling).task

    def index_of(self, task_id: str) -> int | None:
        """Return the index of the task ``SCENARIO-NUMBER``."""
        name, _, number = task_id.rpartition("-")
        place = next((n for n, one in enumerate(self.scenarios) if one.name == name), None)
        # A second spelling of a number would be a second name of the task.
        if place is None or not number.isascii() or not number.isdigit() or str(int(number)) != number:
            return None
        return place * self.siblings + int(number) if int(number) < self.siblings else None

    def prepare(self, task: Task) -> Prepared:
        """Return a task with the world that it begins in."""
        known = {scenario.name: scenario for scenario in self.scenarios}
        return self._prepare(known[task.scenario], task.data["sibling"])

    def _prepare(self, scenario: Scenario, sibling: int) -> Prepared:
        # A task is mostly asked for twice in a row: to name it, and to begin it.
        last = self._prepared
        if last is None or last.scenario is not scenario or last.task.data["sibling"] != sibling:
            self._prepared = last = prepare(self.catalogue, scenario, sibling)
        return last


def prepare(catalogue: catalogues.Catalogue, scenario: Scenario, sibling: int) -> Prepared:
    """Prepare sibling task ``sibling`` of a scenario."""
    generator = np.random.default_rng([zlib.crc32(scenario.name.encode()), sibling])
    numbers = WORLDS[scenario.split]
    number = numbers[(sibling + int(generator.integers(len(numbers)))) % len(numbers)]
    life = _life(number)
    world = World(catalogue, base_image(catalogue, number))
    try:
        plan = scenario.prepare(Draft(world, life, generator))
        image = world.image()
    finally:
        world.close()
    goal = scenario.goal(plan, generator)
    task = Task(f"{scenario.name}-{sibling}", goal, scenario.split, scenario.name, {"sibling": sibling})
    return Prepared(task, scenario, plan, life, image)


@lru_cache(maxsize=64)
def _life(number: int) -> Life:
    return Life.generate(number)


def judge(prepared: Prepared, world: World) -> Judgement:
    """Judge the state that a world has reached: only what was asked may have changed, and all of it must."""
    catalogue, plan = world.catalogue, prepared.plan
    apps = catalogue.apps.values()
    ledger = Ledger(prepared.image, world.connection, {table for app in apps for table in app.volatile})
    happened, uncalled = ledger.explain(
        plan.must, plan.may, prepared.life.supervisor.id, {app.name: app.automatic for app in apps}
    )
    checks = {"the task was completed": world.submission is not None, **happened}
    checks["nothing else was changed"] = not uncalled
    checks["the answer is right"] = (
        right_answer(plan.answer, world.answer) if world.submission else (plan.answer is NO_ANSWER)
    )
    success = all(checks.values())
    return Judgement(Verdict(float(success), success, checks), tuple(uncalled))
