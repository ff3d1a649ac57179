"""The environment: verdicts, experts, near misses, snapshots, options, and Gymnasium's own check."""

import pickle
import random

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import palaestra  # noqa: F401  (registers the environments)
from palaestra.envs.alfworld.env import ALFWorldEnv
from palaestra.envs.alfworld.expert import STYLES
from palaestra.envs.alfworld.game import TASK_TYPES, WORDINGS
from palaestra.errors import OptionError, UnknownNameError


def finish(env, info):
    """Play the expert to the end; return the last step."""
    while True:
        action = env.expert()
        assert action in info["admissible_actions"]
        step = env.step(action)
        info = step[4]
        if step[2] or step[3]:
            return step


def test_gymnasium_accepts_it():
    check_env(gymnasium.make("palaestra/ALFWorld-v0", scale="small").unwrapped, skip_render_check=True)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_the_expert_earns_the_reward_once_at_the_end(task_type, style):
    env = ALFWorldEnv(task_types=[task_type], scale="small", expert=style)
    observation, info = env.reset(seed=3)
    assert info["task_type"] == task_type
    assert observation.endswith(f"Your task is to: {info['goal']}")
    _, reward, terminated, truncated, info = finish(env, info)
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert all(info["checks"].values())


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_near_misses_come_close_and_earn_nothing(task_type):
    env = ALFWorldEnv(task_types=[task_type], scale="small")
    for seed in range(8):
        env.reset(seed=seed)
        sequences = env.near_misses()
        assert len(sequences) >= 2
        name = env.task.id
        for sequence in sequences:
            env.reset(options={"task": name})
            for action in sequence[:-1]:
                assert env.step(action)[0] != "Nothing happens." or task_type == "look_at_obj_in_light"
            env.max_steps = len(sequence)
            _, reward, terminated, truncated, info = env.step(sequence[-1])
            assert (reward, terminated, truncated, info["success"]) == (0.0, False, True, False)
            assert not all(info["checks"].values())
            env.max_steps = 50


def test_near_misses_leave_out_the_very_thing_that_was_asked():
    env = ALFWorldEnv(task_types=["pick_heat_then_place_in_recep"], scale="small")
    env.reset(seed=1)
    assert any(
        any(command.startswith("move ") for command in sequence)
        and not any(command.startswith("heat ") for command in sequence)
        for sequence in env.near_misses()
    )


def test_a_command_that_cannot_be_carried_out_costs_a_step():
    env = ALFWorldEnv(scale="small", max_steps=3)
    env.reset(seed=0)
    assert env.step("dance")[0] == "Nothing happens."
    assert env.step("")[2:4] == (False, False)
    _, reward, terminated, truncated, info = env.step("fly")
    assert (reward, terminated, truncated, info["steps"]) == (0.0, False, True, 3)


@pytest.mark.parametrize("wording", WORDINGS)
def test_the_wording_is_that_of_the_commands_and_is_recorded(wording):
    env = ALFWorldEnv(scale="small", wording=wording, task_types=["pick_and_place_simple"])
    _, info = env.reset(seed=4)
    assert info["wording"] == wording
    assert info["engine"] == "fast"
    assert ("help" in info["admissible_actions"]) == (wording == "move")
    env_actions = []
    while not info["success"]:
        env_actions.append(env.expert())
        info = env.step(env_actions[-1])[4]
    assert env_actions[-1].startswith("move " if wording == "move" else "put ")


@pytest.mark.parametrize("style", STYLES)
def test_a_snapshot_in_mid_game_is_returned_to_exactly(style):
    env = ALFWorldEnv(expert=style)
    _, info = env.reset(seed=9)
    generator = random.Random(1)
    for _ in range(6):
        info = env.step(generator.choice(info["admissible_actions"]))[4]
    snapshot = env.snapshot()
    actions, seen = [], []
    while not (env.steps >= 45 or info["success"]):
        actions.append(env.expert())
        seen.append(env.step(actions[-1]))
        info = seen[-1][4]
    assert info["success"]
    others = [env, ALFWorldEnv(expert=style)]
    for other in others:
        copy = pickle.loads(pickle.dumps(snapshot))
        observation, restored = other.restore(copy)
        assert observation == snapshot.observation
        assert restored["steps"] == 6
        for action, step in zip(actions, seen, strict=True):
            assert other.expert() == action
            assert other.step(action) == step


def test_a_snapshot_of_the_end_knows_that_it_was_won():
    env = ALFWorldEnv(scale="small")
    _, info = env.reset(seed=2)
    finish(env, info)
    snapshot = env.snapshot()
    env.reset(seed=5)
    _, info = env.restore(snapshot)
    assert info["success"]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("look")


def test_an_environment_can_be_pickled_in_mid_game():
    env = ALFWorldEnv(scale="small")
    _, info = env.reset(seed=6)
    env.step(env.expert())
    other = pickle.loads(pickle.dumps(env))
    assert finish(other, info | {"admissible_actions": other._info()["admissible_actions"]})[1] == 1.0


def test_the_same_task_id_gives_the_same_game():
    first, second = ALFWorldEnv(), ALFWorldEnv()
    first.reset(seed=1)
    name = "gen-full-train-777"
    assert first.reset(options={"task": name}) == second.reset(options={"task": name})
    assert first.reset(seed=8) == second.reset(seed=8)


def test_a_closed_environment_needs_a_reset():
    env = ALFWorldEnv(scale="small")
    env.reset(seed=0)
    env.close()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("look")
    assert env.reset(seed=0)[1]["steps"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "valid_sen"}, "valid_seen"),
        ({"split": "valid_train"}, "valid_unseen"),
        ({"source": "offical"}, "official"),
        ({"engine": "textwrld"}, "textworld"),
        ({"wording": "shove"}, "move"),
        ({"scale": "smal"}, "small"),
        ({"task_types": ["pick_two"]}, "pick_two_obj_and_place"),
        ({"task_types": "pick_two"}, "pick_two_obj_and_place"),
        ({"expert": "oracel"}, "oracle"),
        ({"max_step": 3}, "max_steps"),
        ({"render_mode": "rgb"}, "ansi"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_one(options, said):
    with pytest.raises(UnknownNameError, match=said):
        ALFWorldEnv(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 0},
        {"size": 0},
        {"data": "/tmp"},
        {"source": "official", "data": "/tmp", "scale": "small"},
        {"source": "official", "data": "/tmp", "size": 10},
    ],
)
def test_options_that_would_do_nothing_are_refused(options):
    with pytest.raises(OptionError):
        ALFWorldEnv(**options)


def test_a_wrong_task_is_refused():
    with pytest.raises(UnknownNameError, match="gen-full-train-0"):
        ALFWorldEnv().reset(options={"task": "gen-full-test-0"})
