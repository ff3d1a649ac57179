"""Best of n: votes, verifiers, and a choice that cannot see the reward."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from troubled_env import ID, TroubledEnv

from palaestra.agents.best_of_n import (
    best_of_n,
    final_answer,
    highest,
    majority,
    mean_logprob,
    without_verdict,
)
from palaestra.agents.episode import Episode, EpisodeWriter, Turn, read_episodes
from palaestra.agents.policies.core import Completion, Request
from palaestra.agents.policies.scripted import ByteTokenizer
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings
from palaestra.envs.panel import PanelItem, make_panel
from palaestra.errors import ContractError, OptionError

GUESS = "palaestra/GuessNumber-v0"


class Dice:
    """Answers 1, 2 or 3, with the log-prob of a die that favours 2."""

    name = "dice"
    tokenizer = ByteTokenizer()
    chances = (0.2, 0.5, 0.3)

    async def generate(self, requests: list[Request]) -> list[Completion]:
        return [self._throw(request) for request in requests]

    def _throw(self, request):
        face = int(request.generator.choice(3, p=self.chances))
        ids = [*self.tokenizer.encode(f" {face + 1}"), self.tokenizer.stop_id]
        return Completion(ids, [0.0, math.log(self.chances[face]), 0.0], "stop")

    def forget(self, session: str) -> None:
        pass


def jobs(count=6):
    return [Job(item) for item in make_panel(GUESS, count, options={"max_steps": 1, "highest": 3}).items]


def test_self_consistency_takes_the_most_frequent_answer_of_the_same_tries(tmp_path):
    with EpisodeWriter(tmp_path / "all.jsonl") as tries, EpisodeWriter(tmp_path / "results.jsonl") as writer:
        chosen = best_of_n(jobs(), react(), Dice(), tries=9, writer=writer, every_try=tries)
    everything = list(read_episodes(tmp_path / "all.jsonl"))
    assert len(everything) == 54
    for episode in chosen:
        own = sorted((e for e in everything if e.key == episode.key), key=lambda e: e.attempt)
        votes = Counter(e.turns[-1].action for e in own)
        assert episode.tags["votes"] == dict(votes)
        assert votes[episode.turns[-1].action] == max(votes.values())
        assert episode.attempt == episode.tags["chosen"] < 9
        assert own[episode.attempt].turns == episode.turns
        assert episode.success == own[episode.attempt].success
        assert episode.tags["tries_succeeded"] == sum(e.success for e in own)
        assert episode.tags["tries_tokens"] == sum(e.sampled_tokens for e in own)
        assert {e.group for e in own} == {episode.key}
    assert chosen[0].agent == "best-of-9-react-append"
    assert [e.key for e in chosen] == [job.item.key for job in jobs()]
    assert sorted(e.key for e in read_episodes(tmp_path / "results.jsonl")) == sorted(e.key for e in chosen)


def test_a_choice_does_not_depend_on_how_many_episodes_are_live():
    alone, together = (
        best_of_n(jobs(), react(), Dice(), tries=5, settings=RolloutSettings(concurrency=concurrency))
        for concurrency in (1, 64)
    )
    assert [(e.attempt, e.turns) for e in alone] == [(e.attempt, e.turns) for e in together]


def test_a_verifier_chooses_by_its_score():
    chosen = best_of_n(jobs(), react(), Dice(), tries=20, choose=highest(lambda e: float(e.turns[-1].action)))
    assert {e.turns[-1].action for e in chosen} == {"3"}
    assert {e.tags["score"] for e in chosen} == {3.0}
    surest = best_of_n(jobs(), react(), Dice(), tries=20, choose=highest(mean_logprob))
    assert {e.turns[-1].action for e in surest} == {"2"}
    with pytest.raises(ContractError, match="numbers"):
        best_of_n(jobs(1), react(), Dice(), tries=2, choose=highest(lambda e: math.nan))


def test_whoever_chooses_cannot_see_the_reward():
    seen: list[Episode] = []

    def score(episode: Episode) -> float:
        seen.append(episode)
        return episode.reward + episode.success + sum(turn.reward for turn in episode.turns)

    chosen = best_of_n(jobs(), react(), Dice(), tries=6, choose=highest(score))
    assert any(e.tags["tries_succeeded"] and not e.success for e in chosen)
    assert {e.tags["chosen"] for e in chosen} == {0}
    # Two tries that gave the same answer look the same, whatever the environment said of them.
    judged = {(e.outcome, e.final_observation, str(e.checks), e.reward, e.success) for e in seen}
    assert judged == {("truncated", "", "{}", 0.0, False)}


def test_tries_without_an_answer_have_no_vote_and_ties_go_to_the_first():
    def tried(*actions):
        return Episode("e", "t", "", 0, "p", "a", turns=[Turn("", [], 0, [], [], a) for a in actions])

    choose = majority()
    assert choose([tried(), tried("b"), tried("A"), tried("x", " a ")]) == (2, {"votes": {"a": 2, "b": 1}})
    assert choose([tried(), tried("b"), tried("a")]) == (1, {"votes": {"b": 1, "a": 1}})
    assert choose([tried(), tried("")]) == (0, {"votes": {}})
    assert (
        majority(lambda episode: episode.turns[0].action[:1])([tried("p"), tried("q1"), tried("q2")])[0] == 1
    )
    assert final_answer(tried("Go  To ", "")) == "go to"
    assert mean_logprob(tried()) == -math.inf
    assert without_verdict(tried("a")).turns[0].action == "a"


def test_a_try_that_failed_for_the_machine_is_not_chosen_unless_all_did():
    TroubledEnv.forget()
    items = [PanelItem(ID, f"task-{n}", n, {"trouble": "once"}) for n in (0, 1)]
    settings = RolloutSettings(retries=0, max_failure_rate=1.0)
    chosen = best_of_n([Job(item) for item in items], react(), Dice(), tries=2, settings=settings)
    assert [e.failed for e in chosen] == [False, False]
    assert chosen[0].tags["chosen"] == 1
    broken = PanelItem(ID, "task-0", 0, {"trouble": "reset"})
    [failed] = best_of_n([Job(broken)], react(), Dice(), tries=2, settings=settings)
    assert failed.failed
    assert "no reset today" in failed.failure


def test_tries_must_be_positive():
    with pytest.raises(OptionError, match="tries"):
        best_of_n(jobs(1), react(), Dice(), tries=0)
