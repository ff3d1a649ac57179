"""ReAct: observe, (think,) act, until the episode is over.

Source of the idea: ReAct (Yao et al., 2023). Without ``thought`` the whole completion is the action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from palaestra.agents.chat import Tool
from palaestra.agents.context import AppendContext, Context, WindowContext, format_of, with_goal
from palaestra.agents.policies.core import Sampling, Tokenizer
from palaestra.agents.rollout import Actor, Agent
from palaestra.errors import OptionError, UnknownNameError

CONTEXTS = ("append", "window")
_UNLIMITED_TOKENS = 10_000_000

Opening = Callable[[Actor, Context], None]
"""Begins the context of an episode, so that more than its first observation stands there."""


def react(
    context: Literal["append", "window"] = "append",
    *,
    window_turns: int | None = None,
    thought: bool = False,
    remind_goal: bool = False,
    system: str = "",
    sampling: Sampling | None = None,
    max_context_tokens: int | None = None,
    max_turns: int | None = None,
    opening: Opening | None = None,
) -> Agent:
    """Return a ReAct agent.

    ``context`` "append" grows one sequence, "window" shows the last ``window_turns`` exchanges. With
    ``thought`` a completion reads ``Thought: ... Action: ...``; one of another form acts as it stands and is
    not valid. ``max_context_tokens`` is at most, and by default, what the policy takes; an episode that
    outgrows it is truncated. ``remind_goal`` repeats the goal with every observation after the first.
    ``system`` says how to play, before the first observation, as a system message where a chat template has
    such. After ``max_turns`` actions an episode ends as truncated, with the tag ``turn_limit``; without it
    the environment alone decides how long one is. ``opening`` begins the context in another way than with the
    first observation; what it adds does not enter the observations of the record.

    Raises ``OptionError`` or ``UnknownNameError`` for settings that cannot be used.
    """
    _check(context, window_turns)
    if max_turns is not None and max_turns < 1:
        raise OptionError(f"max_turns must be at least 1, not {max_turns}")
    sampling = sampling or Sampling()

    async def agent(actor: Actor) -> None:
        limit = min(max_context_tokens or _UNLIMITED_TOKENS, actor.context_tokens or _UNLIMITED_TOKENS)
        history = make_context(context, actor.tokenizer, limit, window_turns, system)
        if opening is None:
            history.begin(actor.observation)
        else:
            opening(actor, history)
        turns = 0
        while not actor.done:
            if turns == max_turns:
                actor.episode.tags["turn_limit"] = True
                return
            turns += 1
            ids, kept = history.prompt(sampling.max_tokens)
            # What an opening brought along was in no turn of this episode.
            completion = await actor.generate(ids, sampling, kept=kept if turns > 1 else 0)
            history.record(completion)
            text = actor.tokenizer.decode(completion.ids)
            thinking, action, valid = parse(text) if thought else ("", text.strip(), True)
            admissible = actor.info.get("admissible_actions")
            valid = valid and (admissible is None or action in admissible)
            tags = {"thought": thinking} if thinking else {}
            observation, _, _ = await actor.step(action, valid=valid, tags=tags)
            history.observe(with_goal(observation, actor.episode.goal) if remind_goal else observation)

    agent.__name__ = (
        f"react-{context}{window_turns or ''}"
        + ("-thought" if thought else "")
        + ("-goal" if remind_goal else "")
        + ("-system" if system else "")
        + (f"-{getattr(opening, '__name__', 'opening')}" if opening else "")
    )
    return agent


def make_context(
    context: str,
    tokenizer: Tokenizer,
    max_tokens: int,
    window_turns: int | None = None,
    system: str = "",
    tools: Sequence[Tool] = (),
) -> Context:
    """Return the context called ``context``, with a system text and tools that may be called.

    Raises ``OptionError`` or ``UnknownNameError``, also for tools where the policy's format shows none.
    """
    _check(context, window_turns)
    format = format_of(tokenizer).instructed(system, tools) if system or tools else None
    if window_turns is not None:
        return WindowContext(tokenizer, window_turns, max_tokens, format)
    return AppendContext(tokenizer, max_tokens, format)


def parse(text: str) -> tuple[str, str, bool]:
    """Return thought and action of ``Thought: ... Action: ...`` and True; else "", the text and False."""
    before, _, after = text.partition("Action:")
    start, _, thought = before.partition("Thought:")
    action = after.strip()
    if action and "Thought:" in before and not start.strip():
        return thought.strip(), action, True
    return "", text.strip(), False


def _check(context: str, window_turns: int | None) -> None:
    if context not in CONTEXTS:
        raise UnknownNameError("context", context, CONTEXTS)
    if (window_turns is not None) != (context == "window"):
        raise OptionError(
            "window_turns (how many exchanges are shown) goes with context='window' and only with it"
        )
