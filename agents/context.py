r"""Contexts: how the history of an episode becomes the token ids of the next prompt.

Text is encoded piece by piece and the ids that were sampled stay as they are: they are never decoded and
encoded again, since that changes ids. What stands around them is the format's business (``agents/chat.py``):
a chat template where the tokenizer brings one, else an observation is the piece ``"{observation}\n>"`` and a
transcript reads

    <bos>{observation}
    > go to cabinet 1<stop>{observation}
    > ...

A completion that ran out of tokens has no stop id of its own; the next prompt adds it, as text that nobody
sampled. Observations are encoded as plain text, so none can forge the end of a turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from palaestra.agents.chat import Format, PlainFormat
from palaestra.agents.episode import Episode, Turn
from palaestra.agents.policies.core import Completion, Tokenizer
from palaestra.errors import ContractError, OptionError, PalaestraError


class ContextFull(PalaestraError):
    """The next prompt does not fit; the episode ends as truncated, with the tag ``context_full``."""


class Context(Protocol):
    """What an agent needs of a context: begin, then prompt, record and observe in turns."""

    tokenizer: Tokenizer
    format: Format

    def begin(self, observation: str) -> None:
        """Forget everything and start with the first observation."""
        ...

    def prompt(self, room_tokens: int = 0) -> tuple[list[int], int]:
        """Return the whole prompt and how many of its ids were in the sequence of the last turn.

        Raises ``ContextFull`` when the prompt and ``room_tokens`` more do not fit in ``max_tokens``.
        """
        ...

    def record(self, completion: Completion) -> None:
        """Take in what was sampled after the last prompt, ids untouched."""
        ...

    def observe(self, text: str, *, tool: bool = False) -> None:
        """Take in what the action brought; ``tool`` says that it is the result of a tool call."""
        ...


def format_of(tokenizer: Tokenizer) -> Format:
    """Return the format that ``tokenizer`` brings, or the plain one."""
    return getattr(tokenizer, "format", None) or PlainFormat(tokenizer)


class AppendContext:
    """One growing sequence: every prompt extends the last, so caches and training rows are shared.

    ``format`` replaces the tokenizer's own, such as one with a system message and tools.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, format: Format | None = None) -> None:
        self.tokenizer, self.format = tokenizer, format or format_of(tokenizer)
        self.max_tokens = _positive("max_tokens", max_tokens)
        self._ids: list[int] = []
        self._added: list[int] = []

    def begin(self, observation: str) -> None:
        """Forget everything and start with the first observation."""
        self._ids = []
        self._added = self.format.opening(observation)

    def prompt(self, room_tokens: int = 0) -> tuple[list[int], int]:
        """Return the whole prompt and how many of its ids the last turn's sequence already had.

        Raises ``ContextFull`` when it does not fit: nothing of an append context may be dropped.
        """
        ids = self._ids + self._added
        if len(ids) + room_tokens > self.max_tokens:
            raise ContextFull(f"{len(ids)} tokens and room for {room_tokens} exceed {self.max_tokens}")
        return ids, len(self._ids)

    def record(self, completion: Completion) -> None:
        """Take in what was sampled after the last prompt, ids untouched."""
        self._ids = self._ids + self._added + completion.ids
        self._added = _missing_stop(self.tokenizer, completion)

    def observe(self, text: str, *, tool: bool = False) -> None:
        """Take in what the action brought; ``tool`` says that it is the result of a tool call."""
        self._added = self._added + _reply(self.format, text, tool)


class WindowContext:
    """The first observation, the last ``turns`` exchanges and the present observation, rebuilt each turn.

    The first observation states the task and always stays; a line ``...`` marks what was left out. When the
    prompt does not fit in ``max_tokens``, older exchanges are left out too; when none is left and it still
    does not fit, ``ContextFull`` ends the episode. Every prompt is a training row of its own (``kept`` 0).
    """

    def __init__(
        self, tokenizer: Tokenizer, turns: int, max_tokens: int, format: Format | None = None
    ) -> None:
        self.tokenizer, self.format = tokenizer, format or format_of(tokenizer)
        self.turns = _positive("turns", turns)
        self.max_tokens = _positive("max_tokens", max_tokens)
        self._observations: list[str] = []
        self._replies: list[list[int]] = []
        self._completions: list[list[int]] = []

    def begin(self, observation: str) -> None:
        """Forget everything and start with the first observation."""
        self._observations, self._replies, self._completions = [observation], [[]], []

    def prompt(self, room_tokens: int = 0) -> tuple[list[int], int]:
        """Return the prompt and 0. Raises ``ContextFull`` when not even the present observation fits."""
        shown = min(self.turns, len(self._completions))
        while True:
            ids = self._last(shown)
            if len(ids) + room_tokens <= self.max_tokens:
                return ids, 0
            if shown == 0:
                raise ContextFull(f"{len(ids)} tokens and room for {room_tokens} exceed {self.max_tokens}")
            shown -= 1

    def record(self, completion: Completion) -> None:
        """Take in what was sampled after the last prompt, ids untouched."""
        self._completions.append(completion.ids + _missing_stop(self.tokenizer, completion))

    def observe(self, text: str, *, tool: bool = False) -> None:
        """Take in what the action brought; ``tool`` says that it is the result of a tool call."""
        self._observations.append(text)
        self._replies.append(_reply(self.format, text, tool))

    def _last(self, shown: int) -> list[int]:
        begin = len(self._completions) - shown
        # What a window begins with is told together with the task, even where it was a tool's result.
        first, oldest = self._observations[0], self._observations[begin]
        ids = self.format.opening(f"{first}\n...\n{oldest}" if begin else first)
        for number in range(begin, len(self._completions)):
            ids = ids + self._completions[number] + self._replies[number + 1]
        return ids


