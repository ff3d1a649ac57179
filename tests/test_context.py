"""Contexts: prompts that only ever grow, ids that are never encoded again, stops that cannot be forged."""

from __future__ import annotations

import numpy as np
import pytest

from palaestra.agents.context import AppendContext, ContextFull, WindowContext, reencode, written
from palaestra.agents.episode import Episode, Turn, sequences
from palaestra.agents.policies.core import Completion
from palaestra.agents.policies.scripted import ByteTokenizer
from palaestra.agents.react import make_context
from palaestra.errors import ContractError, OptionError, UnknownNameError

BYTES = ByteTokenizer()


class PairTokenizer:
    """A tokenizer with two spellings of ``ab``: encoded it is one id, sampled it may be two."""

    bos_id, stop_id = 300, 301

    def encode(self, text):
        return [256 if piece == "\0" else ord(piece) for piece in text.replace("ab", "\0")]

    def decode(self, ids):
        return "".join("ab" if number == 256 else chr(number) for number in ids if number < 300)


def said(*ids, reason="stop"):
    return Completion(list(ids), [-0.5] * len(ids), reason)


def play(context, observations, completions):
    """Return the turns that an agent would record."""
    turns = []
    context.begin(observations[0])
    for number, completion in enumerate(completions):
        ids, kept = context.prompt()
        turns.append(Turn("", ids[kept:], kept, completion.ids, completion.logprobs, "a"))
        context.record(completion)
        context.observe(observations[number + 1])
    return turns


def episode(turns):
    return Episode("palaestra/X-v0", "t", "g", 0, "p", "a", turns=turns)


def random_history(seed, turns=6):
    generator = np.random.default_rng(seed)
    words = ["", "\n", ">", "<stop>", "żółć", "go to drawer 1", "\n>", " ", "a" * 40, "🙂"]

    def text():
        return "".join(words[int(i)] for i in generator.integers(len(words), size=generator.integers(0, 6)))

    completions = []
    for _ in range(turns):
        ids = generator.integers(0, 256, size=generator.integers(1, 9)).tolist()
        ends = bool(generator.random() < 0.7)
        completions.append(
            said(*ids, *([BYTES.stop_id] if ends else []), reason="stop" if ends else "length")
        )
    return [text() for _ in range(turns + 1)], completions


# ---- append --------------------------------------------------------------------------------------------


def test_append_spells_a_transcript():
    context = AppendContext(BYTES, 1000)
    context.begin("A room.")
    first, kept = context.prompt()
    assert (first, kept) == ([BYTES.bos_id, *b"A room.\n>"], 0)
    context.record(said(*b" look", BYTES.stop_id))
    context.observe("Nothing.")
    second, kept = context.prompt()
    assert second == [*first, *b" look", BYTES.stop_id, *b"Nothing.\n>"]
    assert kept == len(first) + len(" look") + 1


@pytest.mark.parametrize("seed", range(20))
def test_every_append_prompt_extends_the_last_sequence(seed):
    observations, completions = random_history(seed)
    context = AppendContext(BYTES, 10_000)
    context.begin(observations[0])
    sequence = []
    for number, completion in enumerate(completions):
        ids, kept = context.prompt()
        assert kept == len(sequence)
        assert ids[:kept] == sequence
        assert ids == context.prompt()[0], "asking does not change anything"
        sequence = ids + completion.ids
        context.record(completion)
        context.observe(observations[number + 1])


@pytest.mark.parametrize("seed", range(20))
def test_append_rows_mask_exactly_what_was_sampled(seed):
    observations, completions = random_history(seed)
    [row] = sequences(episode(play(AppendContext(BYTES, 10_000), observations, completions)))
    sampled = [number for number, mask in zip(row.ids, row.mask, strict=True) if mask]
    assert sampled == [number for completion in completions for number in completion.ids]
    assert all(value == (-0.5 if mask else 0.0) for value, mask in zip(row.logprobs, row.mask, strict=True))
    turns = [turn for turn, mask in zip(row.turn, row.mask, strict=True) if mask]
    assert turns == [n for n, completion in enumerate(completions) for _ in completion.ids]
    # One stop for each turn that is over: sampled where the policy ended it, added where it ran out.
    over = len(completions) - (completions[-1].finish_reason == "length")
    assert row.ids.count(BYTES.stop_id) == over


def test_sampled_ids_are_never_decoded_and_encoded_again():
    tokenizer = PairTokenizer()
    assert tokenizer.encode("xaby") == [ord("x"), 256, ord("y")]
    spelt = said(ord("a"), ord("b"), tokenizer.stop_id)
    for context in (AppendContext(tokenizer, 100), WindowContext(tokenizer, 3, 100)):
        context.begin("o")
        context.record(spelt)
        context.observe("ab")
        ids, _ = context.prompt()
        assert ids[-8:] == [*map(ord, "\n>ab"), tokenizer.stop_id, 256, *map(ord, "\n>")]


def test_a_completion_that_ran_out_gets_its_stop_from_the_next_prompt():
    context = AppendContext(BYTES, 100)
    turns = play(context, ["o", "p"], [said(*b" go to", reason="length")])
    ids, kept = context.prompt()
    assert ids[kept:] == [BYTES.stop_id, *b"p\n>"]
    turns.append(Turn("", ids[kept:], kept, [BYTES.stop_id], [-0.5], "a"))
    [row] = sequences(episode(turns))
    stops = [n for n, number in enumerate(row.ids) if number == BYTES.stop_id]
    assert [row.mask[n] for n in stops] == [False, True]


def test_a_completion_cannot_claim_to_have_stopped():
    for context in (AppendContext(BYTES, 100), WindowContext(BYTES, 2, 100)):
        context.begin("o")
        for completion in (said(65), said()):
            with pytest.raises(ContractError):
                context.record(completion)


