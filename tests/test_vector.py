"""The vector environment: Gymnasium's conventions, autoreset modes, and members that misbehave."""

import copy
import gc
import os
import threading
import time
from pathlib import Path

import gymnasium
import numpy as np
import planted  # noqa: F401  (the environments registered below)
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import palaestra  # noqa: F401
from palaestra.envs import registration
from palaestra.envs.registration import register
from palaestra.envs.vector import TextVectorEnv
from palaestra.errors import ContractError, OptionError, UnknownNameError

GUESS = "palaestra/GuessNumber-v0"
TASKS = [f"train-{i}" for i in range(4)]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    register("tests/Planted-v0", "planted:PlantedEnv")
    register("tests/PlantedIo-v0", "planted:PlantedIoEnv")
    yield
    for name in ("tests/Planted-v0", "tests/PlantedIo-v0"):
        del gymnasium.registry[name]
        registration._registered.discard(name)


@pytest.fixture
def make():
    made = []

    def make_one(*args, **kwargs):
        made.append(TextVectorEnv(*args, **kwargs))
        return made[-1]

    yield make_one
    for envs in made:
        envs.close()


def sync(count, mode=AutoresetMode.NEXT_STEP, **options):
    single = [lambda: gymnasium.make(GUESS, disable_env_checker=True, **options)] * count
    return SyncVectorEnv(single, autoreset_mode=mode)


def same(left, right):
    """Say whether two infos of Gymnasium's convention agree, types and nesting included."""
    if isinstance(left, dict):
        return set(left) == set(right) and all(same(left[key], right[key]) for key in left)
    return left.dtype == right.dtype and left.tolist() == right.tolist()


def test_make_vec_gives_our_class_and_its_spec_is_json():
    envs = gymnasium.make_vec(GUESS, num_envs=3, highest=10, isolation="none")
    assert isinstance(envs, TextVectorEnv)
    assert envs.num_envs == 3
    observations, _ = envs.reset(seed=1)
    assert observations in envs.observation_space
    assert observations == ("Guess my number between 1 and 10.",) * 3
    spec = gymnasium.envs.registration.EnvSpec.from_json(envs.spec.to_json())
    again = gymnasium.make_vec(spec)
    assert isinstance(again, TextVectorEnv)
    assert again.num_envs == 3
    assert again.reset(seed=1)[0] == observations


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_results_equal_gymnasiums_own_vector_env(make, mode):
    ours = make(GUESS, 4, autoreset_mode=mode, max_steps=5, highest=6)
    theirs = sync(4, mode, max_steps=5, highest=6)
    assert ours.metadata["autoreset_mode"] is mode
    observations, infos = ours.reset(seed=3)
    expected, expected_infos = theirs.reset(seed=3)
    assert observations == expected
    assert same(infos, expected_infos)
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        actions = [str(number) for number in generator.integers(1, 7, 4)]
        left, right = ours.step(actions), theirs.step(actions)
        assert left[0] == right[0]
        for i in (1, 2, 3):
            assert left[i].dtype == right[i].dtype
            assert left[i].tolist() == right[i].tolist()
        assert same(left[4], right[4])
        ends += int(left[2].sum() + left[3].sum())
    assert ends > 20


def test_disabled_mode_resets_by_mask_only(make):
    envs = make(GUESS, 3, autoreset_mode="Disabled", max_steps=2)
    envs.reset(seed=0, options={"tasks": TASKS[:3]})
    envs.step(["0"] * 3)
    *_, truncations, _ = envs.step(["0"] * 3)
    assert truncations.all()
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset_mask"):
        envs.step(["0"] * 3)
    envs.reset(options={"reset_mask": np.array([True, True, False])})
    with pytest.raises(gymnasium.error.ResetNeeded, match="member 2"):
        envs.step(["0"] * 3)
    observations, infos = envs.reset(options={"reset_mask": np.array([False, False, True]), "task": TASKS[3]})
    assert [bool(text) for text in observations] == [False, False, True]
    assert infos["task_id"][2] == TASKS[3]
    assert infos["_task_id"].tolist() == [False, False, True]
    *_, truncations, infos = envs.step(["0"] * 3)
    assert infos["steps"].tolist() == [1, 1, 1]


def test_seeds_and_tasks(make):
    envs = make(GUESS, 3)
    first = envs.reset(seed=5)[1]["task_id"].tolist()
    assert envs.reset(seed=[5, 6, 7])[1]["task_id"].tolist() == first
    assert envs.reset(seed=[7, None, 5])[1]["task_id"][[0, 2]].tolist() == [first[2], first[0]]
    assert envs.reset(options={"task": TASKS[1]})[1]["task_id"].tolist() == [TASKS[1]] * 3
    assert envs.reset(options={"tasks": TASKS[:3]})[1]["task_id"].tolist() == TASKS[:3]


