"""Negative-aware fine-tuning: learn from wrong tries by maximum likelihood, as one imitates right ones.

NFT (Chen et al. 2025, arXiv 2505.18116). Of the tries at a task, the share p is right. What sampled them is
a mixture: p of a policy that is right and 1 - p of one that is wrong. A model of the right one, pi, therefore
implies one of the wrong one, (pi_old - p pi) / (1 - p), and both can be fitted by likelihood with the same
weights. With R = pi / pi_old of a token, its loss is

    right    - log R
    wrong    - lambda log S((1 - p R) / (1 - p)),    S(x) = max(x, 1) with the gradient of x

times a weight of the task, w(p). At R = 1 the loss falls with log pi at the rate w(p) for a right token and
rises with it at lambda w(p) p / (1 - p) for a wrong one. With lambda = 1 and w = 1 - p that is exactly the
reward less its mean over the group, 1 - p and -p (Dr. GRPO); with w = sqrt((1 - p) / p) the reward
standardised (GRPO). lambda = 0 leaves the imitation of right tries, which is RFT. Tasks whose tries are all
right or all wrong are left out.

The published code sums tokens and divides by 1000; here the usual aggregations apply. In an episode of many
turns, R is that of the agent's tokens, and a try is right when the episode succeeded.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from palaestra.agents.episode import Episode, success_rate
from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.learner import LearnerConfig, Metrics
from palaestra.trainers.core.losses import Aggregation
from palaestra.trainers.core.online import OnlineConfig, OnlineTrainer, mean, run
from palaestra.trainers.core.options import require_positive
from palaestra.trainers.core.resampling import collect_informative

PromptWeight = Literal["mean-baseline", "standardised", "uniform"]
PROMPT_WEIGHTS: tuple[str, ...] = get_args(PromptWeight)

# The published bounds: of p, so that neither weight explodes, and of log R.
_LOWEST, _HIGHEST = 0.02, 0.98
_LOG_RATIO_BOUND = 10.0


@dataclass(frozen=True)
class Config(OnlineConfig):
    """Improve a policy by likelihood, from its right tries and its wrong ones. The same command again resumes
    the run; more ``iterations`` continue it.
    """

    out: Path = Path("runs/nft")
    """The run directory. The trained policy is left in its folder `policy`."""
    group_size: int = 8
    """Tries at each task, whose share of right ones is p."""
    negative_weight: float = 1.0
    """The weight of wrong tries, lambda; 0 learns from right ones alone (RFT)."""
    prompt_weight: PromptWeight = "mean-baseline"
    """The weight of a task: 1 - p (mean-baseline), sqrt((1 - p) / p) (standardised), or 1 (uniform)."""
    resampling_rounds: int = 0
    """How often to draw further tasks in place of those whose tries were all right or all wrong."""
    mini_batches: int = 1
    """Optimiser steps over the rows of an iteration, each on a part of them."""
    epochs: int = 1
    """How often an iteration goes over its rows."""
    aggregation: Aggregation = "token-mean"
    """How the losses of tokens are averaged."""
    constant_tokens: int = 0
    """The divisor of aggregation=constant."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise OptionError(
                f"a group of {self.group_size} is all right or all wrong: group_size must be 2+"
            )
        if self.prompt_weight not in PROMPT_WEIGHTS:
            raise UnknownNameError("prompt weight", self.prompt_weight, PROMPT_WEIGHTS)
        require_positive(self, ("negative_weight", "resampling_rounds"), or_zero=True)

    def learner(self) -> LearnerConfig:
        """Return the learner's settings."""
        return replace(
            super().learner(),
            mini_batches=self.mini_batches,
            epochs=self.epochs,
            aggregation=self.aggregation,
            constant_tokens=self.constant_tokens,
        )


