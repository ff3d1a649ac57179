"""Reflexion: rounds of trials, what each is shown, and what the record says."""

from __future__ import annotations

import math

import pytest
from troubled_env import ID, TroubledEnv

from palaestra.agents.episode import EpisodeWriter, read_episodes, sequences
from palaestra.agents.policies.core import Sampling
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.react import react
from palaestra.agents.reflexion import MEMORY, opening, reflexion, success_within
from palaestra.agents.rollout import Job, RolloutSettings
from palaestra.envs.panel import PanelItem, make_panel
from palaestra.errors import FailureRateError, OptionError

GUESS = "palaestra/GuessNumber-v0"


def one_guess_jobs(count=8):
    return [Job(item) for item in make_panel(GUESS, count, options={"max_steps": 1, "highest": 2}).items]


class Guesser(ScriptedPolicy):
    """Guesses 1, or what its latest note says; its reflection is always to try 2."""

    def __init__(self, context_tokens=None, note="Guess 2."):
        self.questions = []
        self.context_tokens = context_tokens

        def act(view):
            if "New plan:" in view.observation:
                self.questions.append(view.observation)
                return note
            return "2" if "Guess 2." in view.observation else "1"

        super().__init__(act)


def test_a_failed_trial_is_reflected_upon_and_the_next_one_is_told():
    policy = Guesser()
    played = reflexion(one_guess_jobs(), react(), policy, trials=3)
    first = [past[0].success for past in played]
    assert any(first)
    assert not all(first)
    for past in played:
        assert [episode.success for episode in past] == ([True] if past[0].success else [False, True])
        assert [episode.tags["trial"] for episode in past] == list(range(1, len(past) + 1))
        assert [episode.attempt for episode in past] == list(range(len(past)))
    failed = next(past for past in played if not past[0].success)
    assert failed[0].tags["reflection"] == "Guess 2."
    assert failed[1].tags["reflections"] == ["Guess 2."]
    assert "reflection" not in failed[1].tags
    assert failed[1].turns[0].observation == opening(["Guess 2."], failed[0].turns[0].observation)
    assert failed[1].tags["earlier_tokens"] == failed[0].sampled_tokens
    assert failed[1].tags["earlier_seconds"] == failed[0].seconds
    assert success_within(played, 3) == [sum(first) / 8, 1.0, 1.0]
    # The question shows the whole try, with what came of it, and asks about nothing else.
    assert "Action: 1\nHigher." in policy.questions[0]
    assert len(policy.questions) == 8 - sum(first)


def test_a_reflection_is_a_turn_that_can_be_learnt_from():
    [past] = reflexion([one_guess_jobs()[_first_wrong()]], react(), Guesser(), trials=2)
    guess, reflection = past[0].turns
    assert (guess.action, reflection.action, reflection.tags["purpose"]) == ("1", "", "reflection")
    assert len(sequences(past[0])) == 2
    assert sum(sequences(past[0])[1].mask) == len(reflection.completion_ids)


def test_only_the_last_reflections_are_shown_and_the_last_trial_is_not_reflected_upon():
    numbers = iter(range(100))
    shown = []

    def act(view):
        if "New plan:" in view.observation:
            return f"Note {next(numbers)}."
        shown.append(view.observation.count("Note"))
        return "no number"

    [past] = reflexion(one_guess_jobs(1), react(), ScriptedPolicy(act), trials=6)
    assert shown == [0, 1, 2, 3, 3, 3]
    assert MEMORY == 3
    assert past[-1].tags["reflections"] == ["Note 2.", "Note 3.", "Note 4."]
    assert next(numbers) == 5
    assert success_within([past], 6) == [0.0] * 6


def test_infrastructure_failures_are_neither_reflected_upon_nor_tried_again():
    TroubledEnv.forget()
    jobs = [Job(PanelItem(ID, f"task-{n}", n, {"trouble": "step", "max_steps": 3})) for n in range(4)]
    asked = []

    def act(view):
        asked.append(view.observation)
        return "note" if "New plan:" in view.observation else "go"

    settings = RolloutSettings(max_failure_rate=0.5, retries=0, gather_wait_s=0.0)
    played = reflexion(jobs, react(), ScriptedPolicy(act), trials=2, settings=settings)
    assert [[episode.failed for episode in past] for past in played] == [[True], [False], [False], [True]]
    assert not any("New plan:" in question for question in asked)
    assert success_within(played, 2) == [1.0, 1.0]
    assert math.isnan(success_within([played[0]], 2)[1])
    with pytest.raises(FailureRateError):
        reflexion(jobs, react(), ScriptedPolicy(act), settings=RolloutSettings(retries=0))


def test_writers_get_what_decides_a_job_and_every_try(tmp_path):
    class Count:
        seen = 0

        def update(self, episode):
            self.seen += 1

    progress = Count()
    with EpisodeWriter(tmp_path / "results.jsonl") as writer, EpisodeWriter(tmp_path / "all.jsonl") as tries:
        played = reflexion(
            one_guess_jobs(), react(), Guesser(), trials=2, writer=writer, every_try=tries, progress=progress
        )
    results = list(read_episodes(tmp_path / "results.jsonl"))
    assert sorted(e.key for e in results) == sorted(past[-1].key for past in played)
    assert all(e.success for e in results)
    assert progress.seen == 8
    assert len(list(read_episodes(tmp_path / "all.jsonl"))) == sum(len(past) for past in played)
    assert sum(len(past) for past in played) > 8


def test_an_episode_that_outgrew_its_context_is_reflected_upon_too():
    job = one_guess_jobs()[_first_wrong()]
    agent = react(max_context_tokens=150, sampling=Sampling(max_tokens=150))
    [past] = reflexion([job], agent, Guesser(), trials=2)
    assert past[0].tags["context_full"] is True
    assert past[0].tags["reflection"] == "Guess 2."
    # A policy without room for the question is tried again all the same.
    [past] = reflexion([job], react(), Guesser(context_tokens=90), trials=2)
    assert [episode.tags.get("reflection") for episode in past] == ["", None]
    assert past[1].tags["reflections"] == []


def test_trials_must_be_positive():
    with pytest.raises(OptionError, match="trials"):
        reflexion(one_guess_jobs(1), react(), Guesser(), trials=0)


def _first_wrong():
    played = reflexion(one_guess_jobs(), react(), Guesser(), trials=1)
    return next(n for n, past in enumerate(played) if not past[0].success)
