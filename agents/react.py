"""ReAct: think, act, observe, until the episode is over (Yao et al. 2023, arXiv 2210.03629).

With ``thought=False`` the whole completion is the action (the form in which a small policy is cloned);
with ``thought=True`` a completion reads ``Thought: … Action: …`` and only the action is taken.
"""

from __future__ import annotations

from typing import Literal

from palaestra.agents.context import AppendContext, Context, WindowContext
from palaestra.agents.policies.core import Sampling, Tokenizer
from palaestra.agents.rollout import Actor, Agent
from palaestra.errors import OptionError, UnknownNameError


def react(
    context: Literal["append", "window"] = "append",
    *,
    window_turns: int | None = None,
    thought: bool = False,
    sampling: Sampling | None = None,
    max_context_tokens: int = 2048,
) -> Agent:
    """Return a ReAct agent with its own context kind and sampling.

    ``window_turns`` (default 4) belongs to the window context alone. Raises ``OptionError`` for an option
    that would do nothing.
    """
    if context not in ("append", "window"):
        raise UnknownNameError("context", context, ["append", "window"])
    if window_turns is not None and context == "append":
        raise OptionError("window_turns has no effect with the append context")
    sampling = sampling or Sampling()

    async def agent(actor: Actor) -> None:
        history = make_context(context, actor.tokenizer, max_context_tokens, window_turns)
        history.begin(actor.observation)
        while not actor.done:
            ids, kept = history.prompt(sampling.max_tokens)
            completion = await actor.generate(ids, kept, sampling)
            history.record(completion)
            action, valid = parse(actor.tokenizer.decode(completion.ids), thought)
            await actor.step(action, valid=valid)
            history.observe(actor.observation)

    agent.name = "react-thought" if thought else "react"  # pyright: ignore[reportFunctionMemberAccess]
    return agent


def make_context(
    kind: str, tokenizer: Tokenizer, max_context_tokens: int, window_turns: int | None = None
) -> Context:
    """Return a context of the given kind."""
    if kind == "window":
        return WindowContext(tokenizer, 4 if window_turns is None else window_turns, max_context_tokens)
    return AppendContext(tokenizer, max_context_tokens)


def parse(text: str, thought: bool) -> tuple[str, bool]:
    """Return (action, whether the completion had the right form)."""
    if not thought:
        action = text.strip()
        return action, bool(action)
    before, marker, after = text.rpartition("Action:")
    lines = after.strip().splitlines()
    action = lines[0].strip() if lines else ""
    valid = bool(marker) and bool(action) and "Thought:" in before
    return (action or text.strip()), valid
