"""Programs played on a world without a sandbox: for programs of our own alone, such as gold ones."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import World


@dataclass
class Trial:
    """The ``apis`` of a program that runs in this process; remembers what it called, and the answers."""

    world: World
    calls: list[tuple[str, dict[str, Json]]] = field(default_factory=list)
    answers: list[Json] = field(default_factory=list)

    def __getattr__(self, app: str) -> _App:
        return _App(self, app)

    def call(self, name: str, arguments: dict[str, Json]) -> Json:
        """Call an API."""
        self.calls.append((name, arguments))
        self.answers.append(None)
        self.answers[-1] = self.world.call(name, arguments)
        return self.answers[-1]


@dataclass(frozen=True)
class _App:
    trial: Trial
    name: str

    def __getattr__(self, api: str) -> Any:
        return lambda **arguments: self.trial.call(f"{self.name}.{api}", arguments)


def run(world: World, cells: Sequence[str]) -> Trial:
    """Run the cells of a program on ``world``. Raises what the program raises."""
    trial = Trial(world)
    namespace: dict[str, Any] = {"apis": trial}
    for number, cell in enumerate(cells, start=1):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cell, f"<cell {number}>", "exec", dont_inherit=True), namespace)
    return trial


def attempt(world: World, cells: Sequence[str]) -> Trial:
    """Run cells as an interpreter of an episode would: an error ends a cell, and the next one goes on."""
    trial = Trial(world)
    namespace: dict[str, Any] = {"apis": trial}
    for number, cell in enumerate(cells, start=1):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            exec(compile(cell, f"<cell {number}>", "exec", dont_inherit=True), namespace)
    return trial


def main() -> None:
    """Show a scenario to its author: ``python -m palaestra.envs.apps.trial SCENARIO [SIBLING]``."""
    from palaestra.envs.apps import catalogue, programs, tasks

    name, sibling = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    known = catalogue.load()
    scenario = known.scenarios[name]
    prepared = tasks.prepare(known, scenario, sibling)
    cells = programs.plain(scenario.gold, prepared.plan.parameters)
    print(prepared.task.goal, "\n\n".join(cells), sep="\n\n")
    misses = {
        one.name: programs.near_miss(scenario.gold, prepared.plan.parameters, one)
        for one in prepared.plan.near_misses
    }
    for title, program in {"nothing": [], "gold": cells, **misses}.items():
        world = World(known, prepared.image)
        error = ""
        try:
            calls = len(run(world, program).calls)
        except Exception as problem:  # a near miss may well break
            calls, error = world.calls, f"  {type(problem).__name__}: {problem}"
        judged = tasks.judge(prepared, world)
        missed = [check for check, passed in judged.verdict.checks.items() if not passed]
        print(f"\n== {title}: {judged.verdict.reward:g} after {calls} calls{error}")
        for line in (
            *(f"missed: {check}" for check in missed),
            *(f"uncalled for: {c}" for c in judged.uncalled),
        ):
            print("  ", line)


if __name__ == "__main__":
    main()
