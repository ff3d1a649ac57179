"""A small hand-made house for the ALFWorld tests, with everything odd that the real games have."""

from __future__ import annotations

from dataclasses import replace

from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.game import Facts, Game, Goal, Object, Receptacle

PICK = frozenset({"pickupable"})
FOOD = PICK | {"heatable", "coolable", "cleanable", "sliceable"}


def _thing(number, kind, holders, locations, abilities=PICK, conditions=()):
    holders = tuple(holders)
    return Object(f"{kind}_bar_{number}", kind, holders, tuple(locations), abilities, frozenset(conditions))


COUNTER, SINK, FRIDGE, MICROWAVE = (
    "CounterTop_bar_1",
    "Sink_bar_1_bar_SinkBasin",
    "Fridge_bar_1",
    "Microwave_bar_1",
)
DRAWER_A, DRAWER_B, TABLE = "Drawer_bar_1", "Drawer_bar_2", "SideTable_bar_1"

FACTS = Facts(
    receptacles=(
        Receptacle(TABLE, "SideTable", "loc_bar_5"),
        Receptacle(COUNTER, "CounterTop", "loc_bar_1"),
        Receptacle(SINK, "SinkBasin", "loc_bar_1"),
        Receptacle(FRIDGE, "Fridge", "loc_bar_2", openable=True, opened=True),
        Receptacle(MICROWAVE, "Microwave", "loc_bar_3", openable=True),
        Receptacle(DRAWER_A, "Drawer", "loc_bar_4", openable=True),
        Receptacle(DRAWER_B, "Drawer", "loc_bar_4", openable=True),
    ),
    objects=(
        _thing(1, "Apple", [COUNTER], ["loc_bar_1"], FOOD),
        _thing(2, "Apple", [FRIDGE], ["loc_bar_2"], FOOD, ["isCool"]),
        _thing(3, "Apple", [MICROWAVE], ["loc_bar_3"], FOOD),
        _thing(1, "Mug", [COUNTER, SINK], ["loc_bar_1"], PICK | {"cleanable", "isReceptacleObject"}),
        _thing(1, "Knife", [COUNTER], ["loc_bar_1"], PICK | {"cleanable"}),
        _thing(1, "Spoon", [DRAWER_A], ["loc_bar_4"], PICK | {"cleanable"}),
        _thing(1, "PaperTowelRoll", [COUNTER], ["loc_bar_1"]),
        _thing(1, "DeskLamp", [TABLE], ["loc_bar_5"], frozenset({"toggleable"})),
        _thing(1, "LightSwitch", [], ["loc_bar_5"], frozenset()),
        _thing(1, "Sink", [], ["loc_bar_1"], frozenset()),
    ),
    contains=frozenset(
        {
            *((kind, "Apple") for kind in ("CounterTop", "SinkBasin", "Fridge", "Microwave", "SideTable")),
            *((kind, "Knife") for kind in ("CounterTop", "SinkBasin", "Drawer")),
            *((kind, "Spoon") for kind in ("CounterTop", "SinkBasin", "Drawer")),
            *((kind, "Mug") for kind in ("CounterTop", "SinkBasin")),
        }
    ),
    start="loc_bar_0",
    goal=Goal("pick_heat_then_place_in_recep", "Apple", "SideTable"),
    inner=(("Spoon_bar_1", "Mug_bar_1"),),
)


def house(goal=FACTS.goal, wording="move"):
    """Return the game with another goal or wording."""
    task = "heat some apple and put it in sidetable."
    return Game("house", goal.task_type, task, "1", "train", wording, replace(FACTS, goal=goal))


def play(*commands, engine=None, **options):
    """Return the engine after these commands, and the last observation."""
    engine = engine or FastEngine(house(**options))
    observation = ""
    for command in commands:
        observation = engine.step(command)
    return engine, observation


def say(*commands, **options):
    """Return the last observation."""
    return play(*commands, **options)[1]
