"""Guide: who is hinted, what the hinted tries are worth to the policy without hints, and whole runs."""

from dataclasses import replace

import pytest
import torch
from test_sft_grpo import GUESS, sft_config
from training_runs import metrics, overheard, same_weights, stopped_after

from palaestra.agents import hints
from palaestra.agents.episode import Episode, Turn
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError
from palaestra.trainers import guide, sft
from palaestra.trainers.core.learner import Learner, LearnerConfig

# Three guesses of eight: the expert finds seven of the numbers, the policy fewer.
OPTIONS = ("highest=8", "max_steps=3")


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=60, epochs=2, options=OPTIONS))
    return out / "policy"


def config(out, guesser, **changes):
    values = {
        **GUESS,
        "options": OPTIONS,
        "iterations": 4,
        "tasks_per_iteration": 6,
        "group_size": 3,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        **changes,
    }
    return guide.Config(out=out, policy=f"tiny:{guesser}", **values)


def trainer(out, guesser, **changes):
    policy = TinyPolicy.load(guesser)
    settings = config(out, guesser, **changes)
    return guide.Guide(settings, policy, Learner(policy.model, settings.learner()))


def tensor(*values):
    return torch.tensor(values, dtype=torch.float32)


# ---- who is hinted -------------------------------------------------------------------------------


def bare(group, success):
    return Episode("e", "t", "", 0, "p", "a", group=group, success=success)


def test_only_groups_without_any_success_are_hinted():
    lost, won = [bare("a", False), bare("a", False)], [bare("b", False), bare("b", True)]
    broken = [replace(bare("c", False), outcome="failed")]
    assert hints.all_failed([*lost, *won, *broken]) == [lost]


def test_hinted_jobs_join_the_group_that_failed(tmp_path, guesser):
    playing = trainer(tmp_path, guesser)
    episodes = playing.collect(1)
    own = [e for e in episodes if hints.TAG not in e.tags]
    guided = [e for e in episodes if hints.TAG in e.tags]
    assert len(own) == 18
    failed = {group[0].group: group[0] for group in hints.all_failed(own)}
    assert guided
    for episode in guided:
        first = failed[episode.group]
        assert (episode.task_id, episode.seed) == (first.task_id, first.seed)
        assert episode.attempt in (3, 4, 5)
        assert episode.turns[0].observation == first.turns[0].observation
        shown = playing.policy.tokenizer.decode(episode.turns[0].prompt_ids)
        assert episode.tags[hints.TAG] in shown


def test_a_task_that_succeeds_now_and_then_gets_no_hint(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, options=("highest=2", "max_steps=8"))
    episodes = playing.collect(1)
    hinted = {e.group for e in episodes if hints.TAG in e.tags}
    won = {e.group for e in episodes if e.success and hints.TAG not in e.tags}
    assert won
    assert not hinted & won


# ---- what hinted tries are worth -----------------------------------------------------------------


def test_rows_hold_the_ids_without_the_hint_and_the_log_probs_with_it(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, dynamic_filter=False)
    episodes = playing.collect(1)
    rows, found = playing.credit(1, episodes)
    guided = [e for e in episodes if hints.TAG in e.tags]
    assert len(rows) == len(episodes)
    assert found["guide/hinted_groups"] == len({e.group for e in guided}) > 0
    for row, episode in zip(rows[-len(guided) :], guided, strict=True):
        sampled = [at for at, mask in enumerate(row.sampled) if mask]
        assert [row.ids[at] for at in sampled] == [id for t in episode.turns for id in t.completion_ids]
        assert [row.logprobs[at] for at in sampled] == [x for t in episode.turns for x in t.logprobs]
        assert "Hint" not in playing.policy.tokenizer.decode(row.ids)
    # The behaviour log-probs are those under the hint: the present ones, without it, differ.
    gaps = []
    for part in (rows[: -len(guided)], rows[-len(guided) :]):
        told = [replace(row, advantage=[1.0] * len(row.ids)) for row in part]
        gaps.append(Learner(playing.policy.model, LearnerConfig()).gradients(told)["max_logprob_gap"])
    assert gaps[0] < 1e-3
    assert gaps[1] > 0.1


