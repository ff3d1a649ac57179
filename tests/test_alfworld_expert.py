"""The scripted experts solve what there is, from wherever they are asked."""

import random

import pytest
from alfworld_house import house

from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.expert import STYLES, Expert, Knowledge, listen
from palaestra.envs.alfworld.game import TASK_TYPES, WORDINGS, Goal
from palaestra.envs.alfworld.generator import GENERATED_SPLITS, SCALES, GeneratedGames
from palaestra.errors import UnknownNameError


def solve(game, style, *, random_steps=0, limit=50):
    """Return how many steps the expert needed, or None where it did not win."""
    engine = FastEngine(game)
    heard = [("", engine.reset())]
    generator = random.Random(game.id)
    for _ in range(random_steps):
        command = generator.choice(engine.admissible)
        heard.append((command, engine.step(command)))
    expert = Expert(engine, style)
    for steps in range(limit + 1):
        if engine.won:
            return steps
        command = expert.next(heard)
        assert command in engine.admissible
        heard.append((command, engine.step(command)))
    return None


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("task_type", TASK_TYPES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_task_type_is_solved(scale, task_type, style):
    games = GeneratedGames("train", scale=scale, task_types=[task_type])
    steps = [solve(games.game(index), style) for index in range(40)]
    assert None not in steps
    assert max(steps) <= (50 if style == "explorer" else 12)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("split", GENERATED_SPLITS)
def test_every_split_is_solved_in_either_wording(split, style):
    for wording in WORDINGS:
        games = GeneratedGames(split, wording=wording)
        assert None not in [solve(games.game(index), style) for index in range(500, 540)]


@pytest.mark.parametrize("style", STYLES)
def test_500_full_games_of_all_types_are_solved_within_50_steps(style):
    games = GeneratedGames("test", scale="full")
    steps = {games.game(index).id: solve(games.game(index), style) for index in range(500)}
    assert len(steps) == 500
    assert [name for name, count in steps.items() if count is None] == []


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("scale", SCALES)
def test_it_plans_anew_after_random_steps(scale, style):
    games = GeneratedGames("test", scale=scale)
    assert None not in [solve(games.game(index), style, random_steps=25, limit=70) for index in range(150)]


def test_the_oracle_puts_away_what_is_of_no_use():
    engine = FastEngine(house())
    for command in ("go to countertop 1", "take knife 1 from countertop 1", "go to fridge 1"):
        engine.step(command)
    expert = Expert(engine, "oracle")
    commands = []
    while not engine.won and len(commands) < 20:
        commands.append(expert.next(()))
        engine.step(commands[-1])
    assert engine.won
    assert any(command.startswith("move knife 1 to ") for command in commands)


@pytest.mark.parametrize("style", STYLES)
def test_a_dead_end_is_looked_at(style):
    engine = FastEngine(house())
    heard = [("", engine.reset())]
    commands = ("go to countertop 1", "take papertowelroll 1 from countertop 1")
    heard += [(command, engine.step(command)) for command in commands]
    assert Expert(engine, style).next(heard) == "look"


def test_the_explorer_does_not_know_what_it_has_not_seen():
    """Two games that differ only in where the hidden apple is look the same, so it starts the same way."""
    from dataclasses import replace

    game = house(Goal("pick_and_place_simple", "Spoon", "CounterTop"))
    things = [
        replace(thing, receptacles=("Drawer_bar_2",)) if thing.type == "Spoon" else thing
        for thing in game.facts.objects
    ]
    other = replace(game, facts=replace(game.facts, objects=tuple(things)))
    plays = []
    for variant in (game, other):
        engine = FastEngine(variant)
        expert = Expert(engine, "explorer")
        heard = [("", engine.reset())]
        while not engine.won and len(heard) < 30:
            command = expert.next(heard)
            heard.append((command, engine.step(command)))
        assert engine.won
        plays.append(heard)
    first_difference = next(n for n, pair in enumerate(zip(*plays, strict=False)) if pair[0] != pair[1])
    assert (
        plays[0][first_difference][0] == plays[1][first_difference][0]
    )  # the text differs before the command
    assert plays[0] != plays[1]


def test_the_explorer_remembers_what_it_was_told():
    known = Knowledge()
    for observation in (
        "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around you, "
        "you see a drawer 1, and a shelf 1.\n\nYour task is to: put a pen in shelf.",
        "You arrive at loc 3. On the shelf 1, you see a mug 1, a pen 2, and a pen 1.",
        "You pick up the pen 2 from the shelf 1.",
        "You arrive at drawer 1. The drawer 1 is closed.",
    ):
        listen(known, observation)
    assert known.receptacles == ["drawer 1", "shelf 1"]
    assert known.content == {"shelf 1": ["mug 1", "pen 1"]}
    assert known.looked == {"shelf 1"}
    assert (known.held, known.taken_from) == ("pen 2", "shelf 1")
    listen(known, "You open the drawer 1. The drawer 1 is open. In it, you see nothing.")
    listen(known, "You put the pen 2 in/on the drawer 1.")
    assert known.content["drawer 1"] == ["pen 2"]
    assert known.held == ""


def test_an_unknown_style_is_refused():
    with pytest.raises(UnknownNameError, match="oracle"):
        Expert(FastEngine(house()), "orakel")
