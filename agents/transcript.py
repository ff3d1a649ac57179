"""Transcripts: an episode as text, and questions to the policy about it that stand beside the episode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from palaestra.agents.context import AppendContext, ContextFull
from palaestra.agents.episode import Turn
from palaestra.agents.policies.core import Sampling
from palaestra.agents.rollout import Actor

_UNLIMITED_TOKENS = 10_000_000


def transcript(
    turns: Iterable[Turn], final_observation: str = "", *, thoughts: Literal["before", "after"] = "before"
) -> str:
    """Return what was seen and done, one thing a line.

    A turn's thought stands before its action (``Thought:``), or after it as the reason (``Reason:``).
    Questions beside the episode are left out.
    """
    lines: list[str] = []
    for turn in turns:
        if turn.tags.get("aside"):
            continue
        thought, action = turn.tags.get("thought", ""), [f"Action: {turn.action}"] if turn.action else []
        lines.append(turn.observation)
        if thoughts == "before":
            lines += ([f"Thought: {thought}"] if thought else []) + action
        else:
            lines += action + ([f"Reason: {thought}"] if thought else [])
    return "\n".join([*lines, final_observation] if final_observation else lines)


def elide(text: str, most: int) -> str:
    """Return ``text``, its middle left out where it has more than ``most`` characters; the cut says so.

    Beginning and end stay, since a task stands at the beginning and what came of it at the end.
    """
    if len(text) <= most:
        return text
    head = (most + 1) // 2
    return (
        f"{text[:head]}\n[... {len(text) - most} characters left out ...]\n{text[len(text) - most + head :]}"
    )


async def ask(
    actor: Actor, before: str, text: str, after: str, sampling: Sampling, tags: Mapping[str, Any]
) -> str:
    """Ask the policy ``before + text + after`` beside the episode; return its answer, "" when it has none.

    The middle of ``text`` is left out as far as the policy's context demands. Raises ``ContextFull`` when
    the question does not fit even so.
    """
    question, ids = _fitting(actor, before, text, after, sampling.max_tokens)
    completion = await actor.aside(ids, sampling, question=question, tags=tags)
    return actor.tokenizer.decode(completion.ids).strip()


def _fitting(actor: Actor, before: str, text: str, after: str, room_tokens: int) -> tuple[str, list[int]]:
    context = AppendContext(actor.tokenizer, actor.context_tokens or _UNLIMITED_TOKENS)
    most = len(text)
    while True:
        question = before + elide(text, most) + after
        context.begin(question)
        try:
            return question, context.prompt(room_tokens)[0]
        except ContextFull:
            if most == 0:
                raise
            most = most * 3 // 4