def test_observations_cannot_forge_a_stop():
    observations = ["<stop>", "</s><|im_end|>\u0101\ud83d", chr(257), "\x00"]
    turns = play(AppendContext(BYTES, 1000), observations, [said(65, BYTES.stop_id)] * 3)
    [row] = sequences(episode(turns))
    assert row.ids.count(BYTES.stop_id) == 3
    assert row.ids.count(BYTES.bos_id) == 1


def test_append_is_full_when_the_prompt_and_its_room_do_not_fit():
    context = AppendContext(BYTES, 10)
    context.begin("1234567")
    assert len(context.prompt()[0]) == 10
    with pytest.raises(ContextFull, match="exceed 10"):
        context.prompt(1)
    context.begin("12345678")
    with pytest.raises(ContextFull):
        context.prompt()


def test_begin_forgets():
    for context in (AppendContext(BYTES, 100), WindowContext(BYTES, 2, 100)):
        play(context, ["a", "b"], [said(65, BYTES.stop_id)])
        context.begin("c")
        assert context.prompt() == ([BYTES.bos_id, *b"c\n>"], 0)


# ---- window --------------------------------------------------------------------------------------------


def shown(context):
    return "".join("|" if number == BYTES.stop_id else chr(number) for number in context.prompt()[0][1:])


def test_window_shows_the_first_observation_and_the_last_exchanges():
    context = WindowContext(BYTES, 2, 1000)
    context.begin("o0")
    seen = [shown(context)]
    for number in range(4):
        context.record(said(*f" a{number}".encode(), BYTES.stop_id))
        context.observe(f"o{number + 1}")
        seen.append(shown(context))
    assert seen == [
        "o0\n>",
        "o0\n> a0|o1\n>",
        "o0\n> a0|o1\n> a1|o2\n>",
        "o0\n...\no1\n> a1|o2\n> a2|o3\n>",
        "o0\n...\no2\n> a2|o3\n> a3|o4\n>",
    ]


def test_window_drops_exchanges_that_do_not_fit_then_is_full():
    context = WindowContext(BYTES, 5, 30)
    context.begin("o0")
    for number in range(3):
        context.record(said(*f" a{number}".encode(), BYTES.stop_id))
        context.observe(f"o{number + 1}")
    assert [len(context.prompt(room)[0]) for room in (0, 1, 2, 3, 10, 11, 18)] == [29, 29, 28, 20, 20, 12, 12]
    assert shown(context) == "o0\n> a0|o1\n> a1|o2\n> a2|o3\n>"
    with pytest.raises(ContextFull):
        context.prompt(19)


@pytest.mark.parametrize("seed", range(10))
def test_every_window_prompt_is_a_row_of_its_own(seed):
    observations, completions = random_history(seed)
    turns = play(WindowContext(BYTES, 2, 10_000), observations, completions)
    rows = sequences(episode(turns))
    assert len(rows) == len(turns)
    for row, completion in zip(rows, completions, strict=True):
        assert row.ids[0] == BYTES.bos_id
        assert row.mask == [False] * (len(row.ids) - len(completion.ids)) + [True] * len(completion.ids)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("append", 0), OptionError),
        (("append", 10, 3), OptionError),
        (("window", 10), OptionError),
        (("window", 10, 0), OptionError),
        (("apend", 10), UnknownNameError),
    ],
)
def test_contexts_that_cannot_be(arguments, error):
    kind, *rest = arguments
    with pytest.raises(error):
        make_context(kind, BYTES, *rest)


# ---- encoding again ------------------------------------------------------------------------------------


def text_episode():
    turns = play(
        AppendContext(BYTES, 1000), ["o0", "o1", "o2"], [written(BYTES, "go"), written(BYTES, "take")]
    )
    for number, turn in enumerate(turns):
        turn.observation, turn.action = f"o{number}", ("go", "take")[number]
        turn.tags, turn.valid, turn.reward = {"noise": number == 0}, number == 1, float(number)
    return episode(turns)


def test_reencode_gives_what_the_same_context_would_have_given():
    original = text_episode()
    again = reencode(original, AppendContext(BYTES, 1000))
    assert again == original
    assert again.turns[0].tags is not original.turns[0].tags


def test_reencode_in_another_tokenizer_and_context():
    tokenizer = PairTokenizer()
    again = reencode(text_episode(), WindowContext(tokenizer, 1, 1000))
    assert [turn.kept for turn in again.turns] == [0, 0]
    assert again.turns[1].completion_ids == [*map(ord, " take"), tokenizer.stop_id]
    assert again.turns[1].logprobs == [0.0] * 6
    assert [turn.tags for turn in again.turns] == [{"noise": True}, {"noise": False}]
    assert [turn.reward for turn in again.turns] == [0.0, 1.0]
    assert len(sequences(again)) == 2


def test_reencode_writes_thoughts_where_there_are_some():
    original = text_episode()
    original.turns[1].tags["thought"] = "I need it."
    again = reencode(original, AppendContext(BYTES, 1000))
    assert BYTES.decode(again.turns[1].completion_ids) == " Thought: I need it.\nAction: take"
    original.turns[1].tags["thought"] = ""
    again = reencode(original, AppendContext(BYTES, 1000))
    assert BYTES.decode(again.turns[1].completion_ids) == " Thought: \nAction: take"
    assert BYTES.decode(again.turns[0].completion_ids) == " go"


def test_reencode_leaves_out_what_does_not_fit():
    original = text_episode()
    again = reencode(original, AppendContext(BYTES, 12))
    assert len(again.turns) == 1
    assert again.tags == {"context_full": True}
    assert original.tags == {}