def test_wrong_arguments_are_typed_errors(make):
    envs = make(GUESS, 2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(["1", "2"])
    for options, error in [
        ({"tsk": "x"}, UnknownNameError),
        ({"task": "train-x"}, UnknownNameError),
        ({"tasks": ["train-1"]}, OptionError),
        ({"task": "train-1", "tasks": TASKS[:2]}, OptionError),
        ({"reset_mask": [1, 0]}, OptionError),
    ]:
        with pytest.raises(error):
            envs.reset(options=options)
    with pytest.raises(OptionError, match="seeds"):
        envs.reset(seed=[1])
    envs.reset(seed=0)
    for actions in (["1"], ["1", 2], "12"):
        with pytest.raises(ContractError):
            envs.step(actions)
    assert envs.failures == 0
    # After a reset that was refused halfway no member goes on with its old episode.
    envs.reset(seed=0)
    envs.step(["0", "0"])
    with pytest.raises(UnknownNameError):
        envs.reset(options={"tasks": ["train-x", "train-1"]})
    assert envs.step(["0", "0"])[4]["steps"].tolist() == [0, 0]
    for wrong in ({"num_envs": 0}, {"autoreset_mode": "Sometimes"}, {"isolation": "threads"}, {"highset": 3}):
        with pytest.raises((OptionError, UnknownNameError)):
            TextVectorEnv(GUESS, **{"num_envs": 2, **wrong})
    with pytest.raises(UnknownNameError, match="GuessNumber"):
        TextVectorEnv("palaestra/GuesNumber-v0")
    with pytest.raises(OptionError, match="not a TextEnv"):
        TextVectorEnv("CartPole-v1")


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_wrong_choices_are_the_callers_errors_in_threads_and_processes_too(make, isolation):
    with pytest.raises(UnknownNameError, match="highest"):
        TextVectorEnv(GUESS, 2, isolation=isolation, highset=3)
    envs = make(GUESS, 2, isolation=isolation)
    with pytest.raises(UnknownNameError, match="task"):
        envs.reset(options={"tasks": ["train-x", "train-1"]})
    assert envs.failures == 0
    assert envs.reset(options={"tasks": TASKS[:2]})[1]["task_id"].tolist() == TASKS[:2]
    assert envs.call("expert") == ("50", "50")


def test_infos_are_a_lazy_dict(make):
    envs = make(GUESS, 2)
    _, infos = envs.reset(seed=0)
    assert isinstance(infos, dict)
    assert [info["steps"] for info in infos.members] == [0, 0]
    assert dict(infos).keys() == {**envs.reset(seed=0)[1]}.keys() == infos.keys()
    assert len(copy.deepcopy(envs.reset(seed=0)[1])) == 8
    recorded = gymnasium.wrappers.vector.RecordEpisodeStatistics(make(GUESS, 2, max_steps=1))
    recorded.reset(seed=0)
    assert recorded.step(["0", "0"])[4]["episode"]["l"].tolist() == [1, 1]


def play(envs, steps):
    """Step all members with the same guesses and return what each of them reported, info included."""
    observations, infos = envs.reset(seed=0, options={"tasks": TASKS})
    told = [[(text, info)] for text, info in zip(observations, infos.members, strict=True)]
    for step in range(steps):
        observations, rewards, ends, cuts, infos = envs.step([str(200 + step)] * len(TASKS))
        assert np.isfinite(rewards).all()
        assert not (ends & cuts).any()
        for i in range(len(TASKS)):
            told[i].append((observations[i], rewards[i], ends[i], cuts[i], infos.members[i]))
    return told


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("raise", "RuntimeError: planted"),
        ("exit", "SystemExit"),
        ("nan", "finite and in"),
        ("two", "finite and in"),
        ("bytes", "must be a string"),
        ("both", "not both"),
    ],
)
@pytest.mark.parametrize("isolation", ["none", "thread"])
def test_a_misbehaving_member_is_isolated(make, isolation, defect, said, tmp_path):
    note = tmp_path / "closed"
    healthy = play(make("tests/Planted-v0", 4, isolation=isolation), 8)
    spoiled = make("tests/Planted-v0", 4, isolation=isolation, defect=defect, victim=TASKS[2], note=str(note))
    told = play(spoiled, 8)
    assert spoiled.failures == 1
    assert [told[i] for i in (0, 1, 3)] == [healthy[i] for i in (0, 1, 3)]
    assert told[2][:3] == healthy[2][:3]
    observation, reward, ended, cut, info = told[2][3]
    assert (observation, reward, ended, cut) == ("", 0.0, False, True)
    assert said in info["failure"]
    # The next step is the reset of the replacement, and then the member plays on.
    observation, reward, ended, cut, info = told[2][4]
    assert observation.startswith("Guess")
    assert (reward, ended, cut, info["steps"]) == (0.0, False, False, 0)
    assert [entry[4]["steps"] for entry in told[2][5:]] == [1, 2, 3, 4]
    for _ in range(100):
        if note.exists() and note.read_text():
            break
        time.sleep(0.02)
    assert note.read_text() == "closed\n"


