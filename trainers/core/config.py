"""The settings of the learner, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers.core.losses import AGGREGATIONS, Aggregation
from palaestra.trainers.core.schedules import DECAYS, Decay


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """How rows become an update. Coefficients of 0 switch their loss off, and it then costs nothing."""

    learning_rate: float = 2e-4
    warmup_steps: int = 10
    decay: Decay = "constant"
    decay_steps: int = 0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: float = 1.0
    tokens_per_micro_batch: int = 2048
    mini_batches: int = 1
    """Optimiser steps per update: the rows are cut, in their order, into so many parts."""
    epochs: int = 1
    """How often an update goes over its rows."""
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 0.0
    aggregation: Aggregation = "token-mean"
    constant_tokens: int = 0
    kl_coefficient: float = 0.0
    entropy_coefficient: float = 0.0
    zero_advantages: bool = False
    """Show the policy loss the tokens of advantage 0 too, for losses that take means over all tokens."""
    auxiliary_coefficient: float = 0.0
    """Weight of the plain language-model loss on the tokens that were not sampled (observations)."""
    negative_floor_nats: float = 0.0
    """Imitation with a negative weight stops where a token's log-prob is below minus this; 0 is no floor."""
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    """The type that the forward pass computes in; weights and optimiser stay float32."""

    def __post_init__(self) -> None:
        positive = ("learning_rate", "max_grad_norm", "tokens_per_micro_batch", "mini_batches", "epochs")
        for name in positive:
            if getattr(self, name) <= 0:
                raise OptionError(f"{name} must be positive, not {getattr(self, name)}")
        for name in (
            "warmup_steps",
            "decay_steps",
            "weight_decay",
            "kl_coefficient",
            "auxiliary_coefficient",
            "negative_floor_nats",
        ):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} must not be negative, not {getattr(self, name)}")
        if not (0 < self.clip_low <= 1 and self.clip_high > 0):
            raise OptionError(
                f"clip_low must be in (0, 1] and clip_high > 0, not {self.clip_low}, {self.clip_high}"
            )
        if self.dual_clip and self.dual_clip <= 1:
            raise OptionError(f"dual_clip must be 0 (off) or above 1, not {self.dual_clip}")
        if self.aggregation not in AGGREGATIONS:
            raise UnknownNameError("aggregation", self.aggregation, AGGREGATIONS)
        if (self.aggregation == "constant") != (self.constant_tokens > 0):
            raise OptionError(
                "aggregation 'constant' and constant_tokens belong together: give both or neither"
            )
        if self.decay not in DECAYS:
            raise UnknownNameError("decay", self.decay, DECAYS)
        if (self.decay == "constant") != (self.decay_steps == 0):
            raise OptionError(
                "a decay other than 'constant' and decay_steps belong together: give both or neither"
            )
