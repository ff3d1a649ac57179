"""SEC: the bandit's formulas by hand, a curriculum that goes where learning is, and whole runs."""

from pathlib import Path

import numpy as np
import pytest
from test_sft_grpo import SMALL, sft_config
from training_runs import metrics, same_weights, stopped_after

from palaestra.agents.episode import Episode
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.envs.core import ListTaskSet, Task
from palaestra.errors import OptionError
from palaestra.trainers import sec, sft

HOUSE = {
    "env": "palaestra/ALFWorld-v0",
    "options": (
        "scale=small",
        "max_steps=10",
        'task_types=["look_at_obj_in_light","pick_and_place_simple","pick_heat_then_place_in_recep"]',
    ),
    "max_context_tokens": 1500,
}
TYPES = ("look_at_obj_in_light", "pick_and_place_simple", "pick_heat_then_place_in_recep")


def config(out=Path("runs/none"), policy="nowhere", **changes):
    settings = {
        **HOUSE,
        "iterations": 4,
        "tasks_per_iteration": 4,
        "group_size": 3,
        "max_new_tokens": 12,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        "pool_tasks": 60,
        **changes,
    }
    return sec.Config(out=out, policy=f"tiny:{policy}", **settings)


def trainer(**changes):
    return sec.SEC(config(**changes), None, None)  # type: ignore[arg-type]


def tries(scenario, group, *rewards, failed=0):
    episodes = [
        Episode(
            env_id="e",
            task_id="t",
            goal="",
            seed=0,
            policy="p",
            agent="a",
            scenario=scenario,
            group=group,
            reward=float(reward),
            success=reward == 1,
            outcome="terminated",
        )
        for reward in [*rewards, *[1.0] * failed]
    ]
    for episode in episodes[len(rewards) :]:
        episode.outcome = "failed"
    return episodes


# ---- the formulas --------------------------------------------------------------------------------


def test_softmax_of_values():
    # e^0, e^-1, e^-2 over their sum.
    found = sec.softmax({"a": 0.5, "b": 0.4, "c": 0.3}, 0.1)
    assert list(found.values()) == pytest.approx([0.665241, 0.244728, 0.090031], abs=1e-6)
    assert sec.softmax({"a": 1000.0, "b": 0.0}, 0.1) == {"a": 1.0, "b": 0.0}


def test_the_reward_of_a_category_is_the_mean_absolute_advantage():
    episodes = (
        tries("half", "1", 1, 1, 0, 0)  # 2 x 0.5 x 0.5
        + tries("quarter", "2", 1, 0, 0, 0)  # 2 x 0.25 x 0.75
        + tries("never", "3", 0, 0, 0)
        + tries("always", "4", 1, 1)
    )
    found = sec.mean_absolute_advantage(episodes)
    assert found == pytest.approx({"half": 0.5, "quarter": 0.375, "never": 0.0, "always": 0.0})


def test_it_is_a_mean_over_tries_each_compared_with_its_own_group():
    # |advantages| 0.5, 0.5 of one group and 0, 0, 0, 0 of the other.
    found = sec.mean_absolute_advantage(tries("a", "1", 1, 0) + tries("a", "2", 0, 0, 0, 0))
    assert found == pytest.approx({"a": 1 / 6})


def test_failed_tries_and_lone_ones_say_nothing():
    assert sec.mean_absolute_advantage(tries("a", "1", 0, failed=1) + tries("b", "2", 1)) == {}
    assert sec.mean_absolute_advantage(tries("a", "1", 1, 0, failed=2)) == pytest.approx({"a": 0.5})


def test_values_follow_rewards_and_untried_categories_keep_theirs():
    curriculum = trainer(bandit_rate=0.25, bandit_start=0.4)
    curriculum.credit(1, tries(TYPES[0], "1", 1, 0) + tries(TYPES[1], "2", 0, 0))
    expected = {TYPES[0]: 0.25 * 0.5 + 0.75 * 0.4, TYPES[1]: 0.75 * 0.4, TYPES[2]: 0.4}
    assert curriculum.values == pytest.approx(expected)


def test_what_is_logged_are_the_chances_in_force_and_the_values_after():
    curriculum = trainer()
    _, found = curriculum.credit(1, tries(TYPES[0], "1", 0, 0))
    assert found[f"curriculum/chance/{TYPES[0]}"] == pytest.approx(1 / 3)
    assert found[f"curriculum/value/{TYPES[0]}"] == 0.25


def test_the_reward_does_not_depend_on_what_grpo_normalises():
    for normalise_std in (True, False):
        curriculum = trainer(normalise_std=normalise_std)
        curriculum.credit(1, tries(TYPES[0], "1", 1, 0, 0, 0))
        assert curriculum.values[TYPES[0]] == pytest.approx(0.5 * 0.375 + 0.5 * 0.5)


# ---- drawing -------------------------------------------------------------------------------------


