"""Without the real engine: the differential walk sees mismatches, and the adapter says what it lacks."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from palaestra.envs.alfworld import textworld_engine
from palaestra.envs.alfworld.differential import WALKS, compare, replay
from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.generator import GeneratedGames
from palaestra.errors import DataError, MissingExtraError, UnknownNameError

GAME = GeneratedGames("train", scale="small").game(1)
PUT_GRAMMAR = 'a "rhs": "Your task is to: old \\"sentence\\"." and "put {o} in/on {r}"'


class WrongText(FastEngine):
    def step(self, command: str) -> str:
        return super().step(command).replace("you see", "You see")


class WrongCommands(FastEngine):
    @property
    def admissible(self) -> list[str]:
        return [command for command in super().admissible if command != "inventory"]


class WrongOrder(FastEngine):
    @property
    def admissible(self) -> list[str]:
        return super().admissible[::-1]


class WrongGoal(FastEngine):
    @property
    def won(self) -> bool:
        return True


@pytest.mark.parametrize("walk", WALKS)
def test_an_engine_equals_itself(walk):
    found = compare(GAME, FastEngine(GAME), walk, 40, np.random.default_rng(0))
    assert found.mismatches == []
    assert found.states == len(found.commands) + 1 == len(found.texts)
    assert found.states > 5


@pytest.mark.parametrize(
    ("engine", "word"),
    [
        (WrongText, "text: fast"),
        (WrongCommands, "admissible: only fast ['inventory']"),
        (WrongOrder, "order of"),
        (WrongGoal, "won: fast False, real True"),
    ],
)
def test_every_kind_of_mismatch_is_seen_and_can_be_repeated(engine, word):
    found = compare(GAME, engine(GAME), "random", 20, np.random.default_rng(0))
    assert word in found.mismatches[-1]
    assert GAME.id in found.mismatches[-1]
    again = replay(GAME, engine(GAME), found.commands)
    assert again.mismatches == found.mismatches


def test_the_expert_walk_goes_on_after_the_goal():
    found = compare(GAME, FastEngine(GAME), "expert", 60, np.random.default_rng(0))
    assert found.won_states >= 2


def test_an_unknown_walk_is_named():
    with pytest.raises(UnknownNameError, match="random"):
        compare(GAME, FastEngine(GAME), "randon", 5, np.random.default_rng(0))


def test_without_the_extra_its_name_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"palaestra\[alfworld\]"):
        textworld_engine.TextWorldEngine(GAME)


def put_game():
    return GeneratedGames("train", scale="small", wording="put").game(1)


def test_the_older_wording_says_what_logic_it_needs(monkeypatch, tmp_path):
    monkeypatch.delenv("ALFWORLD_LOGIC", raising=False)
    monkeypatch.setenv("PALAESTRA_SHARED", str(tmp_path))
    assert textworld_engine.playable_wordings() == ("move",)
    with pytest.raises(DataError, match="ALFWORLD_LOGIC"):
        textworld_engine.game_file(put_game())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pddl_domain": "d"}', '{"domains": {}}'])
def test_a_file_without_logic_is_named(monkeypatch, tmp_path, text):
    path = tmp_path / "logic.json"
    path.write_text(text)
    monkeypatch.setenv("ALFWORLD_LOGIC", str(path))
    with pytest.raises(DataError, match=r"logic\.json"):
        textworld_engine.game_file(put_game())


def test_a_logic_file_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ALFWORLD_LOGIC", str(tmp_path / "nowhere.json"))
    with pytest.raises(DataError, match=r"nowhere\.json"):
        textworld_engine.game_file(put_game())


def test_logic_of_the_newer_wording_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps({"pddl_domain": "d", "grammar": "move {o} to {r}"}))
    monkeypatch.setenv("ALFWORLD_LOGIC", str(path))
    with pytest.raises(DataError, match="'move'"):
        textworld_engine.game_file(put_game())


def test_an_official_game_file_gives_the_older_logic_and_its_sentence_is_replaced(monkeypatch, tmp_path):
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps({"pddl_domain": "the domain", "grammar": PUT_GRAMMAR}))
    monkeypatch.setenv("ALFWORLD_LOGIC", str(path))
    game = put_game()
    data = textworld_engine.game_file(game)
    assert textworld_engine.playable_wordings() == ("move", "put")
    assert data["pddl_domain"] == "the domain"
    assert data["grammar"] == PUT_GRAMMAR.replace('old \\"sentence\\".', game.task)
    assert data["pddl_problem"] == game.problem()
