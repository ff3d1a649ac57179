"""NFT: its loss against hand-computed numbers and GRPO's gradient, RFT as its limit, and whole runs."""

import math
from dataclasses import replace

import pytest
import torch
from test_sft_grpo import GUESS, sft_config
from training_runs import metrics, same_weights, stopped_after

from palaestra.agents.episode import Episode, Turn
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers import nft, sft
from palaestra.trainers.core.advantages import CreditConfig, assign_credit
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.grpo import credited_rows


def tensor(*values):
    return torch.tensor(values, dtype=torch.float32)


def loss_of(ratio, advantage, **changes):
    """Return the loss and its derivative by the log-prob, of tokens with these ratios and advantages."""
    logprobs = (tensor(*ratio).log() - 2.0).requires_grad_()
    behaviour = torch.full((len(ratio),), -2.0)
    losses, silenced = nft.negative_aware_loss(
        logprobs, behaviour, tensor(*advantage), torch.ones(len(ratio)), **changes
    )
    (gradient,) = torch.autograd.grad(losses.sum(), logprobs)
    return losses.tolist(), gradient.tolist(), silenced.tolist()


# ---- the formulas --------------------------------------------------------------------------------


def test_the_loss_of_right_tokens():
    # p = 0.25: -log R, weighed by 1 - p, sqrt((1 - p) / p) and 1.
    for kind, weight in (("mean-baseline", 0.75), ("standardised", math.sqrt(3.0)), ("uniform", 1.0)):
        losses, gradient, silenced = loss_of([1.5], [0.75], prompt_weight=kind)
        assert losses == pytest.approx([-weight * math.log(1.5)], abs=1e-6)
        assert gradient == pytest.approx([-weight], abs=1e-6)
        assert silenced == [False]


def test_the_loss_of_wrong_tokens_less_likely_than_before():
    # p = 0.25, R = 0.8: (1 - 0.2) / 0.75 = 16 / 15, and the derivative is p R / (1 - p R) = 0.2 / 0.8.
    for kind, weight in (("mean-baseline", 0.75), ("standardised", math.sqrt(3.0)), ("uniform", 1.0)):
        losses, gradient, _ = loss_of([0.8], [-0.25], prompt_weight=kind)
        assert losses == pytest.approx([-weight * math.log(16 / 15)], abs=1e-6)
        assert gradient == pytest.approx([weight * 0.25], abs=1e-6)


def test_the_loss_of_wrong_tokens_more_likely_than_before_stops_while_its_gradient_goes_on():
    # p = 0.25: at R = 2 and at R = 8, where 1 - p R is negative, S is 1: derivative p R / (1 - p).
    losses, gradient, silenced = loss_of([2.0, 8.0], [-0.25, -0.25], prompt_weight="uniform")
    assert losses == pytest.approx([0.0, 0.0], abs=1e-6)
    assert gradient == pytest.approx([0.5 / 0.75, 2.0 / 0.75], rel=1e-5)
    assert silenced == [False, False]


def test_negative_weight_scales_wrong_tokens_alone():
    whole = loss_of([0.8, 1.5], [-0.25, 0.75])[1]
    half = loss_of([0.8, 1.5], [-0.25, 0.75], negative_weight=0.5)[1]
    assert half == pytest.approx([whole[0] / 2, whole[1]], rel=1e-5)
    _, none, silenced = loss_of([0.8, 1.5], [-0.25, 0.75], negative_weight=0.0)
    assert none == pytest.approx([0.0, whole[1]], rel=1e-5)
    assert silenced == [True, False]


def test_the_ratio_is_bounded_at_e_to_the_tenth():
    _, gradient, silenced = loss_of([math.exp(9.0), math.exp(11.0)], [0.75, 0.75])
    assert gradient == pytest.approx([-0.75, 0.0], abs=1e-6)
    assert silenced == [False, True]


def test_tokens_outside_the_stream_give_finite_numbers():
    for kind in nft.PROMPT_WEIGHTS:
        losses, gradient, _ = loss_of([1e-9, 1.0], [0.0, 0.0], prompt_weight=kind)
        assert all(map(math.isfinite, losses + gradient))


def group(*successes, ids=(5, 6), group="g"):
    """Episodes of one turn that saw tokens 1, 2 and said others."""
    return [
        Episode(
            env_id="e",
            task_id="t",
            goal="",
            seed=0,
            policy="p",
            agent="a",
            group=group,
            reward=float(success),
            success=success,
            outcome="terminated",
            turns=[
                Turn(
                    observation="o",
                    prompt_ids=[1, 2],
                    kept=0,
                    completion_ids=[number + i for i in ids],
                    logprobs=[-1.0] * len(ids),
                    action="x",
                )
            ],
        )
        for number, success in enumerate(successes)
    ]


def test_what_tries_are_worth():
    assert nft.outcomes(group(True, False, False, False)) == [0.75, -0.25, -0.25, -0.25]
    assert nft.outcomes(group(*[True] * 99, False))[-1] == -0.98
    assert nft.outcomes(group(True, *[False] * 99))[0] == 0.98


def test_groups_without_both_kinds_are_left_out():
    failed = group(False, group="b")
    failed[0].outcome = "failed"
    episodes = group(True, True) + group(True, False, group="a") + group(True, group="b") + failed
    assert [[e.group for e in members] for members in nft.mixed_groups(episodes)] == [["a", "a"]]


