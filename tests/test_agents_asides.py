"""What agents that do more than observe and act leave behind: asides, inserted and diverted actions."""

from __future__ import annotations

import pytest
from troubled_env import ID

from palaestra.agents.context import AppendContext, ContextFull, reencode
from palaestra.agents.episode import Turn, sequences
from palaestra.agents.policies.core import Completion, Sampling
from palaestra.agents.policies.scripted import ByteTokenizer, ScriptedPolicy
from palaestra.agents.rollout import Actor, Job, RolloutSettings, rollout
from palaestra.agents.rounds import round_settings
from palaestra.agents.transcript import ask, elide, transcript
from palaestra.envs.panel import PanelItem
from palaestra.trainers.core.batch import imitation_rows, policy_rows

JOB = Job(PanelItem(ID, "task-1", 1))


class Noting(ScriptedPolicy):
    """Says ``go``, answers questions with ``because``; notes sessions; log-probs are -1."""

    def __init__(self, context_tokens=None):
        super().__init__(lambda view: "because" if "why" in view.observation else "go")
        self.context_tokens = context_tokens
        self.asked, self.forgotten = [], []

    async def generate(self, requests):
        self.asked += [(request.session, len(request.ids)) for request in requests]
        completions = await super().generate(requests)
        for completion in completions:
            completion.logprobs[:] = [-1.0] * len(completion.ids)
        return completions

    def forget(self, session):
        self.forgotten.append(session)


async def questioning(actor: Actor) -> None:
    """Act twice in an append context, with a question before the second action."""
    history = AppendContext(actor.tokenizer, 10_000)
    history.begin(actor.observation)
    for number in range(2):
        if number == 1:
            assert await ask(actor, "why ", "this", "?", Sampling(), {"purpose": "test"}) == "because"
        ids, kept = history.prompt()
        completion = await actor.generate(ids, kept=kept)
        history.record(completion)
        await actor.step("go")
        history.observe(actor.observation)


def test_an_aside_is_a_turn_with_a_row_of_its_own_and_does_not_break_the_other():
    policy = Noting()
    [episode] = rollout([JOB], questioning, policy)
    assert [turn.action for turn in episode.turns] == ["go", "", "go"]
    aside = episode.turns[1]
    assert aside.observation == "why this?"
    assert aside.tags == {"purpose": "test", "aside": True, "no_action": True}
    main, beside = sequences(episode)
    assert policy.tokenizer.decode(beside.ids) == "why this?\n> because"
    assert sum(main.mask) == 2 * len(" go.")
    assert {number for number in main.turn if number >= 0} == {0, 2}
    assert {number for number in beside.turn if number >= 0} == {1}
    # The question has a session of its own: the episode's cache is not thrown away for it.
    sessions = [session for session, _ in policy.asked]
    assert sessions[0] == sessions[2] != sessions[1]
    assert sorted(policy.forgotten) == sorted(set(sessions))


def test_imitation_of_an_episode_leaves_its_asides_out():
    [episode] = rollout([JOB], questioning, Noting())
    copy = reencode(episode, AppendContext(ByteTokenizer(), 10_000))
    assert [turn.action for turn in copy.turns] == ["go", "go"]
    assert len(sequences(copy)) == 1


def test_an_inserted_action_is_context_for_policy_gradients():
    async def agent(actor: Actor) -> None:
        history = AppendContext(actor.tokenizer, 10_000)
        history.begin(actor.observation)
        for number in range(4):
            ids, kept = history.prompt()
            if number in (0, 1, 3):  # first, twice in a row, and last
                action = [*actor.tokenizer.encode(" go"), actor.tokenizer.stop_id]
                actor.insert(ids, action, kept=kept)
            else:
                completion = await actor.generate(ids, kept=kept)
                action = completion.ids
            history.record(_written(action))
            await actor.step("go")
            history.observe(actor.observation)

    [episode] = rollout([JOB], agent, Noting())
    [row] = sequences(episode)
    assert [turn.tags.get("inserted_tokens") for turn in episode.turns] == [4, 4, None, 4]
    assert [turn.completion_ids != [] for turn in episode.turns] == [False, False, True, False]
    assert row.ids.count(ByteTokenizer.stop_id) == 4
    assert {number for number in row.turn if number >= 0} == {2}
    [policy_row] = policy_rows(episode, [1.0] * 4)
    assert sum(policy_row.sampled) == sum(value != 0 for value in policy_row.advantage or ()) == 4
    [imitation_row] = imitation_rows(episode, [1.0] * 4)
    assert sum(value != 0 for value in imitation_row.imitation or ()) == 4


