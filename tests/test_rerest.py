"""Re-ReST and Reflexion as data: what is tried again, what is imitated in which context, and whole runs."""

import json

import pytest
import torch
from test_sft_grpo import GUESS, sft_config
from training_runs import metrics, same_weights, stopped_after

from palaestra.agents.attempts import pairs
from palaestra.agents.context import AppendContext
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers import rerest, rft, sft
from palaestra.trainers.core.learner import Learner

OPTIONS = ("highest=8", "max_steps=3")


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    out = tmp_path_factory.mktemp("guesser")
    sft.train(sft_config(out, episodes=100, epochs=4, options=OPTIONS, max_context_tokens=500))
    return out / "policy"


def settings(out, guesser, **changes):
    return {
        **GUESS,
        "out": out,
        "policy": f"tiny:{guesser}",
        "options": OPTIONS,
        "max_context_tokens": 500,
        "iterations": 2,
        "tasks_per_iteration": 12,
        "group_size": 2,
        "max_new_tokens": 4,
        "epochs": 2,
        "warmup_steps": 1,
        **changes,
    }


def config(out, guesser, **changes):
    return rerest.Config(**settings(out, guesser, **changes))


def trainer(out, guesser, **changes):
    policy = TinyPolicy.load(guesser)
    chosen = config(out, guesser, **changes)
    return rerest.ReReST(chosen, policy, Learner(policy.model, chosen.learner()))


def test_failures_are_tried_again_with_feedback_and_successes_are_not(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, reflector_epochs=0)
    episodes = playing.collect(1)
    own = [e for e in episodes if not rerest.is_retry(e)]
    again = [e for e in episodes if rerest.is_retry(e)]
    assert len(own) == 24
    assert {(e.group, e.tags["after"]) for e in again} == {(e.group, e.attempt) for e in own if not e.success}
    for first, second in pairs(episodes):
        shown = playing.policy.tokenizer.decode(second.turns[0].prompt_ids)
        assert "This try did not succeed. It was cut off" in shown
        assert shown.startswith(first.turns[0].observation)


def test_what_is_kept_has_no_trace_of_the_failed_try(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, tasks_per_iteration=40)
    episodes = playing.collect(1)
    kept = playing.keep(1, episodes)
    assert len(kept) == sum(e.success for e in episodes)
    corrected = [e for e in kept if rerest.is_retry(e)]
    assert corrected
    for episode in kept:
        begun = AppendContext(playing.policy.tokenizer, 1000)
        begun.begin(episode.turns[0].observation)
        assert episode.turns[0].prompt_ids == begun.prompt()[0]
        assert episode.turns[-1].action in {"1", "2", "3", "4", "5", "6", "7", "8"}


def test_the_reflector_is_trained_on_corrections_and_put_away_again(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, tasks_per_iteration=40, reflector_epochs=3)
    before = {name: value.clone() for name, value in playing.policy.model.state_dict().items()}
    firsts = playing.play(playing.jobs(1))
    failures = [e for e in firsts if not e.success]
    learnt = [e for e in playing.corrected(failures, 1000, firsts) if e.success]
    (row,) = playing.rows(learnt[0], 1.0)

    def likelihood():
        with torch.no_grad():
            logits = playing.policy.model(input_ids=torch.tensor([row.ids])).logits[0, :-1]
        chosen = torch.log_softmax(logits, -1)[torch.arange(len(row.ids) - 1), torch.tensor(row.ids[1:])]
        return float(chosen[torch.tensor(row.sampled[1:])].sum())

    untrained = likelihood()
    with playing.reflector(1, learnt):
        # The row holds the failed try and the feedback: a reflector learns from what it saw.
        assert "did not succeed" in playing.policy.tokenizer.decode(row.ids)
        assert likelihood() > untrained + 0.05
    after = playing.policy.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_reflector_tries_again_what_is_still_wrong(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, tasks_per_iteration=40)
    episodes = playing.collect(1)
    untrained = [e for e in episodes if rerest.is_retry(e) and e.attempt < 2_000_000]
    trained = [e for e in episodes if e.attempt >= 2_000_000]
    wrong = {(e.group, e.tags["after"]) for e in untrained if not e.success}
    assert {(e.group, e.tags["after"]) for e in trained} == wrong
    assert wrong


