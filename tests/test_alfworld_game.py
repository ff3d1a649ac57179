"""Reading and writing PDDL problems, and refusing what is broken."""

import pytest
from alfworld_house import FACTS, house

from palaestra.envs.alfworld.game import TASK_TYPES, Goal, parse_problem
from palaestra.envs.alfworld.generator import GeneratedGames
from palaestra.errors import DataError

TEXT = house().problem()


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_what_is_written_is_read_back(task_type):
    target = "DeskLamp" if task_type == "look_at_obj_in_light" else "SideTable"
    game = house(Goal(task_type, "Apple", target))
    assert parse_problem(game.problem()) == game.facts


def test_generated_games_survive_writing_and_reading():
    for index in range(20):
        game = GeneratedGames("test").game(index)
        assert parse_problem(game.problem()) == game.facts


def test_layout_of_the_text_does_not_matter():
    assert parse_problem(TEXT.replace("\n", "\n\n   ")) == FACTS
    assert parse_problem(" ".join(TEXT.split())) == FACTS


def test_the_official_order_of_the_simple_goal_is_read_too():
    game = house(Goal("pick_and_place_simple", "Apple", "SideTable"))
    inside = "(inReceptacle ?o ?r)"
    text = game.problem()
    moved = text.replace(inside, "").replace("(and (objectType ?o", f"(and {inside} (objectType ?o")
    assert moved != text
    assert parse_problem(moved) == game.facts


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("(:objects", "(:things", "no :objects section"),
        ("(:init", "(:start", "no :init section"),
        ("(:goal", "(:aim", "no :goal section"),
        (
            "    Apple_bar_2 - object\n",
            "    Apple_bar_2 - object\n    apple_bar_2 - object\n",
            "declared twice",
        ),
        ("AppleType - otype", "AppleType - otype\n SideTableType - otype", "declared twice"),
        ("Apple_bar_2 - object", "Apple_bar_2 - gadget", "unknown type 'gadget'"),
        ("(openable Fridge_bar_1)", "(openable Fridge_bar_9)", "'Fridge_bar_9', which is not in :objects"),
        ("(openable Fridge_bar_1)", "(flies Fridge_bar_1)", "unsupported fact 'flies'"),
        ("(openable Fridge_bar_1)", "(openable Fridge_bar_1 loc_bar_1)", "takes 1 arguments"),
        ("(openable Fridge_bar_1)", "(not (openable Fridge_bar_1))", "other than plain facts"),
        ("(atLocation agent1 loc_bar_0)", "", "0 start locations"),
        ("(receptacleAtLocation Fridge_bar_1 loc_bar_2)", "", "'Fridge_bar_1' needs both"),
        ("(objectType Apple_bar_1 AppleType)", "", "'Apple_bar_1' is in a receptacle but has no objectType"),
        (
            "(inReceptacle Apple_bar_1 C",
            "(inReceptacle Apple_bar_1 Mug_bar_1) (inReceptacle Apple_bar_1 C",
            "no rec",
        ),
        (
            "(objectType Mug_bar_1 MugType)",
            "(objectType Mug_bar_1 MugType) (objectType Mug_bar_1 SpoonType)",
            "two",
        ),
        ("(isHot ?o)", "(isSliced ?o)", "none of the six task types"),
        ("(isHot ?o)", "(inReceptacleObject ?o ?m)", "none of the six task types"),
    ],
)
def test_a_broken_problem_is_refused_with_its_name_and_what_is_wrong(old, new, complaint):
    assert old in TEXT
    with pytest.raises(DataError) as caught:
        parse_problem(TEXT.replace(old, new), "kitchen 7")
    assert str(caught.value).startswith("kitchen 7: ")
    assert complaint in str(caught.value)


def test_every_cut_of_the_text_is_noticed():
    for length in range(0, len(TEXT.rstrip()) - 1, 97):
        with pytest.raises(DataError):
            parse_problem(TEXT[:length])


def test_a_game_that_would_declare_a_name_twice_is_not_written():
    from dataclasses import replace

    clash = replace(
        FACTS, objects=(*FACTS.objects, replace(FACTS.objects[0], type="Drawer", id="Thing_bar_1"))
    )
    with pytest.raises(DataError, match="drawertype"):
        clash.problem()
