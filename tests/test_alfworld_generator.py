"""Generated games: splits that do not touch, and games that depend on nothing but their index."""

from collections import Counter

import pytest

from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.game import TASK_TYPES
from palaestra.envs.alfworld.generator import (
    GENERATED_SPLITS,
    SCALES,
    GeneratedGames,
    all_pairs,
    layouts,
    pairs,
)
from palaestra.envs.alfworld.rooms import FITS, ROOMS
from palaestra.errors import OptionError, UnknownNameError

POOLS = ("train", "valid_unseen", "test")


def layout_of(game):
    return tuple(sorted(Counter(item.type for item in game.facts.receptacles).items()))


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_goals_of_the_splits_are_disjoint_and_none_is_empty(task_type):
    found = [pairs(task_type, pool) for pool in POOLS]
    assert all(found)
    assert sum(map(len, found)) == len(frozenset.union(*found)) == len(all_pairs(task_type))


@pytest.mark.parametrize("scale", SCALES)
def test_layouts_of_the_splits_are_disjoint(scale):
    found = [set(layouts(kind, scale, pool)) for kind in ROOMS for pool in POOLS]
    assert all(found)
    assert sum(map(len, found)) == len(set.union(*found))


@pytest.mark.parametrize("scale", SCALES)
def test_games_keep_to_the_goals_and_layouts_of_their_split(scale):
    goals: dict[str, set] = {}
    rooms: dict[str, set] = {}
    for split in GENERATED_SPLITS:
        games = [GeneratedGames(split, scale=scale).game(index) for index in range(250)]
        goals[split] = {game.facts.goal for game in games}
        rooms[split] = {layout_of(game) for game in games}
        assert {game.task_type for game in games} == set(TASK_TYPES)
    for first, second in (("train", "valid_unseen"), ("train", "test"), ("valid_unseen", "test")):
        assert goals[first].isdisjoint(goals[second])
        assert rooms[first].isdisjoint(rooms[second])
    for goal in goals["valid_seen"]:
        assert (goal.object, goal.target) in pairs(goal.task_type, "train")
    allowed = {layout for kind in ROOMS for layout in layouts(kind, scale, "train")}
    assert rooms["valid_seen"] <= allowed


def test_valid_seen_has_other_games_than_train():
    train = {GeneratedGames("train", scale="small").game(index).facts for index in range(300)}
    seen = {GeneratedGames("valid_seen", scale="small").game(index).facts for index in range(300)}
    assert train.isdisjoint(seen)


def test_a_game_depends_on_its_index_alone():
    forward = [GeneratedGames("train").game(index) for index in range(12)]
    games = GeneratedGames("train", size=12)
    backward = [games.game(index) for index in reversed(range(12))]
    assert forward == backward[::-1]
    assert len({game.facts for game in forward}) == 12


def test_a_task_id_is_decoded_without_generating():
    games = GeneratedGames("valid_seen", scale="small")
    assert games.index_of("gen-small-valid_seen-99999") == 99_999
    assert games.task(123).id == "gen-small-valid_seen-123"
    assert games.find("gen-small-valid_seen-123") == games.task(123)
    for wrong in ("gen-small-train-1", "gen-small-valid_seen-100000", "gen-small-valid_seen-01", "1", ""):
        assert games.index_of(wrong) is None
    with pytest.raises(UnknownNameError, match="gen-small-valid_seen-0"):
        games.find("gen-small-valid_seen-x")


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_a_chosen_task_type_is_the_only_one(task_type):
    games = GeneratedGames("train", task_types=[task_type], scale="small")
    assert {games.game(index).task_type for index in range(20)} == {task_type}


def test_the_order_of_the_task_types_does_not_matter():
    first, second = TASK_TYPES[:2]
    assert GeneratedGames("train", task_types=[first, second]).game(5) == GeneratedGames(
        "train", task_types=[second, first]
    ).game(5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("split", GENERATED_SPLITS)
def test_games_are_well_formed(split, scale):
    for index in range(120):
        game = GeneratedGames(split, scale=scale).game(index)
        facts, goal = game.facts, game.facts.goal
        kinds = {item.id: item.type for item in facts.receptacles}
        assert not FastEngine(game).won
        names = [item.id for item in facts.receptacles + facts.objects]
        assert len(names) == len(set(names))
        for thing in facts.objects:
            (holder,) = thing.receptacles
            if thing.type != "DeskLamp":  # nothing is ever a dead end: it may lie where it lies
                assert (kinds[holder], thing.type) in facts.contains
            if thing.type == goal.object:
                assert kinds[holder] != goal.target
        assert sum(thing.type == goal.object for thing in facts.objects) >= (
            2 if "two" in game.task_type else 1
        )
        if scale == "small":
            assert 6 <= len(facts.receptacles) <= 9
            assert 5 <= len(facts.objects) <= 9


def test_full_rooms_are_about_as_large_as_the_official_ones():
    games = [GeneratedGames("train").game(index) for index in range(200)]
    assert 18 < sum(len(game.facts.receptacles) for game in games) / 200 < 28
    assert 32 < sum(len(game.facts.objects) for game in games) / 200 < 46


def test_things_are_hidden_in_closed_receptacles_and_lie_open_too():
    hidden = Counter()
    for index in range(200):
        facts = GeneratedGames("train").game(index).facts
        closed = {item.id for item in facts.receptacles if item.openable and not item.opened}
        hidden.update(
            thing.receptacles[0] in closed for thing in facts.objects if thing.type == facts.goal.object
        )
    assert min(hidden[True], hidden[False]) > 60


def test_the_table_of_what_fits_has_all_official_pairs():
    assert sum(map(len, FITS.values())) == 435


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'valid_seen'"):
        GeneratedGames("valid_sen")
    with pytest.raises(UnknownNameError, match="scale"):
        GeneratedGames("train", scale="medium")
    with pytest.raises(UnknownNameError, match="wording"):
        GeneratedGames("train", wording="shove")
    with pytest.raises(UnknownNameError, match="pick_heat_then_place_in_recep"):
        GeneratedGames("train", task_types=["pick_heat"])
    with pytest.raises(OptionError, match="task_types"):
        GeneratedGames("train", task_types=[])
    with pytest.raises(OptionError, match="size"):
        GeneratedGames("train", size=0)
