"""What the fast engine says and allows, quirk by quirk, as the real engine does (expectations by hand)."""

import pickle
import random

import pytest
from alfworld_house import house, play, say

from palaestra.envs.alfworld.engine import FastEngine, listing
from palaestra.envs.alfworld.game import Goal

AT_COUNTER = "go to countertop 1"


def test_introduction_lists_receptacles_in_id_order_with_descending_numbers():
    assert FastEngine(house()).reset() == (
        "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around "
        "you, you see a countertop 1, a drawer 2, a drawer 1, a fridge 1, a microwave 1, a sidetable 1, and "
        "a sinkbasin 1.\n\nYour task is to: heat some apple and put it in sidetable."
    )


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "nothing"),
        (["apple 1"], "a apple 1"),
        (["apple 1", "cup 1"], "a apple 1, and a cup 1"),
        (["apple 1", "cup 1", "egg 1"], "a apple 1, a cup 1, and a egg 1"),
    ],
)
def test_lists_use_the_article_a_and_a_comma_before_and(names, text):
    assert listing(names) == text


def test_going_shows_what_is_on_it_in_it_or_that_it_is_closed():
    assert say("go to countertop 1") == (
        "You arrive at countertop 1. On the countertop 1, you see a apple 3, a knife 1, a mug 1, "
        "and a papertowelroll 1."
    )
    assert say("go to fridge 1") == "You arrive at fridge 1. The fridge 1 is open. In it, you see a apple 2."
    assert say("go to drawer 1") == "You arrive at drawer 1. The drawer 1 is closed."


def test_the_older_wording_names_the_place_and_puts_in_or_on():
    # Places are numbered downwards too: six of them, and the counter's id is the second.
    assert say("go to countertop 1", wording="put").startswith(
        "You arrive at loc 5. On the countertop 1, you see "
    )
    engine, text = play(
        AT_COUNTER, "take knife 1 from countertop 1", "put knife 1 in/on sinkbasin 1", wording="put"
    )
    assert text == "You put the knife 1 in/on the sinkbasin 1."
    assert "help" not in engine.admissible
    assert engine.step("help") == engine.step("move knife 1 to sinkbasin 1") == "Nothing happens."


def test_nothing_at_the_present_place_can_be_gone_to():
    engine, _ = play(AT_COUNTER)
    assert "go to countertop 1" not in engine.admissible
    assert "go to sinkbasin 1" not in engine.admissible
    assert "examine sinkbasin 1" in engine.admissible
    assert engine.step("go to sinkbasin 1") == "Nothing happens."


def test_opening_and_closing():
    engine, text = play("go to microwave 1", "open microwave 1")
    assert text == "You open the microwave 1. The microwave 1 is open. In it, you see a apple 1."
    assert "open microwave 1" not in engine.admissible
    assert engine.step("close microwave 1") == "You close the microwave 1."
    assert engine.step("examine microwave 1") == "The microwave 1 is closed."


def test_take_and_move():
    engine, text = play(AT_COUNTER, "take knife 1 from countertop 1")
    assert text == "You pick up the knife 1 from the countertop 1."
    assert not any(command.startswith("take ") for command in engine.admissible)
    assert engine.step("move knife 1 to sinkbasin 1") == "You move the knife 1 to the sinkbasin 1."
    assert engine.step("examine sinkbasin 1") == "On the sinkbasin 1, you see a knife 1, and a mug 1."


def test_what_is_in_a_closed_receptacle_cannot_be_taken_nor_a_closed_one_filled():
    engine, _ = play("go to microwave 1")
    assert not any(command.startswith("take ") for command in engine.admissible)
    engine, _ = play(AT_COUNTER, "take knife 1 from countertop 1", "go to drawer 1")
    assert not any(command.startswith("move ") for command in engine.admissible)
    engine.step("open drawer 1")
    assert "move knife 1 to drawer 1" in engine.admissible
    assert "move knife 1 to drawer 2" not in engine.admissible


def test_a_thing_in_two_receptacles_is_taken_out_of_one_only():
    engine, _ = play(AT_COUNTER, "take mug 1 from countertop 1")
    assert "mug 1" not in engine.step("examine countertop 1")
    assert "mug 1" in engine.step("examine sinkbasin 1")
    engine.step("move mug 1 to countertop 1")
    assert {"take mug 1 from countertop 1", "take mug 1 from sinkbasin 1"} <= set(engine.admissible)


def test_a_thing_that_fits_nowhere_is_a_dead_end():
    engine, _ = play(AT_COUNTER, "take papertowelroll 1 from countertop 1")
    assert not any(command.startswith("move ") for command in engine.admissible)


