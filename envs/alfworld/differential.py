"""The differential walk: the same commands in two engines, compared at every step.

This is the evidence that the fast engine is ALFWorld: observation text, admissible commands (with their
order) and whether the goal holds must be equal to the real engine's after every command, sensible or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from palaestra.envs.alfworld.engine import Engine, FastEngine
from palaestra.envs.alfworld.expert import Expert
from palaestra.envs.alfworld.game import Game
from palaestra.errors import UnknownNameError

WALKS = ("random", "mixed", "expert")
_JUNK = (
    "",
    "look",
    "help",
    "inventory",
    "dance",
    "Go To cabinet 1",
    "  look  ",
    "examine",
    "go to",
    "take nothing from nowhere",
    "put it in/on there",
    "use",
    "go to fridge 99",
    "look around\nlook",
)
_AFTER_THE_END = 4


@dataclass(slots=True)
class Comparison:
    """What a walk compared: how many states, which commands, and what differed (said in full)."""

    states: int = 0
    commands: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)


def compare(game: Game, real: Engine, walk: str, steps: int, generator: np.random.Generator) -> Comparison:
    """Walk through ``game`` in the fast engine and in ``real``; compare every state.

    ``walk``: "random" takes admissible commands, "mixed" adds junk, inadmissible commands and the expert's,
    "expert" follows the oracle. Walks go on for a few commands after the goal is reached.
    """
    if walk not in WALKS:
        raise UnknownNameError("walk", walk, WALKS)
    fast = FastEngine(game)
    found = Comparison()
    _note(found, game, "(reset)", fast.reset(), real.reset(), fast, real)
    for command in _commands(fast, walk, steps, generator):
        found.commands.append(command)
        _note(found, game, command, fast.step(command), real.step(command), fast, real)
    return found


def _commands(fast: FastEngine, walk: str, steps: int, generator: np.random.Generator) -> Iterator[str]:
    """Yield commands as the walk goes on; ``fast`` has carried out each before the next is drawn."""
    expert = Expert(fast, style="oracle")
    seen: list[str] = list(fast.admissible)
    left = _AFTER_THE_END
    for _ in range(steps):
        if fast.won:
            left -= 1
            if left < 0:
                return
        admissible = fast.admissible
        seen.extend(command for command in admissible if command not in seen)
        kind = "random" if walk == "random" or fast.won else walk
        if kind == "mixed":
            kind = str(generator.choice(["random", "expert", "junk", "stale"], p=[0.45, 0.3, 0.1, 0.15]))
        if kind == "expert":
            yield expert.next(())
            continue
        pool = {"random": admissible, "junk": _JUNK, "stale": seen}[kind]
        yield pool[int(generator.integers(len(pool)))]


def _note(
    found: Comparison, game: Game, command: str, mine: str, theirs: str, fast: FastEngine, real: Engine
) -> None:
    found.states += 1
    differences = []
    if mine != theirs:
        differences.append(f"text: fast {mine!r}, real {theirs!r}")
    if fast.admissible != real.admissible:
        only_fast = sorted(set(fast.admissible) - set(real.admissible))
        only_real = sorted(set(real.admissible) - set(fast.admissible))
        differences.append(f"admissible: only fast {only_fast}, only real {only_real}, or their order")
    if fast.won != real.won:
        differences.append(f"won: fast {fast.won}, real {real.won}")
    if differences:
        found.mismatches.append(
            f"game {game.id} (wording {game.wording}), step {len(found.commands)}, command {command!r}: "
            + "; ".join(differences)
            + f"; commands so far: {found.commands}"
        )
