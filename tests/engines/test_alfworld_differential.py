"""The fast engine against the real one: equal texts, commands and rewards at every step."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import palaestra  # noqa: F401  (registers the environments)
from palaestra.envs.alfworld.differential import compare
from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.game import TASK_TYPES
from palaestra.envs.alfworld.generator import GeneratedGames
from palaestra.envs.alfworld.tasks import OfficialGames
from palaestra.envs.alfworld.textworld_engine import TextWorldEngine, _logic_paths
from palaestra.errors import DataError, InfrastructureError

sys.path.insert(0, str(Path(__file__).parents[1]))
from alfworld_house import house

pytestmark = [
    pytest.mark.textworld,
    pytest.mark.skipif(
        importlib.util.find_spec("textworld") is None or importlib.util.find_spec("alfworld") is None,
        reason="the real engine is not installed: scripts/install-engines.sh",
    ),
]
SHARED = Path(os.environ.get("PALAESTRA_SHARED") or Path(__file__).parents[2] / ".." / "shared")
OFFICIAL = SHARED / "data" / "alfworld"
needs_put_logic = pytest.mark.skipif(
    not any(path.is_file() for path in _logic_paths()),
    reason="the older wording's logic.json is not here (ALFWORLD_LOGIC or PALAESTRA_SHARED)",
)
WORDINGS = ["move", pytest.param("put", marks=needs_put_logic)]


def walk(game, kind: str, steps: int, *, cached: bool, seed: int = 0):
    real = TextWorldEngine(game, cached=cached)
    try:
        return compare(game, real, kind, steps, np.random.default_rng(seed))
    finally:
        real.close()


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("number", range(len(TASK_TYPES)), ids=TASK_TYPES)
def test_generated_games_in_the_unmodified_engine(number, wording):
    games = GeneratedGames("train", scale="small", wording=wording, task_types=[TASK_TYPES[number]])
    found = walk(games.game(number), "mixed", 25, cached=False, seed=number)
    assert found.mismatches == []
    assert found.states > 10


@pytest.mark.parametrize("kind", ["random", "mixed", "expert"])
@pytest.mark.parametrize("number", range(len(TASK_TYPES)), ids=TASK_TYPES)
def test_full_generated_games(number, kind):
    games = GeneratedGames("test", scale="full", task_types=[TASK_TYPES[number]])
    found = walk(games.game(number), kind, 60, cached=True, seed=number)
    assert found.mismatches == []
    assert found.states > 5


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official games are not here (PALAESTRA_SHARED)")
@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("number", range(len(TASK_TYPES)), ids=TASK_TYPES)
def test_official_games(number, wording):
    games = OfficialGames("valid_seen", data=OFFICIAL, wording=wording, task_types=[TASK_TYPES[number]])
    found = walk(games.game(number), "mixed", 60, cached=True, seed=number)
    assert found.mismatches == []
    assert found.states > 20


@pytest.mark.parametrize("wording", WORDINGS)
def test_a_house_full_of_quirks(wording):
    found = walk(house(wording=wording), "random", 150, cached=False)
    assert found.mismatches == []
    assert found.states > 20


def test_remembered_parses_change_nothing():
    game = GeneratedGames("train", scale="small").game(7)
    raw, cached = TextWorldEngine(game), TextWorldEngine(game, cached=True)
    try:
        assert raw.reset() == cached.reset()
        generator = np.random.default_rng(0)
        for _ in range(25):
            command = raw.admissible[int(generator.integers(len(raw.admissible)))]
            assert (raw.step(command), raw.admissible, raw.won) == (
                cached.step(command),
                cached.admissible,
                cached.won,
            )
    finally:
        raw.close()
        cached.close()


def test_a_mismatch_would_be_seen():
    game = GeneratedGames("train", scale="small").game(1)

    class Liar(FastEngine):
        def step(self, command: str) -> str:
            return super().step(command).replace("you see", "You see")

    found = compare(game, Liar(game), "random", 20, np.random.default_rng(0))
    assert found.mismatches
    assert "text" in found.mismatches[0]


def test_the_environment_plays_on_the_real_engine():
    env = gymnasium.make("palaestra/ALFWorld-v0", engine="textworld", scale="small")
    try:
        _, info = env.reset(seed=3)
        assert info["engine"] == "textworld"
        ended, reward = False, 0.0
        while not ended:
            _, reward, terminated, truncated, info = env.step(env.unwrapped.expert())
            ended = terminated or truncated
        assert reward == 1.0
        assert info["success"]
    finally:
        env.close()


def test_a_killed_child_is_a_failure_and_no_reward():
    env = gymnasium.make("palaestra/ALFWorld-v0", engine="textworld", scale="small")
    try:
        env.reset(seed=3)
        os.kill(env.unwrapped._real.pid, signal.SIGKILL)
        with pytest.raises(InfrastructureError):
            env.step("look")
    finally:
        env.close()


def test_a_refused_game_is_a_data_error():
    game = GeneratedGames("train", scale="small").game(1)

    class Broken(type(game)):
        def problem(self) -> str:
            return super().problem().replace("(:goal", "(:gaol")

    broken = Broken(**{name: getattr(game, name) for name in game.__dataclass_fields__})
    with pytest.raises(DataError, match="refused"):
        TextWorldEngine(broken)


def test_engines_leave_no_process_behind():
    game = GeneratedGames("train", scale="small").game(1)
    pids = []
    for _ in range(3):
        engine = TextWorldEngine(game)
        pids.append(engine.pid)
        engine.close()
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids)