def test_a_round_takes_no_more_actions_than_it_may(tmp_path, guesser):
    playing = trainer(tmp_path, guesser, round_steps=40)
    episodes = playing.collect(1)
    taken = sum(len(e.turns) for e in episodes)
    assert 40 - 3 < taken <= 40
    assert len([e for e in episodes if not rerest.is_retry(e)]) < 24


def test_without_failures_it_is_rejection_sampling(tmp_path, guesser):
    """A cold policy finds one of two numbers within twelve guesses, so both learn from the same episodes."""
    changes = {"options": ("highest=2", "max_steps=12"), "temperature": 0.05, "iterations": 1}
    ours = rerest.train(config(tmp_path / "rerest", guesser, **changes))
    plain = rft.train(rft.Config(**settings(tmp_path / "rft", guesser, **changes)))
    (row,) = metrics(ours)
    assert (row["success"], row["rerest/retries"]) == (1.0, 0.0)
    assert same_weights(ours, plain)
    assert not same_weights(ours, guesser.parent)


def test_reflexions_trials_are_imitated_without_the_notes(tmp_path, guesser):
    changes = {"retry": "reflection", "trials": 3, "reflection_tokens": 6}
    playing = trainer(tmp_path, guesser, tasks_per_iteration=40, **changes)
    episodes = playing.collect(1)
    again = [e for e in episodes if rerest.is_retry(e)]
    assert {e.tags["trial"] for e in again} == {2, 3}
    noted = [e for e in again if e.tags["reflections"]]
    assert noted
    told = "You tried this task before"
    for episode in noted:
        assert told in playing.policy.tokenizer.decode(episode.turns[0].prompt_ids)
        assert told not in episode.turns[0].observation
    kept = playing.keep(1, episodes)
    assert any(e.tags.get("reflections") for e in kept)
    for episode in kept:
        ids = [id for turn in episode.turns for id in turn.prompt_ids]
        assert told not in playing.policy.tokenizer.decode(ids)
        assert not any(turn.tags.get("aside") for turn in episode.turns)


@pytest.mark.parametrize("changes", [{}, {"retry": "reflection", "trials": 2, "reflection_tokens": 6}])
def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, guesser, changes):
    straight = rerest.train(config(tmp_path / "straight", guesser, **changes))
    with stopped_after(monkeypatch, rerest.ReReST, "iterate", 1):
        rerest.train(config(tmp_path / "broken", guesser, **changes))
    broken = rerest.train(config(tmp_path / "broken", guesser, **changes))
    assert same_weights(straight, broken)
    assert not same_weights(straight, guesser.parent)
    assert metrics(straight) == metrics(broken)
    stored = [json.loads(line) for line in (straight / "trajectories" / "round-0002.jsonl").open()]
    assert all(row["success"] for row in stored)
    first = metrics(straight)[0]
    assert first["round/kept"] == first["success"] * 24 + first["rerest/corrected"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 2}, "retry='reflection'"),
        ({"reflection_tokens": 9}, "retry='reflection'"),
        ({"retry": "reflection", "reflector_epochs": 5}, "retry='feedback'"),
        ({"retry": "reflection", "trials": 0}, "trials"),
        ({"reflector_epochs": -1}, "reflector_epochs"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, guesser, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, guesser, **changes)


def test_an_unknown_kind_of_retry_names_the_nearest(tmp_path, guesser):
    with pytest.raises(UnknownNameError, match="feedback"):
        config(tmp_path, guesser, retry="feedbak")
