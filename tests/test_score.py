"""SCoRe: rewards, advantages and divergences by hand, and whole runs that resume exactly."""

from dataclasses import replace

import pytest
from test_sft_grpo import GUESS, sft_config
from training_runs import metrics, same_weights, stopped_after

from palaestra.agents.episode import Episode, Turn, read_episodes, sequences
from palaestra.errors import PalaestraError
from palaestra.trainers import score, sft


def settings(**changes):
    return score.Config(policy="tiny:nowhere", **{**GUESS, **changes})


def attempt(reward, *actions, group="g", number=0):
    """Return an attempt; second ones have ``after`` among their tags."""
    turns = [
        Turn("", [1, 2], 0 if at == 0 else 4 * at, [3, 4], [-0.5, -0.5], a) for at, a in enumerate(actions)
    ]
    return Episode(
        "e",
        "t",
        "",
        0,
        "p",
        "a",
        group=group,
        attempt=number,
        turns=turns,
        reward=reward,
        success=reward == 1,
    )


def pair(r1, r2, group="g", number=0, first=("1",), second=("2",)):
    again = replace(attempt(r2, *second, group=group, number=number + 10), tags={"after": number})
    return attempt(r1, *first, group=group, number=number), again


# ---- the formulas --------------------------------------------------------------------------------


@pytest.mark.parametrize(("r1", "r2", "shaped"), [(0, 1, 11), (1, 1, 1), (1, 0, -10), (0, 0, 0)])
def test_the_papers_shaped_rewards(r1, r2, shaped):
    assert score.shaped_reward(r1, r2, 10) == shaped
    assert score.shaped_reward(r1, r2, 0) == r2


def test_values_are_compared_with_the_mean_of_the_others():
    assert score.relative([1, 0, 0, 1], normalise_std=False) == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    # Mean 0.5, unbiased deviation sqrt(1 / 3).
    assert score.relative([1, 0, 0, 1], normalise_std=True) == pytest.approx(
        [0.8660, -0.8660, -0.8660, 0.8660], abs=1e-4
    )
    assert score.relative([5], normalise_std=False) == [0.0]
    assert score.relative([5], normalise_std=True) == [0.0]
    assert score.relative([2, 2], normalise_std=True) == [0.0, 0.0]


FOUR = [pair(0, 1), pair(1, 1), pair(1, 0), pair(0, 0)]


def test_stage_one_credits_second_attempts_alone():
    # r2 = 1, 1, 0, 0 against the mean of the other three.
    found = score.pair_advantages(FOUR, 1, settings(alpha=10.0))
    assert [first for first, _ in found] == [0, 0, 0, 0]
    assert [second for _, second in found] == pytest.approx([2 / 3, 2 / 3, -2 / 3, -2 / 3])


def test_stage_two_credits_both_each_by_its_own_reward():
    # r1 = 0, 1, 1, 0 and shaped 11, 1, -10, 0 (sum 2): 11 + 9/3, 1 - 1/3, -10 - 12/3, 0 - 2/3.
    found = score.pair_advantages(FOUR, 2, settings(alpha=10.0))
    assert [first for first, _ in found] == pytest.approx([-2 / 3, 2 / 3, 2 / 3, -2 / 3])
    assert [second for _, second in found] == pytest.approx([14, 2 / 3, -14, -2 / 3])
    # Without shaping the second attempts' own rewards are compared.
    unshaped = score.pair_advantages(FOUR, 2, settings(alpha=0.0))
    assert [second for _, second in unshaped] == pytest.approx([2 / 3, 2 / 3, -2 / 3, -2 / 3])


def test_normalised_attempts_are_each_divided_by_their_own_spread():
    found = score.pair_advantages(FOUR, 2, settings(alpha=10.0, normalise_std=True))
    # Shaped rewards have mean 0.5 and unbiased variance (110.25 + 0.25 + 110.25 + 0.25) / 3.
    deviation = (221 / 3) ** 0.5
    assert [second for _, second in found] == pytest.approx(
        [x / deviation for x in (10.5, 0.5, -10.5, -0.5)], abs=1e-5
    )
    assert [first for first, _ in found] == pytest.approx([-0.8660, 0.8660, 0.8660, -0.8660], abs=1e-4)


def test_how_second_attempts_compare():
    found = [*FOUR, pair(0, 1, first=("a b",), second=("a c",))]
    measured = score.correction(found)
    assert measured["score/first"] == pytest.approx(2 / 5)
    assert measured["score/second"] == pytest.approx(3 / 5)
    assert measured["score/delta"] == pytest.approx(1 / 5)
    assert measured["score/i_to_c"] == pytest.approx(2 / 5)
    assert measured["score/c_to_i"] == pytest.approx(1 / 5)
    assert measured["score/edit_distance"] == pytest.approx((4 * 1.0 + 0.5) / 5)


def trainer(**changes):
    return score.SCoRe(settings(**changes), None, None)  # type: ignore[arg-type]


def credited(iteration, pairs, **changes):
    episodes = [first for first, _ in pairs] + [second for _, second in pairs]
    return trainer(**changes).credit(iteration, episodes)


