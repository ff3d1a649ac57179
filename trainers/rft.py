"""Rejection-sampling fine-tuning: try every task several times and imitate what succeeded.

Source: RFT (Yuan et al. 2023, "Scaling relationship on learning mathematical reasoning"). The policy samples
G trajectories of each task, the environment's verdict rejects, and the distinct successes are imitated:

    J(theta) = (1/M) sum over the M kept trajectories of (1/n) sum over its n tokens of log pi_theta(token)

Each round trains the starting policy anew on the trajectories of all rounds. Switches make its relatives:
with ``--no-accumulate`` it is the outer loop of STaR (Zelikman et al. 2022), which restarts from the base
model with the last round's successes alone; with ``--no-restart`` the rounds continue one another, as in
ReST-EM and online RFT. STaR also *rationalises*: it solves failed tasks once more with the answer as a hint.
No environment here offers a hint, so that half of STaR is not here.

The published loss is a mean over the tokens of a batch, not over its trajectories; there, long solutions
count more. Here a trajectory counts once, since in a game a long success is a clumsy one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palaestra.agents.episode import Episode
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Metrics
from palaestra.trainers.core.online import run
from palaestra.trainers.core.rounds import RoundsConfig, RoundsTrainer


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Imitate a policy's own successes, round after round. The same command again resumes the run; more
    ``iterations`` continue it.
    """

    out: Path = Path("runs/rft")
    """The run directory. The trained policy is left in its folder `policy`."""


PRESETS: dict[str, dict[str, object]] = {
    # Of GSM8K: one round of 100 samples for each of 7,473 problems, three epochs in batches of 128.
    "published": {
        "iterations": 1,
        "tasks_per_iteration": 7473,
        "group_size": 100,
        "temperature": 0.7,
        "epochs": 3,
        "learning_rate": 2e-5,
        "warmup_steps": 50,  # our choice: the paper warms up over 3 % of its steps
        "tasks_per_batch": 32,  # with four trajectories each: 128
        "trajectories_per_task": 4,  # our choice: the paper shows every distinct solution in every epoch
        "max_new_tokens": 512,
        "max_context_tokens": 4096,  # our choice
    },
}


class RFT(RoundsTrainer[Config]):
    """Keep the successes; the rest is the rounds' own."""

    def keep(self, iteration: int, episodes: Sequence[Episode]) -> list[Episode]:
        """Return the episodes that succeeded."""
        return [episode for episode in episodes if episode.success and not episode.failed]

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Put the successes into the store; say too how many tasks some try solved in this round."""
        rows, metrics = super().credit(iteration, episodes)
        solved = {episode.key for episode in episodes if episode.success}
        return rows, metrics | {"round/solved": len(solved) / len(self.items)}


def train(config: Config) -> Path:
    """Run RFT (or go on with it) and return the run directory."""
    return run("rft", config, RFT)
