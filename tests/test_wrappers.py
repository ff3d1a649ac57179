"""The wrappers: flags, penalties and shaping, and specs that can be made again."""

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec

from palaestra.envs.core import TextEnv
from palaestra.envs.guess_number import GuessNumberEnv
from palaestra.envs.wrappers import InvalidActionPenalty, RewardShaping, StepLimit
from palaestra.errors import ContractError, OptionError

GUESS = "palaestra/GuessNumber-v0"


def progress(info):
    """A potential that grows with every step."""
    return info["steps"] / 10


def constant(info):
    return 7.0


def guess(**options):
    return gymnasium.make(GUESS, disable_env_checker=True, **options)


def secret(env):
    return str(env.unwrapped.task.data["secret"])


class ListingEnv(GuessNumberEnv):
    """GuessNumber that lists what may still be right as its admissible actions."""

    def _info(self):
        return {"admissible_actions": [str(number) for number in range(self._low, self._high + 1)]}


def test_step_limit_truncates_and_starts_anew_after_reset():
    env = StepLimit(guess(), 3)
    for _ in range(2):
        env.reset(seed=0)
        assert [env.step("0")[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


def test_a_success_at_the_last_step_is_no_truncation():
    env = StepLimit(guess(), 2)
    env.reset(seed=0)
    env.step("0")
    _, reward, terminated, truncated, _ = env.step(secret(env))
    assert (reward, terminated, truncated) == (1.0, True, False)


def test_the_environments_own_limit_still_holds():
    env = StepLimit(guess(max_steps=1), 5)
    env.reset(seed=0)
    assert env.step("0")[2:4] == (False, True)


def test_an_invalid_action_costs_and_is_told():
    env = InvalidActionPenalty(ListingEnv(), penalty=0.25)
    env.reset(seed=0, options={"task": "train-0"})
    number = int(secret(env))
    wrong = number - 1 if number > 1 else number + 1
    _, reward, _, _, info = env.step(str(wrong))
    assert (reward, info["invalid_action"]) == (0.0, False)
    # It was admissible a step ago and is no longer: only the last info counts.
    _, reward, _, _, info = env.step(str(wrong))
    assert (reward, info["invalid_action"]) == (-0.25, True)
    _, reward, terminated, _, info = env.step(f" {number} ")
    assert (reward, terminated, info["invalid_action"]) == (0.75, True, True)


def test_without_admissible_actions_the_penalty_is_refused():
    with pytest.raises(ContractError, match="admissible_actions"):
        InvalidActionPenalty(guess()).reset(seed=0)


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_shaping_telescopes_to_minus_the_first_potential(discount):
    env = RewardShaping(guess(), lambda info: 2.0 + info["steps"], discount)
    env.reset(seed=0)
    answers = [env.step("0"), env.step("0"), env.step(secret(env))]
    total = sum(discount**i * answer[1] for i, answer in enumerate(answers))
    task = sum(discount**i * answer[4]["task_reward"] for i, answer in enumerate(answers))
    assert [answer[4]["task_reward"] for answer in answers] == [0.0, 0.0, 1.0]
    assert total == pytest.approx(task - 2.0)
    assert answers[0][1] == pytest.approx(discount * 3.0 - 2.0)


def test_a_truncated_state_keeps_its_potential():
    env = RewardShaping(guess(max_steps=1), constant, 0.5)
    env.reset(seed=0)
    _, reward, _, truncated, _ = env.step("0")
    assert truncated
    assert reward == pytest.approx(0.5 * 7.0 - 7.0)


def test_wrong_arguments_are_typed_errors():
    for build in (
        lambda: StepLimit(guess(), 0),
        lambda: InvalidActionPenalty(guess(), -1.0),
        lambda: InvalidActionPenalty(guess(), float("nan")),
        lambda: RewardShaping(guess(), constant, 1.5),
        lambda: RewardShaping(guess(), "no_colon"),
        lambda: RewardShaping(guess(), "test_wrappers:nothing"),
        lambda: RewardShaping(guess(), "no_such_module:f"),
    ):
        with pytest.raises(OptionError):
            build()
    with pytest.raises(ContractError, match="finite"):
        RewardShaping(guess(), lambda info: float("inf")).reset(seed=0)


def test_specs_of_wrapped_environments_go_through_json():
    env = RewardShaping(StepLimit(guess(highest=9), 4), "test_wrappers:progress", 0.9)
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, RewardShaping)
    assert isinstance(again.unwrapped, TextEnv)
    assert again.unwrapped.highest == 9
    assert again.discount == 0.9
    assert again.env.max_steps == 4
    env.reset(seed=3)
    again.reset(seed=3)
    assert [env.step("0") for _ in range(4)] == [again.step("0") for _ in range(4)]
