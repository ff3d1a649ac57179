"""ActRe: arbitrary actions with reasons, what of them may be learnt how, and what they reach."""

from __future__ import annotations

import itertools
import re

import pytest

from palaestra.agents.actre import (
    compose,
    compose_unsolved,
    coverage,
    imitable,
    reason_in,
)
from palaestra.agents.context import AppendContext, reencode
from palaestra.agents.episode import Episode, sequences
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, rollout
from palaestra.envs.panel import make_panel
from palaestra.errors import OptionError
from palaestra.trainers.core.batch import imitation_rows, policy_rows

OPTIONS = {"scale": "small", "max_steps": 20, "split": "test", "task_types": ["pick_and_place_simple"]}
JOBS = [Job(item) for item in make_panel("palaestra/ALFWorld-v0", 8, options=OPTIONS).items]


class Thinker(ScriptedPolicy):
    """Looks and looks, or (``able``) does as the expert does, but never takes anything; gives its reasons."""

    def __init__(self, answer="I want to see what is there.", able=False):
        self.questions: list[str] = []

        def act(view):
            if view.observation.endswith("\nReason:"):
                self.questions.append(view.observation)
                return answer
            action = view.expert() if able else "look"
            return f"Thought: I shall look.\nAction: {'look' if action.startswith('take') else action}"

        super().__init__(act)


def test_some_actions_are_arbitrary_and_come_with_a_reason():
    policy = Thinker()
    episodes = rollout(JOBS, compose(0.5), policy)
    for episode in episodes:
        acted = [turn for turn in episode.turns if not turn.tags.get("aside")]
        other = [turn for turn in acted if "inserted_tokens" in turn.tags]
        assert episode.tags["inserted"] == len(other)
        assert all(turn.tags["thought"] == "I want to see what is there." for turn in other)
        assert all(turn.completion_ids == [] and turn.valid for turn in other)
        assert {turn.action for turn in acted if turn not in other} <= {"look"}
        assert sum(turn.tags.get("purpose") == "explanation" for turn in episode.turns) == len(other)
    inserted = sum(episode.tags["inserted"] for episode in episodes)
    turns = sum(not turn.tags.get("aside") for episode in episodes for turn in episode.turns)
    assert 0.3 < inserted / turns < 0.7
    assert len({turn.action for episode in episodes for turn in episode.turns}) > 10


def test_the_explainer_sees_actions_before_reasons_and_not_where_the_action_comes_from():
    policy = Thinker()
    [episode] = rollout(JOBS[:1], compose(0.5), policy)
    question = policy.questions[-1]
    record = question.partition("\nNow\n")[2]
    assert record.startswith(episode.turns[0].observation)
    assert re.search(r"Action: look\nReason: I shall look\.\n", record)
    assert re.search(r"\nAction: [^\n]+\nReason:$", record)
    assert "Thought:" not in record
    assert not re.search("random|arbitrar", question, re.IGNORECASE)
    # It sees the present observation too, above the action in question.
    assert record.count("Action:") == sum(bool(turn.action) for turn in _until_last_question(episode)) + 1


def test_rates_of_nothing_and_everything():
    never = rollout(JOBS[:2], compose(0.0, stuck_turns=0), Thinker())
    plain = rollout(JOBS[:2], react(thought=True), Thinker())
    for a, b in zip(never, plain, strict=True):
        assert [turn.completion_ids for turn in a.turns] == [turn.completion_ids for turn in b.turns]
    [always] = rollout(JOBS[:1], compose(1.0, thought=False), Thinker())
    assert always.tags["inserted"] == len(always.turns)
    assert always.sampled_tokens == 0


def test_after_invalid_actions_in_a_row_something_else_is_done():
    policy = ScriptedPolicy(lambda view: "dance")
    [episode] = rollout(JOBS[:1], compose(0.0, stuck_turns=3, thought=False), policy)
    assert ["inserted_tokens" in turn.tags for turn in episode.turns][:8] == [False] * 3 + [True] + [
        False
    ] * 3 + [True]


def test_an_action_that_cannot_be_explained_is_not_inserted():
    policy = Thinker(answer="It was chosen at random.")
    [episode] = rollout(JOBS[:1], compose(1.0), policy)
    assert episode.tags["inserted"] == 0
    assert policy.questions
    assert {turn.action for turn in episode.turns if not turn.tags.get("aside")} == {"look"}


def test_the_same_job_composes_the_same_episode_whoever_plays_beside_it():
    alone = rollout(JOBS[2:3], compose(0.3), Thinker())
    together = rollout(JOBS, compose(0.3), Thinker())[2:3]
    assert [e.turns for e in alone] == [e.turns for e in together]
    others = rollout([Job(JOBS[2].item, attempt=1)], compose(0.3), Thinker())
    assert [e.turns for e in alone] != [e.turns for e in others]


