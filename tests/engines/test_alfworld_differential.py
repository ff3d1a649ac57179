"""The fast engine against the real one: equal texts, commands, rewards and ends at every step."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palaestra.envs.alfworld.differential import Comparison, compare, replay
from palaestra.envs.alfworld.game import TASK_TYPES
from palaestra.envs.alfworld.generator import GeneratedGames
from palaestra.envs.alfworld.tasks import OfficialGames
from palaestra.envs.alfworld.textworld_engine import TextWorldEngine, playable_wordings

sys.path.insert(0, str(Path(__file__).parents[1]))
from alfworld_house import FACTS, house

pytestmark = [
    pytest.mark.textworld,
    pytest.mark.skipif(
        importlib.util.find_spec("textworld") is None or importlib.util.find_spec("alfworld") is None,
        reason="the real engine is not installed: scripts/install-engines.sh",
    ),
]
SHARED = Path(os.environ.get("PALAESTRA_SHARED") or Path(__file__).parents[2] / ".." / "shared")
OFFICIAL = SHARED / "data" / "alfworld"
needs_official = pytest.mark.skipif(
    not OFFICIAL.is_dir(), reason="the official games are not here (PALAESTRA_SHARED)"
)
needs_put_logic = pytest.mark.skipif(
    "put" not in playable_wordings(),
    reason="the older wording's logic is not here (ALFWORLD_LOGIC or PALAESTRA_SHARED)",
)
WORDINGS = ["move", pytest.param("put", marks=needs_put_logic)]
by_type = pytest.mark.parametrize("number", range(len(TASK_TYPES)), ids=TASK_TYPES)
by_wording = pytest.mark.parametrize("wording", WORDINGS)


def walk(game, *walks: tuple[str, int], cached: bool, seed: int = 0) -> list[Comparison]:
    """Compare on one loaded engine, walk after walk (kind, steps); every one must be without mismatch."""
    real = TextWorldEngine(game, cached=cached)
    try:
        made = [compare(game, real, kind, steps, np.random.default_rng(seed)) for kind, steps in walks]
    finally:
        real.close()
    assert [text for found in made for text in found.mismatches] == []
    return made


# ---- generated games -------------------------------------------------------------------------------------


@by_wording
@by_type
def test_small_generated_games_in_the_unmodified_engine(number, wording):
    games = GeneratedGames("train", scale="small", wording=wording, task_types=[TASK_TYPES[number]])
    mixed, expert, curious = walk(
        games.game(number), ("mixed", 20), ("expert", 20), ("curious", 20), cached=False, seed=number
    )
    assert expert.won_states > 0
    assert curious.states == 21
    assert mixed.states > 5


@by_type
def test_full_generated_games_in_the_unmodified_engine(number):
    wording = playable_wordings()[number % len(playable_wordings())]
    games = GeneratedGames("test", wording=wording, task_types=[TASK_TYPES[number]])
    (found,) = walk(games.game(number), ("mixed", 12), cached=False, seed=number)
    assert found.states > 5


@by_wording
@by_type
def test_full_generated_games(number, wording):
    games = GeneratedGames("valid_unseen", wording=wording, task_types=[TASK_TYPES[number]])
    walks = (("random", 60), ("mixed", 60), ("expert", 60), ("curious", 60))
    made = walk(games.game(100 + number), *walks, cached=True, seed=number)
    assert made[2].won_states > 0
    assert sum(found.states for found in made) > 130


# ---- official games --------------------------------------------------------------------------------------


@needs_official
@by_wording
@by_type
def test_official_games(number, wording):
    games = OfficialGames("valid_seen", data=OFFICIAL, wording=wording, task_types=[TASK_TYPES[number]])
    for index in (number, len(games) - 1 - number):
        walks = (("random", 60), ("mixed", 60), ("expert", 60), ("curious", 60))
        made = walk(games.game(index), *walks, cached=True, seed=number)
        assert made[2].won_states > 0
        assert sum(found.states for found in made) > 130


@needs_official
@by_type
def test_official_games_in_the_unmodified_engine(number):
    wording = playable_wordings()[number % len(playable_wordings())]
    games = OfficialGames("valid_seen", data=OFFICIAL, wording=wording, task_types=[TASK_TYPES[number]])
    (found,) = walk(games.game(3), ("mixed", 12), cached=False, seed=number)
    assert found.states > 5


# ---- what is odd, on purpose -----------------------------------------------------------------------------

# The house, with a lamp that can be carried.
LIGHT_HOUSE = replace(
    FACTS,
    objects=tuple(
        replace(thing, abilities=thing.abilities | {"pickupable"}) if thing.type == "DeskLamp" else thing
        for thing in FACTS.objects
    ),
    contains=FACTS.contains | {("SideTable", "DeskLamp"), ("CounterTop", "DeskLamp")},
)
QUIRKS = """
look; inventory; help; examine sidetable 1
go to sidetable 1; look; examine desklamp 1; take desklamp 1 from sidetable 1; examine desklamp 1
use desklamp 1; move desklamp 1 to sidetable 1; use desklamp 1; use desklamp 1
take desklamp 1 from sidetable 1; examine desklamp 1; go to countertop 1; move desklamp 1 to countertop 1
look; go to sinkbasin 1; go to countertop 1; examine sinkbasin 1; examine knife 1; go to fridge 1
go to countertop 1; take mug 1 from countertop 1; look; examine sinkbasin 1; examine mug 1; inventory
clean mug 1 with sinkbasin 1; examine mug 1; move mug 1 to countertop 1; look; take mug 1 from sinkbasin 1
look; move mug 1 to countertop 1; look; take mug 1 from countertop 1; move mug 1 to sinkbasin 1
take knife 1 from countertop 1; examine knife 1; slice apple 3 with knife 1; slice apple 3 with knife 1
move knife 1 to sinkbasin 1; look; take knife 1 from sinkbasin 1; look; move knife 1 to countertop 1; look
take apple 3 from countertop 1; examine apple 3; clean apple 3 with sinkbasin 1; examine apple 3
go to fridge 1; close fridge 1; cool apple 3 with fridge 1; examine apple 3; move apple 3 to fridge 1
open fridge 1; open fridge 1; go to microwave 1; heat apple 3 with microwave 1; examine apple 3
open microwave 1; move apple 3 to microwave 1; take apple 1 from microwave 1; examine apple 1
heat apple 1 with microwave 1; heat apple 1 with microwave 1; examine apple 1
go to sidetable 1; move apple 1 to sidetable 1; look; help; take apple 1 from sidetable 1
go to fridge 1; cool apple 1 with fridge 1; examine apple 1
go to sidetable 1; move apple 1 to sidetable 1; take apple 1 from sidetable 1
go to countertop 1; clean apple 1 with sinkbasin 1; examine apple 1
go to microwave 1; heat apple 1 with microwave 1; examine apple 1; move apple 1 to microwave 1
close microwave 1; go to countertop 1; take knife 1 from countertop 1; go to fridge 1
slice apple 2 with knife 1; examine fridge 1; slice apple 1 with knife 1
go to microwave 1; slice apple 1 with knife 1
go to countertop 1; move knife 1 to countertop 1; go to fridge 1; take apple 2 from fridge 1; examine apple 2
go to microwave 1; heat apple 2 with microwave 1; examine apple 2
go to drawer 1; open drawer 1; look; open drawer 2; close drawer 1; look; take spoon 1 from drawer 2
go to countertop 1; move apple 2 to countertop 1; take papertowelroll 1 from countertop 1; look; inventory
"""
SEEN_BY_THEN = (
    "There's nothing special about desklamp 1.",
    "This desklamp 1 is on.",
    "This is a normal mug 1. In it, you see a spoon 1.",
    "This is a sliced apple 3.",
    "This is a clean sliced apple 3.",
    "This is a cool and clean sliced apple 3.",
    "This is a hot and clean sliced apple 3.",
    "This is a hot apple 1.",
    "This is a cold apple 1.",
    "This is a cool and clean apple 1.",
    "This is a hot and clean apple 1.",
    "This is a cool sliced apple 2.",
    "This is a hot sliced apple 2.",
    "You are facing the countertop 1, and sinkbasin 1. Next to it, you see a knife 1, and a mug 1.",
    "You are facing the drawer 2, and drawer 1. Next to it, you see nothing.",
    "You are carrying: a papertowelroll 1.",
    "Nothing happens.",
)


@by_wording
def test_a_house_full_of_quirks(wording):
    game = replace(house(wording=wording), facts=LIGHT_HOUSE)
    commands = [command.strip() for command in QUIRKS.replace("\n", ";").split(";") if command.strip()]
    if wording == "put":
        commands = [
            command.replace("move ", "put ").replace(" to ", " in/on ") if command[:4] == "move" else command
            for command in commands
        ]
    real = TextWorldEngine(game)
    try:
        found = replay(game, real, commands)
    finally:
        real.close()
    assert found.mismatches == []
    assert [text for text in SEEN_BY_THEN if text not in found.texts] == []
    assert 0 < found.won_states < found.states / 4


@by_wording
def test_a_long_curious_walk_in_the_house(wording):
    (found,) = walk(house(wording=wording), ("curious", 150), cached=False)
    assert found.states == 151


# ---- the cached engine -----------------------------------------------------------------------------------


def test_remembered_parses_change_nothing():
    game = GeneratedGames("train", scale="small").game(7)
    raw, cached = TextWorldEngine(game), TextWorldEngine(game, cached=True)
    try:
        for _ in range(2):
            assert raw.reset() == cached.reset()
            generator = np.random.default_rng(0)
            for _ in range(20):
                command = raw.admissible[int(generator.integers(len(raw.admissible)))]
                assert raw.step(command) == cached.step(command)
                assert raw.admissible == cached.admissible
                assert raw.won == cached.won
    finally:
        raw.close()
        cached.close()
