"""Training rows: token sequences with per-token weights for a few loss streams.

An algorithm says what each sampled token is worth; the learner does not know the algorithm's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from palaestra.agents.episode import Episode, Sequence, sequences
from palaestra.errors import ContractError


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence of T tokens to learn from; every list has T entries.

    ``sampled`` is True where the policy sampled the token and ``logprobs`` holds its behaviour log-prob (0
    elsewhere). ``advantage`` weighs the policy-gradient stream: all sampled tokens of a row that has one
    belong to it, also those with advantage 0, which only count when losses are averaged. ``imitation`` is
    the signed weight of the cross-entropy stream: tokens with weight 0 do not belong to it. None means that
    the row takes no part in that stream. ``divergence`` multiplies the learner's ``kl_coefficient`` at each
    token of the policy stream (None: 1). ``group`` names the set of tries that the row was compared with.
    """

    ids: list[int]
    sampled: list[bool]
    logprobs: list[float]
    advantage: list[float] | None = None
    imitation: list[float] | None = None
    divergence: list[float] | None = None
    group: str = ""

    def __post_init__(self) -> None:
        lists = (
            self.ids,
            self.sampled,
            self.logprobs,
            self.advantage,
            self.imitation,
            self.divergence,
        )
        lengths = {len(values) for values in lists if values is not None}
        if len(lengths) != 1:
            raise ContractError(f"a row's lists differ in length: {sorted(lengths)}")
        if self.sampled and self.sampled[0]:
            raise ContractError("the first token of a row has nothing before it, so it cannot be sampled")


def policy_rows(episode: Episode, advantage_of_turn: list[float]) -> list[Row]:
    """Return rows whose sampled tokens carry the advantage of the turn that sampled them."""
    return [
        Row(
            ids=sequence.ids,
            sampled=sequence.mask,
            logprobs=sequence.logprobs,
            advantage=_spread(sequence, advantage_of_turn),
            group=episode.group,
        )
        for sequence in sequences(episode)
    ]


def imitation_rows(episode: Episode, weight_of_turn: list[float]) -> list[Row]:
    """Return rows whose sampled tokens are imitated with the signed weight of their turn."""
    return [
        Row(
            ids=sequence.ids,
            sampled=sequence.mask,
            logprobs=sequence.logprobs,
            imitation=_spread(sequence, weight_of_turn),
            group=episode.group,
        )
        for sequence in sequences(episode)
    ]


def _spread(sequence: Sequence, value_of_turn: list[float]) -> list[float]:
    return [value_of_turn[turn] if turn >= 0 else 0.0 for turn in sequence.turn]
