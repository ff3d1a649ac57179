"""An episode as the page shows it: every text, and each sampled token with its log-prob."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from palaestra.agents.episode import Episode, Turn
from palaestra.agents.scores import ending
from palaestra.agents.spending import spending
from palaestra.cli.report.reading import Record, finite

Decode = Callable[[list[int]], list[str]]
SCRIPTED = ("random", "expert", "scripted")


def task_data(episode: Episode) -> Record:
    """Return what the page says of a task once, however many episodes were played on it."""
    return {
        "id": episode.task_id,
        "env": episode.env_id,
        "scenario": episode.scenario,
        "goal": episode.goal,
        "seed": episode.seed,
        "options": finite(episode.options),
    }


def episode_row(episode: Episode, source: str) -> Record:
    """Return what lists and filters need of an episode; its turns are ``episode_data``."""
    spent = spending(episode)
    # The ids of a scripted policy are the bytes of what it wrote, no tokens that anyone would pay for.
    read = episode.policy not in SCRIPTED
    row: Record = {
        "source": source,
        "policy": episode.policy,
        "agent": episode.agent,
        "outcome": episode.outcome,
        "success": episode.success,
        "reward": finite(float(episode.reward)),
        "steps": sum(bool(turn.action) for turn in episode.turns),
        "seconds": round(spent.seconds, 3),
        "sampled": spent.tokens if read else None,
        "prompted": spent.prompt_tokens if read else None,
        "cost": finite(spent.cost),
        "attempt": episode.attempt,
        # Not in every row, since most environments have neither.
        **{key: finite(episode.tags[key]) for key in ("siblings", "metrics") if key in episode.tags},
    }
    if episode.failed:
        kind = str(episode.tags.get("failure_kind", "unknown"))
        return {**row, "failure": episode.failure, "ending": f"failed: {kind}"}
    return {**row, "ending": ending(episode)}


def episode_data(episode: Episode, decoders: Sequence[Decode]) -> Record:
    """Return the turns of an episode and what else its own page shows; prompt ids are counted, not kept."""
    scripted = episode.policy in SCRIPTED
    decode = None if scripted else choose_decoder(episode, decoders)
    return {
        "checks": episode.checks,
        "tags": finite(episode.tags),
        "final": episode.final_observation,
        "turns": [turn_data(turn, decode, scripted=scripted) for turn in episode.turns],
    }


def turn_data(turn: Turn, decode: Decode | None, *, scripted: bool = False) -> Record:
    """Return a turn: observation ``o``, action ``a``, reward ``r``, and what is unlike most turns.

    ``n`` counts sampled tokens, ``p`` those added to the prompt, ``l`` holds the log-probs and ``t`` the
    tokens' texts, where ``decode`` spells them.
    """
    record: Record = {"o": turn.observation, "a": turn.action}
    if turn.reward:
        record["r"] = finite(float(turn.reward))
    if not turn.valid:
        record["invalid"] = True
    if turn.finish_reason != "stop":
        record["finish"] = turn.finish_reason
    if turn.tags:
        record["tags"] = finite(turn.tags)
    if not scripted:
        record["n"] = int(turn.tags.get("completion_tokens", len(turn.completion_ids)))
        record["p"] = len(turn.prompt_ids)
        if any(turn.logprobs):
            record["l"] = [round(value, 3) if math.isfinite(value) else None for value in turn.logprobs]
        pieces = decode(turn.completion_ids) if decode else []
        if pieces and turn.action.strip() in "".join(pieces):
            record["t"] = pieces
    return record


def choose_decoder(episode: Episode, decoders: Sequence[Decode]) -> Decode | None:
    """Return the decoder whose spelling of the sampled tokens holds the actions most often, if any does."""
    acted = [turn for turn in episode.turns if turn.action.strip() and turn.completion_ids][:5]
    fits = [
        sum(turn.action.strip() in "".join(decode(turn.completion_ids)) for turn in acted)
        for decode in decoders
    ]
    best = max(range(len(fits)), key=fits.__getitem__, default=None)
    return decoders[best] if best is not None and fits[best] else None


def load_decoder(file: Path) -> Decode:
    """Return a function from token ids to their texts, made from a ``tokenizer.json``.

    It spells nothing where the library `tokenizers` is not installed or the file cannot be read.
    """
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library raises its own bare Exception for a file it cannot read
        return lambda ids: []

    @functools.cache
    def piece(number: int) -> str:
        return tokenizer.decode([number], skip_special_tokens=False)

    return lambda ids: [piece(number) for number in ids]