TWO = [pair(0, 1, number=0), pair(1, 1, number=1)]


def test_rows_carry_the_divergence_of_their_stage():
    changes = {"kl_coefficient": 0.01, "first_kl_coefficient": 0.25, "stage_one_iterations": 3}
    for iteration, strong in ((1, 0.26), (3, 0.26), (4, 0.01)):
        rows, found = credited(iteration, TWO, **changes)
        assert [row.group for row in rows] == ["g attempt 1", "g attempt 2"] * 2
        for row in rows:
            expected = strong if row.group.endswith("1") else 0.01
            assert row.divergence == pytest.approx([expected] * len(row.ids))
        assert found["score/stage"] == (1 if iteration <= 3 else 2)
    # The coefficients themselves stand in the rows.
    assert settings(**changes).learner().kl_coefficient == 1.0
    assert settings(kl_coefficient=0.0, first_kl_coefficient=0.0).learner().kl_coefficient == 0.0
    assert settings(kl_coefficient=0.0).learner().kl_coefficient == 1.0
    none = {"kl_coefficient": 0.0, "stage_one_iterations": 0}
    assert settings(**none).learner().kl_coefficient == 0.0


def test_every_sampled_token_sees_its_own_attempts_advantage():
    rows, _ = credited(1, TWO, stage_one_iterations=0, alpha=10.0)
    # r1 = 0, 1: -1 and 1. Shaped: 11 and 1: 10 and -10.
    assert [row.advantage for row in rows] == [[0, 0, a, a] for a in (-1, 10, 1, -10)]
    assert all(row.sampled == [False, False, True, True] for row in rows)


def test_pairs_are_compared_within_their_task_and_without_failures():
    other = [pair(0, 1, group="h", number=0), pair(0, 1, group="h", number=1)]
    broken = replace(attempt(0.0, group="h", number=2), outcome="failed")
    episodes = [e for pair in [*TWO, *other] for e in pair] + [broken]
    rows, found = trainer(stage_one_iterations=0, alpha=10.0).credit(1, episodes)
    of_h = [row for row in rows if row.group.startswith("h")]
    assert len(of_h) == 4
    assert not any(any(row.advantage or ()) for row in of_h)
    assert found["success"] == found["score/first"] == 0.25


# ---- whole runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=100, epochs=4, options=OPTIONS))
    return out / "policy"


OPTIONS = ("highest=8", "max_steps=3")


def config(out, guesser, **changes):
    values = {
        **GUESS,
        "options": OPTIONS,
        "iterations": 4,
        "tasks_per_iteration": 3,
        "group_size": 4,
        "stage_one_iterations": 2,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        **changes,
    }
    return score.Config(out=out, policy=f"tiny:{guesser}", **values)


def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser):
    straight = score.train(config(tmp_path / "straight", guesser))
    with stopped_after(monkeypatch, score.SCoRe, "iterate", 3):
        score.train(config(tmp_path / "broken", guesser))
    broken = score.train(config(tmp_path / "broken", guesser))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)
    assert [row["score/stage"] for row in metrics(straight)] == [1, 1, 2, 2]
    assert any(row.get("learner/kl", 0) > 0 for row in metrics(straight))


def test_second_attempts_have_the_first_ones_before_them(tmp_path, guesser):
    run = score.train(config(tmp_path, guesser, iterations=1, save_episodes_every=1))
    episodes = list(read_episodes(run / "episodes" / "step-00000001.jsonl"))
    assert len(episodes) == 24
    firsts = {(e.group, e.attempt): e for e in episodes if "after" not in e.tags}
    for second in (e for e in episodes if "after" in e.tags):
        (seen,) = sequences(firsts[second.group, second.tags["after"]])
        assert second.turns[0].prompt_ids[: len(seen.ids)] == seen.ids


def test_stage_one_lifts_second_attempts(tmp_path, guesser):
    """The policy never saw a second attempt before, so it does worse there than in first ones."""
    changes = {
        "iterations": 15,
        "stage_one_iterations": 15,
        "tasks_per_iteration": 6,
        "group_size": 8,
        "learning_rate": 3e-3,
        "evaluate_every": 15,
        "eval_options": OPTIONS,
        "eval_tasks": 100,
        "checkpoint_every": 15,
    }
    run = score.train(config(tmp_path / "score", guesser, **changes))
    before, after = (row for row in metrics(run) if "eval/second" in row)
    assert after["eval/first"] == after["eval/success"]
    assert after["eval/delta"] == pytest.approx(after["eval/second"] - after["eval/first"])
    assert after["eval/second"] > before["eval/second"] + 0.08


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group_size": 1}, "group_size must be 2 or more"),
        ({"stage_one_iterations": 0, "first_kl_coefficient": 0.2}, "no stage I"),
        ({"alpha": -1.0}, "alpha"),
        ({"kl_coefficient": -0.1}, "kl_coefficient"),
        ({"aggregation": "constant"}, "constant"),
        ({"aggregation": "mean"}, "aggregation"),
    ],
)
def test_senseless_settings_are_refused(changes, words):
    with pytest.raises(PalaestraError, match=words):
        settings(**changes)
