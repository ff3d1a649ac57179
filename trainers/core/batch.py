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

    ``advantage`` weighs the policy-gradient stream (with the behaviour log-prob ``logprobs``), and
    ``imitation`` the signed cross-entropy stream; 0 means that the token takes no part in that stream.
    ``group`` names the set of tries that the row was compared with.
    """

    ids: list[int]
    logprobs: list[float]
    advantage: list[float]
    imitation: list[float]
    group: str = ""

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.logprobs), len(self.advantage), len(self.imitation)}
        if len(lengths) != 1:
            raise ContractError(f"a row's lists differ in length: {sorted(lengths)}")

    @property
    def trained_tokens(self) -> int:
        """How many tokens take part in some stream."""
        return sum(a != 0 or w != 0 for a, w in zip(self.advantage, self.imitation, strict=True))


def policy_rows(episode: Episode, advantage_of_turn: list[float]) -> list[Row]:
    """Return rows whose sampled tokens carry the advantage of the turn that sampled them."""
    return [
        Row(
            ids=sequence.ids,
            logprobs=sequence.logprobs,
            advantage=_spread(sequence, advantage_of_turn),
            imitation=[0.0] * len(sequence.ids),
            group=episode.group,
        )
        for sequence in sequences(episode)
    ]


def imitation_rows(episode: Episode, weight_of_turn: list[float]) -> list[Row]:
    """Return rows whose sampled tokens are imitated with the signed weight of their turn."""
    return [
        Row(
            ids=sequence.ids,
            logprobs=sequence.logprobs,
            advantage=[0.0] * len(sequence.ids),
            imitation=_spread(sequence, weight_of_turn),
            group=episode.group,
        )
        for sequence in sequences(episode)
    ]


def _spread(sequence: Sequence, value_of_turn: list[float]) -> list[float]:
    return [value_of_turn[turn] if turn >= 0 else 0.0 for turn in sequence.turn]
