"""Guide: hints where every try failed, credited to the policy that sees none.

"Guide" / Guide-GRPO (2506.13923, 2025). Each task is tried k times without a hint. Where all k failed, it is
tried k times more with one, and the *unhinted* policy is updated on those tries by importance weights:

    rho_t = pi_theta(y'_t | x, y'_<t) / pi_old(y'_t | x, h, y'_<t)
    max E[ min(rho_t A, clip(rho_t) A) ]

Here the denominator is what was recorded when y' was sampled under the hint h, and the numerator comes from
the same ids after the prompts without it. Advantages are those of GRPO over the union of the k failed and the
k hinted tries (what we know of the paper does not say). Tokens that only the hint explains have a rho far
below 1 and teach little; ``ratio_floor`` raises the weight of good ones, which the paper does not do (0 is
off).

The paper's hints are strategies that a stronger model wrote from the solution. Ours are the first actions of
the environment's expert, never the last one (``agents/hints.py``); they exist in training only, and
evaluations never show them. A task without such a hint is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palaestra.agents import hints
from palaestra.agents.episode import Episode, success_rate
from palaestra.agents.rollout import Job
from palaestra.errors import OptionError
from palaestra.trainers import grpo
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Metrics
from palaestra.trainers.core.online import run
from palaestra.trainers.core.options import require_positive


@dataclass(frozen=True)
class Config(grpo.Config):
    """GRPO that hints at the expert's first actions where all tries of a group failed."""

    out: Path = Path("runs/guide")
    """The run directory. The trained policy is left in its folder `policy`."""
    hint_actions: int = 4
    """How many of the expert's first actions a hint names at most; the last one is never named."""
    ratio_floor: float = 0.0
    """Least weight of a token of positive advantage; 0 is the plain importance ratio."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("hint_actions",))
        if not 0 <= self.ratio_floor <= 1:
            raise OptionError(f"ratio_floor must be between 0 and 1, not {self.ratio_floor}")


class Guide(grpo.GRPO[Config]):
    """GRPO with hinted tries at the tasks whose tries all failed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._adviser = hints.adviser(self.config.env, self.options)

    def collect(self, iteration: int) -> list[Episode]:
        """Play the groups, then hinted tries for those where all failed."""
        episodes = super().collect(iteration)
        return episodes + self.play(self.hinted_jobs(episodes), self.config.agent(opening=hints.hinted))

    def hinted_jobs(self, episodes: Sequence[Episode]) -> list[Job]:
        """Return as many hinted jobs for each group of failures as it has tries, in the same group."""
        tries = range(self.config.group_size, 2 * self.config.group_size)
        return hints.jobs(self._adviser, episodes, tries, self.config.hint_actions)

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Compare hinted and other tries of a group alike; no row has a hint in its prompt."""
        own = [episode for episode in episodes if not hints.is_hinted(episode)]
        guided = [episode for episode in episodes if hints.is_hinted(episode)]
        rows, metrics = super().credit(iteration, own + [self.plain(episode) for episode in guided])
        metrics |= {
            "success": success_rate(own),
            "guide/hinted_groups": float(len({episode.group for episode in guided})),
        }
        return rows, metrics | ({"guide/hinted_success": success_rate(guided)} if guided else {})

    def learn(self, iteration: int, rows: Sequence[Row]) -> Metrics:
        """Update by the clipped surrogate, with a floor under the ratio where one is set."""
        return self.update(rows, self.floored if self.config.ratio_floor else None)

    def floored(
        self, logprobs: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the losses and silenced tokens of the surrogate, no good token's ratio below the floor.

        A behaviour log-prob of ``logprobs - log(floor)`` makes the ratio the floor and keeps its gradient.
        """
        highest = logprobs.detach() - math.log(self.config.ratio_floor)
        lowered = torch.where(advantage > 0, torch.minimum(behaviour, highest), behaviour)
        return self.learner.clipped_surrogate(logprobs, lowered, advantage, weight)


def train(config: Config) -> Path:
    """Run Guide (or go on with it) and return the run directory."""
    return run("guide", config, Guide)


PRESETS: dict[str, dict[str, object]] = {
    # Models of 7B to 32B on mathematics; k, learning rate and clip are not known to us: all our choice.
    "published": {
        "tasks_per_iteration": 64,
        "group_size": 8,
        "learning_rate": 1e-6,
        "max_new_tokens": 1024,
        "max_context_tokens": 4096,
        "device": "cuda",
    }
}