def test_an_action_may_go_elsewhere_than_to_the_environment():
    async def agent(actor: Actor) -> None:
        await actor.generate([1, 2, 3])
        actor.act_elsewhere("1 + 1", "2", valid=False, tags={"calculator": True})
        await actor.generate([1, 2, 3])
        actor.act_elsewhere("2 + 2", "4")

    [episode] = rollout([JOB], agent, Noting())
    assert [(turn.action, turn.observation, turn.valid) for turn in episode.turns] == [
        ("1 + 1", "Go 1. <stop></s><|im_end|>", False),
        ("2 + 2", "2", True),
    ]
    assert episode.turns[0].tags == {"calculator": True}
    assert (episode.final_observation, episode.outcome, episode.success) == ("4", "truncated", False)


def test_a_question_that_does_not_fit_loses_its_middle_and_then_the_episode_says_so():
    asked = []

    async def agent(actor: Actor) -> None:
        text = "why" + "x" * 500 + "end"
        assert await ask(actor, "Before ", text, " after", Sampling(max_tokens=20), {}) == "because"
        asked.append(actor.episode.turns[0].observation)
        with pytest.raises(ContextFull):
            await ask(actor, "b" * 200, text, "", Sampling(max_tokens=20), {})

    policy = Noting(context_tokens=200)
    [episode] = rollout([JOB], agent, policy)
    assert not episode.failed, episode.failure
    assert asked[0].startswith("Before why")
    assert asked[0].endswith("end after")
    assert "characters left out" in asked[0]
    assert 100 < policy.asked[0][1] <= 180


def test_transcripts_show_thoughts_before_or_reasons_after():
    turns = [
        Turn("You see a box.", [], 0, [], [], "open box", tags={"thought": "It may hold the key."}),
        Turn("Why?", [], 0, [], [], "", tags={"aside": True}),
        Turn("It is empty.", [], 0, [], [], "look"),
    ]
    assert transcript(turns, "Nothing.").split("\n") == [
        "You see a box.",
        "Thought: It may hold the key.",
        "Action: open box",
        "It is empty.",
        "Action: look",
        "Nothing.",
    ]
    assert transcript(turns, thoughts="after").split("\n")[1:3] == [
        "Action: open box",
        "Reason: It may hold the key.",
    ]


def test_elide_keeps_both_ends_and_says_how_much_is_gone():
    assert elide("abcdef", 6) == "abcdef"
    assert elide("abcdefghi", 5) == "abc\n[... 4 characters left out ...]\nhi"
    assert elide("abc", 0) == "\n[... 3 characters left out ...]\n"


def test_one_failure_in_a_late_small_round_is_judged_with_all_the_earlier_episodes():
    [sound] = rollout([JOB], questioning, Noting())
    settings = RolloutSettings(max_failure_rate=0.1)
    assert round_settings(settings, [sound] * 97, 3).max_failure_rate == 1.0
    assert round_settings(settings, [], 50).max_failure_rate == pytest.approx(0.1)
    assert round_settings(settings, [sound] * 10, 10).max_failure_rate == pytest.approx(0.2)
    sound.outcome = "failed"
    assert round_settings(settings, [sound] * 10, 10).max_failure_rate == 0.0


def _written(ids):
    return Completion(ids, [0.0] * len(ids), "stop")
