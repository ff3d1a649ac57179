"""SFT and GRPO end to end on a very small model: they learn, resume exactly, and refuse idle options."""

import json
from dataclasses import replace

import pytest
import torch
from training_runs import metrics, same_weights, stopped_after, weights

from palaestra.agents.episode import read_episodes
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.cli.main import parse_config
from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers import grpo, sft
from palaestra.trainers.core.learner import Learner

SMALL = {"width": 32, "layers": 1, "heads": 2, "vocab_size": 300}
HOUSE = {
    "env": "palaestra/ALFWorld-v0",
    "options": ("scale=small", "max_steps=12"),
    "max_context_tokens": 1500,
}
GUESS = {
    "env": "palaestra/GuessNumber-v0",
    "options": ("highest=8", "max_steps=4"),
    "max_context_tokens": 200,
}


def sft_config(out, **changes):
    settings = {**GUESS, **SMALL, "episodes": 40, "noise": 0.0, "epochs": 3, "batch_tokens": 200, **changes}
    settings = {"learning_rate": 1e-2, "warmup_steps": 2, **settings}
    return sft.Config(out=out, **settings)


def grpo_config(out, policy, **changes):
    settings = {
        **GUESS,
        "iterations": 4,
        "tasks_per_iteration": 3,
        "group_size": 4,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        **changes,
    }
    return grpo.Config(out=out, policy=f"tiny:{policy}", **settings)


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    """A policy that guesses in the right form, and about half of the time right."""
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=100, epochs=4))
    return out / "policy"


# ---- supervised fine-tuning ----------------------------------------------------------------------


def test_sft_learns_and_leaves_a_policy_that_loads(tmp_path):
    assert sft.train(sft_config(tmp_path / "run", epochs=4)) == tmp_path / "run"
    losses = [row["learner/imitation_loss"] for row in metrics(tmp_path / "run")]
    assert losses[-1] < losses[0] / 2
    assert load_policy(f"tiny:{tmp_path / 'run' / 'policy'}").tokenizer.encode("Higher.")


@pytest.mark.parametrize("decay", ["cosine", "constant"])
def test_sft_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, decay):
    changes = {"checkpoint_every": 4, "decay": decay, "auxiliary_coefficient": 0.3}
    straight = sft.train(sft_config(tmp_path / "straight", **changes))
    with stopped_after(monkeypatch, Learner, "update", 6):
        sft.train(sft_config(tmp_path / "broken", **changes))
    assert len(metrics(tmp_path / "broken")) == 6
    broken = sft.train(sft_config(tmp_path / "broken", **changes))
    assert same_weights(straight, broken)
    assert metrics(straight) == metrics(broken)


def test_sft_again_after_the_end_changes_nothing(tmp_path):
    run = sft.train(sft_config(tmp_path, epochs=1))
    before, logged = weights(run), metrics(run)
    sft.train(sft_config(tmp_path, epochs=1))
    assert all(torch.equal(before[name], value) for name, value in weights(run).items())
    assert metrics(run) == logged


def test_sft_goes_on_with_a_saved_policy(tmp_path, guesser):
    config = sft.Config(
        **GUESS, out=tmp_path, policy=f"tiny:{guesser}", episodes=20, noise=0.0, epochs=1, learning_rate=1e-4
    )
    run = sft.train(config)
    assert metrics(run)[0]["learner/imitation_loss"] < 1.0
    assert not torch.equal(
        weights(run)["model.embed_tokens.weight"], weights(guesser.parent)["model.embed_tokens.weight"]
    )


