"""Responses that teach nothing good whatever they earned, and how their tokens are kept out of the loss.

The masks of Dr.BoT, the baseline of SPEAR (arXiv 2509.22601); DAPO masks overlong responses alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from palaestra.agents.episode import Episode, Turn
from palaestra.agents.react import parse

Fault = Literal["overlong", "incomplete", "repetitive", "unreadable"]
FAULTS: tuple[str, ...] = get_args(Fault)

REPEATED_TOKENS = 20
REPETITIONS = 10
# Overlapping occurrences count: the shortest such response says one token so many times.
SHORTEST_REPETITIVE = REPEATED_TOKENS + REPETITIONS - 1


def faults(turn: Turn, text: str, *, thought: bool) -> set[Fault]:
    """Return what is wrong with a turn whose completion reads ``text``.

    * ``overlong``: cut off at the limit of tokens;
    * ``incomplete``: without an action, or with ``thought`` not of the form "Thought: ... Action: ...";
    * ``repetitive``: the same 20 tokens in a row occur 10 times or more;
    * ``unreadable``: holds a replacement character, so its bytes were no text.

    A turn that the policy did not sample has none.
    """
    if not turn.completion_ids:
        return set()
    found: set[Fault] = set()
    if turn.finish_reason == "length":
        found.add("overlong")
    if not (parse(text)[2] if thought else text.strip()):
        found.add("incomplete")
    if _repeats(turn.completion_ids):
        found.add("repetitive")
    if "�" in text:
        found.add("unreadable")
    return found


def without(episode: Episode, masked: Sequence[bool]) -> Episode:
    """Return the episode as if the policy had been given, not sampled, the completions of ``masked`` turns.

    They stay in the context of what came later, but belong to no loss and to no average.
    """
    turns = [_given(turn) if mask else turn for turn, mask in zip(episode.turns, masked, strict=True)]
    return replace(episode, turns=turns)


def _given(turn: Turn) -> Turn:
    return replace(turn, prompt_ids=turn.prompt_ids + turn.completion_ids, completion_ids=[], logprobs=[])


def _repeats(ids: Sequence[int]) -> bool:
    starts = range(len(ids) - REPEATED_TOKENS + 1)
    counts = Counter(tuple(ids[start : start + REPEATED_TOKENS]) for start in starts)
    return max(counts.values(), default=0) >= REPETITIONS
