"""The environment contract: seeding, info, flags, snapshots by both ways, errors, and the text space."""

import copy
import json
import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from palaestra.envs.core import ListTaskSet, Task, TextEnv, Verdict
from palaestra.envs.guess_number import GuessNumberEnv, GuessNumberTasks
from palaestra.envs.panel import Panel, make_env, make_panel
from palaestra.envs.spaces import Unicode
from palaestra.errors import ContractError, DataError, OptionError, UnknownNameError

GUESS = "palaestra/GuessNumber-v0"


class DiceEnv(TextEnv):
    """An environment without a saved state: it is restored by replaying, dice included."""

    def __init__(self, max_steps=6, render_mode=None, **unknown):
        tasks = ListTaskSet([Task(f"dice-{i}", "roll a six", "train") for i in range(5)])
        super().__init__(tasks, max_steps=max_steps, render_mode=render_mode, **unknown)

    def _start(self, task):
        self.rolls = [int(self.np_random.integers(1, 7))]
        return f"first {self.rolls[0]}"

    def _apply(self, action):
        self.rolls.append(int(self.np_random.integers(1, 7)))
        return f"{action} {self.rolls[-1]}", action == "stop"

    def _verify(self):
        six = 6 in self.rolls
        return Verdict(float(six), six, {"six": six})


class SavedDiceEnv(DiceEnv):
    """The same with a saved state; it must draw on from where it was."""

    def _save(self):
        return list(self.rolls)

    def _load(self, state):
        self.rolls = state


def play(env, actions):
    return [env.step(action) for action in actions]


def test_gymnasiums_checker_passes():
    check_env(make_env(GUESS), skip_render_check=True)


def test_the_same_seed_gives_the_same_episodes():
    runs = []
    for _ in range(2):
        env = make_env(GUESS)
        told = [env.reset(seed=11)]
        for _ in range(3):
            told += play(env, ["50", "0", "x"])
            told.append(env.reset())
        runs.append(told)
    assert runs[0] == runs[1]
    assert len({answer[1]["task_id"] for answer in runs[0] if len(answer) == 2}) > 1


def test_tasks_are_drawn_from_the_environments_own_generator_only():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    env = make_env(GUESS)
    env.reset(seed=4)
    drawn = [env.reset()[1]["task_id"] for _ in range(5)]
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(2)
    env.reset(seed=4)
    assert [env.reset()[1]["task_id"] for _ in range(5)] == drawn
    # One draw an episode of GuessNumber, so a plain generator with the same seed names the same tasks.
    generator = gymnasium.utils.seeding.np_random(4)[0]
    generator.integers(len(env.tasks))
    assert [f"train-{generator.integers(len(env.tasks))}" for _ in range(5)] == drawn


def test_choosing_a_task_draws_nothing():
    env = make_env(GUESS)
    env.reset(seed=4)
    state = copy.deepcopy(env.np_random.bit_generator.state)
    assert env.reset(options={"task": "train-7"})[1]["task_id"] == "train-7"
    assert env.np_random.bit_generator.state == state


def test_info_always_has_its_keys_and_the_end_names_its_checks():
    env = make_env(GUESS)
    _, info = env.reset(seed=0)
    assert info == {"task_id": env.task.id, "goal": env.task.goal, "success": False, "steps": 0}
    _, reward, terminated, truncated, info = env.step(str(env.task.data["secret"]))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["success"] is True
    assert info["steps"] == 1
    assert info["checks"] == {"found": True}
    assert json.dumps(info)


def test_reward_is_paid_once_and_never_both_flags():
    for seed in range(30):
        env = make_env(GUESS, {"highest": 6, "max_steps": 3})
        env.reset(seed=seed)
        answers = []
        generator = np.random.default_rng(seed)
        while not answers or not (answers[-1][2] or answers[-1][3]):
            answers.append(env.step(str(generator.integers(1, 7))))
        assert all(answer[1] == 0.0 for answer in answers[:-1])
        assert not any(answer[2] and answer[3] for answer in answers)
        assert answers[-1][1] == float(answers[-1][2])
        assert len(answers) <= 3


def test_success_at_the_last_step_terminates():
    env = make_env(GUESS, {"max_steps": 1})
    env.reset(seed=0)
    assert env.step(str(env.task.data["secret"]))[1:4] == (1.0, True, False)
    env.reset(seed=0)
    assert env.step("0")[1:4] == (0.0, False, True)


@pytest.mark.parametrize(
    ("build", "actions"),
    [
        (lambda: GuessNumberEnv(max_steps=6), ["50", "25", "75", "1"]),
        (DiceEnv, ["a", "b", "c", "stop"]),
        (SavedDiceEnv, ["a", "b", "c", "stop"]),
    ],
    ids=["state", "replay", "state with draws"],
)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_snapshot_brings_back_the_very_same_future(build, actions, at):
    env, other = build(), build()
    env.reset(seed=3)
    env.reset()
    play(env, actions[:at])
    snapshot = env.snapshot()
    here, state = env._full_info(), copy.deepcopy(snapshot.state)
    future = play(env, actions[at:])
    env.reset(seed=99)
    other.reset(seed=5)
    for restored in (env, other):
        observation, info = restored.restore(snapshot)
        assert observation == snapshot.observation
        assert info == here
        assert play(restored, actions[at:]) == future
    # The snapshot itself was not worn by being used, nor by the steps after it.
    assert env.restore(snapshot)[0] == snapshot.observation
    assert len(snapshot.actions) == at
    assert snapshot.state == state