def test_categories_are_the_scenarios_of_tasks_spread_over_the_set():
    tasks = ListTaskSet([Task(str(i), "g", "train", scenario="ab"[i % 2]) for i in range(100)])
    assert sec.categories(tasks, 1000) == {
        "a": list(range(0, 100, 2)),
        "b": list(range(1, 100, 2)),
    }
    spread = sec.categories(tasks, 4)
    assert sorted(index for pool in spread.values() for index in pool) == [0, 25, 50, 75]


def test_tasks_are_drawn_from_the_categories_by_their_chances():
    curriculum = trainer(bandit_temperature=0.1)
    assert list(curriculum.pools) == list(TYPES)
    curriculum.values = {TYPES[0]: 0.5, TYPES[1]: 0.4, TYPES[2]: -9.0}
    drawn = curriculum.draw(np.random.default_rng(0), 1000)
    of_type = [curriculum.tasks[index].scenario for index in drawn]
    # 1 / (1 + e^-1) = 0.731
    assert of_type.count(TYPES[0]) / 1000 == pytest.approx(0.731, abs=0.05)
    assert of_type.count(TYPES[2]) == 0
    # The kinds stand mixed, not one after the other.
    assert of_type[:100].count(TYPES[1]) > 10


def test_no_task_is_drawn_twice_while_its_category_has_others():
    curriculum = trainer()
    curriculum.values = {TYPES[0]: 9.0, TYPES[1]: 0.0, TYPES[2]: 0.0}
    size = len(curriculum.pools[TYPES[0]])
    assert len(set(curriculum.draw(np.random.default_rng(0), size))) == size
    assert len(curriculum.draw(np.random.default_rng(0), size + 5)) == size + 5


def test_a_very_high_temperature_draws_all_alike_and_a_start_of_zero_is_no_optimism():
    curriculum = trainer(bandit_temperature=1e9)
    curriculum.credit(1, tries(TYPES[0], "1", 1, 0))
    assert list(sec.softmax(curriculum.values, 1e9).values()) == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert set(trainer(bandit_start=0.0).values.values()) == {0.0}


def test_the_curriculum_goes_where_learning_is():
    """Categories that always fail, are learnt as they are tried, or always succeed; then the middle one is
    mastered and another becomes learnable: the bandit follows.
    """
    curriculum = trainer(tasks_per_iteration=12)
    shares = dict(zip(TYPES, (0.0, 0.5, 1.0), strict=True))

    def play(iterations):
        counts = dict.fromkeys(TYPES, 0)
        for iteration in iterations:
            generator = np.random.default_rng([1, iteration])
            episodes = []
            for number, index in enumerate(curriculum.draw(generator, 12)):
                kind = curriculum.tasks[index].scenario
                counts[kind] += 1
                episodes += tries(kind, f"{iteration}.{number}", *(generator.random(8) < shares[kind]))
            curriculum.credit(iteration, episodes)
        return counts

    play(range(1, 6))
    first = play(range(6, 26))
    assert first[TYPES[1]] > 0.85 * sum(first.values())
    shares.update({TYPES[0]: 0.5, TYPES[1]: 1.0})
    play(range(26, 36))
    then = play(range(36, 56))
    assert then[TYPES[0]] > 0.7 * sum(then.values())


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    out = tmp_path_factory.mktemp("clone")
    sft.train(
        sft_config(
            out, **HOUSE, **{**SMALL, "vocab_size": 400}, episodes=90, epochs=2, batch_tokens=1000, noise=0.1
        )
    )
    return out / "policy"


def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, clone):
    straight = sec.train(config(tmp_path / "straight", clone))
    with stopped_after(monkeypatch, sec.SEC, "iterate", 3):
        sec.train(config(tmp_path / "broken", clone))
    broken = sec.train(config(tmp_path / "broken", clone))
    assert same_weights(straight, broken)
    assert metrics(straight) == metrics(broken)
    last = metrics(straight)[-1]
    values = [last[f"curriculum/value/{kind}"] for kind in TYPES]
    assert all(0 <= value < 0.5 for value in values)
    assert len(set(values)) > 1


def test_a_run_leaves_a_policy(tmp_path, clone):
    run = sec.train(config(tmp_path, clone, iterations=1))
    assert TinyPolicy.load(run / "policy").model is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bandit_rate": 0.0}, "bandit_rate"),
        ({"bandit_rate": 1.5}, "bandit_rate"),
        ({"bandit_temperature": 0.0}, "bandit_temperature"),
        ({"bandit_start": -0.1}, "bandit_start"),
        ({"pool_tasks": 0}, "pool_tasks"),
    ],
)
def test_senseless_settings_are_refused(changes, words):
    with pytest.raises(OptionError, match=words):
        config(**changes)


def test_tasks_of_one_category_are_refused():
    with pytest.raises(OptionError, match="all of one category, 'guess'"):
        trainer(env="palaestra/GuessNumber-v0", options=())
