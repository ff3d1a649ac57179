"""Self-evolving curriculum: GRPO that tries the kinds of tasks from which it learns most at present.

SEC (Chen et al. 2025, arXiv 2505.14970). The categories of tasks are the arms of a bandit whose rewards
change as the policy learns. An iteration draws categories from softmax(Q / tau) and tasks evenly within each;
after the update, a category's reward is the mean of |advantage| over its tries,

    r(c) = mean |R - mean of its group|,    Q(c) <- alpha r(c) + (1 - alpha) Q(c),

and categories that were not tried keep their Q. For rewards of 0 and 1 and a share p of successes in a group,
r(c) is 2 p (1 - p): most where half of the tries succeed, nothing where all or none do. All Q begin at the
highest such value, so that every category is tried before it is judged.

The advantage taken here is never divided by the group's standard deviation, whatever GRPO learns from:
divided, it is nearly the same for all groups but the flat ones and says little about how hard a category is.
The paper tunes alpha and tau for each data set; the defaults are our choice for rewards in [0, 1].

A category is a task's ``scenario``: its type in ALFWorld, its generator in Math, its family in Code.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palaestra.agents.episode import Episode
from palaestra.envs.core import TaskSet
from palaestra.errors import OptionError
from palaestra.trainers import grpo
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, Metrics
from palaestra.trainers.core.online import mean, run
from palaestra.trainers.core.options import require_positive
from palaestra.trainers.core.policies import TrainablePolicy


@dataclass(frozen=True)
class Config(grpo.Config):
    """Improve a policy by its own tries at the kinds of tasks that teach it most. The same command again
    resumes the run; more ``iterations`` continue it.
    """

    out: Path = Path("runs/sec")
    """The run directory. The trained policy is left in its folder `policy`."""
    bandit_rate: float = 0.5
    """How fast a category's value follows its reward, alpha."""
    bandit_temperature: float = 0.1
    """Temperature of the choice among categories, tau; a high one draws them all alike."""
    bandit_start: float = 0.5
    """The value of a category before it was tried; 0.5 is the highest that rewards of 0 and 1 can bring."""
    pool_tasks: int = 2000
    """Tasks whose category is looked up at the start, spread over the whole set; others are not tried."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("bandit_temperature", "pool_tasks", "bandit_rate"))
        require_positive(self, ("bandit_start",), or_zero=True)
        if self.bandit_rate > 1:
            raise OptionError(f"bandit_rate must be in (0, 1], not {self.bandit_rate}")


PRESETS: dict[str, dict[str, object]] = {
    # Qwen2.5-3B and 7B. What the paper tunes for each data set (alpha, tau) stays at our defaults, and the
    # sizes are those of GRPO's own preset.
    "published": dict(grpo.PRESETS["published"]),
}


def categories(tasks: TaskSet, most: int) -> dict[str, list[int]]:
    """Return the indices of tasks by category, of ``most`` tasks spread evenly over the set."""
    pools: dict[str, list[int]] = defaultdict(list)
    for index in np.linspace(0, len(tasks), min(most, len(tasks)), endpoint=False).astype(int).tolist():
        pools[tasks[index].scenario].append(index)
    return dict(sorted(pools.items()))


def softmax(values: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Return the probability of each category."""
    highest = max(values.values())
    weights = {name: math.exp((value - highest) / temperature) for name, value in values.items()}
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def mean_absolute_advantage(episodes: Sequence[Episode]) -> dict[str, float]:
    """Return the mean of |return - mean of its group| over the tries of each category; a group with fewer
    than two tries that did not fail says nothing.
    """
    groups: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if not episode.failed:
            groups[episode.group].append(episode)
    found: dict[str, list[float]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            middle = mean([episode.reward for episode in group])
            found[group[0].scenario] += [abs(episode.reward - middle) for episode in group]
    return {name: mean(values) for name, values in found.items()}


class SEC(grpo.GRPO[Config]):
    """GRPO on tasks that a bandit draws."""

    def __init__(self, config: Config, policy: TrainablePolicy, learner: Learner) -> None:
        super().__init__(config, policy, learner)
        self.pools = categories(self.tasks, config.pool_tasks)
        if len(self.pools) < 2:
            raise OptionError(
                f"the tasks of {config.env} are all of one category, {next(iter(self.pools))!r}: there is no "
                "curriculum to find. Give options that mix several, or a larger pool_tasks"
            )
        self.values = dict.fromkeys(self.pools, config.bandit_start)

    def draw(self, generator: np.random.Generator, tasks: int) -> list[int]:
        """Draw categories by their present values, and tasks evenly within each."""
        chances = softmax(self.values, self.config.bandit_temperature)
        counts = generator.multinomial(tasks, list(chances.values())).tolist()
        drawn = [
            generator.choice(self.pools[name], count, replace=count > len(self.pools[name])).tolist()
            for name, count in zip(chances, counts, strict=True)
        ]
        # Mini-batches are cut from the rows in their order, and each should see all categories.
        return generator.permutation([index for indices in drawn for index in indices]).tolist()

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return GRPO's rows, and move the values of the categories that were tried."""
        rows, metrics = super().credit(iteration, episodes)
        chances = softmax(self.values, self.config.bandit_temperature)
        metrics |= {f"curriculum/chance/{name}": chance for name, chance in chances.items()}
        rate = self.config.bandit_rate
        for name, reward in mean_absolute_advantage(episodes).items():
            self.values[name] = rate * reward + (1.0 - rate) * self.values[name]
        metrics |= {f"curriculum/value/{name}": value for name, value in self.values.items()}
        return rows, metrics

    def state(self) -> dict[str, Any]:
        """Return the values of the categories."""
        return {**super().state(), "values": dict(self.values)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned."""
        super().load_state(state)
        self.values = dict(state["values"])


def train(config: Config) -> Path:
    """Run SEC (or go on with it) and return the run directory."""
    return run("sec", config, SEC)
