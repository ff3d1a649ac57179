"""Native tool calls: read in every family's way, answered as tool messages, corrected when malformed."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers")

from chat_templates import make_tokenizer

from palaestra.agents.chat import ChatFormat
from palaestra.agents.codec import TextCodec
from palaestra.agents.episode import sequences
from palaestra.agents.policies.core import Completion
from palaestra.agents.policies.messages import MessageTokenizer, messages_of
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.agents.tool_calling import ACT, Call, EnvTool, checked, function, parse_call, tool_calling
from palaestra.envs.panel import make_panel
from palaestra.errors import OptionError

GUESS = "palaestra/GuessNumber-v0"
[ITEM] = make_panel(GUESS, 1, options={"highest": 1000, "max_steps": 3}).items


class ChatTokenizer:
    def __init__(self, kind):
        tokenizer = make_tokenizer(kind, None)
        self.codec = TextCodec(tokenizer)
        self.format = ChatFormat(tokenizer)
        self.bos_id, self.stop_id = -1, self.format.stop_id
        self.hf = tokenizer

    def encode(self, text):
        return self.codec.content(text)

    def decode(self, ids):
        return self.codec.decode(ids)


class Saying(ScriptedPolicy):
    """Says these texts in turn, the last one for ever, and remembers the prompts."""

    def __init__(self, tokenizer, *texts):
        super().__init__(lambda view: "")
        self.tokenizer = tokenizer
        self.prompts = []
        self.texts = texts

    async def generate(self, requests):
        completions = []
        for request in requests:
            text = self.texts[min(len(self.prompts), len(self.texts) - 1)]
            self.prompts.append(list(request.ids))
            ids = [*self.tokenizer.encode(text), self.tokenizer.stop_id]
            completions.append(Completion(ids, [-0.5] * len(ids), "stop"))
        return completions


def play(policy, agent=None, item=ITEM):
    settings = RolloutSettings(max_failure_rate=1.0, gather_wait_s=0.0, retries=0)
    [episode] = rollout([Job(item)], agent or tool_calling(), policy, settings)
    return episode


def hermes(action):
    return f'<tool_call>\n{{"name": "act", "arguments": {{"action": "{action}"}}}}\n</tool_call>'


@pytest.mark.parametrize(
    "text",
    [
        'Low first. <tool_call>\n{"name": "act", "arguments": {"action": "go"}}\n</tool_call>',
        'Low first. <tool_call>{"name": "act", "arguments": "{\\"action\\": \\"go\\"}"}',
        'Low first. [TOOL_CALLS] [{"name": "act", "arguments": {"action": "go"}, "id": "call00000"}]',
        'Low first. [TOOL_CALLS]act[ARGS]{"action": "go"}',
        'Low first. [TOOL_CALLS]act[CALL_ID]x1[ARGS]{"action": "go"}',
        'Low first. <|python_tag|>{"name": "act", "parameters": {"action": "go"}}',
    ],
)
def test_calls_of_every_family(text):
    assert parse_call(text) == Call("act", {"action": "go"}, "Low first.")


def test_a_bare_call_and_the_first_of_several():
    assert parse_call(' {"name": "act", "parameters": {"action": "go"}}') == Call("act", {"action": "go"})
    several = f"{hermes('left')}\n{hermes('right')}"
    assert parse_call(several) == Call("act", {"action": "left"})
    assert parse_call(
        '[TOOL_CALLS] [{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'
    ) == Call("a", {})


@pytest.mark.parametrize(
    "text", ["", "look", "{not json", "[1, 2]", '{"answer": 4}', "I would act(action)", '"act"', "[]"]
)
def test_other_texts_call_nothing(text):
    assert parse_call(text) is None
    assert checked(text, [ACT]) == (None, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<tool_call>act: look</tool_call>", "not JSON"),
        ('<tool_call>{"name": "act", "arguments": {"action": "lo', "not JSON"),
        ('<tool_call>{"tool": "act"}</tool_call>', 'reads {"name"'),
        ('<tool_call>{"name": "act", "arguments": ["look"]}</tool_call>', "named values"),
        ('<tool_call>{"name": "at", "arguments": {"action": "look"}}</tool_call>', "'act'"),
        ('<tool_call>{"name": "act", "arguments": {"do": "look"}}</tool_call>', "needs action; got do"),
        ("[TOOL_CALLS]", "not JSON"),
        ("[TOOL_CALLS] []", "reads"),
    ],
)
def test_what_sets_out_to_be_a_call_and_is_none_is_explained(text, problem):
    call, found = checked(text, [ACT])
    assert call is None
    assert found.startswith("Error: ")
    assert problem in found


def test_an_episode_by_calls_is_a_conversation_with_tool_messages():
    policy = Saying(MessageTokenizer(), f"Small ones first. {hermes(3)}", hermes(7))
    episode = play(policy)
    assert [turn.action for turn in episode.turns[:2]] == ["3", "7"]
    assert episode.turns[0].valid
    assert episode.turns[0].tags["thought"] == "Small ones first."
    assert episode.turns[0].tags["tool"] == "act"
    messages, tools = messages_of(policy.prompts[1])
    assert tools == [ACT.schema]
    assert messages[0]["role"] == "system"
    assert messages[1] == {"role": "user", "content": episode.turns[0].observation}


@pytest.mark.parametrize("kind", ["qwen", "mistral", "llama"])
def test_real_kinds_of_templates_show_the_tool_and_take_its_result(kind):
    tokenizer = ChatTokenizer(kind)
    policy = Saying(tokenizer, hermes(3), hermes(7))
    episode = play(policy)
    assert [turn.action for turn in episode.turns[:2]] == ["3", "7"]
    shown = tokenizer.hf.decode(policy.prompts[1], skip_special_tokens=False)
    assert "the action, as the task wants it" in shown
    # Append contexts keep the prefix property: one row holds the whole episode.
    assert policy.prompts[1][: len(policy.prompts[0])] == policy.prompts[0]
    [row] = sequences(episode)
    assert sum(row.mask) == sum(len(turn.completion_ids) for turn in episode.turns)


def test_a_malformed_call_is_corrected_without_a_step_but_not_for_ever():
    broken = "<tool_call>oh</tool_call>"
    episode = play(Saying(MessageTokenizer(), broken, hermes(3), broken))
    acted = [turn for turn in episode.turns if not turn.tags.get("no_action")]
    assert [turn.action for turn in acted] == ["3", broken, broken]
    assert [turn.valid for turn in acted] == [True, False, False]
    # One correction before the first action, two before each of the others.
    assert len(episode.turns) == 3 + 1 + 2 + 2


def test_a_plain_message_acts_as_it_stands_and_is_not_valid():
    episode = play(Saying(MessageTokenizer(), "5"))
    assert episode.turns[0].action == "5"
    assert not episode.turns[0].valid


def test_tools_of_ones_own():
    double = EnvTool(
        function("double", "Guess twice a number.", {"half": "the half"}),
        lambda given: str(2 * int(given["half"])),
    )
    text = '<tool_call>{"name": "double", "arguments": {"half": 4}}</tool_call>'
    episode = play(Saying(MessageTokenizer(), text), tool_calling([ACT, double]))
    assert episode.turns[0].action == "8"
    assert episode.turns[0].tags["tool"] == "double"


@pytest.mark.parametrize(
    ("mode", "name", "arguments"),
    [
        ("json", "call_api", {"api": "api_docs.show_apis", "arguments": {"app": "notes"}}),
        ("functions", "api_docs__show_apis", {"app": "notes"}),
    ],
)
def test_the_functions_that_an_environment_offers_are_the_tools(mode, name, arguments):
    options = {"mode": mode, "max_steps": 2, "scenarios": ["archive_notes_by_tag"], "siblings": 1}
    [item] = make_panel("palaestra/Apps-v0", 1, options=options).items
    call = json.dumps({"name": name, "arguments": arguments})
    policy = Saying(MessageTokenizer(), f"What is there? <tool_call>{call}</tool_call>", "nothing more")
    episode = play(policy, item=item)
    first, second = episode.turns
    assert json.loads(first.action) == json.loads(call)
    assert (first.valid, first.tags["tool"], second.valid) == (True, name, False)
    assert "create_note" in second.observation
    assert '"error"' in episode.final_observation
    # An unknown function is corrected by the names that are there, without a step.
    wrong = Saying(MessageTokenizer(), f'<tool_call>{{"name": "{name}s"}}</tool_call>', *policy.texts)
    assert play(wrong, item=item).turns[0].action == ""
    assert f"did you mean {name!r}" in str(messages_of(wrong.prompts[1])).lower()


def test_refusals():
    with pytest.raises(OptionError, match="each its own"):
        tool_calling([ACT, ACT])
    with pytest.raises(OptionError, match="each its own"):
        tool_calling([])
    with pytest.raises(OptionError, match="no template"):
        play(ScriptedPolicy(lambda view: "5"))
