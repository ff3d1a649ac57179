"""Credit against numbers computed by hand from the published formulas."""

from dataclasses import replace

import pytest

from palaestra.agents.episode import Episode, Turn
from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers.core.advantages import (
    CreditConfig,
    assign_credit,
    group_advantages,
    step_advantages,
)

ROOT_HALF = 0.5**0.5


def episode(observations, reward=0.0, *, group="g", invalid=(), failed=False, rewards=None):
    """An episode whose reward is paid in its last turn; ``observations`` is one letter a turn."""
    paid = rewards or [0.0] * (len(observations) - 1) + [reward]
    turns = [
        Turn(letter, [1], 0, [2], [-1.0], "act", reward=paid[number], valid=number not in invalid)
        for number, letter in enumerate(observations)
    ]
    return Episode(
        "env", "task", "goal", 0, "policy", "agent",
        group=group, turns=turns, reward=reward, outcome="failed" if failed else "terminated",
    )  # fmt: skip


SHORT_SUCCESS = episode("sx", 1.0)
LONG_FAILURE = episode("syxs", 0.0)


def flat(rows):
    return [value for row in rows for value in row]


def test_the_episode_baseline_weighs_every_episode_once():
    found = group_advantages([SHORT_SUCCESS, LONG_FAILURE])
    # mean 1/2, unbiased std sqrt(1/2)
    assert flat(found) == pytest.approx([ROOT_HALF] * 2 + [-ROOT_HALF] * 4, abs=1e-5)


def test_the_steps_baseline_weighs_every_step_once():
    found = group_advantages([SHORT_SUCCESS, LONG_FAILURE], baseline="steps")
    # six scores 1, 1, 0, 0, 0, 0: mean 1/3, unbiased variance (2 x 4/9 + 4 x 1/9) / 5 = 4/15
    std = (4 / 15) ** 0.5
    assert flat(found) == pytest.approx([2 / 3 / std] * 2 + [-1 / 3 / std] * 4, abs=1e-5)


def test_without_the_std_only_the_mean_is_taken_off():
    assert (
        flat(group_advantages([SHORT_SUCCESS, LONG_FAILURE], normalise_std=False)) == [0.5] * 2 + [-0.5] * 4
    )
    found = group_advantages([SHORT_SUCCESS, LONG_FAILURE], baseline="steps", normalise_std=False)
    assert flat(found) == pytest.approx([2 / 3] * 2 + [-1 / 3] * 4)


def test_an_invalid_action_is_penalised_in_its_own_turn():
    clumsy = episode("syxs", 0.0, invalid=[1])
    found = group_advantages([SHORT_SUCCESS, clumsy], normalise_std=False, penalty=0.1)
    # the failure's mean score is -0.025, so the baseline is 0.4875
    assert found[0] == pytest.approx([0.5125] * 2)
    assert found[1] == pytest.approx([-0.4875, -0.5875, -0.4875, -0.4875])


def test_gigpo_compares_turns_that_saw_the_same_observation():
    found = step_advantages([SHORT_SUCCESS, LONG_FAILURE], gamma=0.5, normalise_std=False)
    # returns 0.5, 1 | 0, 0, 0, 0; s: mean of 0.5, 0, 0 is 1/6; x: mean of 1, 0 is 1/2; y is alone
    assert found[0] == pytest.approx([1 / 3, 1 / 2])
    assert found[1] == pytest.approx([-1 / 6, 0.0, -1 / 2, -1 / 6])
    assert sum(flat(found)) == pytest.approx(0.0)


def test_gigpo_with_the_std_of_each_anchor():
    found = step_advantages([SHORT_SUCCESS, LONG_FAILURE], gamma=0.5)
    # s: unbiased variance of 0.5, 0, 0 is ((1/3)^2 + 2 (1/6)^2) / 2 = 1/12; x: std of 1, 0 is sqrt(1/2)
    std = (1 / 12) ** 0.5
    assert found[0] == pytest.approx([1 / 3 / std, ROOT_HALF], abs=1e-4)
    assert found[1] == pytest.approx([-1 / 6 / std, 0.0, -ROOT_HALF, -1 / 6 / std], abs=1e-4)


