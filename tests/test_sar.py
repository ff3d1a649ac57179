"""SAR: the reward by hand, the question cut out of prompts, the scorer against the learner, whole runs."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_sft_grpo import GUESS, sft_config
from training_runs import metrics, same_weights, stopped_after

from palaestra.agents.episode import read_episodes
from palaestra.agents.policies.tiny import TinyPolicy, train_tokenizer
from palaestra.errors import OptionError
from palaestra.trainers import grpo, sar, sft
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.config import LearnerConfig
from palaestra.trainers.core.learner import Learner
from palaestra.trainers.core.scoring import sampled_logprobs

# ---- the formula ---------------------------------------------------------------------------------


def test_the_reward_is_the_relative_fall_of_perplexity():
    # ppl(a | q) = e^1, ppl(a) = e^2.
    assert sar.self_aligned([-0.5, -1.5], [-1.0, -3.0]) == pytest.approx(1 - math.exp(-1))
    # ppl(a | q) = 3, ppl(a) = 2.
    assert sar.self_aligned([-math.log(3)], [-math.log(2)]) == pytest.approx(-0.5)
    assert sar.self_aligned([-1.0, -2.0], [-2.0, -1.0]) == 0.0


def test_the_reward_is_clipped_and_never_overflows():
    assert sar.self_aligned([-5.0], [-1.0]) == -1.0
    assert sar.self_aligned([-1e5], [0.0]) == -1.0
    assert sar.self_aligned([0.0], [-1e5]) == 1.0
    assert sar.self_aligned([], []) == 0.0


# ---- cutting the question out --------------------------------------------------------------------

TEXTS = ["You see a mug 1.\n\nYour task is to: put a mug in shelf.\n>", "put a mug in shelf. naïve ☃ q"]


@pytest.fixture(scope="module", params=[259, 300])
def tokenizer(request):
    """Bytes alone, and with merges that cross the ends of the question."""
    return train_tokenizer(TEXTS * 5, request.param)


def row_of(tokenizer, *pieces):
    """A row that opens with <bos>; ``pieces`` are (text, sampled)."""
    ids, sampled = [tokenizer.bos_id], [False]
    for text, by_policy in pieces:
        encoded = tokenizer.encode(text)
        ids += encoded
        sampled += [by_policy] * len(encoded)
    return Row(ids=ids, sampled=sampled, logprobs=[-float(at) for at in range(len(ids))], group="g")


def test_the_question_is_cut_out_of_all_prompts_and_nothing_else(tokenizer):
    question = "put a mug in shelf."
    row = row_of(
        tokenizer,
        (TEXTS[0], False),
        (" put a mug in shelf.", True),
        ("Nothing happens.\nTask: put a mug in shelf.\n>", False),
        (" go", True),
    )
    found = sar.without_question(row, question, tokenizer)
    said = [i for i, sampled in zip(found.ids, found.sampled, strict=True) if sampled]
    assert tokenizer.decode(said) == " put a mug in shelf. go"
    shown = [i for i, sampled in zip(found.ids, found.sampled, strict=True) if not sampled]
    assert question not in tokenizer.decode(shown)
    # The tokens at its ends may take a neighbouring character along.
    text = tokenizer.decode(found.ids)
    assert text.startswith("You see a mug 1.\n\nYour task is to:")
    assert "Nothing happens.\nTask:" in text
    assert shown[0] == tokenizer.bos_id
    before = [p for p, sampled in zip(row.logprobs, row.sampled, strict=True) if sampled]
    assert [p for p, sampled in zip(found.logprobs, found.sampled, strict=True) if sampled] == before


def test_a_question_with_signs_of_many_bytes_is_found(tokenizer):
    found = sar.without_question(
        row_of(tokenizer, ("a naïve ☃ q b", False), ("x", True)), "naïve ☃ q", tokenizer
    )
    text = tokenizer.decode(found.ids)
    assert "na" not in text
    assert "q" not in text
    assert text[0] == "a"
    assert text.endswith("bx")


def test_a_prompt_that_is_nothing_but_the_question_keeps_its_first_token(tokenizer):
    found = sar.without_question(row_of(tokenizer, ("put a mug", False), ("x", True)), "put a mug", tokenizer)
    assert found.ids == [tokenizer.bos_id, *tokenizer.encode("x")]


def test_the_first_token_stays_even_where_it_spells_the_question(tokenizer):
    row = row_of(tokenizer, ("put a mug", False), ("x", True))
    unopened = Row(ids=row.ids[1:], sampled=row.sampled[1:], logprobs=row.logprobs[1:])
    found = sar.without_question(unopened, "put a mug", tokenizer)
    assert found.ids == [unopened.ids[0], *tokenizer.encode("x")]


def test_a_prompt_without_the_question_stays_whole(tokenizer):
    row = row_of(tokenizer, (TEXTS[0], False), ("x", True))
    assert sar.without_question(row, "open the door", tokenizer).ids == row.ids
    assert sar.without_question(row, "", tokenizer).ids == row.ids


# ---- the scorer ----------------------------------------------------------------------------------


def rows_of_many_lengths(vocabulary):
    generator = torch.Generator().manual_seed(1)
    rows = []
    for length in (3, 40, 7, 40, 12, 1, 25, 9):
        ids = torch.randint(vocabulary, (length,), generator=generator).tolist()
        sampled = [at > 0 and at % 3 != 1 for at in range(length)]
        rows.append(Row(ids=ids, sampled=sampled, logprobs=[0.0] * length))
    return rows


@pytest.mark.parametrize("budget", [16, 90, 4096])
def test_scores_are_the_models_logprobs_in_the_order_of_rows_however_batched(budget):
    policy = TinyPolicy.new(["one two"], width=16, layers=2, heads=2, vocab_size=270, seed=5)
    rows = rows_of_many_lengths(256)
    found = sampled_logprobs(policy.model, rows, tokens_per_micro_batch=budget)
    assert [len(scores) for scores in found] == [sum(row.sampled) for row in rows]
    for row, scores in zip(rows, found, strict=True):
        with torch.no_grad():
            logprobs = policy.model(input_ids=torch.tensor([row.ids])).logits.log_softmax(-1)[0]
        at = [position for position, sampled in enumerate(row.sampled) if sampled]
        assert scores == pytest.approx([float(logprobs[p - 1, row.ids[p]]) for p in at], abs=1e-5)
    assert not any(parameter.requires_grad is False for parameter in policy.model.parameters())


def test_scores_agree_with_the_learners_own():
    policy = TinyPolicy.new(["one two"], width=16, layers=2, heads=2, vocab_size=270, seed=5)
    rows = rows_of_many_lengths(256)
    scored = []
    for row, scores in zip(rows, sampled_logprobs(policy.model, rows), strict=True):
        values = iter(scores)
        logprobs = [next(values) if sampled else 0.0 for sampled in row.sampled]
        scored.append(replace(row, logprobs=logprobs, advantage=[1.0] * len(row.ids)))
    learner = Learner(policy.model, LearnerConfig(tokens_per_micro_batch=50))
    assert learner.gradients(scored)["max_logprob_gap"] < 1e-5


def test_no_rows_are_no_scores():
    policy = TinyPolicy.new(["one two"], width=16, layers=1, heads=2, vocab_size=270)
    assert sampled_logprobs(policy.model, []) == []


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=60, epochs=2, options=("highest=3", "max_steps=2"), decay="constant"))
    return out / "policy"


def settings(out, policy, **changes):
    return {
        "out": out,
        "policy": f"tiny:{policy}",
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


def config(out, policy, **changes):
    return sar.Config(**settings(out, policy, **changes))


@pytest.mark.parametrize("changes", [{}, {"context": "window", "window_turns": 1, "mini_batches": 2}])
def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser, changes):
    straight = sar.train(config(tmp_path / "straight", guesser, **changes))
    with stopped_after(monkeypatch, sar.SAR, "iterate", 3):
        sar.train(config(tmp_path / "broken", guesser, **changes))
    broken = sar.train(config(tmp_path / "broken", guesser, **changes))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)


def test_with_weight_zero_it_is_grpo(tmp_path, guesser):
    plain = grpo.train(grpo.Config(**settings(tmp_path / "plain", guesser, normalise_std=False)))
    without = sar.train(config(tmp_path / "off", guesser, self_aligned_weight=0.0))
    aligned = sar.train(config(tmp_path / "on", guesser))
    assert same_weights(plain, without)
    assert not same_weights(plain, aligned)


def test_what_an_episode_earned_is_kept_with_it_and_is_not_its_reward(tmp_path, guesser):
    run = sar.train(config(tmp_path, guesser, iterations=1, save_episodes_every=1))
    policy = TinyPolicy.load(guesser)
    episodes = list(read_episodes(run / "episodes" / "step-00000001.jsonl"))
    assert {episode.reward for episode in episodes} <= {0.0, 1.0}
    for episode in episodes:
        (row,) = policy_rows(episode, [0.0] * len(episode.turns))
        less = sar.without_question(row, "Guess my number between 1 and 3.", policy.tokenizer)
        assert "Guess" not in policy.tokenizer.decode(less.ids)
        # Without the question, computed by the model alone.
        with torch.no_grad():
            logprobs = policy.model(input_ids=torch.tensor([less.ids])).logits.log_softmax(-1)[0]
        alone = [float(logprobs[at - 1, less.ids[at]]) for at in range(1, len(less.ids)) if less.sampled[at]]
        given = [value for turn in episode.turns for value in turn.logprobs]
        assert episode.tags["self_aligned"] == pytest.approx(sar.self_aligned(given, alone), abs=1e-4)


def test_both_rewards_are_compared(guesser):
    policy = TinyPolicy.load(guesser)
    trainer = sar.SAR(config(Path("none"), guesser, self_aligned_weight=0.5), policy, None)  # type: ignore[arg-type]
    episodes = trainer.play(trainer.jobs(1)[:2])
    for episode, reward, earned in zip(episodes, (1.0, 0.0), (0.2, 0.6), strict=True):
        episode.reward, episode.tags["self_aligned"] = reward, earned
    credit = trainer.compare(episodes)
    # 1.1 and 0.3, less their mean 0.7.
    assert [values[0] for values in credit.advantages if values] == pytest.approx([0.4, -0.4])
    assert [episode.reward for episode in episodes] == [1.0, 0.0]


def test_it_improves_the_policy(tmp_path, guesser):
    run = sar.train(
        config(
            tmp_path,
            guesser,
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
    assert all(-1 <= row["rollout/self_aligned_wrong"] <= 1 for row in metrics(run)[1:-1])


def test_an_environment_whose_prompts_lack_the_goal_is_refused(tmp_path, guesser, monkeypatch):
    from palaestra.envs.guess_number import GuessNumberEnv

    start = GuessNumberEnv._start
    monkeypatch.setattr(GuessNumberEnv, "_start", lambda self, task: start(self, task).upper())
    with pytest.raises(OptionError, match="do not hold the goal"):
        sar.train(config(tmp_path, guesser))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"self_aligned_weight": -0.1}, "self_aligned_weight"),
        ({"resampling_rounds": 2}, "would do nothing"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, "nowhere", **changes)
