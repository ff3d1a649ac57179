"""From rows to micro-batches under a budget of tokens, in one of two layouts.

``shared_batches`` puts all tokens in one line, without padding, and what rows begin with in common only
once (``trees.py``); a model has to attend along it. ``micro_batches`` is for every causal model: similar
lengths together, padded on the right. A real token never sees the padding behind it, so no attention mask
is needed and torch takes its fast causal kernel.

Either way only positions whose next token is trained are listed, so that logits are made nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from palaestra.trainers.core import losses, trees
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.config import LearnerConfig


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """B rows padded on the right to T tokens, or one line of T with its ``tree``, and the N positions in them
    whose next token is trained.

    ``position`` indexes the B x T hidden states; all other fields of shape (N,) speak of the token that
    comes after that position. Weights already hold the aggregation over the whole update.
    """

    input_ids: Tensor
    """(B, T) int64"""
    position: Tensor
    """(N,) int64, into the flattened B x T"""
    target: Tensor
    """(N,) int64"""
    behaviour: Tensor
    """(N,) log-prob under the policy that sampled the token, 0 where it was not sampled"""
    advantage: Tensor
    """(N,)"""
    policy: Tensor
    """(N,) weight in the policy stream; 0 outside of it"""
    divergence: Tensor
    """(N,) factor on the divergence from the reference"""
    imitation: Tensor
    """(N,) signed weight in the imitation stream"""
    auxiliary: Tensor
    """(N,) weight in the auxiliary stream"""
    tree: trees.Tree | None = None
    """How the tokens of a line belong together; None for padded rows"""


@dataclass(frozen=True, slots=True)
class _Targets:
    """The trained tokens of one row: where they stand, and their numbers in each stream (all (n,))."""

    ids: np.ndarray
    at: np.ndarray
    behaviour: np.ndarray
    advantage: np.ndarray
    policy: np.ndarray
    divergence: np.ndarray
    imitation: np.ndarray
    auxiliary: np.ndarray

    @property
    def length(self) -> int:
        """How many tokens must be read to predict the last target: those behind it cost nothing."""
        return int(self.at[-1])


def micro_batches(rows: Sequence[Row], config: LearnerConfig) -> Iterator[MicroBatch]:
    """Yield the micro-batches of one optimiser step, longest rows first (so a lack of memory shows at once).

    A micro-batch holds at most ``tokens_per_micro_batch`` tokens, padding included; a longer row goes alone.
    Rows without a trained token are not read at all, and there may be none left.
    """
    chosen = [targets for targets in _targets(rows, config) if targets.at.size]
    chosen.sort(key=lambda targets: -targets.length)
    begin = 0
    while begin < len(chosen):
        fitting = max(1, config.tokens_per_micro_batch // chosen[begin].length)
        yield _pack(chosen[begin : begin + fitting], config.device)
        begin += fitting


def _targets(rows: Sequence[Row], config: LearnerConfig) -> Iterator[_Targets]:
    """Yield the trained tokens of every row, weighed over all the rows."""
    sampled = [np.asarray(row.sampled, dtype=bool) for row in rows]
    imitated = [np.asarray(row.imitation or [0.0] * len(row.ids), dtype=np.float32) for row in rows]
    on_policy = [
        mask.sum() if row.advantage is not None else 0 for row, mask in zip(rows, sampled, strict=True)
    ]
    policy = losses.row_weights([int(n) for n in on_policy], config.aggregation, config.constant_tokens)
    imitation = losses.row_weights(
        [int(np.count_nonzero(w)) for w in imitated], config.aggregation, config.constant_tokens
    )
    observed = sum(int((~mask[1:]).sum()) for mask in sampled)
    extra = 1.0 / max(1, observed) if config.auxiliary_coefficient else 0.0
    # A token of no advantage has no policy gradient; it is only read where another loss looks at it.
    whole = config.zero_advantages or config.kl_coefficient != 0 or config.entropy_coefficient != 0
    for number, row in enumerate(rows):
        mask = sampled[number]
        advantage = np.asarray(row.advantage or [0.0] * len(row.ids), dtype=np.float32)
        policy_weight = np.where(mask & (whole | (advantage != 0)), policy[number], 0.0)
        imitation_weight = imitated[number] * imitation[number]
        auxiliary_weight = np.where(mask, 0.0, extra)
        trained = (policy_weight != 0) | (imitation_weight != 0) | (auxiliary_weight != 0)
        # The first token has nothing before it to predict it from.
        at = np.flatnonzero(trained[1:]) + 1
        yield _Targets(
            ids=np.asarray(row.ids, dtype=np.int64),
            at=at,
            behaviour=np.asarray(row.logprobs, dtype=np.float32)[at],
            advantage=advantage[at],
            policy=policy_weight[at],
            divergence=np.asarray(row.divergence or [1.0] * len(row.ids), dtype=np.float32)[at],
            imitation=imitation_weight[at],
            auxiliary=auxiliary_weight[at],
        )


def shared_batches(rows: Sequence[Row], config: LearnerConfig) -> Iterator[MicroBatch]:
    """Yield the micro-batches of one optimiser step as lines in which equal beginnings stand once.

    A line holds about ``tokens_per_micro_batch`` tokens at most; a longer row has one to itself.
    """
    chosen = [targets for targets in _targets(rows, config) if targets.at.size]
    read = [targets.ids[: targets.length] for targets in chosen]
    line: list[int] = []
    tokens = 0
    for number in trees.in_order(read):
        added = len(read[number]) - (trees.common(read[line[-1]], read[number]) if line else 0)
        if line and tokens + added > config.tokens_per_micro_batch:
            yield _line([chosen[row] for row in line], config.device)
            line, tokens, added = [], 0, len(read[number])
        line.append(number)
        tokens += added
    if line:
        yield _line([chosen[row] for row in line], config.device)


def _line(rows: Sequence[_Targets], device: str) -> MicroBatch:
    input_ids, tree, places = trees.grow([row.ids[: row.length] for row in rows], device)
    positions = [place[row.at - 1] for row, place in zip(rows, places, strict=True)]
    return _micro_batch(rows, input_ids, positions, device, tree)


def _pack(rows: Sequence[_Targets], device: str) -> MicroBatch:
    longest = max(row.length for row in rows)
    input_ids = np.zeros((len(rows), longest), dtype=np.int64)
    for number, row in enumerate(rows):
        input_ids[number, : row.length] = row.ids[: row.length]
    positions = [number * longest + row.at - 1 for number, row in enumerate(rows)]
    return _micro_batch(rows, torch.from_numpy(input_ids).to(device), positions, device)


def _micro_batch(
    rows: Sequence[_Targets],
    input_ids: Tensor,
    positions: list[np.ndarray],
    device: str,
    tree: trees.Tree | None = None,
) -> MicroBatch:
    def joined(arrays: list[np.ndarray], dtype: type) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(dtype)).to(device)

    return MicroBatch(
        input_ids=input_ids,
        position=joined(positions, np.int64),
        target=joined([row.ids[row.at] for row in rows], np.int64),
        behaviour=joined([row.behaviour for row in rows], np.float32),
        advantage=joined([row.advantage for row in rows], np.float32),
        policy=joined([row.policy for row in rows], np.float32),
        divergence=joined([row.divergence for row in rows], np.float32),
        imitation=joined([row.imitation for row in rows], np.float32),
        auxiliary=joined([row.auxiliary for row in rows], np.float32),
        tree=tree,
    )