def test_replacements_are_drawn_by_the_members_own_seed(make):
    runs = []
    for _ in range(2):
        envs = make("tests/Planted-v0", 4, defect="raise", at=1)
        told = play(envs, 6)
        runs.append([[entry[-1].get("task_id") for entry in member] for member in told])
        assert envs.failures == 12
    assert runs[0] == runs[1]
    assert len({member[2] for member in runs[0]}) > 1
    assert any(member[2] != member[4] for member in runs[0])


@pytest.mark.parametrize("isolation", ["none", "thread"])
def test_a_member_that_cannot_begin_is_isolated_as_well(make, isolation):
    envs = make("tests/Planted-v0", 2, isolation=isolation, defect="start", victim=TASKS[0])
    observations, infos = envs.reset(options={"tasks": TASKS[:2]})
    assert observations[0] == ""
    assert observations[1].startswith("Guess")
    assert infos["failure"].tolist() == ["RuntimeError: planted at the start", None]
    assert envs.step(["0", "0"])[4].members[1]["steps"] == 1
    never = make("tests/Planted-v0", 2, isolation=isolation, defect="start")
    never.reset()
    for _ in range(3):
        observations, rewards, terminations, truncations, _ = never.step(["0", "0"])
        assert observations == ("", "")
        assert rewards.tolist() == [0.0, 0.0]
        assert (truncations & ~terminations).all()
    assert never.failures == 8


def test_a_failure_in_mode_same_step_begins_the_next_episode_at_once(make):
    envs = make("tests/Planted-v0", 2, defect="nan", at=2, victim=TASKS[0], autoreset_mode="SameStep")
    envs.reset(seed=0, options={"tasks": TASKS[:2]})
    envs.step(["0", "0"])
    observations, rewards, _, truncations, infos = envs.step(["0", "0"])
    assert observations[0].startswith("Guess")
    assert truncations.tolist() == [True, False]
    assert rewards.tolist() == [0.0, 0.0]
    assert infos["final_obs"].tolist() == ["", None]
    assert "reward" in infos["final_info"]["failure"][0]
    assert infos["steps"].tolist() == [0, 2]


def threads_of(name):
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_a_hanging_io_member_is_given_up_at_its_deadline(make):
    healthy = play(make("tests/PlantedIo-v0", 4), 6)
    envs = make("tests/PlantedIo-v0", 4, defect="hang", victim=TASKS[1], step_deadline_s=1.0)
    assert envs.isolation == "thread"
    before = time.monotonic()
    told = play(envs, 6)
    assert time.monotonic() - before < 15  # the planted hang lasts 30 s
    assert envs.failures == 1
    assert "step took longer than 1 s" in told[1][3][4]["failure"]
    assert [told[i] for i in (0, 2, 3)] == [healthy[i] for i in (0, 2, 3)]
    assert [entry[4]["steps"] for entry in told[1][5:]] == [1, 2]


@pytest.mark.parametrize(("defect", "said"), [("hang", "DeadlineError"), ("die", "status 7")])
def test_a_member_that_hangs_or_dies_in_its_process_is_replaced(make, defect, said):
    healthy = play(make("tests/Planted-v0", 4, isolation="none"), 6)
    envs = make(
        "tests/Planted-v0", 4, isolation="process", defect=defect, victim=TASKS[1], step_deadline_s=3.0
    )
    told = play(envs, 6)
    assert envs.failures == 1
    assert said in told[1][3][4]["failure"]
    assert [told[i] for i in (0, 2, 3)] == [healthy[i] for i in (0, 2, 3)]
    assert [entry[4]["steps"] for entry in told[1][5:]] == [1, 2]


def test_closing_or_dropping_ends_threads_and_processes():
    envs = TextVectorEnv("tests/Planted-v0", 2, isolation="process")
    pids = [int(text) for text in children()]
    assert len(pids) >= 2
    envs.close()
    envs.close()
    assert not set(map(str, pids)) & set(children())
    TextVectorEnv("tests/Planted-v0", 2, isolation="thread")
    gc.collect()
    for _ in range(100):
        if not threads_of("tests/Planted-v0 ["):
            break
        time.sleep(0.02)
    assert not threads_of("tests/Planted-v0 [")


def children():
    """Return the process ids of our worker children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"palaestra.sandboxes.worker" in status.read_bytes():
                parent = (status.parent / "stat").read_text().rsplit(")", 1)[1].split()[1]
                if int(parent) == os.getpid():
                    found.append(status.parent.name)
        except OSError:
            continue
    return found