def test_heating_needs_no_open_door_and_undoes_cooling():
    engine, _ = play(AT_COUNTER, "take apple 3 from countertop 1", "go to microwave 1")
    assert engine.step("heat apple 3 with microwave 1") == "You heat the apple 3 using the microwave 1."
    assert engine.step("examine apple 3") == "This is a hot apple 3."
    assert engine.step("heat apple 3 with microwave 1") == "You heat the apple 3 using the microwave 1."
    engine.step("go to fridge 1")
    assert engine.step("cool apple 3 with fridge 1") == "You cool the apple 3 using the fridge 1."
    assert engine.step("examine apple 3") == "This is a cold apple 3."
    engine.step("go to sinkbasin 1")
    assert engine.step("clean apple 3 with sinkbasin 1") == "You clean the apple 3 using the sinkbasin 1."
    assert engine.step("examine apple 3") == "This is a cool and clean apple 3."
    engine.step("go to microwave 1")
    engine.step("heat apple 3 with microwave 1")
    assert engine.step("examine apple 3") == "This is a hot and clean apple 3."


def test_a_thing_may_be_cold_from_the_start():
    assert say("go to fridge 1", "take apple 2 from fridge 1", "examine apple 2") == "This is a cold apple 2."


def test_only_what_is_held_can_be_examined_and_bowls_show_what_was_in_them_at_first():
    engine, _ = play(AT_COUNTER)
    assert "examine knife 1" not in engine.admissible
    assert engine.step("examine knife 1") == "Nothing happens."
    engine.step("take mug 1 from countertop 1")
    assert engine.step("examine mug 1") == "This is a normal mug 1. In it, you see a spoon 1."
    engine.step("clean mug 1 with sinkbasin 1")
    assert engine.step("examine mug 1") == "This is a normal mug 1. In it, you see a spoon 1."
    assert say(AT_COUNTER, "take knife 1 from countertop 1", "examine knife 1") == (
        "There's nothing special about knife 1."
    )


def test_slicing_changes_no_name_and_shows_in_every_combination():
    engine, text = play(AT_COUNTER, "take knife 1 from countertop 1", "slice apple 3 with knife 1")
    assert text == "You sliced the apple 3 with the knife 1."
    for command in ("move knife 1 to countertop 1", "take apple 3 from countertop 1"):
        engine.step(command)
    assert engine.step("examine apple 3") == "This is a sliced apple 3."
    engine.step("clean apple 3 with sinkbasin 1")
    assert engine.step("examine apple 3") == "This is a clean sliced apple 3."
    engine.step("go to fridge 1")
    engine.step("cool apple 3 with fridge 1")
    assert engine.step("examine apple 3") == "This is a cool and clean sliced apple 3."
    engine.step("go to microwave 1")
    engine.step("heat apple 3 with microwave 1")
    assert engine.step("examine apple 3") == "This is a hot and clean sliced apple 3."


def test_hot_sliced_and_cool_sliced_without_and():
    engine, _ = play(AT_COUNTER, "take knife 1 from countertop 1", "slice apple 3 with knife 1")
    for command in ("move knife 1 to countertop 1", "take apple 3 from countertop 1", "go to fridge 1"):
        engine.step(command)
    engine.step("cool apple 3 with fridge 1")
    assert engine.step("examine apple 3") == "This is a cool sliced apple 3."
    engine.step("go to microwave 1")
    engine.step("heat apple 3 with microwave 1")
    assert engine.step("examine apple 3") == "This is a hot sliced apple 3."


def test_slicing_goes_by_place_not_by_sight():
    engine, _ = play(AT_COUNTER, "take knife 1 from countertop 1", "go to microwave 1")
    assert "slice apple 1 with knife 1" in engine.admissible  # the door is closed


def test_a_lamp_turns_on_and_never_off():
    engine, text = play("go to sidetable 1", "use desklamp 1")
    assert text == "You turn on the desklamp 1."
    assert engine.step("use desklamp 1") == "You turn on the desklamp 1."


def test_looking():
    assert say("look") == "You are in the middle of a room. Looking quickly around you, you see nothing."
    assert (
        say(AT_COUNTER, "look")
        == "You are facing the countertop 1, and sinkbasin 1. Next to it, you see nothing."
    )
    assert say("go to fridge 1", "look") == "You are facing the fridge 1. Next to it, you see nothing."


def test_what_was_taken_out_and_put_beside_is_seen_next_to_it():
    moved = (AT_COUNTER, "take knife 1 from countertop 1", "move knife 1 to sinkbasin 1")
    engine, text = play(*moved, "look")
    assert text == "You are facing the countertop 1, and sinkbasin 1. Next to it, you see a knife 1."
    engine.step("take knife 1 from sinkbasin 1")
    assert engine.step("look").endswith("Next to it, you see nothing.")
    engine.step("move knife 1 to countertop 1")
    assert engine.step("look").endswith("Next to it, you see a knife 1.")


