"""An endless supply of new ALFWorld games, solvable by construction.

A game is a room (kitchen, living room, bedroom or bathroom) with furniture, things that lie where their kind
may lie, and one of the six tasks. Everything lies where it may be put back, so that no state is a dead end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from palaestra.envs.alfworld.game import TASK_TYPES, WORDINGS, Facts, Game, Goal, Object, Receptacle
from palaestra.envs.alfworld.rooms import (
    CLEANABLE,
    COOLABLE,
    FITS,
    HEATABLE,
    HOLDERS,
    LAMP,
    LAMP_PLACES,
    OPENABLE,
    ROOMS,
    SLICEABLE,
    Room,
)
from palaestra.envs.core import Task, TaskSet
from palaestra.errors import OptionError, UnknownNameError

GENERATED_SPLITS = ("train", "valid_seen", "valid_unseen", "test")
SCALES = ("full", "small")

_PLACE, _LIGHT, _CLEAN, _HEAT, _COOL, _TWO = TASK_TYPES
_WORDS = {
    _PLACE: ("put a {} in {}.", "put some {} on {}."),
    _LIGHT: ("look at {} under the {}.", "examine the {} with the {}."),
    _CLEAN: ("put a clean {} in {}.", "clean some {} and put it in {}."),
    _HEAT: ("put a hot {} in {}.", "heat some {} and put it in {}."),
    _COOL: ("put a cool {} in {}.", "cool some {} and put it in {}."),
    _TWO: ("put two {} in {}.", "find two {} and put them in {}."),
}
_TOOLS = {_CLEAN: "SinkBasin", _HEAT: "Microwave", _COOL: "Fridge"}
_ABLE = {_CLEAN: CLEANABLE, _HEAT: HEATABLE, _COOL: COOLABLE}

# How many layouts a kind of room has: those of train (and valid_seen), of valid_unseen and of test.
_POOLS = {"train": 120, "valid_unseen": 40, "test": 40}
_ENTROPY = 0xA1F


# ---- which layouts and which goals belong to which split -----------------------------------------------

Layout = tuple[tuple[str, int], ...]
"""Furniture types with how many there are of each, sorted."""


def pool_of(split: str) -> str:
    """Return the pool of layouts and goals of a split: ``valid_seen`` shares that of ``train``."""
    if split not in GENERATED_SPLITS:
        raise UnknownNameError("split", split, GENERATED_SPLITS)
    return "train" if split == "valid_seen" else split


@cache
def layouts(kind: str, scale: str, pool: str) -> tuple[Layout, ...]:
    """Return the layouts of one pool; no layout is in two pools, nor in the pools of another kind of room."""
    return _all_layouts(scale)[kind, pool]


@cache
def _all_layouts(scale: str) -> dict[tuple[str, str], tuple[Layout, ...]]:
    found: dict[tuple[str, str], tuple[Layout, ...]] = {}
    seen: set[Layout] = set()
    for number, kind in enumerate(ROOMS):
        generator = np.random.default_rng([_ENTROPY, SCALES.index(scale), number])
        for pool, size in _POOLS.items():
            fresh: list[Layout] = []
            while len(fresh) < size:
                layout = _draw_layout(generator, ROOMS[kind], scale)
                if layout not in seen:
                    seen.add(layout)
                    fresh.append(layout)
            found[kind, pool] = tuple(fresh)
    return found


def _draw_layout(generator: np.random.Generator, room: Room, scale: str) -> Layout:
    counts: dict[str, int] = {}
    for kind, (chance, least, most) in room.furniture.items():
        if scale == "full" and generator.random() < chance:
            # The power makes many of a kind rarer than few, as in the official rooms.
            counts[kind] = least + int(generator.random() ** 1.5 * (most - least + 1))
    if scale == "small":
        counts = _draw_small(generator, room)
    return tuple(sorted(counts.items()))


def _draw_small(generator: np.random.Generator, room: Room) -> dict[str, int]:
    """Six to nine pieces: those that cleaning, heating, cooling and light need, and others at random."""
    tools = [kind for kind in room.furniture if kind in _TOOLS.values()]
    if _LIGHT in room.task_types:
        tools = [str(generator.choice([kind for kind in LAMP_PLACES if kind in room.furniture]))]
    counts = dict.fromkeys(tools, 1)
    others = [kind for kind in room.furniture if kind not in tools and FITS.get(kind)]
    for _ in range(int(generator.integers(6, 10)) - len(tools)):
        kind = others[int(generator.integers(len(others)))]
        most = min(room.furniture[kind][2], 3)
        if counts.get(kind, 0) < most:
            counts[kind] = counts.get(kind, 0) + 1
    while sum(counts.values()) < 6:
        kind = others[int(generator.integers(len(others)))]
        counts.setdefault(kind, 1)
    return counts


def all_pairs(task_type: str) -> list[tuple[str, str]]:
    """Return every (object type, target type) that a game of this type may ask for, in a fixed order."""
    found: set[tuple[str, str]] = set()
    for room in ROOMS.values():
        if task_type in room.task_types:
            targets = [LAMP] if task_type == _LIGHT else list(room.furniture)
            for thing in room.things:
                found.update((thing, target) for target in targets if _suits(task_type, thing, target))
    return sorted(found, key=lambda pair: hashlib.sha256(f"{task_type}/{'/'.join(pair)}".encode()).digest())


def _suits(task_type: str, thing: str, target: str) -> bool:
    if task_type == _LIGHT:
        return True
    able = thing in _ABLE.get(task_type, frozenset([thing]))
    # What is heated in the microwave is not asked to stay there: that would be won without carrying it.
    return able and thing in FITS.get(target, ()) and target != _TOOLS.get(task_type)


@cache
def pairs(task_type: str, pool: str) -> frozenset[tuple[str, str]]:
    """Return the goals of one pool: 70 % of all are in train, 15 % each in valid_unseen and in test."""
    everything = all_pairs(task_type)
    first, second = round(0.7 * len(everything)), round(0.85 * len(everything))
    bounds = {"train": (0, first), "valid_unseen": (first, second), "test": (second, len(everything))}
    return frozenset(everything[slice(*bounds[pool])])


@dataclass(frozen=True, slots=True)
class _Plan:
    """One goal in one kind of room, with the layouts of the pool in which it can be played."""

    kind: str
    goal: Goal
    layouts: tuple[int, ...]


@cache
def _plans(task_type: str, scale: str, pool: str) -> tuple[_Plan, ...]:
    found: list[_Plan] = []
    for thing, target in sorted(pairs(task_type, pool)):
        for kind, room in ROOMS.items():
            if task_type not in room.task_types or thing not in room.things:
                continue
            goal = Goal(task_type, thing, target)
            fitting = [
                n for n, layout in enumerate(layouts(kind, scale, pool)) if _playable(goal, dict(layout))
            ]
            if fitting:
                found.append(_Plan(kind, goal, tuple(fitting)))
    return tuple(found)


def _playable(goal: Goal, layout: dict[str, int]) -> bool:
    tool = _TOOLS.get(goal.task_type)
    if goal.task_type == _LIGHT:
        there = any(kind in layout for kind in LAMP_PLACES)
    else:
        there = goal.target in layout and (tool is None or tool in layout)
    return there and any(kind != goal.target and goal.object in FITS.get(kind, ()) for kind in layout)


# ---- one game ------------------------------------------------------------------------------------------


def _names(kind: str, count: int) -> list[str]:
    # The real engine takes a receptacle for a basin by its id, and its name from what is before "_bar_".
    if kind.endswith("Basin"):
        return [f"{kind.removesuffix('Basin')}_bar_{number:02d}_bar_{kind}" for number in range(1, count + 1)]
    return [f"{kind}_bar_{number:02d}" for number in range(1, count + 1)]


def _furnish(generator: np.random.Generator, layout: Layout, scale: str) -> list[Receptacle]:
    """Give every piece an id and a place; in full rooms some share a place, and some start open."""
    found: list[Receptacle] = []
    draws = generator.random((sum(count for _, count in layout), 2)).tolist()
    place = 0
    for kind, count in layout:
        for name in _names(kind, count):
            shared, opened = draws[len(found)]
            if not found or scale == "small" or shared > 0.08:
                place += 1
            openable = kind in OPENABLE
            found.append(Receptacle(name, kind, f"loc_bar_{place:02d}", openable, openable and opened < 0.2))
    return found


def _abilities(thing: str) -> frozenset[str]:
    groups = {
        "heatable": HEATABLE,
        "coolable": COOLABLE,
        "cleanable": CLEANABLE,
        "sliceable": SLICEABLE,
        "isReceptacleObject": HOLDERS,
    }
    return frozenset({"pickupable", *(word for word, group in groups.items() if thing in group)})


_HOMES = {
    thing: frozenset(kind for kind in FITS if thing in FITS[kind])
    for thing in frozenset().union(*FITS.values())
}
_ABILITIES = {thing: _abilities(thing) for room in ROOMS.values() for thing in room.things}
_LAMP_ABILITIES = frozenset({"toggleable"})


def _counts(
    generator: np.random.Generator, goal: Goal, room: Room, scale: str, kinds: frozenset[str]
) -> dict[str, int]:
    """Choose how many there are of each kind of thing, of those that can lie somewhere in this room."""
    least = 2 if goal.task_type == _TWO else 1
    counts = {goal.object: least + int(generator.integers(0, 2))}
    others = [thing for thing in room.things if thing != goal.object and not kinds.isdisjoint(_HOMES[thing])]
    if scale == "full":
        draws = generator.random(len(others)).tolist()
        for thing, draw in zip(others, draws, strict=True):
            counts[thing] = min(3, int(draw * 3.5 + 0.5))
    else:
        total = int(generator.integers(5, 10)) - (goal.task_type == _LIGHT)
        for index in generator.permutation(len(others))[: total - counts[goal.object]].tolist():
            counts[others[index]] = 1
    return counts


def _scatter(
    generator: np.random.Generator, counts: dict[str, int], goal: Goal, furniture: Sequence[Receptacle]
) -> list[Object]:
    """Lay every thing where its kind may lie: first a kind of furniture, then one piece of it."""
    by_kind: dict[str, list[Receptacle]] = {}
    for piece in furniture:
        by_kind.setdefault(piece.type, []).append(piece)
    draws = iter(generator.random(2 * sum(counts.values()) + 2).tolist())

    def lay(thing: str, name: str, kinds: Sequence[str], abilities: frozenset[str]) -> Object:
        pieces = by_kind[kinds[int(next(draws) * len(kinds))]]
        piece = pieces[int(next(draws) * len(pieces))]
        return Object(name, thing, (piece.id,), (piece.location,), abilities)

    found: list[Object] = []
    for thing, count in counts.items():
        kinds = [kind for kind in by_kind if kind in _HOMES[thing]]
        if thing == goal.object:
            kinds = [kind for kind in kinds if kind != goal.target]
        found += [lay(thing, name, kinds, _ABILITIES[thing]) for name in _names(thing, count)]
    lamp_kinds = [kind for kind in LAMP_PLACES if kind in by_kind]
    if goal.task_type == _LIGHT:
        found.append(lay(LAMP, _names(LAMP, 1)[0], lamp_kinds, _LAMP_ABILITIES))
    return found


@cache
def _contains(kinds: frozenset[str], things: frozenset[str]) -> frozenset[tuple[str, str]]:
    return frozenset((kind, thing) for kind in kinds for thing in FITS.get(kind, ()) if thing in things)


def generate(
    split: str,
    index: int,
    *,
    scale: str = "full",
    task_types: Iterable[str] = TASK_TYPES,
    wording: str = "move",
) -> Game:
    """Return game ``index`` of a split; the same arguments always give the same game."""
    kinds = [task_type for task_type in TASK_TYPES if task_type in set(task_types)]
    chosen = sum(1 << TASK_TYPES.index(kind) for kind in kinds)
    entropy = [_ENTROPY, GENERATED_SPLITS.index(split), SCALES.index(scale), chosen, index]
    generator = np.random.default_rng(entropy)
    pool = pool_of(split)
    task_type = kinds[int(generator.integers(len(kinds)))]
    plans = _plans(task_type, scale, pool)
    plan = plans[int(generator.integers(len(plans)))]
    number = plan.layouts[int(generator.integers(len(plan.layouts)))]
    room, goal = ROOMS[plan.kind], plan.goal
    furniture = _furnish(generator, layouts(plan.kind, scale, pool)[number], scale)
    kinds_here = frozenset(piece.type for piece in furniture)
    things = _scatter(generator, _counts(generator, goal, room, scale, kinds_here), goal, furniture)
    words = _WORDS[task_type][int(generator.integers(2))]
    facts = Facts(
        receptacles=tuple(furniture),
        objects=tuple(things),
        contains=_contains(kinds_here, frozenset(room.things)),
        start="loc_bar_00",
        goal=goal,
    )
    return Game(
        id=f"gen-{scale}-{split}-{index}",
        task_type=task_type,
        task=words.format(goal.object.lower(), goal.target.lower()),
        scene=f"{plan.kind}-{pool}-{number}",
        split=split,
        wording=wording,
        facts=facts,
    )


class GeneratedGames(TaskSet):
    """``size`` generated games of one split; game ``i`` depends on the arguments and ``i`` alone.

    ``scale`` is "full" (rooms like the official ones) or "small" (6 to 9 receptacles, 5 to 9 objects).
    Layouts and goals (object type, target type) of train, valid_unseen and test are disjoint; valid_seen has
    other games on the layouts and goals of train. Raises ``UnknownNameError`` for an unknown split, scale,
    wording or task type.
    """

    def __init__(
        self,
        split: str,
        *,
        scale: str = "full",
        task_types: Iterable[str] | None = None,
        wording: str = "move",
        size: int = 100_000,
    ) -> None:
        if scale not in SCALES:
            raise UnknownNameError("scale", scale, SCALES)
        if wording not in WORDINGS:
            raise UnknownNameError("wording", wording, WORDINGS)
        if size < 1:
            raise OptionError(f"size must be at least 1, not {size}")
        pool_of(split)
        self.split, self.scale, self.wording, self.size = split, scale, wording, size
        self.task_types = check_task_types(task_types)
        self._prefix = f"gen-{scale}-{split}-"

    def __len__(self) -> int:
        return self.size

    def game(self, index: int) -> Game:
        """Return game ``index``."""
        return generate(self.split, index, scale=self.scale, task_types=self.task_types, wording=self.wording)

    def task(self, index: int) -> Task:
        """Return task ``index``, its game under ``data["game"]``."""
        game = self.game(index)
        return Task(game.id, game.task, game.split, game.task_type, {"game": game})

    def index_of(self, task_id: str) -> int | None:
        """Return the index in a task id of this split and scale."""
        number = task_id.removeprefix(self._prefix)
        if number == task_id or not (number.isascii() and number.isdigit()) or str(int(number)) != number:
            return None
        return int(number) if int(number) < self.size else None

    def find(self, task_id: str) -> Task:
        """Return the task with this id; raises ``UnknownNameError`` that shows what ids look like."""
        index = self.index_of(task_id)
        if index is None:
            raise UnknownNameError("task", task_id, (f"{self._prefix}{i}" for i in (0, self.size - 1)))
        return self.task(index)


def check_task_types(task_types: Iterable[str] | None) -> tuple[str, ...]:
    """Return the task types in the official order, all six for None; raises ``UnknownNameError``."""
    wanted = list(
        TASK_TYPES if task_types is None else [task_types] if isinstance(task_types, str) else task_types
    )
    for task_type in wanted:
        if task_type not in TASK_TYPES:
            raise UnknownNameError("task type", task_type, TASK_TYPES)
    if not wanted:
        raise OptionError("task_types needs at least one task type; leave it out for all six")
    return tuple(task_type for task_type in TASK_TYPES if task_type in wanted)
