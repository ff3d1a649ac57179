"""What episodes cost: tokens, seconds, and money where a server's prices are known.

A server's own counts (turn tags ``prompt_tokens``, ``completion_tokens`` and ``cost``) come before ours: it
knows its tokenizer, and what it thought without showing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from palaestra.agents.episode import Episode, Turn


@dataclass(frozen=True, slots=True)
class Spending:
    """Sampled ``tokens``, ``prompt_tokens`` as they were sent (a prompt that grows is sent anew every turn,
    whoever caches it), wall ``seconds``, and ``cost`` in the currency of the prices: nan without prices, and
    nothing where nothing was asked.
    """

    tokens: int
    prompt_tokens: int
    seconds: float
    cost: float


def spending(episode: Episode) -> Spending:
    """Return what an episode cost, together with the tries behind it that its tags speak of.

    Reflexion tags an episode with the sum of the ``earlier`` tries, best-of-n with that of all ``tries``.
    """
    own = _own(episode)
    if "tries_tokens" in episode.tags:
        return _tagged(episode, "tries")
    if "earlier_tokens" in episode.tags:
        earlier = _tagged(episode, "earlier")
        return Spending(
            own.tokens + earlier.tokens,
            own.prompt_tokens + earlier.prompt_tokens,
            own.seconds + earlier.seconds,
            own.cost + earlier.cost,
        )
    return own


def spent(episodes: Iterable[Episode], prefix: str) -> dict[str, float]:
    """Return the tags that say what ``episodes`` cost together, each name behind ``prefix``."""
    own = [_own(episode) for episode in episodes]
    tags: dict[str, float] = {
        f"{prefix}_tokens": sum(one.tokens for one in own),
        f"{prefix}_prompt_tokens": sum(one.prompt_tokens for one in own),
        f"{prefix}_seconds": sum(one.seconds for one in own),
    }
    cost = sum(one.cost for one in own)
    # Episodes hold finite numbers only.
    return tags if math.isnan(cost) else {**tags, f"{prefix}_cost": cost}


def _tagged(episode: Episode, prefix: str) -> Spending:
    tags = episode.tags
    return Spending(
        int(tags[f"{prefix}_tokens"]),
        int(tags.get(f"{prefix}_prompt_tokens", 0)),
        float(tags[f"{prefix}_seconds"]),
        float(tags.get(f"{prefix}_cost", math.nan)),
    )


def _own(episode: Episode) -> Spending:
    asked = [turn for turn in episode.turns if turn.completion_ids or "prompt_tokens" in turn.tags]
    priced = [float(turn.tags["cost"]) for turn in asked if "cost" in turn.tags]
    return Spending(
        sum(int(turn.tags.get("completion_tokens", len(turn.completion_ids))) for turn in asked),
        sum(_prompt_tokens(turn) for turn in asked),
        episode.seconds,
        sum(priced) if priced or not asked else math.nan,
    )


def _prompt_tokens(turn: Turn) -> int:
    return int(turn.tags.get("prompt_tokens", turn.kept + len(turn.prompt_ids)))