def reencode(episode: Episode, context: Context, *, remind_goal: bool = False) -> Episode:
    """Return a text episode with the ids that ``context`` gives it (log-probs 0), for imitation.

    The actions (and thoughts, from the turns' tags) are written as a policy would write them. Observations,
    rewards, validity and tags stay; questions beside the episode (``aside``) are left out, and so are turns
    that do not fit: then the episode is tagged ``context_full``.
    """

    def completion(turn: Turn) -> Completion:
        return written(context.tokenizer, turn.action, turn.tags.get("thought"))

    return _retold(episode, context, completion, remind_goal)


def in_other_context(episode: Episode, context: Context, *, remind_goal: bool = False) -> Episode:
    """Return the episode with the same completions after other prompts: those that ``context`` gives.

    Ids that were sampled stay as they are, and so do their behaviour log-probs, which then speak of the
    prompts that the policy really saw. The first observation is the record's: what an opening added to it
    (a hint, an earlier try) is gone. Turns are left out as by ``reencode``. Afterwards ``context`` holds the
    episode up to its last completion.
    """

    def completion(turn: Turn) -> Completion:
        reason: Literal["stop", "length"] = "length" if turn.finish_reason == "length" else "stop"
        return Completion(turn.completion_ids, turn.logprobs, reason)

    return _retold(episode, context, completion, remind_goal)


def _retold(
    episode: Episode, context: Context, completion_of: Callable[[Turn], Completion], remind_goal: bool
) -> Episode:
    copy = replace(episode, turns=[], tags=dict(episode.tags))
    for number, turn in enumerate(turn for turn in episode.turns if not turn.tags.get("aside")):
        if number == 0:
            context.begin(turn.observation)
        else:
            context.observe(with_goal(turn.observation, episode.goal) if remind_goal else turn.observation)
        completion = completion_of(turn)
        try:
            prompt, kept = context.prompt(len(completion.ids))
        except ContextFull:
            copy.tags["context_full"] = True
            break
        context.record(completion)
        copy.turns.append(
            replace(
                turn,
                prompt_ids=prompt[kept:],
                kept=kept,
                completion_ids=completion.ids,
                logprobs=completion.logprobs,
                finish_reason=completion.finish_reason,
                tags=dict(turn.tags),
            )
        )
    return copy


def with_goal(observation: str, goal: str) -> str:
    """Return an observation that repeats the goal, so that a long episode does not bury it."""
    return f"{observation}\nTask: {goal}"


def written(tokenizer: Tokenizer, action: str, thought: str | None = None) -> Completion:
    """Return the completion of a policy that thought and did this, with log-probs 0."""
    lead = getattr(format_of(tokenizer), "lead", "")
    ids = [*tokenizer.encode(f"{lead}{spelled(action, thought)}"), tokenizer.stop_id]
    return Completion(ids, [0.0] * len(ids), "stop")


def spelled(action: str, thought: str | None = None) -> str:
    """Return the text of a completion: the action alone (None), or after a thought, which may be empty."""
    return action if thought is None else f"Thought: {thought}\nAction: {action}"


def _reply(format: Format, text: str, tool: bool) -> list[int]:
    # Formats without tools need not know the word.
    return format.reply(text, tool=True) if tool else format.reply(text)


def _missing_stop(tokenizer: Tokenizer, completion: Completion) -> list[int]:
    stops = getattr(tokenizer, "stop_ids", (tokenizer.stop_id,))
    ended = bool(completion.ids) and completion.ids[-1] in stops
    if completion.finish_reason == "stop" and not ended:
        raise ContractError("a completion that ended with 'stop' must end with the stop id")
    return [] if ended else [tokenizer.stop_id]


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise OptionError(f"{name} must be at least 1, not {value}")
    return value
