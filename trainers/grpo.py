"""Group-relative policy optimisation: try each task several times and learn from the differences.

GRPO (Shao et al. 2024) over multi-turn episodes. Switches turn it into Dr. GRPO (``normalise_std`` off,
aggregation ``constant``), DAPO (``clip_high`` above ``clip_low``, ``dynamic_filter`` with resampling rounds,
aggregation ``token-mean``) and GiGPO (``gigpo_omega`` > 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from palaestra.agents.episode import Episode
from palaestra.errors import OptionError
from palaestra.trainers.core import instructions
from palaestra.trainers.core.advantages import Baseline, Credit, CreditConfig, assign_credit
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.learner import LearnerConfig, Metrics
from palaestra.trainers.core.losses import Aggregation
from palaestra.trainers.core.online import OnlineConfig, OnlineTrainer, run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.resampling import collect_informative


@dataclass(frozen=True)
class Config(OnlineConfig):
    """Improve a policy by its own tries at the tasks. The same command again resumes the run; more
    ``iterations`` continue it.
    """

    out: Path = Path("runs/grpo")
    """The run directory. The trained policy is left in its folder `policy`."""
    group_size: int = 8
    """Tries at each task, which are compared with one another."""

    baseline: Baseline = "episode"
    """What a try is compared with: the mean over episodes, or over all their steps (verl-agent)."""
    normalise_std: bool = True
    """Divide advantages by the group's standard deviation; Dr. GRPO does not."""
    dynamic_filter: bool = True
    """Leave out groups whose tries all had the same return (DAPO)."""
    resampling_rounds: int = 0
    """How often to draw further tasks in place of the groups left out (DAPO)."""
    invalid_action_penalty: float = 0.0
    """Taken from the score of a turn whose action was malformed or not admissible."""
    gigpo_omega: float = 0.0
    """Weight of GiGPO's comparison among turns that saw the same observation; 0 is off."""
    gigpo_gamma: float = 0.95
    """Discount of GiGPO's step returns."""

    mini_batches: int = 1
    """Optimiser steps over the rows of an iteration, each on a part of them."""
    epochs: int = 1
    """How often an iteration goes over its rows."""
    clip_low: float = 0.2
    """How far a bad token's ratio may fall below 1 in one iteration."""
    clip_high: float = 0.2
    """How far a good token's ratio may rise above 1; DAPO takes 0.28."""
    dual_clip: float = 0.0
    """Bound on the loss of bad tokens, as a multiple of the advantage; 0 is off."""
    aggregation: Aggregation = "token-mean"
    """How the losses of tokens are averaged."""
    constant_tokens: int = 0
    """The divisor of aggregation=constant."""
    kl_coefficient: float = 0.0
    """Weight of the divergence from the policy that training began with; 0 keeps no copy of it."""
    entropy_coefficient: float = 0.0
    """Bonus for entropy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise OptionError(
                f"a group of {self.group_size} has nothing to compare; group_size must be 2 or more"
            )
        require_positive(self, ("resampling_rounds",), or_zero=True)
        if not self.dynamic_filter:
            refuse_idle(self, ("resampling_rounds",), "only the dynamic filter leaves groups out")
        if not self.gigpo_omega:
            refuse_idle(self, ("gigpo_gamma",), "gigpo_omega=0 switches GiGPO off")
        self.crediting()

    def learner(self) -> LearnerConfig:
        """Return the learner's settings."""
        return replace(
            super().learner(),
            mini_batches=self.mini_batches,
            epochs=self.epochs,
            clip_low=self.clip_low,
            clip_high=self.clip_high,
            dual_clip=self.dual_clip,
            aggregation=self.aggregation,
            constant_tokens=self.constant_tokens,
            kl_coefficient=self.kl_coefficient,
            entropy_coefficient=self.entropy_coefficient,
        )

    def crediting(self) -> CreditConfig:
        """Return how episodes are compared."""
        return CreditConfig(
            baseline=self.baseline,
            normalise_std=self.normalise_std,
            dynamic_filter=self.dynamic_filter,
            invalid_action_penalty=self.invalid_action_penalty,
            gigpo_omega=self.gigpo_omega,
            gigpo_gamma=self.gigpo_gamma,
        )


