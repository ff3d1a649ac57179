"""Contestants: read from a word, refused early, and played by their agent at its full cost."""

from __future__ import annotations

import json
import math

import pytest

from palaestra.agents.contestants import (
    AGENTS,
    SETTINGS,
    Contestant,
    check_ready,
    contestant_from,
    default_name,
    play,
)
from palaestra.agents.episode import EpisodeWriter, read_episodes
from palaestra.agents.policies import POLICIES
from palaestra.agents.policies.core import Completion
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.rollout import Job, RolloutSettings
from palaestra.agents.scores import score
from palaestra.agents.spending import spending
from palaestra.cli import bench
from palaestra.envs.panel import make_panel
from palaestra.errors import CheckpointError, DataError, OptionError, UnknownNameError

GUESS = "palaestra/GuessNumber-v0"


def jobs(count: int = 8, **options):
    given = {"max_steps": 1, "highest": 2, **options}
    return [Job(item) for item in make_panel(GUESS, count, options=given).items]


class Noter(ScriptedPolicy):
    """Guesses 1, or 2 when a note says so; notes that. Its server charges 2 a completion, 5 tokens each."""

    def __init__(self):
        def act(view):
            if "New plan:" in view.observation:
                return "Guess 2."
            return "2" if "Guess 2." in view.observation else "1"

        super().__init__(act)

    async def generate(self, requests):
        told = await super().generate(requests)
        tags = {"prompt_tokens": 100, "completion_tokens": 5, "cost": 2.0}
        return [Completion(one.ids, one.logprobs, one.finish_reason, tags) for one in told]


def played_by(contestant, tasks, policy, tmp_path):
    """The episodes that a contestant leaves, and those that the progress was told of."""

    class Told(list):
        def update(self, episode):
            self.append(episode)

    told = Told()
    with EpisodeWriter(tmp_path / "e.jsonl") as writer:
        play(contestant, tasks, policy, RolloutSettings(), writer, told)
    return list(read_episodes(tmp_path / "e.jsonl")), told


# ---- a word of the command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("random", Contestant("random", "random")),
        ("expert", Contestant("expert", "expert")),
        ("tiny:a/b/policy", Contestant("react-tiny-a-b", "tiny:a/b/policy")),
        ("react:tiny:/x/y/z", Contestant("react-tiny-y-z", "tiny:/x/y/z")),
        ("reflexion:smollm2", Contestant("reflexion-smollm2", "smollm2", agent="reflexion", tries=3)),
        (
            "mine=reflexion:tiny:d,tries=2,max_turns=9,thought",
            Contestant("mine", "tiny:d", agent="reflexion", tries=2, max_turns=9, thought=True),
        ),
        (
            "best-of-n:hf:d,temperature=0.5",
            Contestant("best-of-n-hf-d,temperature=0.5", "hf:d", agent="best-of-n", tries=5, temperature=0.5),
        ),
        (
            "w=hf:d,context=window,window_turns=3,remind_goal=true,thought=false,max_tokens=7",
            Contestant(
                "w", "hf:d", context="window", window_turns=3, remind_goal=True, thought=False, max_tokens=7
            ),
        ),
        ("c=codeact:hf:d", Contestant("c", "hf:d", agent="codeact", max_tokens=512, max_turns=20)),
        (
            "openai:a/b@http://h:8/v1#key=K&x=1",
            Contestant("react-openai-a-b", "openai:a/b@http://h:8/v1#key=K&x=1"),
        ),
        (
            "best-of-n:random,tries=2",
            Contestant("best-of-n-random,tries=2", "random", agent="best-of-n", tries=2),
        ),
    ],
)
def test_a_word_says_who_plays(text, expected):
    assert contestant_from(text) == expected


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", UnknownNameError, "agent or policy"),
        ("expret", UnknownNameError, "Did you mean 'expert'"),
        ("reflexon:smollm2", UnknownNameError, "Did you mean 'reflexion'"),
        ("reflexion:smolm2", UnknownNameError, "Did you mean 'smollm2'"),
        ("reflexion:", UnknownNameError, "policy"),
        ("smollm2,temprature=1", UnknownNameError, "Did you mean 'temperature'"),
        ("smollm2,name=x", UnknownNameError, "setting"),
        ("smollm2,context=windw", UnknownNameError, "Did you mean 'window'"),
        ("smollm2,temperature=hot", OptionError, "number"),
        ("smollm2,temperature=nan", OptionError, "finite"),
        ("smollm2,temperature=-1", OptionError, "negative"),
        ("smollm2,max_tokens=0", OptionError, "max_tokens"),
        ("smollm2,max_turns=0", OptionError, "max_turns"),
        ("smollm2,thought=perhaps", OptionError, "true or false"),
        ("smollm2,window_turns=3", OptionError, "context='window'"),
        ("smollm2,context=window", OptionError, "window_turns"),
        ("smollm2,tries=3", OptionError, "no use for tries"),
        ("codeact:smollm2,thought", OptionError, "no use for thought"),
        ("codeact:smollm2,remind_goal,temperature=1", OptionError, "no use for remind_goal"),
        ("random,temperature=1", OptionError, "no use for temperature"),
        ("expert,system=x", DataError, "system"),
        ("reflexion:smollm2,tries=0", OptionError, "tries"),
        ("best-of-n:smollm2", OptionError, "temperature"),
        ("best-of-n:smollm2,temperature=0", OptionError, "temperature"),
        ("a*b=random", OptionError, "file name"),
        (f"{'n' * 300}=random", OptionError, "too long"),
    ],
)
def test_a_word_that_says_nothing_usable_is_refused(text, error, said):
    with pytest.raises(error, match=said):
        contestant_from(text)


