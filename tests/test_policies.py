"""Policies without a model, and how policies are found by name."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import numpy as np
import pytest

from palaestra.agents.episode import sequences
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.core import Policy, Request, Sampling, Tokenizer, View
from palaestra.agents.policies.scripted import ByteTokenizer, ExpertPolicy, RandomPolicy, ScriptedPolicy
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, rollout
from palaestra.envs.panel import make_panel
from palaestra.errors import CheckpointError, OptionError, UnknownNameError

ALFWORLD = "palaestra/ALFWorld-v0"


def ask(policy, view, seed=0, times=1):
    generator = np.random.default_rng(seed)
    requests = [Request([1], f"s{n}", generator, Sampling(), view) for n in range(times)]
    completions = asyncio.run(policy.generate(requests))
    return [(policy.tokenizer.decode(c.ids).strip(), c) for c in completions]


@pytest.mark.parametrize("policy", [ScriptedPolicy(lambda view: "go"), RandomPolicy(), ExpertPolicy()])
def test_they_are_policies(policy):
    assert isinstance(policy, Policy)
    assert isinstance(policy.tokenizer, Tokenizer)


@pytest.mark.parametrize("text", ["", "go to drawer 1", "żółć 漢字 🙂", "\x00\n"])
def test_bytes_survive_and_hold_no_special(text):
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode([tokenizer.bos_id, *ids, tokenizer.stop_id]) == text
    assert max(ids, default=0) < 256


def test_broken_text_is_replaced():
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode("a\ud800")) == "a?"
    assert tokenizer.decode([0xC3]) == "\ufffd"


def test_scripted_answers_from_the_view():
    policy = ScriptedPolicy(lambda view: view.observation[::-1])
    [(text, completion)] = ask(policy, View("olleh", {}))
    assert text == "hello"
    assert (completion.ids[-1], completion.finish_reason) == (policy.tokenizer.stop_id, "stop")
    assert completion.logprobs == [0.0] * len(completion.ids)


def test_a_request_without_a_view_cannot_be_answered():
    for policy in (ScriptedPolicy(lambda view: "go"), RandomPolicy(), ExpertPolicy()):
        with pytest.raises(OptionError, match="view"):
            ask(policy, None)


def test_random_is_uniform_and_a_function_of_the_generator():
    view = View("", {"admissible_actions": ["a", "b", "c", "d"]})
    drawn = [text for text, _ in ask(RandomPolicy(), view, times=2000)]
    for action in "abcd":
        assert abs(drawn.count(action) - 500) < 100
    assert drawn == [text for text, _ in ask(RandomPolicy(), view, times=2000)]
    assert drawn != [text for text, _ in ask(RandomPolicy(), view, seed=1, times=2000)]


def test_random_refuses_an_empty_list_of_actions():
    with pytest.raises(OptionError, match="admissible_actions"):
        ask(RandomPolicy(), View("", {"admissible_actions": []}))


def test_random_writes_words_of_the_observation_where_any_text_is_an_action():
    drawn = [text.split() for text, _ in ask(RandomPolicy(), View("what is 3 + 4", {}), times=500)]
    assert {len(words) for words in drawn} == set(range(1, 9))
    assert {word for words in drawn for word in words} == {"what", "is", "3", "+", "4"}
    assert ask(RandomPolicy(), View("", {}), times=1)[0][0].strip("? ") == ""


def test_the_expert_is_followed_and_its_noise_is_tagged():
    view = View("", {"admissible_actions": ["a", "b"]}, lambda: "right")
    assert {text for text, _ in ask(ExpertPolicy(), view, times=50)} == {"right"}
    noisy = ask(ExpertPolicy(0.3), view, times=1000)
    for text, completion in noisy:
        assert dict(completion.tags) == ({} if text == "right" else {"noise": True})
    assert 230 < sum(text != "right" for text, _ in noisy) < 370
    assert {text for text, _ in ask(ExpertPolicy(1.0), view, times=50)} == {"a", "b"}
    assert (ExpertPolicy(0.3).name, ExpertPolicy().name) == ("expert(noise=0.3)", "expert")


def test_noise_reaches_the_turns_of_an_episode():
    panel = make_panel(ALFWORLD, 4)
    episodes = rollout([Job(item) for item in panel.items], react(), ExpertPolicy(0.25))
    tagged = [turn.tags.get("noise", False) for episode in episodes for turn in episode.turns]
    assert 0 < sum(tagged) < len(tagged)
    assert all(turn.valid for episode in episodes for turn in episode.turns if not turn.tags.get("noise"))
    stale = [turn.valid for episode in episodes for turn in episode.turns if turn.tags.get("noise")]
    assert 0 < sum(stale) < len(stale), "some were admissible once and are no longer"
    assert [len(sequences(episode)) for episode in episodes] == [1] * 4


def test_the_expert_solves_its_environment():
    panel = make_panel("palaestra/GuessNumber-v0", 20)
    assert all(e.success for e in rollout([Job(item) for item in panel.items], react(), ExpertPolicy()))


def test_an_expert_needs_an_environment_with_one():
    with pytest.raises(OptionError, match="no expert"):
        ask(ExpertPolicy(), View("", {}))


@pytest.mark.parametrize("noise", [-0.1, 1.1, float("nan")])
def test_noise_is_a_probability(noise):
    with pytest.raises(OptionError):
        ExpertPolicy(noise)


def test_policies_are_found_by_name():
    assert load_policy("random").name == "random"
    assert load_policy("expert").name == "expert"


@pytest.mark.parametrize(
    ("name", "near"),
    [("randon", "random"), ("exprt", "expert"), ("tiny:", "tiny:DIR"), ("", "Known: expert")],
)
def test_an_unknown_policy_gives_the_nearest_name(name, near):
    with pytest.raises(UnknownNameError, match=near):
        load_policy(name)


def test_a_tiny_policy_that_is_not_there(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(CheckpointError, match="nowhere"):
        load_policy(f"tiny:{tmp_path / 'nowhere'}")


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_policies_without_a_model_do_not_import_torch():
    program = (
        "import sys; import palaestra.agents.rollout, palaestra.agents.react\n"
        "from palaestra.agents.policies import load_policy\n"
        "load_policy('random'), load_policy('expert')\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'tokenizers')))"
    )
    assert run(program).returncode == 0


def test_a_missing_torch_names_the_extra():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from palaestra.agents.policies import load_policy\n"
        "load_policy('tiny:somewhere')"
    )
    done = run(program)
    assert "MissingExtraError" in done.stderr
    assert "palaestra[train]" in done.stderr
