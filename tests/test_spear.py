"""SPEAR: its formulas by hand-made numbers, its switches, exact resume, and one run from end to end."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import metrics, same_weights

from palaestra.agents.episode import Episode, Turn
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.cli.main import parse_config
from palaestra.errors import OptionError
from palaestra.trainers import grpo, sft, spear
from palaestra.trainers.core.advantages import CreditConfig, assign_credit
from palaestra.trainers.core.batch import Row

GUESS = {
    "env": "palaestra/GuessNumber-v0",
    "options": ("highest=3", "max_steps=2"),
    "max_context_tokens": 200,
}
# Everything off that SPEAR adds to GRPO.
PLAIN = {"imitate": "none", "tool_reward": "none", "covariance": "none"}


def config(policy="tiny:nowhere", out=Path("runs/none"), **changes):
    settings = {
        **GUESS,
        "iterations": 6,
        "tasks_per_iteration": 4,
        "group_size": 4,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        "imitation_warmup": 3,
        "replay_rows": 4,
        "tool_decay": 4,
        **changes,
    }
    if settings.get("imitate") == "none":
        del settings["imitation_warmup"], settings["replay_rows"]
    if settings.get("tool_reward") in ("none", "constant"):
        del settings["tool_decay"]
    return spear.Config(policy=str(policy), out=out, **settings)


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    """A policy that guesses in the right form, and less than half of the time right."""
    out = tmp_path_factory.mktemp("guesser")
    size = {"width": 32, "layers": 1, "heads": 2, "vocab_size": 300}
    rates = {"learning_rate": 1e-2, "warmup_steps": 2, "decay": "constant", "batch_tokens": 200}
    sft.train(sft.Config(**GUESS, **size, **rates, out=out, episodes=60, epochs=2, noise=0.0))
    return f"tiny:{out / 'policy'}"


@pytest.fixture(scope="module")
def trainer(guesser):
    """A trainer that never trains: for the methods that only need a tokenizer."""
    return make_trainer(guesser)


def make_trainer(guesser, **changes):
    policy = TinyPolicy.load(Path(guesser.removeprefix("tiny:")))
    return spear.SPEAR(config(guesser, **changes), policy, None)  # type: ignore[arg-type]


def turn(action, *, valid=True, tags=None, ids=(5, 6), reward=0.0):
    ids = list(ids)
    return Turn("seen", [1], 0, ids, [-0.5] * len(ids), action, reward, valid=valid, tags=tags or {})


def episode(actions, reward=0.0, group="g", valid=True):
    turns = [turn(action, valid=valid) for action in actions]
    return Episode("e", "t", "", 0, "p", "a", group=group, turns=turns, reward=reward)


def row(advantage, group="g"):
    values = [0.0, *advantage]
    return Row([0, *[3] * len(advantage)], [False] + [True] * len(advantage), values, values, group=group)


# ---- schedules and the bonus ---------------------------------------------------------------------


def test_gamma_rises_and_mu_falls_from_the_first_iteration():
    settings = config(imitation_warmup=200, imitation_weight=0.5, tool_decay=200)
    assert spear.imitation_weight(settings, 1) == 0.0
    assert spear.imitation_weight(settings, 101) == pytest.approx(0.25)
    assert spear.imitation_weight(settings, 201) == spear.imitation_weight(settings, 999) == 0.5
    assert spear.bonus_weight(settings, 1) == 1.0
    assert spear.bonus_weight(settings, 51) == pytest.approx(0.85355, abs=1e-5)
    assert spear.bonus_weight(settings, 101) == pytest.approx(0.5)
    assert spear.bonus_weight(settings, 201) == spear.bonus_weight(settings, 999) == 0.0
    assert spear.imitation_weight(replace(settings, imitation_warmup=0), 1) == 0.5


def test_the_bonus_can_be_constant_or_off():
    constant, off = config(tool_reward="constant"), config(tool_reward="none")
    assert [spear.bonus_weight(constant, i) for i in (1, 5000)] == [1.0, 1.0]
    assert [spear.bonus_weight(off, i) for i in (1, 5000)] == [0.0, 0.0]
    assert spear.tool_bonus(off, episode(["a", "b"]), offers_tools=False) == 0.0


def test_the_bonus_grows_with_what_it_counts_up_to_its_most():
    settings = config(tool_counts="turns")
    for length, bonus in ((0, 0.0), (3, 0.03), (10, 0.1), (50, 0.1)):
        assert spear.tool_bonus(settings, episode(["a"] * length), offers_tools=False) == pytest.approx(bonus)
    repeating = episode(["a", "b", "a", "a"])
    assert spear.tool_bonus(settings, repeating, offers_tools=False) == pytest.approx(0.04)
    assert spear.tool_bonus(config(), repeating, offers_tools=False) == pytest.approx(0.02)


def test_calls_are_different_accepted_actions_where_there_are_no_tools():
    tried = episode(["look", "look", "open 1"])
    tried.turns += [turn("fly", valid=False), turn("", tags={"no_action": True})]
    assert spear.tool_calls(tried, offers_tools=False) == 2


def test_calls_are_turns_of_code_where_there_are_tools():
    tried = episode(["```python\nprint(1)\n```", "The answer is 1.", "```python\nprint(1)\n```"])
    tried.turns.append(turn("run this", tags={"cell": "1 + 1", "cell_ok": True}))
    assert spear.tool_calls(tried, offers_tools=True) == 3


@pytest.mark.parametrize(
    ("env", "options", "found"),
    [
        ("palaestra/Math-v0", {"tools": "python"}, True),
        ("palaestra/Math-v0", {}, False),
        ("palaestra/GuessNumber-v0", {}, False),
    ],
)
def test_the_environment_says_whether_it_offers_tools(env, options, found):
    assert spear._offers_tools(env, options) is found


def test_the_bonus_is_in_the_return_and_not_in_the_steps(guesser):
    trainer = make_trainer(guesser, tool_decay=4)
    shaped = [trainer.shaped(iteration, episode(["1", "2"], reward=1.0)) for iteration in (1, 3, 5)]
    assert [found.reward for found in shaped] == pytest.approx([1.02, 1.01, 1.0])
    assert [turn.reward for turn in shaped[0].turns] == [0.0, 0.0]


# ---- groups and scores ---------------------------------------------------------------------------


def test_the_groups_of_widest_spread_are_kept_in_their_order():
    returns = {"a": (0.0, 0.0), "b": (0.0, 1.0), "c": (0.5, 1.0), "d": (1.0, 1.0)}
    played = [episode(["x"], reward, group) for group, both in returns.items() for reward in both]
    assert [e.group for e in spear.widest(played, 0.5)] == ["b", "b", "c", "c"]
    assert [e.group for e in spear.widest(played, 0.75)] == ["a", "a", "b", "b", "c", "c"]
    assert [e.group for e in spear.widest(played, 0.1)] == ["b", "b"]
    assert spear.widest(played, 1.0) == played


def test_a_row_scores_the_mean_of_its_turns_and_its_group_the_mean_of_episodes():
    good, bad = episode(["1", "2"], 1.0), episode(["1", "2", "3", "4"], 0.0)
    good.turns[0].valid = False
    played = [good, bad]
    credit = assign_credit(played, CreditConfig(normalise_std=False))
    rows, scores = spear.scored_rows(played, credit, penalty=0.1)
    # Each turn keeps nothing (a window context), so each is a row of its own.
    assert scores == pytest.approx([0.9, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert [spear.mean_advantage(row) for row in rows] == pytest.approx([0.5] * 2 + [-0.5] * 4)
    for grown in played:
        for number, later in enumerate(grown.turns[1:], 1):
            later.kept = 3 * number
    rows, scores = spear.scored_rows(played, credit, penalty=0.1)
    assert scores == pytest.approx([0.95, 0.0])
    assert len(rows) == 2
    assert spear.group_means(played, 0.1) == pytest.approx([0.475])


def test_mean_advantage_is_over_sampled_tokens():
    mixed = Row([0, 1, 2, 3], [False, True, False, True], [0.0] * 4, [0.0, 1.0, 0.0, -0.5])
    assert spear.mean_advantage(mixed) == 0.25
    assert spear.mean_advantage(replace(mixed, sampled=[False] * 4)) == 0.0
    assert spear.worth(mixed, 0.7).advantage == [0.0, 0.7, 0.0, 0.7]


# ---- replay --------------------------------------------------------------------------------------


def stored(trainer, iteration, scores):
    trainer.replay.add(iteration, [row([0.3, 0.3]) for _ in scores], scores)


def test_replay_waits_until_enough_rows_are_above_the_median(guesser):
    trainer = make_trainer(guesser, replay_rows=2)
    trainer.median.add([0.0, 0.5, 1.0])
    stored(trainer, 1, [1.0, 1.0, 0.9, 0.5, 0.2])
    # Three are above 0.5, and 1.5 x 2 must be exceeded.
    assert trainer.pull(2) == ([], [])
    assert len(trainer.replay) == 5
    stored(trainer, 2, [0.75])
    rows, ages = trainer.pull(3)
    assert [spear.mean_advantage(row) for row in rows] == pytest.approx([0.5, 0.5, 0.4, 0.25])
    assert ages == [2.0, 2.0, 2.0, 1.0]
    assert len(trainer.replay) == 0


def test_without_recalibration_rows_keep_the_advantage_they_had(guesser):
    trainer = make_trainer(guesser, replay_rows=2, recalibrate=False)
    trainer.median.add([5.0])
    stored(trainer, 1, [0.1, 0.2, 0.3, 0.4])
    rows, _ = trainer.pull(2)
    assert [spear.mean_advantage(row) for row in rows] == pytest.approx([0.3] * 4)


def test_at_most_so_many_rows_are_drawn_and_without_a_divergence(guesser):
    drawn = set()
    for seed in range(8):
        trainer = make_trainer(guesser, replay_rows=2, seed=seed)
        stored(trainer, 1, [0.1, 0.2, 0.3, 0.4])
        found = trainer.imitable(2, [])
        assert found["spear/imitated_rows"] == 2.0
        assert found["spear/imitated_age"] == 1.0
        assert [row.divergence for row in trainer._again] == [[0.0] * 3] * 2
        drawn.add(tuple(round(spear.mean_advantage(row), 2) for row in trainer._again))
    assert len(drawn) > 2


def test_stale_rows_are_forgotten_before_they_are_counted(guesser):
    trainer = make_trainer(guesser, replay_rows=2, replay_age=3)
    stored(trainer, 1, [1.0] * 5)
    assert trainer.imitable(5, [])["spear/imitated_rows"] == 0.0
    assert len(trainer.replay) == 0


def test_the_control_imitates_good_rows_of_the_present_iteration(guesser):
    trainer = make_trainer(guesser, imitate="present", replay_rows=2)
    found = trainer.imitable(1, [row([0.4]), row([0.6])])
    assert found["spear/imitated_rows"] == 2.0
    assert found["spear/imitated_advantage"] == pytest.approx(0.5)
    assert [row.advantage for row in trainer._again] == [[0.0, 0.4], [0.0, 0.6]]


def test_an_iteration_stores_its_good_rows_after_it_replayed_older_ones(guesser):
    trainer = make_trainer(guesser, replay_rows=1, tool_reward="none")
    played = [episode(["1"], 1.0), episode(["2"], 0.0)]
    _, first = trainer.credit(1, played)
    assert (first["spear/stored"], first["spear/imitated_rows"], first["spear/median"]) == (1.0, 0.0, 0.0)
    _, second = trainer.credit(2, played)
    assert (second["spear/stored"], second["spear/median"]) == (2.0, 0.5)
    _, third = trainer.credit(3, played)
    assert (third["spear/imitated_rows"], third["spear/stored"]) == (1.0, 1.0)
    assert third["spear/imitated_advantage"] == pytest.approx(0.5)


def test_with_gigpo_storage_follows_the_advantage_with_its_step_part(guesser):
    episodes = [episode(["1", "2"], 1.0), episode(["3"], 0.0)]
    episodes[0].turns[1].reward = 1.0
    episodes[0].turns[1].observation = "alone"
    plain = make_trainer(guesser, normalise_std=True)
    gigpo = make_trainer(guesser, normalise_std=True, gigpo_omega=3.0)
    plain.credit(1, episodes)
    rows, _ = gigpo.credit(1, episodes)
    # Seen twice: the first turn's return 0.95 against the other's 0, so the step part adds to turn 1 alone.
    first, second, other = (spear.mean_advantage(row) for row in rows)
    assert first - second == pytest.approx(3.0 / math.sqrt(2), rel=1e-4)
    assert other < 0 < second
    assert len(plain.replay) == len(gigpo.replay) == 2


# ---- the loss of a step --------------------------------------------------------------------------


def test_bounds_follow_the_scale_of_the_reward_where_advantages_do():
    standard = config(normalise_std=True)
    assert spear.covariance_bounds(standard, replayed=False) == (1.0, 5.0)
    assert spear.covariance_bounds(standard, replayed=True) == pytest.approx((0.2, 6.0))
    mean_only = config(normalise_std=False, reward_scale=5.0)
    assert spear.covariance_bounds(mean_only, replayed=False) == pytest.approx((0.5, 2.5))
    assert spear.covariance_bounds(mean_only, replayed=True) == pytest.approx((1.0, 30.0))
    assert spear.covariance_bounds(config(normalise_std=True, recalibrate=False), replayed=True) == (
        2.0,
        60.0,
    )
    assert spear.covariance_bounds(config(normalise_std=True, imitate="present"), replayed=True) == (
        2.0,
        60.0,
    )


def surrogate(settings, *, replayed=True):
    def clipped(logprobs, behaviour, advantage, inside):
        return -advantage * torch.exp(logprobs - behaviour), torch.zeros_like(inside, dtype=torch.bool)

    return spear.Surrogate(settings, clipped, replayed, torch.Generator().manual_seed(0))


def tokens(count=100):
    generator = torch.Generator().manual_seed(1)
    logprobs, advantage = torch.randn(2, count, generator=generator)
    return logprobs, logprobs - 0.01, advantage, torch.ones(count)


def test_a_step_counts_what_it_drops():
    loss = surrogate(config())
    found, silenced = loss(*tokens())
    logprobs, behaviour, advantage, _ = tokens()
    assert silenced.sum() == 2  # 0.02 of 100
    assert loss.dropped_share == 0.02
    expected = torch.where(silenced, 0.0, -advantage * torch.exp(logprobs - behaviour))
    assert torch.allclose(found, expected)
    assert surrogate(config(), replayed=False)(*tokens())[1].sum() == 1


def test_the_other_covariance_modes():
    found, silenced = surrogate(config(covariance="none"))(*tokens())
    logprobs, behaviour, advantage, _ = tokens()
    assert torch.allclose(found, -advantage * torch.exp(logprobs - behaviour))
    assert not silenced.any()
    held = surrogate(config(covariance="kl", kl_cov_coefficient=2.0))
    found, _ = held(*tokens())
    assert held.dropped_share == 0.02
    extra = found + advantage * torch.exp(logprobs - behaviour)
    assert sorted(extra.tolist())[-3:] == pytest.approx([0.0, 0.02, 0.02], abs=1e-5)


# ---- runs ----------------------------------------------------------------------------------------


def test_with_everything_off_it_is_grpo(tmp_path, guesser):
    ours = spear.train(config(guesser, tmp_path / "spear", iterations=3, **PLAIN))
    settings = config(guesser, tmp_path / "grpo", iterations=3, **PLAIN)
    known = {name: getattr(settings, name) for name in grpo.Config.__dataclass_fields__}
    theirs = grpo.train(grpo.Config(**known))
    assert same_weights(ours, theirs)
    shared = metrics(theirs)[-1].keys()
    assert [{name: line[name] for name in shared} for line in metrics(ours)] == metrics(theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kl_coefficient": 0.05, "gigpo_omega": 1.0, "context": "window", "window_turns": 2},
        {"recalibrate": False, "covariance": "none", "imitation_warmup": 0, "replay_age": 2},
        {
            "normalise_std": False,
            "dynamic_filter": False,
            "clip_high": 0.28,
            "aggregation": "constant",
            "constant_tokens": 8,
            "mask": ("overlong", "incomplete", "unreadable"),
            "keep_groups": 0.75,
        },
    ],
)
def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser, changes):
    straight = spear.train(config(guesser, tmp_path / "straight", **changes))
    original = spear.SPEAR.iterate

    def stopping(self, iteration):
        if iteration == 6:
            raise KeyboardInterrupt
        return original(self, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(spear.SPEAR, "iterate", stopping)
        with pytest.raises(KeyboardInterrupt):
            spear.train(config(guesser, tmp_path / "broken", **changes))
    broken = spear.train(config(guesser, tmp_path / "broken", **changes))
    assert metrics(straight) == metrics(broken)
    assert same_weights(straight, broken)
    assert sum(line["spear/imitated_rows"] for line in metrics(straight)) > 0
    assert any("learner/replay_policy_loss" in line for line in metrics(straight))


def test_a_replayed_step_moves_the_weights_only_with_its_weight(tmp_path, guesser):
    # An entropy bonus at full weight would be most of what a faint step does.
    settings = {"iterations": 3, "replay_rows": 2, "entropy_coefficient": 0.01}
    full = spear.train(config(guesser, tmp_path / "full", imitation_warmup=0, **settings))
    faint = spear.train(config(guesser, tmp_path / "faint", imitation_warmup=10**6, **settings))
    norms = [[line.get("learner/replay_grad_norm", 0.0) for line in metrics(run)] for run in (full, faint)]
    assert norms[0][0] == norms[1][0] == 0.0
    assert max(norms[0]) > 1e-2
    assert 0 < max(norms[1]) < 1e-8


def test_no_step_is_taken_while_imitation_has_no_weight(tmp_path, guesser):
    plain = spear.train(config(guesser, tmp_path / "plain", iterations=1, **PLAIN))
    silent = PLAIN | {"imitate": "present"}
    first = spear.train(config(guesser, tmp_path / "first", iterations=1, **silent))
    assert metrics(first)[0]["spear/imitated_rows"] > 0
    assert same_weights(plain, first)
    assert not same_weights(plain, spear.train(config(guesser, tmp_path / "first", iterations=2, **silent)))


def test_clip_cov_sees_tokens_of_no_advantage():
    assert config().learner().zero_advantages
    assert config(covariance="kl").learner().zero_advantages
    assert not config(covariance="none").learner().zero_advantages


def test_masks_keep_bad_responses_out_of_the_loss(trainer, guesser):
    cut = episode(["1", "2"], 1.0)
    cut.turns[0].finish_reason = "length"
    assert trainer.masked(cut) is cut
    masked = make_trainer(guesser, mask=("overlong",)).masked(cut)
    assert [len(turn.completion_ids) for turn in masked.turns] == [0, 2]


def test_it_learns(tmp_path, guesser):
    run = spear.train(
        config(
            guesser,
            tmp_path,
            iterations=30,
            tasks_per_iteration=6,
            group_size=8,
            learning_rate=3e-3,
            imitation_warmup=10,
            replay_rows=8,
            tool_decay=10,
            evaluate_every=30,
            eval_tasks=100,
            eval_options=("split=valid", *GUESS["options"]),
        )
    )
    found = [line["eval/success"] for line in metrics(run) if "eval/success" in line]
    assert found[-1] > found[0] + 0.1
    lines = metrics(run)[1:]
    assert np.mean([line["spear/imitated_rows"] > 0 for line in lines]) > 0.3
    assert all(0 < line["rollout/entropy"] < 3 for line in lines)
    assert lines[-1]["spear/bonus"] == 0.0 < lines[0]["spear/bonus"]


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"imitate": "none", "replay_age": 2}, "replay_age=2 would do nothing"),
        ({"imitate": "none", "imitation_weight": 2.0}, "imitation_weight=2.0 would do nothing"),
        ({"imitate": "present", "recalibrate": False}, "recalibrate=False would do nothing"),
        ({"recalibrate": False, "median_groups": 5}, "median_groups=5 would do nothing"),
        ({"tool_reward": "none", "tool_most": 1.0}, "tool_most=1.0 would do nothing"),
        ({"dual_clip": 3.0}, "dual_clip=3.0 would do nothing"),
        ({"covariance": "none", "covariance_share": 0.1}, "covariance_share=0.1 would do nothing"),
        ({"covariance": "kl", "reward_scale": 2.0}, "reward_scale=2.0 would do nothing"),
        ({"covariance": "kl", "clip_high": 0.28}, "clip_high=0.28 would do nothing"),
        ({"kl_cov_coefficient": 0.2}, "kl_cov_coefficient=0.2 would do nothing"),
        ({"imitate": "none", "replay_covariance_share": 0.5}, "would do nothing"),
        ({"mask": ("repetitive",)}, "takes 29 tokens"),
        ({"covariance_bounds": (5.0, 1.0)}, "a lower and a higher"),
        ({"keep_groups": 1.5}, "at most 1"),
        ({"replay_rows": 0}, "above 0"),
        ({"imitation_warmup": -1}, "negative"),
        ({"group_size": 1}, "nothing to compare"),
    ],
)
def test_senseless_settings_are_refused(changes, words):
    with pytest.raises(OptionError, match=words):
        config(**changes)


def test_a_constant_bonus_has_no_end():
    with pytest.raises(OptionError, match="tool_decay=7 would do nothing"):
        spear.Config(policy="tiny:x", tool_reward="constant", tool_decay=7)


def test_settings_are_a_command_line():
    given = ["--policy", "tiny:x", "--mask", "overlong", "incomplete", "--covariance-bounds", "0.5", "2"]
    expected = spear.Config(
        policy="tiny:x", mask=("overlong", "incomplete"), covariance_bounds=(0.5, 2.0), imitate="present"
    )
    assert parse_config(spear.Config, "spear", [*given, "--imitate", "present"]) == expected


@pytest.mark.parametrize("name", sorted(spear.PRESETS))
def test_presets_are_settings(name):
    settings = spear.Config(policy="tiny:x", **spear.PRESETS[name])  # type: ignore[arg-type]
    defaults = spear.Config(policy="tiny:x")
    same = [field for field in spear.PRESETS[name] if getattr(settings, field) == getattr(defaults, field)]
    assert set(same) <= {"group_size", "kl_coefficient"}