def with_behaviour_of(policy, episodes):
    """Return the episodes with the log-probs that the model gives their tokens: R is 1 everywhere."""
    for episode in episodes:
        (turn,) = episode.turns
        ids = torch.tensor([turn.prompt_ids + turn.completion_ids])
        with torch.no_grad():
            logprobs = policy.model(input_ids=ids).logits.log_softmax(-1)[0]
        begin = len(turn.prompt_ids)
        at = range(begin, ids.shape[1])
        turn.logprobs = [float(logprobs[position - 1, ids[0, position]]) for position in at]
    return episodes


@pytest.mark.parametrize("normalise_std", [False, True])
def test_the_gradient_at_ratio_one_is_that_of_grpo(normalise_std):
    """Weight 1 - p: the mean baseline, exactly. Weight sqrt((1 - p) / p): standardised (by the population's
    deviation, where GRPO's code takes the sample's).
    """
    policy = TinyPolicy.new(["one two three"], width=16, layers=1, heads=2, vocab_size=270, seed=3)
    episodes = with_behaviour_of(
        policy, group(True, False, False, False) + group(True, True, False, group="h")
    )

    def gradient(rows, policy_loss=None):
        policy.model.zero_grad()
        learner = Learner(policy.model, LearnerConfig())
        if policy_loss:
            learner._policy_loss = policy_loss
        learner.gradients(rows)
        return torch.cat([parameter.grad.flatten() for parameter in policy.model.parameters()])

    credit = assign_credit(episodes, CreditConfig(normalise_std=normalise_std))
    expected_rows = credited_rows(episodes, credit)
    if normalise_std:
        correction = {"g": math.sqrt(4 / 3), "h": math.sqrt(3 / 2)}
        expected_rows = [
            replace(row, advantage=[a * correction[row.group] for a in row.advantage or ()])
            for row in expected_rows
        ]
    expected = gradient(expected_rows)

    kind = "standardised" if normalise_std else "mean-baseline"
    trainer = nft.NFT(nft.Config(policy="none", **GUESS), policy, None)  # type: ignore[arg-type]
    rows, counted = trainer.credit(1, episodes)
    assert counted["rollout/mixed_groups"] == 2

    def loss(*arguments):
        return nft.negative_aware_loss(*arguments, prompt_weight=kind)

    found = gradient(rows, loss)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found, expected, atol=1e-6, rtol=1e-4)


def test_without_negatives_it_is_rejection_fine_tuning():
    policy = TinyPolicy.new(["one two three"], width=16, layers=1, heads=2, vocab_size=270, seed=3)
    episodes = with_behaviour_of(policy, group(True, False, False))
    trainer = nft.NFT(nft.Config(policy="none", **GUESS), policy, None)  # type: ignore[arg-type]
    rows, _ = trainer.credit(1, episodes)

    def gradient(rows, policy_loss):
        policy.model.zero_grad()
        learner = Learner(policy.model, LearnerConfig(aggregation="sequence-sum"))
        learner._policy_loss = policy_loss
        learner.gradients(rows)
        return torch.cat([parameter.grad.flatten() for parameter in policy.model.parameters()])

    def loss(*arguments):
        return nft.negative_aware_loss(*arguments, prompt_weight="uniform", negative_weight=0.0)

    def imitation(logprobs, behaviour, advantage, weight):
        return torch.where(advantage > 0, -logprobs, 0.0), advantage < 0

    assert torch.allclose(gradient(rows, loss), gradient(rows, imitation), atol=1e-7)


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=60, epochs=2, options=("highest=3", "max_steps=2"), decay="constant"))
    return out / "policy"


def config(out, policy, **changes):
    settings = {
        "env": GUESS["env"],
        "options": ("highest=3", "max_steps=2"),
        "max_context_tokens": 200,
        "iterations": 4,
        "tasks_per_iteration": 3,
        "group_size": 4,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        **changes,
    }
    return nft.Config(out=out, policy=f"tiny:{policy}", **settings)


def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser):
    changes = {"resampling_rounds": 1, "mini_batches": 2, "epochs": 2, "prompt_weight": "standardised"}
    straight = nft.train(config(tmp_path / "straight", guesser, **changes))
    with stopped_after(monkeypatch, nft.NFT, "iterate", 3):
        nft.train(config(tmp_path / "broken", guesser, **changes))
    broken = nft.train(config(tmp_path / "broken", guesser, **changes))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)


@pytest.mark.parametrize("negative_weight", [1.0, 0.0])
def test_it_improves_the_policy(tmp_path, guesser, negative_weight):
    run = nft.train(
        config(
            tmp_path,
            guesser,
            negative_weight=negative_weight,
            iterations=24,
            tasks_per_iteration=6,
            group_size=8,
            learning_rate=3e-3,
            evaluate_every=24,
            eval_tasks=100,
            eval_options=("split=valid", "highest=3", "max_steps=2"),
        )
    )
    before, after = (row["eval/success"] for row in metrics(run) if "eval/success" in row)
    assert after > before + 0.15


def test_resampling_replaces_groups_of_one_kind(tmp_path, guesser):
    plain = nft.train(config(tmp_path / "plain", guesser, iterations=2))
    refilled = nft.train(config(tmp_path / "refilled", guesser, iterations=2, resampling_rounds=4))

    def mixed(run):
        return sum(row["rollout/mixed_groups"] for row in metrics(run))

    assert mixed(refilled) > mixed(plain)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group_size": 1}, "all right or all wrong"),
        ({"negative_weight": -1.0}, "negative_weight"),
        ({"resampling_rounds": -1}, "resampling_rounds"),
        ({"constant_tokens": 5}, "constant_tokens"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, "nowhere", **changes)


def test_an_unknown_weight_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'uniform'"):
        config(tmp_path, "nowhere", prompt_weight="unifrom")
