"""The real engine as an environment's engine: it plays, it fails as it should, it leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
import signal
from dataclasses import replace
from pathlib import Path

import gymnasium
import pytest

import palaestra  # noqa: F401  (registers the environments)
from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.generator import GeneratedGames
from palaestra.envs.alfworld.textworld_engine import TextWorldEngine
from palaestra.errors import DataError, DeadlineError, WorkerError

pytestmark = [
    pytest.mark.textworld,
    pytest.mark.skipif(
        importlib.util.find_spec("textworld") is None or importlib.util.find_spec("alfworld") is None,
        reason="the real engine is not installed: scripts/install-engines.sh",
    ),
]


@pytest.fixture
def env():
    made = gymnasium.make("palaestra/ALFWorld-v0", engine="textworld", scale="small", max_steps=30)
    yield made
    made.close()


def children() -> set[str]:
    """Return the ids of this process's children, zombies included."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        found.update((task / "children").read_text().split())
    return found


def test_the_expert_wins_on_the_real_engine(env):
    _, info = env.reset(seed=3)
    assert info["engine"] == "textworld"
    rewards, ended = [], False
    while not ended:
        _, reward, terminated, truncated, info = env.step(env.unwrapped.expert())
        rewards.append(reward)
        ended = terminated or truncated
    assert terminated
    assert info["success"]
    assert rewards[-1] == 1.0
    assert sum(rewards) == 1.0


def test_a_snapshot_is_returned_to_by_replaying(env):
    env.reset(seed=3)
    base = env.unwrapped
    env.step(base.expert())
    point = base.snapshot()
    after = [env.step(base.expert())[0], env.step("inventory")[0]]
    observation, info = base.restore(point)
    assert observation == point.observation
    assert info["steps"] == 1
    assert [env.step(base.expert())[0], env.step("inventory")[0]] == after


def test_a_killed_child_is_a_failure_and_no_reward_and_a_reset_mends_it(env):
    first, _ = env.reset(seed=3)
    os.kill(env.unwrapped._real.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        env.step("look")
    assert env.reset(seed=3)[0] == first


def test_a_hanging_engine_ends_by_its_deadline():
    engine = TextWorldEngine(GeneratedGames("train", scale="small").game(1), step_deadline_s=1.0)
    try:
        engine.reset()
        child = engine.pid
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(DeadlineError):
            engine.step("look")
        assert not Path(f"/proc/{child}").exists()
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("written", "instead"),
    [("(:goal", "(:gaol"), ("(:objects", "(:objects\n agent1 - agent"), ("receptacleType ?r", "reType ?r")],
    ids=["section", "duplicate", "predicate"],
)
def test_a_game_that_the_engine_refuses_is_a_data_error(written, instead):
    game = GeneratedGames("train", scale="small", task_types=["pick_and_place_simple"]).game(1)
    problem = game.problem()
    assert written in problem
    with pytest.raises(DataError, match=f"refused the game '{game.id}'"):
        TextWorldEngine(replace(game, source=problem.replace(written, instead)))
    assert children() == set()


def test_a_sentence_of_any_letters_is_said_as_it_is():
    game = replace(GeneratedGames("train", scale="small").game(1), task="put the café's “mug” away \\ now.")
    engine = TextWorldEngine(game)
    try:
        assert engine.reset() == FastEngine(game).reset()
    finally:
        engine.close()


def test_twenty_episodes_leave_no_process_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = children()
    for number in range(20):
        env = gymnasium.make("palaestra/ALFWorld-v0", engine="textworld", scale="small")
        env.reset(seed=number)
        assert len(children()) == len(before) + 1
        env.close()
        assert children() == before
    assert list(tmp_path.iterdir()) == []
