"""How likely a model finds tokens that somebody sampled, perhaps after another prompt than this one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from palaestra.trainers.core import losses
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.config import LearnerConfig
from palaestra.trainers.core.learner import selected_logits
from palaestra.trainers.core.packing import micro_batches


@torch.no_grad()
def sampled_logprobs(
    model: Any, rows: Sequence[Row], *, tokens_per_micro_batch: int = 2048, device: str = "cpu"
) -> list[list[float]]:
    """Return log p of each sampled token of each row, given all that stands before it in the row.

    Packed and computed as the learner does it, so the numbers agree with its own to rounding.
    """
    config = LearnerConfig(tokens_per_micro_batch=tokens_per_micro_batch, device=device)
    whole = [replace(row, advantage=[1.0] * len(row.ids), imitation=None, divergence=None) for row in rows]
    # Micro-batches take the longest rows first; in that order, what they bring can be told apart again.
    order = sorted(range(len(rows)), key=lambda number: -_last_sampled(rows[number]))
    was_training = model.training
    model.eval()
    found = [
        losses.token_logprobs(selected_logits(model, batch), batch.target)
        for batch in micro_batches([whole[number] for number in order], config)
    ]
    model.train(was_training)
    values = iter(torch.cat(found).tolist() if found else [])
    scores: list[list[float]] = [[] for _ in rows]
    for number in order:
        scores[number] = list(itertools.islice(values, sum(rows[number].sampled)))
    return scores


def _last_sampled(row: Row) -> int:
    return max((at for at, sampled in enumerate(row.sampled) if sampled), default=0)
