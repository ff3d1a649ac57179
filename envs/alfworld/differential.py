"""The differential walk: the same commands in two engines, compared at every step.

This is the evidence that the fast engine is ALFWorld: observation text, admissible commands (with their
order) and whether the goal holds must be equal to the real engine's after every command, sensible or not.
(That the real engine's reward and ``done`` say the same as its ``won`` is checked where it is read.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from palaestra.envs.alfworld.engine import Engine, FastEngine
from palaestra.envs.alfworld.expert import Expert
from palaestra.envs.alfworld.game import Game
from palaestra.errors import UnknownNameError

WALKS = ("random", "mixed", "expert", "curious")
"""How commands are chosen.

``random``: among the admissible ones. ``mixed``: those, the oracle's, junk, and commands that were admissible
elsewhere. ``expert``: the oracle's. ``curious``: the sort of command used least so far, and a look at what it
changed, which reaches rare texts (slices, hot and clean things, things beside a receptacle) more often.
"""

_MIXTURE = {"random": 0.45, "expert": 0.25, "stale": 0.15, "junk": 0.08, "mangled": 0.07}
_JUNK = (
    "",
    "dance",
    "examine",
    "go to",
    "go to fridge 99",
    "help me",
    "look around\nlook",
    "put it in/on there",
    "take nothing from nowhere",
    "use",
)
_AFTER_THE_END = 4


@dataclass(slots=True)
class Comparison:
    """What a walk compared: the commands, the texts, how often the goal held, and what differed (in full)."""

    states: int = 0
    won_states: int = 0
    commands: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)


def compare(game: Game, real: Engine, walk: str, steps: int, generator: np.random.Generator) -> Comparison:
    """Walk through ``game`` in the fast engine and in ``real``; compare every state.

    ``walk`` is one of ``WALKS``. Walks go on for a few commands after the goal is reached.
    """
    if walk not in WALKS:
        raise UnknownNameError("walk", walk, WALKS)
    fast = FastEngine(game)
    return _follow(game, fast, real, _commands(fast, walk, steps, generator))


def replay(game: Game, real: Engine, commands: Iterable[str]) -> Comparison:
    """Carry given commands out in the fast engine and in ``real``; compare every state."""
    return _follow(game, FastEngine(game), real, commands)


def _follow(game: Game, fast: FastEngine, real: Engine, commands: Iterable[str]) -> Comparison:
    found = Comparison()
    _note(found, game, "(reset)", (fast.reset(), real.reset()), fast, real)
    for command in commands:
        found.commands.append(command)
        _note(found, game, command, (fast.step(command), real.step(command)), fast, real)
    return found


def _note(
    found: Comparison, game: Game, command: str, texts: tuple[str, str], fast: FastEngine, real: Engine
) -> None:
    found.states += 1
    found.won_states += fast.won
    found.texts.append(texts[0])
    differences = []
    if texts[0] != texts[1]:
        differences.append(f"text: fast {texts[0]!r}, real {texts[1]!r}")
    mine, theirs = fast.admissible, real.admissible
    if sorted(mine) != sorted(theirs):
        only = sorted(set(mine) - set(theirs)), sorted(set(theirs) - set(mine))
        differences.append(f"admissible: only fast {only[0]}, only real {only[1]}")
    elif mine != theirs:
        differences.append(f"order of admissible: fast {mine}, real {theirs}")
    if fast.won != real.won:
        differences.append(f"won: fast {fast.won}, real {real.won}")
    if differences:
        found.mismatches.append(
            f"game {game.id} (wording {game.wording}), step {len(found.commands)}, command {command!r}: "
            + "; ".join(differences)
            + f"; commands so far: {found.commands}"
        )


# ---- which commands --------------------------------------------------------------------------------------


def _commands(fast: FastEngine, walk: str, steps: int, generator: np.random.Generator) -> Iterator[str]:
    """Yield commands as the walk goes on; ``fast`` has carried out each before the next is drawn."""
    expert = Expert(fast, style="oracle")
    used: Counter[str] = Counter()
    seen: dict[str, None] = {}
    left = _AFTER_THE_END
    command = ""
    for _ in range(steps):
        left -= fast.won
        if left < 0:
            return
        admissible = fast.admissible
        seen.update(dict.fromkeys(admissible))
        kind = walk
        if walk == "mixed":
            kind = str(generator.choice(list(_MIXTURE), p=list(_MIXTURE.values())))
        if kind == "expert" and not fast.won:
            command = expert.next(())
        elif kind == "curious":
            command = _curious(admissible, command, used, generator)
        elif kind == "mangled":
            command = _mangled(_draw(admissible, generator), generator)
        else:
            command = _draw({"stale": list(seen), "junk": _JUNK}.get(kind, admissible), generator)
        yield command


def _draw(pool: Iterable[str], generator: np.random.Generator) -> str:
    choices = list(pool)
    return choices[int(generator.integers(len(choices)))]


def _curious(admissible: list[str], last: str, used: Counter[str], generator: np.random.Generator) -> str:
    """Examine what was just taken up or treated, look after a thing was put down; else do what is rare."""
    words = last.split()
    if words and words[0] in ("take", "heat", "cool", "clean"):
        examine = f"examine {words[1]} {words[2]}"
        if examine in admissible:
            return examine
    if words and words[0] in ("move", "put", "slice"):
        return "look"
    rarest = min(_rarity(command, used) for command in admissible)
    command = _draw([name for name in admissible if _rarity(name, used) == rarest], generator)
    used.update([command.split()[0], _sort(command)])
    return command


def _rarity(command: str, used: Counter[str]) -> tuple[int, int]:
    return used[_sort(command)], used[command.split()[0]]


def _sort(command: str) -> str:
    """Return the command without its numbers: "go to cabinet" for every cabinet."""
    return "".join(letter for letter in command if not letter.isdigit())


def _mangled(command: str, generator: np.random.Generator) -> str:
    """Write an admissible command in another way; some of these the engine takes all the same."""
    variants = (
        f"  {command}\n",
        command.upper(),
        command.replace(" ", "  ", 1) if " " in command else f"{command}.",
        command[:-1],
        f"{command} please",
    )
    return _draw(variants, generator)
