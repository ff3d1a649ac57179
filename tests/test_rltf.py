"""RLTF-SD: first-turn advantages by hand, what is distilled in which context, and whole runs."""

from dataclasses import replace

import pytest
import torch
from test_sft_grpo import GUESS, sft_config
from training_runs import metrics, same_weights, stopped_after

from palaestra.agents.context import AppendContext
from palaestra.agents.episode import Episode, read_episodes, sequences
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError
from palaestra.trainers import grpo, rltf, sft
from palaestra.trainers.core.learner import Learner, LearnerConfig

OPTIONS = ("highest=8", "max_steps=3")


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=100, epochs=4, options=OPTIONS))
    return out / "policy"


def config(out, guesser, **changes):
    values = {
        **GUESS,
        "options": OPTIONS,
        "iterations": 4,
        "tasks_per_iteration": 3,
        "group_size": 4,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        **changes,
    }
    return rltf.Config(out=out, policy=f"tiny:{guesser}", **values)


def trainer(out, guesser, **changes):
    """Return a trainer that can collect and credit."""
    policy = TinyPolicy.load(guesser)
    settings = config(out, guesser, **changes)
    return rltf.RLTF(settings, policy, Learner(policy.model, settings.learner()))


def bare(reward, group="g"):
    return Episode("e", "t", "", 0, "p", "a", group=group, reward=reward)


def test_the_baseline_is_the_mean_of_first_tries():
    found = [(bare(r0), bare(r1)) for r0, r1 in ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (0.0, 1.0))]
    found += [(bare(1.0, "h"), bare(0.5, "h"))]
    # Mean r0 of g is 1/4, whatever second tries earned.
    assert rltf.first_turn_advantages(found) == pytest.approx([0.75, 0.75, -0.25, 0.75, -0.5])


def test_second_tries_are_distilled_into_the_prompts_of_first_ones(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, distillation_coefficient=0.5)
    episodes = playing.collect(1)
    firsts = [e for e in episodes if "after" not in e.tags]
    seconds = [e for e in episodes if "after" in e.tags]
    assert len(firsts) == len(seconds) == 12
    for first, second in zip(firsts, seconds, strict=True):
        shown = playing.policy.tokenizer.decode(second.turns[0].prompt_ids)
        assert ("This try succeeded." if first.success else "This try did not succeed.") in shown
    advantages = rltf.first_turn_advantages(list(zip(firsts, seconds, strict=True)))
    rows = playing.distilled(list(zip(firsts, seconds, strict=True)))
    told = [(e, a) for e, a in zip(seconds, advantages, strict=True) if a]
    assert len(rows) == len(told) > 2
    for row, (second, advantage) in zip(rows, told, strict=True):
        begun = AppendContext(playing.policy.tokenizer, 1000)
        begun.begin(second.turns[0].observation)
        plain = begun.prompt()[0]
        # The prompt with feedback begins with the plain one too, but goes on with the first try.
        assert row.ids[: len(plain)] == plain
        assert row.sampled.index(True) == len(plain)
        assert "This try" not in playing.policy.tokenizer.decode(row.ids)
        assert row.advantage is None
        weights = [w for w, sampled in zip(row.imitation or [], row.sampled, strict=True) if sampled]
        assert weights == pytest.approx([0.5 * advantage] * second.sampled_tokens)
        assert not any(w for w, sampled in zip(row.imitation or [], row.sampled, strict=True) if not sampled)
        sampled = [id for id, mask in zip(row.ids, row.sampled, strict=True) if mask]
        assert sampled == [id for turn in second.turns for id in turn.completion_ids]


def test_the_gradient_is_the_advantage_times_that_of_the_log_likelihood(tmp_path, guesser):
    playing = trainer(tmp_path, guesser)
    episodes = playing.collect(1)
    found = rltf.pairs(episodes)
    rows = playing.distilled(found)
    model = playing.policy.model
    Learner(model, LearnerConfig()).gradients(rows)
    ours = model.get_input_embeddings().weight.grad.clone()
    model.zero_grad()
    tokens = sum(sum(row.sampled) for row in rows)
    for row in rows:
        ids = torch.tensor([row.ids])
        logprobs = torch.log_softmax(model(input_ids=ids).logits[0, :-1], -1)
        chosen = logprobs[torch.arange(len(row.ids) - 1), ids[0, 1:]]
        (-(chosen * torch.tensor(row.imitation or [])[1:]).sum() / tokens).backward()
    assert torch.allclose(ours, model.get_input_embeddings().weight.grad, atol=1e-5)
    assert ours.abs().max() > 1e-3


def test_switches(tmp_path, guesser):
    playing = trainer(tmp_path, guesser)
    episodes = playing.collect(1)
    firsts = [e for e in episodes if "after" not in e.tags]
    plain, _ = grpo.GRPO.credit(playing, 1, firsts)

    def rows(**changes):
        playing.config = config(tmp_path, guesser, **changes)
        return playing.credit(1, episodes)[0]

    alone = rows(distillation_coefficient=0.0, reinforce_second=False)
    assert alone == plain
    again = rows(distillation_coefficient=0.0)[len(plain) :]
    assert all(row.group.endswith(" again") and row.advantage is not None for row in again)
    whole = rows(reinforce_second=False)[len(plain) :]
    kept = rows(reinforce_second=False, push_away=False)[len(plain) :]
    assert [row for row in whole if max(row.imitation or ()) > 0] == kept
    assert len(kept) < len(whole)


def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser):
    straight = rltf.train(config(tmp_path / "straight", guesser, save_episodes_every=4))
    with stopped_after(monkeypatch, rltf.RLTF, "iterate", 3):
        rltf.train(config(tmp_path / "broken", guesser, save_episodes_every=4))
    broken = rltf.train(config(tmp_path / "broken", guesser, save_episodes_every=4))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)
    assert all(row["rltf/distilled_rows"] > 0 for row in metrics(straight))
    kept = list(read_episodes(straight / "episodes" / "step-00000004.jsonl"))
    assert {len(sequences(episode)) for episode in kept} == {1}


def test_evaluations_show_no_feedback(tmp_path, guesser, monkeypatch):
    asked = []
    generate = TinyPolicy.generate

    async def listening(self, requests):
        asked.extend(self.tokenizer.decode(list(request.ids)) for request in requests)
        return await generate(self, requests)

    monkeypatch.setattr(TinyPolicy, "generate", listening)
    playing = trainer(tmp_path, guesser, evaluate_every=1, eval_options=OPTIONS, eval_tasks=10)
    playing.evaluate()
    assert asked
    assert not any("This try" in prompt for prompt in asked)
    playing.collect(1)
    assert any("This try" in prompt for prompt in asked)


def test_senseless_settings_are_refused(tmp_path, guesser):
    with pytest.raises(OptionError, match="distillation_coefficient"):
        config(tmp_path, guesser, distillation_coefficient=-1.0)
    with pytest.raises(OptionError, match="nothing to compare"):
        replace(config(tmp_path, guesser), group_size=1)