def of_group(rewards, hinted):
    return [
        Episode(
            "e",
            "t",
            "",
            0,
            "p",
            "a",
            group="g",
            attempt=number,
            reward=reward,
            success=reward == 1,
            turns=[Turn("Guess.", [1], 0, [2], [-1.0], "1", finish_reason="length")],
            tags={hints.TAG: "Hint: 1."} if hint else {},
        )
        for number, (reward, hint) in enumerate(zip(rewards, hinted, strict=True))
    ]


def test_failed_and_hinted_tries_are_one_group(tmp_path, guesser):
    episodes = of_group([0.0, 0.0, 1.0, 0.0], [False, False, True, True])
    rows, found = trainer(tmp_path, guesser).credit(1, episodes)
    # Mean 1/4, unbiased deviation 1/2.
    advantages = [max(row.advantage or (), key=abs) for row in rows]
    assert advantages == pytest.approx([-0.5, -0.5, 1.5, -0.5], abs=1e-5)
    assert (found["success"], found["guide/hinted_success"]) == (0.0, 0.5)
    rows, found = trainer(tmp_path, guesser, normalise_std=False).credit(1, episodes)
    advantages = [max(row.advantage or (), key=abs) for row in rows]
    assert advantages == pytest.approx([-0.25, -0.25, 0.75, -0.25])


def test_the_floor_under_the_ratio_of_good_tokens(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, ratio_floor=0.5)
    # Ratios 0.1, 0.8, 1.5 of good tokens, 0.1 of a bad one.
    ratio, advantage = tensor(0.1, 0.8, 1.5, 0.1), tensor(2.0, 2.0, 2.0, -2.0)
    logprobs = (ratio.log() - 3.0).requires_grad_()
    losses, silenced = playing.floored(logprobs, torch.full((4,), -3.0), advantage, torch.ones(4))
    (gradient,) = torch.autograd.grad(losses.sum(), logprobs)
    assert losses.tolist() == pytest.approx([-1.0, -1.6, -2.4, 1.6], abs=1e-5)
    assert gradient.tolist() == pytest.approx([-1.0, -1.6, 0.0, 0.0], abs=1e-5)
    assert silenced.tolist() == [False, False, True, True]
    # Without it, the plain importance ratio: the good token of ratio 0.1 counts a fifth as much.
    losses, _ = playing.learner.clipped_surrogate(logprobs, torch.full((4,), -3.0), advantage, torch.ones(4))
    assert losses.tolist() == pytest.approx([-0.2, -1.6, -2.4, 1.6], abs=1e-5)


# ---- whole runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"ratio_floor": 0.5, "context": "window", "window_turns": 1}])
def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser, changes):
    straight = guide.train(config(tmp_path / "straight", guesser, **changes))
    with stopped_after(monkeypatch, guide.Guide, "iterate", 3):
        guide.train(config(tmp_path / "broken", guesser, **changes))
    broken = guide.train(config(tmp_path / "broken", guesser, **changes))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)
    assert any(row["guide/hinted_groups"] > 0 for row in metrics(straight))


def test_evaluations_are_never_hinted(tmp_path, guesser, monkeypatch):
    asked = overheard(monkeypatch)
    changes = {"evaluate_every": 1, "eval_options": OPTIONS, "eval_tasks": 20}
    playing = trainer(tmp_path, guesser, **changes)
    playing.evaluate()
    assert len(asked) >= 20
    assert not any("Hint" in prompt for prompt in asked)
    playing.collect(1)
    assert any("Hint" in prompt for prompt in asked)
    asked.clear()
    playing.evaluate()
    assert not any("Hint" in prompt for prompt in asked)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hint_actions": 0}, "hint_actions"),
        ({"ratio_floor": 1.5}, "ratio_floor"),
        ({"ratio_floor": -0.1}, "ratio_floor"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, guesser, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, guesser, **changes)


def test_an_environment_without_an_expert_is_refused(tmp_path, guesser, monkeypatch):
    from palaestra.envs.guess_number import GuessNumberEnv

    monkeypatch.setattr(GuessNumberEnv, "has_expert", False)
    with pytest.raises(OptionError, match="no expert"):
        trainer(tmp_path, guesser)