def test_a_snapshot_of_a_finished_episode_stays_finished():
    env = DiceEnv()
    env.reset(seed=1)
    env.step("stop")
    snapshot = env.snapshot()
    env.reset()
    _, info = env.restore(snapshot)
    assert info["success"] == (6 in env.rolls)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("a")


def test_stepping_without_an_episode_is_refused():
    env = make_env(GUESS, {"max_steps": 1})
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("1")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.snapshot()
    env.reset(seed=0)
    env.step("0")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("1")


def test_wrong_options_tasks_and_actions_name_the_nearest():
    with pytest.raises(UnknownNameError, match="'highest'"):
        make_env(GUESS, {"higest": 10})
    with pytest.raises(UnknownNameError, match="'train'"):
        make_env(GUESS, {"split": "trian"})
    with pytest.raises(UnknownNameError, match="render mode"):
        GuessNumberEnv(render_mode="rgb")
    for options in ({"highest": 1}, {"max_steps": 0}):
        with pytest.raises(OptionError):
            make_env(GUESS, options)
    env = make_env(GUESS)
    with pytest.raises(UnknownNameError, match="Did you mean 'train-1"):
        env.reset(options={"task": "trian-1"})
    with pytest.raises(UnknownNameError, match="'task'"):
        env.reset(options={"tasks": "train-1"})
    env.reset(seed=0)
    with pytest.raises(ContractError, match="string"):
        env.step(5)
    assert env.steps == 0
    assert issubclass(UnknownNameError, KeyError)


def test_verdicts_outside_zero_to_one_are_refused():
    for reward in (math.nan, math.inf, -0.1, 1.1):
        with pytest.raises(ContractError, match="finite"):
            Verdict(reward, False)


def test_an_environment_without_an_expert_says_so():
    env = DiceEnv()
    with pytest.raises(ContractError, match="has_expert"):
        env.expert()


def test_guess_number_experts_win_and_near_misses_do_not():
    env = make_env(GUESS)
    for index in range(40):
        env.reset(options={"task": f"train-{index}"})
        for miss in env.near_misses():
            env.reset(options={"task": f"train-{index}"})
            assert sum(answer[1] for answer in play(env, miss)) == 0.0
        env.reset(options={"task": f"train-{index}"})
        over = reward = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.expert())
            over = terminated or truncated
        assert reward == 1.0


def test_guess_number_secrets_are_spread_and_fixed():
    tasks = GuessNumberTasks("train", 100)
    secrets = [task.data["secret"] for task in tasks]
    counts = np.bincount(secrets, minlength=101)
    assert counts[0] == 0
    assert counts[1:].min() > 50
    assert len(counts) == 101
    # Fixed for ever: results on the same panel could not be compared if they moved.
    assert secrets[:3] == [17, 97, 78]
    others = [task.data["secret"] for task in GuessNumberTasks("test", 100)]
    assert sum(a == b for a, b in zip(secrets, others, strict=True)) < 300


def test_task_sets_index_slice_and_find():
    tasks = GuessNumberTasks("valid", 100)
    assert tasks[-1].id == "valid-9999"
    assert [task.id for task in tasks[2:6:2]] == ["valid-2", "valid-4"]
    assert tasks.find("valid-12") == tasks[12]
    for wrong in ("valid-10000", "valid-012", "valid--1", "valid-²", "train-1", ""):
        assert tasks.index_of(wrong) is None
    with pytest.raises(IndexError):
        tasks[10_000]
    with pytest.raises(OptionError, match="unique"):
        ListTaskSet([Task("a", "", "train"), Task("a", "", "train")])
    with pytest.raises(OptionError, match="at least one"):
        ListTaskSet([])


def test_rendering_shows_the_last_observation(capsys):
    env = make_env(GUESS, {"render_mode": "ansi"})
    env.reset(seed=0)
    env.step("0")
    assert env.render() == "Higher."
    human = make_env(GUESS, {"render_mode": "human"})
    human.reset(seed=0)
    human.step("0")
    assert capsys.readouterr().out.splitlines() == ["Guess my number between 1 and 100.", "Higher."]
    assert human.render() is None


def test_the_text_space_holds_every_script():
    space = Unicode(max_length=5, seed=1)
    for text in ("", "é字🙂", "a\n\0"):
        assert text in space
    for other in ("123456", 5, None, b"a", ["a"]):
        assert other not in space
    samples = [space.sample() for _ in range(200)]
    assert all(text in space for text in samples)
    assert any(not text.isascii() for text in samples)
    assert Unicode(max_length=5, seed=1).sample() == samples[0]
    assert space == Unicode(5) != Unicode(6)
    assert len({space, Unicode(5)}) == 1
    assert not space.is_np_flattenable
    assert "é" not in gymnasium.spaces.Text(5)
    with pytest.raises(ValueError, match="mask"):
        space.sample(mask=1)
    with pytest.raises(ValueError, match="max_length"):
        Unicode(0)


def test_panels_are_a_function_of_their_seed_and_survive_the_disk(tmp_path):
    panel = make_panel(GUESS, 20, seed=3, options={"split": "test"})
    assert panel == make_panel(GUESS, 20, seed=3, options={"split": "test"})
    assert panel.digest != make_panel(GUESS, 20, seed=4, options={"split": "test"}).digest
    assert len({item.task_id for item in panel.items}) == 20
    assert len({item.key for item in panel.items}) == 20
    panel.save(tmp_path / "panel.json")
    assert Panel.load(tmp_path / "panel.json") == panel
    (tmp_path / "panel.json").write_text('{"name": "x"}')
    with pytest.raises(DataError, match="panel"):
        Panel.load(tmp_path / "panel.json")