PRESETS: dict[str, dict[str, object]] = {
    # Qwen2.5-7B on mathematics, one turn; 512 tasks in mini-batches of 32. The sum over tokens is divided by
    # 1000 there and by 1000 times the number of rows here.
    "published": {
        "tasks_per_iteration": 512,
        "group_size": 16,
        "resampling_rounds": 9,
        "mini_batches": 16,
        "learning_rate": 1e-6,
        "warmup_steps": 10,
        "weight_decay": 0.1,
        "aggregation": "constant",
        "constant_tokens": 1000,
        "max_new_tokens": 3584,
        "max_context_tokens": 4096,
        "device": "cuda",
    },
}


def weight_of_prompt(p: Tensor, kind: PromptWeight) -> Tensor:
    """Return w(p) for the shares ``p`` of right tries."""
    if kind == "mean-baseline":
        return 1.0 - p
    if kind == "standardised":
        return torch.sqrt((1.0 - p) / p)
    return torch.ones_like(p)


def negative_aware_loss(
    logprobs: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    weight: Tensor,
    *,
    prompt_weight: PromptWeight = "mean-baseline",
    negative_weight: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return the loss (N,) and which tokens have no gradient (N,) bool; a ``PolicyLoss``.

    ``advantage`` is 1 - p for the tokens of right tries and -p for those of wrong ones, which says both
    whether a try was right and what p is.
    """
    right = advantage > 0
    p = torch.where(right, 1.0 - advantage, -advantage).clamp(_LOWEST, _HIGHEST)
    log_ratio = torch.clamp(logprobs - behaviour, max=_LOG_RATIO_BOUND)
    implied = (1.0 - p * torch.exp(log_ratio)) / (1.0 - p)
    # Below 1 the logarithm would explode, so its value stops there while the gradient goes on.
    bounded = implied + (implied.clamp(min=1.0) - implied).detach()
    loss = torch.where(right, -log_ratio, -negative_weight * torch.log(bounded))
    silenced = logprobs - behaviour > _LOG_RATIO_BOUND
    if not negative_weight:
        silenced = silenced | ~right
    return weight_of_prompt(p, prompt_weight) * loss, silenced


def outcomes(group: Sequence[Episode]) -> list[float]:
    """Return 1 - p for each right try of a group and -p for each wrong one."""
    p = min(max(success_rate(group), _LOWEST), _HIGHEST)
    return [1.0 - p if episode.success else -p for episode in group]


class NFT(OnlineTrainer[Config]):
    """Collect groups, see which tries were right, fit both kinds."""

    def collect(self, iteration: int) -> list[Episode]:
        """Try ``tasks_per_iteration`` tasks; draw others in place of those that are all right or wrong."""
        return collect_informative(
            self, iteration, self.config.resampling_rounds, lambda found: len(mixed_groups(found))
        )

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return the rows of all groups that hold right tries and wrong ones."""
        groups = mixed_groups(episodes)
        rows = [
            row
            for group in groups
            for episode, outcome in zip(group, outcomes(group), strict=True)
            for row in policy_rows(episode, [outcome] * len(episode.turns))
        ]
        counted: Metrics = {
            "rollout/groups": float(len({episode.group for episode in episodes})),
            "rollout/mixed_groups": float(len(groups)),
        }
        if groups:
            counted["rollout/right_share_of_mixed"] = mean([success_rate(group) for group in groups])
        return rows, counted

    def learn(self, iteration: int, rows: Sequence[Row]) -> Metrics:
        """Update the weights by the negative-aware loss."""
        loss = functools.partial(
            negative_aware_loss,
            prompt_weight=self.config.prompt_weight,
            negative_weight=self.config.negative_weight,
        )
        return self.update(rows, policy_loss=loss)


def mixed_groups(episodes: Sequence[Episode]) -> list[list[Episode]]:
    """Return the groups, without their failed episodes, that hold both right and wrong tries."""
    groups: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if not episode.failed and episode.turns:
            groups[episode.group].append(episode)
    return [group for group in groups.values() if 0.0 < success_rate(group) < 1.0]


def train(config: Config) -> Path:
    """Run NFT (or go on with it) and return the run directory."""
    return run("nft", config, NFT)