def test_gigpo_discounts_rewards_on_the_way_and_penalises_once():
    first = episode("abc", 1.0, rewards=[0.0, 0.5, 0.5], invalid=[0])
    second = episode("abc", 0.0)
    found = step_advantages([first, second], gamma=0.5, normalise_std=False, penalty=0.2)
    # returns of the first, from its end: 0.5, then 0.5 + 0.25, then 0.375 less the penalty 0.2
    assert found[0] == pytest.approx([0.175 / 2, 0.75 / 2, 0.5 / 2])
    assert found[1] == pytest.approx([-0.175 / 2, -0.75 / 2, -0.5 / 2])


def test_credit_adds_the_weighted_step_part_to_the_episode_part():
    config = CreditConfig(normalise_std=False, gigpo_omega=2.0, gigpo_gamma=0.5)
    credit = assign_credit([SHORT_SUCCESS, LONG_FAILURE], config)
    assert credit.advantages[0] == pytest.approx([0.5 + 2 / 3, 0.5 + 1])
    assert credit.advantages[1] == pytest.approx([-0.5 - 1 / 3, -0.5, -0.5 - 1, -0.5 - 1 / 3])


def test_gigpo_without_the_filter_compares_the_turns_of_a_group_of_equal_returns():
    fast, slow = episode("s", 1.0), episode("ss", 1.0)
    config = CreditConfig(normalise_std=False, gigpo_omega=1.0, gigpo_gamma=0.5, dynamic_filter=False)
    # s brought 1, 0.5 and 1, whose mean is 5/6.
    assert assign_credit([fast, slow], config).advantages == [
        pytest.approx([1 / 6]),
        pytest.approx([-1 / 3, 1 / 6]),
    ]
    assert assign_credit([fast, slow], replace(config, dynamic_filter=True)).advantages == [None, None]


def test_groups_are_compared_apart_and_keep_the_order_of_episodes():
    episodes = [
        episode("s", 1.0, group="a"),
        episode("s", 0.0, group="b"),
        episode("s", 0.0, group="a"),
        episode("s", 0.5, group="b"),
    ]
    credit = assign_credit(episodes, CreditConfig(normalise_std=False))
    assert credit.advantages == [[0.5], [-0.25], [-0.5], [0.25]]
    assert (credit.groups, credit.flat, credit.lone, credit.failed) == (2, 0, 0, 0)


def test_failed_episodes_are_in_no_baseline_and_get_no_advantage():
    episodes = [SHORT_SUCCESS, episode("s", 0.0, failed=True), LONG_FAILURE]
    credit = assign_credit(episodes, CreditConfig())
    alone = assign_credit([SHORT_SUCCESS, LONG_FAILURE], CreditConfig())
    assert credit.advantages == [alone.advantages[0], None, alone.advantages[1]]
    assert credit.failed == 1


def test_a_group_left_with_one_episode_teaches_nothing():
    credit = assign_credit([SHORT_SUCCESS, episode("s", 0.0, failed=True)], CreditConfig())
    assert credit.advantages == [None, None]
    assert (credit.lone, credit.flat) == (1, 0)


def test_groups_without_spread_are_dropped_or_kept_at_zero():
    episodes = [episode("s", 1.0), episode("sx", 1.0, invalid=[1])]
    dropped = assign_credit(episodes, CreditConfig(invalid_action_penalty=0.1))
    assert (dropped.advantages, dropped.flat) == ([None, None], 1)
    kept = assign_credit(episodes[:1] * 2, CreditConfig(dynamic_filter=False))
    assert (kept.advantages, kept.flat) == ([[0.0], [0.0]], 1)
    # without the filter the penalty alone still tells the two apart
    penalised = assign_credit(
        episodes, CreditConfig(dynamic_filter=False, normalise_std=False, invalid_action_penalty=0.1)
    )
    assert penalised.advantages[1] == pytest.approx([0.025, -0.075])


def test_unusable_settings_are_refused():
    with pytest.raises(UnknownNameError, match="episode"):
        CreditConfig(baseline="episodes")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="gigpo_gamma"):
        CreditConfig(gigpo_gamma=1.5)
    with pytest.raises(OptionError, match="invalid_action_penalty"):
        CreditConfig(invalid_action_penalty=-1)
