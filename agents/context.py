"""How the history of an episode becomes a prompt, piece by piece.

Text is rendered and encoded once, when it arrives, and sampled ids are kept as they were sampled; nothing
is ever decoded and encoded again. A prompt is

    <bos> first observation ⏎> action <stop> ⏎ observation ⏎> action <stop> …

``AppendContext`` keeps one growing sequence (caches and training rows are shared by all turns);
``WindowContext`` shows the first observation and the last few exchanges, and starts a fresh sequence at
every turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol

from palaestra.agents.episode import Episode, Turn
from palaestra.agents.policies.core import Completion, Tokenizer
from palaestra.errors import ContractError, OptionError, PalaestraError


class ContextFullError(PalaestraError):
    """The prompt has no room for another completion: the episode ends as truncated, tagged
    ``context_full``. It is the agent's limit, not a failure of the infrastructure.
    """


class Context(Protocol):
    """Holds one episode's history; ``prompt`` and ``record`` alternate, with ``observe`` in between."""

    def begin(self, observation: str) -> None:
        """Start an episode with its first observation."""
        ...

    def prompt(self, reserve_tokens: int) -> tuple[list[int], int]:
        """Return (ids, kept): the whole prompt, and how many of its ids the last sequence already held.

        Raises ``ContextFullError`` when ``reserve_tokens`` more would not fit.
        """
        ...

    def record(self, completion: Completion) -> None:
        """Take in what was sampled after the last prompt."""
        ...

    def observe(self, observation: str) -> None:
        """Take in what the environment answered."""
        ...


class AppendContext:
    """One growing token sequence; each prompt extends the last one and what was sampled after it."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = _positive(max_tokens)
        self._ids: list[int] = []
        self._held = 0
        self._sent = 0

    def begin(self, observation: str) -> None:
        """Start an episode with its first observation."""
        self._ids = _first_piece(self._tokenizer, observation)
        self._held = self._sent = 0

    def prompt(self, reserve_tokens: int) -> tuple[list[int], int]:
        """Return the whole sequence and how much of it was there after the last completion."""
        _require_begun(self._ids)
        if len(self._ids) + reserve_tokens > self._max_tokens:
            raise ContextFullError(
                f"a prompt of {len(self._ids)} tokens leaves no room for {reserve_tokens} more "
                f"within {self._max_tokens}"
            )
        self._sent = len(self._ids)
        return list(self._ids), self._held

    def record(self, completion: Completion) -> None:
        """Append the sampled ids; a completion cut by its length is closed by an id nobody sampled."""
        if len(self._ids) != self._sent:
            raise ContractError("record() must follow prompt(): the sequence grew in between")
        self._ids.extend(completion.ids)
        self._held = len(self._ids)
        if completion.finish_reason == "length":
            self._ids.append(self._tokenizer.stop_id)

    def observe(self, observation: str) -> None:
        """Append the observation."""
        self._ids.extend(_next_piece(self._tokenizer, observation))


class WindowContext:
    """The first observation and the last ``turns`` exchanges; the oldest go first when room is short."""

    def __init__(self, tokenizer: Tokenizer, turns: int, max_tokens: int) -> None:
        if turns < 1:
            raise OptionError(f"a window holds 1 or more turns (the last one is the present), not {turns}")
        self._tokenizer = tokenizer
        self._turns = turns
        self._max_tokens = _positive(max_tokens)
        self._first: list[int] = []
        self._exchanges: list[list[int]] = []

    def begin(self, observation: str) -> None:
        """Start an episode with its first observation."""
        self._first = _first_piece(self._tokenizer, observation)
        self._exchanges = []

    def prompt(self, reserve_tokens: int) -> tuple[list[int], int]:
        """Return the windowed prompt; it is always a fresh sequence, so ``kept`` is 0."""
        _require_begun(self._first)
        shown = self._exchanges[-self._turns :]
        size = len(self._first) + sum(map(len, shown))
        while shown and size + reserve_tokens > self._max_tokens:
            size -= len(shown[0])
            shown = shown[1:]
        if size + reserve_tokens > self._max_tokens:
            raise ContextFullError(
                f"the first observation alone takes {size} tokens and leaves no room for {reserve_tokens} "
                f"within {self._max_tokens}"
            )
        return self._first + [i for exchange in shown for i in exchange], 0

    def record(self, completion: Completion) -> None:
        """Open a new exchange with the sampled ids."""
        closing = [self._tokenizer.stop_id] if completion.finish_reason == "length" else []
        self._exchanges.append(completion.ids + closing)

    def observe(self, observation: str) -> None:
        """Close the last exchange with the observation."""
        piece = _next_piece(self._tokenizer, observation)
        if self._exchanges:
            self._exchanges[-1] = self._exchanges[-1] + piece
        else:
            self._exchanges.append(piece)


def reencode(
    episode: Episode, context: Context, tokenizer: Tokenizer, text_of: Callable[[Turn], str] | None = None
) -> Episode:
    """Return a copy of ``episode`` whose ids are those of another tokenizer and context (log-probs 0).

    This is how the episodes of a scripted expert become examples for a model. ``text_of`` says what the
    model should have written at a turn (default: its action). Turns that no longer fit are cut off.
    """
    turns: list[Turn] = []
    for number, turn in enumerate(episode.turns):
        context.begin(turn.observation) if number == 0 else context.observe(turn.observation)
        text = turn.action if text_of is None else text_of(turn)
        sampled = [*tokenizer.encode(" " + text), tokenizer.stop_id]
        try:
            ids, kept = context.prompt(len(sampled))
        except ContextFullError:
            break
        completion = Completion(sampled, [0.0] * len(sampled), "stop")
        context.record(completion)
        new = copy(turn)
        new.prompt_ids, new.kept = ids[kept:], kept
        new.completion_ids, new.logprobs, new.finish_reason = sampled, completion.logprobs, "stop"
        turns.append(new)
    result = copy(episode)
    result.turns = turns
    return result


def _first_piece(tokenizer: Tokenizer, observation: str) -> list[int]:
    return [tokenizer.bos_id, *tokenizer.encode(observation + "\n>")]


def _next_piece(tokenizer: Tokenizer, observation: str) -> list[int]:
    return tokenizer.encode("\n" + observation + "\n>")


def _positive(max_tokens: int) -> int:
    if max_tokens < 1:
        raise OptionError(f"max_tokens must be at least 1, not {max_tokens}")
    return max_tokens


def _require_begun(ids: Sequence[int]) -> None:
    if not ids:
        raise ContractError("call begin() with the first observation before prompt()")