def test_random_actions_of_a_noisy_expert_are_seen_but_not_imitated(tmp_path):
    config = sft_config(tmp_path, **HOUSE, episodes=30, noise=0.4, keep_failures=True)
    episodes = sft.expert_episodes(config)
    policy = TinyPolicy.new(
        [turn.observation for episode in episodes for turn in episode.turns], **{**SMALL, "vocab_size": 400}
    )
    rows = sft.demonstration_rows(config, episodes, policy.tokenizer)
    noisy = 0
    for episode, row in zip(episodes, rows, strict=True):
        texts = [(t.action, bool(t.tags.get("noise"))) for t in episode.turns]
        spans, start = [], None
        for at, sampled in enumerate([*row.sampled, False]):
            if sampled and start is None:
                start = at
            elif not sampled and start is not None:
                spans.append(range(start, at))
                start = None
        assert len(spans) == len(texts)
        for span, (action, noise) in zip(spans, texts, strict=True):
            assert policy.tokenizer.decode([row.ids[at] for at in span]).strip() == action
            assert {row.imitation[at] for at in span} == {0.0 if noise else 1.0}
            noisy += noise
    assert noisy > 30


def test_for_a_policy_that_thinks_actions_follow_an_empty_thought(tmp_path, guesser):
    rows = {}
    tokenizer = TinyPolicy.load(guesser).tokenizer
    for thought in (False, True):
        config = sft_config(tmp_path, episodes=5, thought=thought)
        rows[thought] = sft.demonstration_rows(config, sft.expert_episodes(config), tokenizer)
    for plain, thoughtful in zip(rows[False], rows[True], strict=True):
        actions, said = (
            tokenizer.decode([t for t, weight in zip(row.ids, row.imitation, strict=True) if weight])
            for row in (plain, thoughtful)
        )
        assert said == "".join(f" Thought: \nAction: {action}" for action in actions.split())


def test_how_to_play_is_told_before_every_episode(tmp_path, guesser):
    told = "Halve what is left."
    config = sft_config(tmp_path / "sft", episodes=8, epochs=1, system=told)
    policy = TinyPolicy.load(sft.train(config) / "policy")
    rows = sft.demonstration_rows(config, sft.expert_episodes(config), policy.tokenizer)
    run = grpo.train(
        grpo_config(tmp_path / "grpo", guesser, iterations=1, system=told, save_episodes_every=1)
    )
    tokenizer = TinyPolicy.load(guesser).tokenizer
    played = read_episodes(run / "episodes" / "step-00000001.jsonl")
    openings = [policy.tokenizer.decode(row.ids) for row in rows]
    openings += [tokenizer.decode(episode.turns[0].prompt_ids) for episode in played]
    assert len(openings) > 8
    assert all(opening.startswith(f"{told}\n\n") for opening in openings)
    assert not any(told in turn.observation for episode in played for turn in episode.turns)


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default(tmp_path):
    config = sft_config(tmp_path, episodes=8, epochs=1)
    path = sft.train(config) / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["system"]
    path.write_text(json.dumps(record))
    with pytest.raises(OptionError, match="begun with system=''"):
        sft.train(replace(config, system="Guess."))
    sft.train(config)


def test_failed_expert_episodes_are_left_out_unless_kept(tmp_path):
    hopeless = {"options": ("highest=1000", "max_steps=4")}
    with pytest.raises(OptionError, match="none of 40 expert episodes"):
        sft.train(sft_config(tmp_path, **hopeless))
    assert len(sft.expert_episodes(sft_config(tmp_path, **hopeless, keep_failures=True))) == 40


def test_few_tasks_are_shown_again_with_other_noise(tmp_path):
    config = sft_config(tmp_path, **HOUSE, episodes=6, noise=0.5, keep_failures=True)
    tasks = {episode.task_id for episode in sft.expert_episodes(config)}
    assert len(tasks) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": "tiny:somewhere"}, "width=32 would do nothing"),
        ({"window_turns": 3}, "window_turns=3 would do nothing"),
        ({"episodes": 0}, "episodes"),
        ({"policy": "random", "width": 128, "layers": 2, "heads": 4, "vocab_size": 1024}, "no weights"),
    ],
)
def test_sft_refuses_senseless_settings(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        sft.train(sft_config(tmp_path, **changes))


# ---- group-relative policy optimisation ----------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "kl_coefficient": 0.1,
            "entropy_coefficient": 0.01,
            "mini_batches": 2,
            "epochs": 2,
            "dual_clip": 3.0,
        },
        {"context": "window", "window_turns": 2, "gigpo_omega": 1.0, "invalid_action_penalty": 0.1},
        {"resampling_rounds": 2, "normalise_std": False, "aggregation": "constant", "constant_tokens": 8},
    ],
)
def test_grpo_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser, changes):
    straight = grpo.train(grpo_config(tmp_path / "straight", guesser, **changes))
    with stopped_after(monkeypatch, grpo.GRPO, "iterate", 3):
        grpo.train(grpo_config(tmp_path / "broken", guesser, **changes))
    assert [row["step"] for row in metrics(tmp_path / "broken")] == [1, 2, 3]
    broken = grpo.train(grpo_config(tmp_path / "broken", guesser, **changes))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)
    assert sum(row["learner/trained_tokens"] > 0 for row in metrics(straight)) >= 3