PRESETS: dict[str, dict[str, object]] = {
    # verl-agent on ALFWorld with Qwen2.5-1.5B and 7B, which plays the official games (add source=official to
    # both options). Its rewards are 10 for a success, ours 1, so its penalty of 0.1 is 0.01 here. It takes
    # mini-batches of 256 rows; 16 for the few thousand rows of an iteration is our estimate.
    "published": {
        "iterations": 150,
        "tasks_per_iteration": 16,
        "group_size": 8,
        "options": ("split=train", "max_steps=50"),
        "context": "window",
        "window_turns": 2,
        "thought": True,
        "system": instructions.HOUSEHOLD,  # our words
        "max_new_tokens": 512,
        "max_context_tokens": 2560,
        "baseline": "steps",
        "dynamic_filter": False,
        "invalid_action_penalty": 0.01,
        "learning_rate": 1e-6,
        "warmup_steps": 0,
        "weight_decay": 0.01,
        "mini_batches": 16,
        "dual_clip": 3.0,
        "kl_coefficient": 0.01,
        "entropy_coefficient": 0.001,
        "evaluate_every": 5,
        "eval_options": ("split=valid_seen", "max_steps=50"),
        "eval_tasks": 128,
        "eval_temperature": 0.4,
        "device": "cuda",
    },
    # The three below say what the paper changes about GRPO and leave the sizes at what they are.
    "dapo": {
        "clip_high": 0.28,
        "aggregation": "token-mean",
        "dynamic_filter": True,
        "resampling_rounds": 9,
        "dual_clip": 10.0,
        "kl_coefficient": 0.0,
        "weight_decay": 0.01,
    },
    # The constant is the longest row of sampled tokens, which depends on the run; 1024 is our choice.
    "dr-grpo": {
        "normalise_std": False,
        "dynamic_filter": False,
        "aggregation": "constant",
        "constant_tokens": 1024,
    },
    # Groups of equal returns stay: their turns differ by how far they are from the end.
    "gigpo": {
        "gigpo_omega": 1.0,
        "baseline": "steps",
        "dynamic_filter": False,
        "invalid_action_penalty": 0.01,
    },
}


C = TypeVar("C", bound=Config)


class GRPO(OnlineTrainer[C], Generic[C]):
    """Collect groups, compare each try with its group, learn."""

    def collect(self, iteration: int) -> list[Episode]:
        """Try ``tasks_per_iteration`` tasks; draw others in place of the groups that teach nothing."""
        rounds = self.config.resampling_rounds
        return collect_informative(self, iteration, rounds, lambda found: self.compare(found).informative)

    def compare(self, episodes: Sequence[Episode]) -> Credit:
        """Return every turn's advantage over its group."""
        return assign_credit(episodes, self.config.crediting())

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return the rows of all episodes that differ from their group."""
        credit = self.compare(episodes)
        return credited_rows(episodes, credit), counts(credit)


def credited_rows(episodes: Sequence[Episode], credit: Credit) -> list[Row]:
    """Return the rows of the episodes that have advantages."""
    return [
        row
        for episode, advantages in zip(episodes, credit.advantages, strict=True)
        if advantages is not None
        for row in policy_rows(episode, advantages)
    ]


def counts(credit: Credit) -> Metrics:
    """Return how many groups had something to compare, as metrics."""
    return {
        "rollout/groups": float(credit.groups),
        "rollout/flat_groups": float(credit.flat),
        "rollout/lone_groups": float(credit.lone),
    }


def train(config: Config) -> Path:
    """Run GRPO (or go on with it) and return the run directory."""
    return run("grpo", config, GRPO)