def test_a_contestant_made_by_hand_is_checked_too():
    with pytest.raises(UnknownNameError, match="Did you mean 'react'"):
        Contestant("a", "random", agent="reac")
    with pytest.raises(OptionError, match="plays a task once"):
        Contestant("a", "random", tries=2)
    with pytest.raises(OptionError, match="codeact has no use"):
        Contestant("a", "random", agent="codeact", system="x")


def test_general_settings_are_for_those_who_use_them_and_do_not_say_otherwise():
    general = {"temperature": 1.0, "thought": True, "context": "window", "window_turns": 4, "max_turns": 6}
    plain = contestant_from("hf:d", general)
    assert (plain.temperature, plain.thought, plain.window_turns, plain.max_turns) == (1.0, True, 4, 6)
    own = contestant_from("hf:d,temperature=0.5,thought=false,context=append", general)
    assert (own.temperature, own.thought, own.context, own.window_turns) == (0.5, False, "append", None)
    code = contestant_from("codeact:hf:d", general)
    assert (code.temperature, code.thought, code.window_turns, code.max_turns) == (1.0, False, 4, 6)
    scripted = contestant_from("random", general)
    assert (scripted.temperature, scripted.thought, scripted.context) == (0.0, False, "append")


def test_system_is_the_text_of_a_file(tmp_path):
    path = tmp_path / "how.txt"
    path.write_text("Answer briefly.\n")
    assert contestant_from(f"a=hf:d,system={path}").system == "Answer briefly."
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"how\.txt"):
        contestant_from(f"a=hf:d,system={path}")


def test_names_can_be_files_and_settings_can_be_saved():
    for policy in ("tiny:/a/../b c", "hf:x", "vllm:/m", "openai:org/m@https://h/v1#body.x=1", "smollm2"):
        name = default_name("reflexion", policy, ["system=/a/b.txt"])
        assert not set(name) & set("/\\*?[]: ")
        contestant = Contestant(name, policy, agent="reflexion")
        assert Contestant(**json.loads(json.dumps(contestant.settings))) == contestant


def test_the_help_names_all_agents_policies_and_settings():
    text = bench.Config.__doc__ or ""
    for name in (*AGENTS, *POLICIES, *SETTINGS):
        assert name in text, name


# ---- is everything there? ----------------------------------------------------------------------------