def test_grpo_with_more_iterations_continues(tmp_path, guesser):
    straight = grpo.train(grpo_config(tmp_path / "straight", guesser))
    halved = grpo.train(grpo_config(tmp_path / "halved", guesser, iterations=2))
    grpo.train(grpo_config(tmp_path / "halved", guesser, iterations=4))
    assert same_weights(straight, halved)
    assert metrics(straight) == metrics(halved)


def test_grpo_does_not_depend_on_how_many_episodes_are_played_at_once(tmp_path, guesser):
    wide = grpo.train(grpo_config(tmp_path / "wide", guesser, iterations=2))
    narrow = grpo.train(grpo_config(tmp_path / "narrow", guesser, iterations=2, concurrency=1))
    for one, other in zip(metrics(wide), metrics(narrow), strict=True):
        assert one["success"] == other["success"]
        assert one["learner/loss"] == pytest.approx(other["learner/loss"], abs=1e-4)


def test_grpo_improves_the_policy(tmp_path):
    options = ("highest=3", "max_steps=2")
    clone = sft.train(sft_config(tmp_path / "sft", options=options, episodes=60, epochs=2, decay="constant"))
    run = grpo.train(
        grpo_config(
            tmp_path / "grpo",
            clone / "policy",
            options=options,
            iterations=30,
            tasks_per_iteration=6,
            group_size=8,
            learning_rate=3e-3,
            evaluate_every=30,
            eval_tasks=100,
            eval_options=("split=valid", *options),
        )
    )
    found = [row["eval/success"] for row in metrics(run) if "eval/success" in row]
    assert len(found) == 2
    assert found[1] > found[0] + 0.15
    gaps = [row["learner/max_logprob_gap"] for row in metrics(run) if "learner/max_logprob_gap" in row]
    assert max(gaps) < 1e-3


def test_tries_of_a_group_share_the_start_and_differ_in_the_attempt(tmp_path, guesser):
    run = grpo.train(grpo_config(tmp_path, guesser, iterations=2, save_episodes_every=2))
    assert [file.name for file in (run / "episodes").iterdir()] == ["step-00000002.jsonl"]
    episodes = list(read_episodes(run / "episodes" / "step-00000002.jsonl"))
    groups = {episode.group for episode in episodes}
    assert len(groups) == 3
    for group in groups:
        members = [episode for episode in episodes if episode.group == group]
        assert {episode.attempt for episode in members} == set(range(4))
        assert len({(episode.task_id, episode.seed) for episode in members}) == 1
        assert len({episode.turns[0].observation for episode in members}) == 1


def test_tasks_are_drawn_from_seed_and_iteration_alone(tmp_path, guesser):
    config = grpo_config(tmp_path, guesser)
    trainer = grpo.GRPO(config, None, None)  # type: ignore[arg-type]
    again = grpo.GRPO(config, None, None)  # type: ignore[arg-type]
    assert trainer.jobs(7, 0, 3) == again.jobs(7, 0, 3)
    others = [trainer.jobs(8, 0, 3), trainer.jobs(7, 1, 3)]
    others.append(grpo.GRPO(replace(config, seed=1), None, None).jobs(7, 0, 3))  # type: ignore[arg-type]
    for jobs in others:
        assert {job.item.task_id for job in jobs} != {job.item.task_id for job in trainer.jobs(7, 0, 3)}