def test_inventory_and_help():
    assert say("inventory") == "You are not carrying anything."
    assert say(AT_COUNTER, "take knife 1 from countertop 1", "inventory") == "You are carrying: a knife 1."
    text = say("help")
    assert text.startswith("Available commands:\n  look:                             look around")
    assert text.endswith("using a sharp object\n")


@pytest.mark.parametrize(
    "command", ["", "Look", "go to Fridge 1", "go  to fridge 1", "go to fridge", "dance", "look."]
)
def test_anything_else_changes_nothing(command):
    engine = FastEngine(house())
    before = engine.save()
    assert engine.step(command) == "Nothing happens."
    assert engine.save() == before


def test_spaces_around_a_command_do_not_matter():
    assert say("  look\n") == say("look")


def test_admissible_commands_are_sorted_and_all_do_something():
    engine = FastEngine(house())
    generator = random.Random(3)
    for _ in range(400):
        commands = engine.admissible
        assert commands == sorted(set(commands))
        assert engine.step(generator.choice(commands)) != "Nothing happens."


def test_changing_the_list_that_was_handed_out_does_no_harm():
    engine = FastEngine(house())
    engine.admissible.clear()
    assert "look" in engine.admissible


# ---- the goal --------------------------------------------------------------------------------------------


def test_the_goal_of_heating_is_not_latched():
    engine, _ = play(
        AT_COUNTER, "take apple 3 from countertop 1", "go to sidetable 1", "move apple 3 to sidetable 1"
    )
    assert not engine.won
    assert engine.checks() == {"object_in_place": True, "object_heated": False}
    for command in ("take apple 3 from sidetable 1", "go to microwave 1", "heat apple 3 with microwave 1"):
        engine.step(command)
    assert not engine.won
    for command in ("go to sidetable 1", "move apple 3 to sidetable 1"):
        engine.step(command)
    assert engine.won
    engine.step("take apple 3 from sidetable 1")
    assert not engine.won


def test_two_must_be_in_the_same_receptacle():
    goal = Goal("pick_two_obj_and_place", "Apple", "SinkBasin")
    engine, _ = play(AT_COUNTER, "take apple 3 from countertop 1", "move apple 3 to sinkbasin 1", goal=goal)
    assert not engine.won
    for command in (
        "go to fridge 1",
        "take apple 2 from fridge 1",
        "go to sinkbasin 1",
        "move apple 2 to sinkbasin 1",
    ):
        engine.step(command)
    assert engine.won
    apart = Goal("pick_two_obj_and_place", "Spoon", "Drawer")
    engine, _ = play(goal=apart)
    assert not engine.won


def test_light_needs_the_thing_in_hand_at_a_lamp_that_was_turned_on():
    goal = Goal("look_at_obj_in_light", "Knife", "DeskLamp")
    engine, _ = play(
        "go to sidetable 1", "use desklamp 1", AT_COUNTER, "take knife 1 from countertop 1", goal=goal
    )
    assert not engine.won
    assert engine.checks() == {"object_held": True, "lamp_on_here": False}
    engine.step("go to sidetable 1")
    assert engine.won


def test_cooling_counts_what_was_cold_from_the_start():
    goal = Goal("pick_cool_then_place_in_recep", "Apple", "SideTable")
    engine, _ = play("go to fridge 1", "take apple 2 from fridge 1", "go to sidetable 1", goal=goal)
    engine.step("move apple 2 to sidetable 1")
    assert engine.won


def test_save_and_load_return_to_the_very_same_state():
    engine = FastEngine(house())
    generator = random.Random(7)
    for _ in range(60):
        engine.step(generator.choice(engine.admissible))
    state = pickle.loads(pickle.dumps(engine.save()))
    tail = [generator.choice(engine.admissible)]
    seen = [(engine.step(tail[0]), engine.admissible)]
    for _ in range(30):
        tail.append(generator.choice(engine.admissible))
        seen.append((engine.step(tail[-1]), engine.admissible))
    other = FastEngine(house())
    other.load(state)
    assert [(other.step(command), other.admissible) for command in tail] == seen


def test_reset_forgets_everything():
    engine = FastEngine(house())
    start = engine.save()
    generator = random.Random(11)
    for _ in range(100):
        engine.step(generator.choice(engine.admissible))
    engine.reset()
    assert engine.save() == start
    assert say("go to fridge 1", engine=engine).endswith("a apple 2.")
