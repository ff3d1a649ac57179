"""A scripted expert for ALFWorld: one command at a time, planned afresh from whatever state there is.

The ``oracle`` style knows where everything is. The ``explorer`` knows what a player knows: the task, and what
the texts of this episode said; it looks into one likely receptacle after another until it has seen what it
needs. A policy can learn to act like the explorer, but not like the oracle, which walks straight
to what nobody has seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from palaestra.envs.alfworld.engine import CLEAN, COOL, HOT, TOGGLED, FastEngine
from palaestra.envs.alfworld.game import Facts
from palaestra.errors import UnknownNameError

STYLES = ("explorer", "oracle")

Heard = Sequence[tuple[str, str]]
"""The episode so far, as (command, observation) pairs; the first is ("", introduction)."""

_APPLIANCES = {
    "isClean": ("clean", "sinkbasin"),
    "isHot": ("heat", "microwave"),
    "isCool": ("cool", "fridge"),
}
_NO_USE = "look"


@dataclass
class Knowledge:
    """What is known of the room: by receptacle name what is in it, and which ones were looked into."""

    receptacles: list[str] = field(default_factory=list)
    content: dict[str, list[str]] = field(default_factory=dict)
    looked: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    lit: set[str] = field(default_factory=set)
    held: str = ""
    taken_from: str = ""


# ---- what a player learns from the texts -----------------------------------------------------------------

_OPEN = re.compile(r"The ([\w ]+?) is open\. In it, you see (.*)\.$")
_ON = re.compile(r"On the ([\w ]+?), you see (.*)\.$")
_TOOK = re.compile(r"You pick up the ([\w ]+?) from the ([\w ]+?)\.$")
_PUT = re.compile(r"You (?:move|put) the ([\w ]+?) (?:to|in/on) the ([\w ]+?)\.$")
_TREATED = re.compile(r"You (clean|heat|cool) the ([\w ]+?) using the ")
_LIT = re.compile(r"You turn on the ([\w ]+?)\.$")


def _items(text: str) -> list[str]:
    return [] if text == "nothing" else [part.removeprefix("and ")[2:] for part in text.split(", ")]


def listen(knowledge: Knowledge, observation: str) -> None:
    """Take in one observation: an introduction, or the answer to a command."""
    if observation.startswith("-= Welcome"):
        line = observation.split("you see ")[1].split(".\n")[0]
        knowledge.receptacles = _items(line)
    elif match := _OPEN.search(observation) or _ON.search(observation):
        knowledge.looked.add(match[1])
        knowledge.content[match[1]] = _items(match[2])
    elif match := _TOOK.match(observation):
        knowledge.held, knowledge.taken_from = match[1], match[2]
        content = knowledge.content.get(match[2], [])
        knowledge.content[match[2]] = [name for name in content if name != match[1]]
    elif match := _PUT.match(observation):
        knowledge.held = ""
        knowledge.content.setdefault(match[2], []).append(match[1])
    elif match := _TREATED.match(observation):
        _treated(knowledge, match[1], match[2])
    elif match := _LIT.match(observation):
        knowledge.lit.add(match[1])


def _treated(knowledge: Knowledge, verb: str, name: str) -> None:
    knowledge.changed.add(f"{verb} {name}")
    opposite = {"heat": "cool", "cool": "heat"}.get(verb)
    knowledge.changed.discard(f"{opposite} {name}")


def reveal(engine: FastEngine) -> Knowledge:
    """Return everything there is to know in the present state, for the oracle."""
    world = engine.world
    names = world.object_names
    places = world.receptacle_names
    knowledge = Knowledge(receptacles=list(places), looked=set(places))
    for place, things in zip(places, engine.contents, strict=True):
        knowledge.content[place] = [names[thing] for thing in things]
    for verb, bit in (("heat", HOT), ("cool", COOL), ("clean", CLEAN)):
        knowledge.changed.update(f"{verb} {names[n]}" for n, flags in enumerate(engine.flags) if flags & bit)
    knowledge.lit = {names[thing] for thing in world.lamps if engine.flags[thing] & TOGGLED}
    knowledge.held = names[engine.held] if engine.held >= 0 else ""
    return knowledge


# ---- what to do ------------------------------------------------------------------------------------------


def _kind(name: str) -> str:
    return name.rpartition(" ")[0]


class Expert:
    """Gives the next command for the game that ``engine`` plays.

    ``engine`` supplies the admissible commands, which a player sees too, and to the oracle the state. Raises
    ``UnknownNameError`` for an unknown style. In a state from which the task cannot be done any more (some
    official games have things that, once taken, can be put nowhere) the command is ``look``.
    """

    def __init__(self, engine: FastEngine, style: str = "explorer") -> None:
        if style not in STYLES:
            raise UnknownNameError("expert", style, STYLES)
        self.engine = engine
        self.style = style
        self.known = self._memory = Knowledge()
        self.can: set[str] = set()
        self._heard = 0
        facts = engine.world.game.facts
        self.goal = facts.goal
        self.thing, self.target = self.goal.object.lower(), self.goal.target.lower()
        self.verb, self.appliance = _APPLIANCES[self.goal.change[1]] if self.goal.change else ("", "")
        self.fits = _fits(facts)

    def next(self, heard: Heard) -> str:
        """Return the next command, given all that was said since the start of the episode."""
        for _, observation in heard[self._heard :]:
            listen(self._memory, observation)
        self._heard = len(heard)
        self.known = reveal(self.engine) if self.style == "oracle" else self._memory
        self.can = set(self.engine.admissible)
        return self._light() if self.goal.task_type == "look_at_obj_in_light" else self._place()

    def _light(self) -> str:
        if not self._is_candidate(self.known.held):
            return self._put_away() if self.known.held else self._fetch(self._candidates())
        lamps = [
            (name, place)
            for place, names in self.known.content.items()
            for name in names
            if _kind(name) == self.target
        ]
        if not lamps:
            return self._explore(self.target)
        lamp, place = min(lamps, key=lambda pair: f"use {pair[0]}" not in self.can)
        return f"use {lamp}" if f"use {lamp}" in self.can else self._reach(place)

    def _place(self) -> str:
        held = self.known.held
        target = self._chosen_target()
        if not held:
            return self._fetch(self._candidates(excluded=self.known.content.get(target, ())))
        if not self._is_candidate(held):
            return self._put_away()
        if self.verb and f"{self.verb} {held}" not in self.known.changed:
            return self._change(held)
        return self._put(held, target)

    def _is_candidate(self, name: str) -> bool:
        return bool(name) and _kind(name) == self.thing

    def _chosen_target(self) -> str:
        """Return where to put things: for two of them, where one is already; else what is here."""
        targets = [name for name in self.known.receptacles if _kind(name) == self.target]
        return max(targets, key=lambda name: (self._placed(name), self._is_here(name)), default="")

    def _placed(self, receptacle: str) -> int:
        return sum(self._is_done(name) for name in self.known.content.get(receptacle, ()))

    def _is_done(self, name: str) -> bool:
        return self._is_candidate(name) and (not self.verb or f"{self.verb} {name}" in self.known.changed)

    def _candidates(self, excluded: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Return the (object, receptacle) pairs worth fetching; what is done and at the target is not."""
        return [
            (name, place)
            for place, names in self.known.content.items()
            for name in names
            if self._is_candidate(name) and not (name in excluded and self._is_done(name))
        ]

    def _is_here(self, receptacle: str) -> bool:
        return f"examine {receptacle}" in self.can

    def _fetch(self, candidates: list[tuple[str, str]]) -> str:
        """Take the nearest candidate, preferring one that needs no more heating, cooling or cleaning."""
        if not candidates:
            return self._explore(self.thing)
        name, place = min(
            candidates, key=lambda pair: (not self._is_done(pair[0]), not self._is_here(pair[1]))
        )
        take = f"take {name} from {place}"
        return take if take in self.can else self._reach(place)

    def _reach(self, receptacle: str) -> str:
        """Go to a receptacle, and open it where it is closed."""
        for command in (f"open {receptacle}", f"go to {receptacle}"):
            if command in self.can:
                return command
        return f"examine {receptacle}" if self._is_here(receptacle) else _NO_USE

    def _change(self, held: str) -> str:
        tools = [name for name in self.known.receptacles if _kind(name) == self.appliance]
        tool = max(tools, key=self._is_here, default="")
        command = f"{self.verb} {held} with {tool}"
        return command if command in self.can else self._go(tool)

    def _go(self, receptacle: str) -> str:
        return f"go to {receptacle}" if f"go to {receptacle}" in self.can else _NO_USE

    def _put(self, held: str, receptacle: str) -> str:
        command = self.engine.world.put_command.format(held, receptacle)
        return command if command in self.can else self._reach(receptacle)

    def _put_away(self) -> str:
        """Put what is of no use where it was taken from, or where its kind may lie."""
        held = self.known.held
        fitting = [name for name in self.known.receptacles if (_kind(name), _kind(held)) in self.fits]
        if not fitting:
            return _NO_USE
        place = max(fitting, key=lambda name: (self._is_here(name), name == self.known.taken_from))
        return self._put(held, place)

    def _explore(self, wanted: str) -> str:
        """Look into the likeliest receptacle not yet seen."""
        unseen = [name for name in self.known.receptacles if name not in self.known.looked]
        if not unseen:
            return _NO_USE
        counts = {
            name: sum(_kind(other) == _kind(name) for other in self.known.receptacles) for name in unseen
        }

        def cost(name: str) -> tuple[bool, bool, int]:
            return not self._is_here(name), (_kind(name), wanted) not in self.fits, counts[name]

        return self._reach(min(unseen, key=cost))


def _fits(facts: Facts) -> frozenset[tuple[str, str]]:
    return frozenset((kind.lower(), thing.lower()) for kind, thing in facts.contains)