def test_flat_groups_are_replaced_when_resampling(tmp_path, guesser):
    # Two guesses for 8 numbers: most groups fail throughout and teach nothing.
    options = ("highest=8", "max_steps=2")
    plain = grpo.train(grpo_config(tmp_path / "plain", guesser, options=options))
    refilled = grpo.train(grpo_config(tmp_path / "refilled", guesser, options=options, resampling_rounds=4))

    def informative(run):
        return sum(row["rollout/groups"] - row["rollout/flat_groups"] for row in metrics(run))

    assert informative(refilled) > informative(plain)
    assert all(row["rollout/groups"] == 3 for row in metrics(plain))
    assert any(row["rollout/groups"] > 3 for row in metrics(refilled))


def test_an_iteration_without_anything_to_learn_leaves_the_weights(tmp_path, guesser):
    # A policy that only knows numbers up to 8 fails every try, so the group has no spread.
    options = ("highest=100000", "max_steps=1")
    run = grpo.train(grpo_config(tmp_path, guesser, options=options, iterations=1, tasks_per_iteration=1))
    (row,) = metrics(run)
    assert row["rollout/flat_groups"] == 1
    assert row["learner/trained_tokens"] == 0
    assert same_weights(run, guesser.parent)


def test_grpo_runs_on_household_games(tmp_path):
    clone = sft.train(sft_config(tmp_path / "sft", **HOUSE, episodes=8, epochs=1, vocab_size=400, noise=0.1))
    config = grpo_config(
        tmp_path / "grpo", clone / "policy", **HOUSE, iterations=1, max_new_tokens=12, dynamic_filter=False
    )
    (row,) = metrics(grpo.train(config))
    assert row["rollout/episodes"] == 12
    assert row["rollout/invalid_share"] > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group_size": 1}, "nothing to compare"),
        ({"gigpo_gamma": 0.5}, "gigpo_gamma=0.5 would do nothing"),
        ({"dynamic_filter": False, "resampling_rounds": 2}, "resampling_rounds=2 would do nothing"),
        ({"eval_tasks": 3}, "eval_tasks=3 would do nothing"),
        ({"eval_options": ("split=valid",)}, "would do nothing"),
        ({"window_turns": 2}, "window_turns=2 would do nothing"),
        ({"constant_tokens": 2}, "constant_tokens"),
        ({"iterations": 0}, "iterations"),
        ({"evaluate_every": -1}, "negative"),
    ],
)
def test_grpo_refuses_senseless_settings(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        grpo_config(tmp_path, "nowhere", **changes)


def test_grpo_refuses_a_changed_option_when_resuming(tmp_path, guesser):
    grpo.train(grpo_config(tmp_path, guesser, iterations=1))
    with pytest.raises(OptionError, match="group_size=4, now it is 5"):
        grpo.train(grpo_config(tmp_path, guesser, group_size=5))


def test_wrong_names_are_typed_errors(tmp_path, guesser):
    with pytest.raises(UnknownNameError, match="GuessNumber"):
        grpo.train(grpo_config(tmp_path / "a", guesser, env="palaestra/GuessNumbers-v0"))
    with pytest.raises(UnknownNameError, match="highest"):
        grpo.train(grpo_config(tmp_path / "b", guesser, options=("higest=8",)))
    with pytest.raises(OptionError, match="no weights to train"):
        grpo.train(replace(grpo_config(tmp_path / "c", guesser), policy="random"))


def test_both_configs_are_command_lines():
    given = ["--policy", "tiny:x", "--options", "split=train", "highest=8", "--no-dynamic-filter"]
    found = parse_config(grpo.Config, "grpo", given)
    assert found == grpo.Config(policy="tiny:x", options=("split=train", "highest=8"), dynamic_filter=False)
    assert parse_config(sft.Config, "sft", ["--width", "64", "--noise", "0.2"]) == sft.Config(
        width=64, noise=0.2
    )