def test_a_policy_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "empty").mkdir()
    for policy in (f"tiny:{tmp_path}/none", f"hf:{tmp_path}/empty", f"vllm:{tmp_path}/none"):
        with pytest.raises(CheckpointError, match="'a' is not there"):
            check_ready(Contestant("a", policy))
    with pytest.raises(CheckpointError, match="palaestra models smollm2"):
        check_ready(Contestant("a", "smollm2"))
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    check_ready(Contestant("a", f"hf:{tmp_path}/empty"))
    for policy in ("random", "expert", "openai:m@http://127.0.0.1:1/v1"):
        check_ready(Contestant("a", policy))


# ---- playing -----------------------------------------------------------------------------------------


def test_reflexion_leaves_one_episode_a_task_that_costs_what_all_its_tries_cost(tmp_path):
    contestant = Contestant("a", "random", agent="reflexion", tries=3)
    episodes, told = played_by(contestant, jobs(), Noter(), tmp_path)
    assert sorted(e.key for e in episodes) == sorted(job.item.key for job in jobs())
    assert [e.key for e in told] == [e.key for e in episodes]
    first = [e for e in episodes if e.tags["trial"] == 1]
    second = [e for e in episodes if e.tags["trial"] == 2]
    assert first
    assert second
    assert len(first) + len(second) == 8
    assert {e.attempt for e in second} == {1}
    assert all(e.success for e in episodes)
    for episode in first:
        assert (spending(episode).tokens, spending(episode).prompt_tokens, spending(episode).cost) == (
            5,
            100,
            2,
        )
    for episode in second:
        # Two guesses and a reflection.
        assert (spending(episode).tokens, spending(episode).prompt_tokens) == (15, 300)
        assert spending(episode).cost == 6.0
        assert spending(episode).seconds == pytest.approx(episode.seconds + episode.tags["earlier_seconds"])
    found = score("a", episodes, contestant.settings)
    assert found.within == (len(first) / 8, 1.0, 1.0)
    assert found.cost == 2 * len(first) + 6 * len(second)
    # What the settings call a scripted policy samples no tokens of a model.
    assert math.isnan(found.tokens)


def test_best_of_n_leaves_one_episode_a_task_that_costs_what_all_its_tries_cost(tmp_path):
    contestant = Contestant("a", "random", agent="best-of-n", tries=4)
    episodes, told = played_by(contestant, jobs(), Noter(), tmp_path)
    assert sorted(e.key for e in episodes) == sorted(job.item.key for job in jobs())
    assert len(told) == 8
    for episode in episodes:
        assert episode.tags["tries"] == 4
        assert (spending(episode).tokens, spending(episode).prompt_tokens, spending(episode).cost) == (
            20,
            400,
            8,
        )
    assert score("a", episodes, {"policy": "x"}).tokens == 20


def test_max_turns_ends_a_try(tmp_path):
    contestant = Contestant("a", "random", max_turns=2)
    policy = ScriptedPolicy(lambda view: "0")
    episodes, _ = played_by(contestant, jobs(4, max_steps=9, highest=100), policy, tmp_path)
    for episode in episodes:
        assert (len(episode.turns), episode.outcome) == (2, "truncated")
        assert episode.tags["turn_limit"]
    found = score("a", episodes, contestant.settings)
    assert found.endings == {"turn limit": 4}
    assert found.steps == 2


def test_an_episode_that_ends_at_the_last_turn_met_no_limit(tmp_path):
    contestant = Contestant("a", "random", max_turns=1)
    episodes, _ = played_by(contestant, jobs(), ScriptedPolicy(lambda view: "1"), tmp_path)
    assert not any("turn_limit" in episode.tags for episode in episodes)


def test_codeact_plays(tmp_path):
    contestant = Contestant("a", "random", agent="codeact", max_turns=3)
    policy = ScriptedPolicy(lambda view: "```python\nprint(6 * 7)\n```")
    episodes, _ = played_by(contestant, jobs(2), policy, tmp_path)
    assert all("42" in episode.final_observation for episode in episodes)
    assert score("a", episodes, contestant.settings).endings == {"turn limit": 2}