@pytest.mark.parametrize("context", [{}, {"context": "window", "window_turns": 2}])
def test_what_was_inserted_is_context_for_gradients_and_a_target_for_imitation(context):
    policy = Thinker()
    [episode] = rollout(JOBS[:1], compose(0.5, **context), policy)
    tokenizer, weights = policy.tokenizer, [1.0] * len(episode.turns)
    own = [n for n, turn in enumerate(episode.turns) if turn.action and "inserted_tokens" not in turn.tags]
    inserted = [n for n, turn in enumerate(episode.turns) if "inserted_tokens" in turn.tags]
    assert own
    assert inserted
    learnt = {n for row in sequences(episode) for n in row.turn}
    assert learnt.isdisjoint(inserted)
    assert learnt >= set(own)
    assert all(
        sampled == (advantage != 0)
        for row in policy_rows(episode, weights)
        for sampled, advantage in zip(row.sampled, row.advantage or (), strict=True)
    )
    copy = imitable(episode)
    assert {n for row in sequences(copy) for n in row.turn} >= {*own, *inserted}
    assert copy.turns[inserted[0]].logprobs == [0.0] * len(copy.turns[inserted[0]].completion_ids)
    assert tokenizer.decode(copy.turns[inserted[0]].completion_ids) == (
        f" Thought: I want to see what is there.\nAction: {episode.turns[inserted[0]].action}"
    )
    assert sum(map(_taught, imitation_rows(copy, weights))) == sum(len(t.completion_ids) for t in copy.turns)
    # The rows themselves are the same ids in the same order, read in two ways.
    rows, again = sequences(episode), sequences(copy)
    assert [row.ids for row in rows] == [row.ids for row in again]
    assert episode.turns[inserted[0]].completion_ids == []
    again = reencode(episode, AppendContext(tokenizer, 100_000))
    assert imitable(again).turns == again.turns
    assert len(again.turns) == len(own) + len(inserted)


def test_a_goal_that_is_repeated_is_in_the_prompt():
    [episode] = rollout(JOBS[:1], compose(0.5, remind_goal=True, thought=False), Thinker())
    text = Thinker().tokenizer.decode(sequences(episode)[0].ids)
    assert text.count(f"Task: {episode.goal}") == len(episode.turns) - 1


def test_composing_solves_tasks_that_the_agent_failed_and_coverage_says_how_many():
    policy = Thinker(able=True)
    own = rollout(JOBS, react(thought=True), policy)
    composed = compose_unsolved(JOBS, own, compose(0.3), policy, tries=6)
    flat = list(itertools.chain.from_iterable(composed))
    report = coverage(own, flat)
    assert (report.tasks, report.before) == (8, 0)
    assert report.after == sum(any(e.success for e in tried) for tried in composed) > 0
    assert report.composed == len(flat)
    assert report.by_scenario == {"pick_and_place_simple": (8, 0, report.after)}
    assert f"with {len(flat)} composed trajectories {report.after} (" in str(report)
    for tried in composed:
        assert [e.success for e in tried] == [False] * (len(tried) - 1) + [tried[-1].success]
        assert len(tried) == 6 or tried[-1].success
        assert [e.attempt for e in tried] == list(range(1, len(tried) + 1))
        assert all(e.tags["composed"] and e.group == e.key for e in tried)
    solved = next(tried[-1] for tried in composed if tried[-1].success)
    assert solved.reward == 1.0
    assert imitation_rows(imitable(solved), [1.0] * len(solved.turns))


def test_what_the_agent_solved_is_not_composed_and_more_successes_may_be_wanted():
    def episode(key, success, outcome="terminated"):
        return Episode("e", key, "", 0, "p", "a", success=success, key=key, outcome=outcome, scenario="s")

    own = [episode("a", True), episode("b", False), episode("c", False, "failed")]
    more = [episode("b", True), episode("b", True), episode("x", True), episode("c", True)]
    assert (coverage(own, more).tasks, coverage(own, more).before, coverage(own, more).after) == (2, 1, 2)
    assert str(coverage([], [])) == "no tasks"
    solved = rollout(JOBS[:1], react(thought=True), Thinker())
    solved[0].success = True
    assert compose_unsolved(JOBS[:1], solved, compose(1.0), Thinker()) == [[]]
    failed = rollout(JOBS[:1], react(thought=True), Thinker())
    [tried] = compose_unsolved(JOBS[:1], failed, compose(1.0, thought=False), Thinker(), tries=5, wanted=2)
    assert len(tried) == 5
    able = Thinker(able=True)
    [tried] = compose_unsolved(JOBS[1:2], failed, compose(0.3), able, tries=40, wanted=2)
    assert [e.success for e in tried].count(True) == 2
    assert tried[-1].success


def test_reasons_are_one_line_and_never_give_the_game_away():
    assert (
        reason_in("  Reason: It is closed. I open it.\nYou open it.\nAction: x") == "It is closed. I open it."
    )
    assert reason_in("It is near. It was picked at random. I go there.") == "It is near. I go there."
    assert reason_in("A randomly chosen action.") == ""
    assert reason_in("Because. Action: open box") == "Because."
    assert reason_in("") == ""


def test_settings_and_environments_that_cannot_be_used_are_refused():
    with pytest.raises(OptionError, match="probability"):
        compose(1.5)
    guess = [Job(item) for item in make_panel("palaestra/GuessNumber-v0", 1).items]
    with pytest.raises(OptionError, match="admissible"):
        rollout(guess, compose(1.0), Thinker())
    with pytest.raises(OptionError, match="one of each job"):
        compose_unsolved(JOBS, [], compose(), Thinker())
    with pytest.raises(OptionError, match="at least 1"):
        compose_unsolved([], [], compose(), Thinker(), tries=0)


def _until_last_question(episode):
    last = max(n for n, turn in enumerate(episode.turns) if turn.tags.get("aside"))
    return episode.turns[:last]


def _taught(row):
    return sum(value != 0 for value in row.imitation or ())
