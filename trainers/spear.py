"""SPEAR: learn again from one's own good tries, more and more, after being paid for acting, less and less.

Qin et al. 2025, "Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive Exploration"
(arXiv 2509.22601), on GRPO, or on GiGPO with ``gigpo_omega`` > 0. In iteration k, from 0:

1. The return is R = R_out + mu(k) R_tool + R_fmt with mu(k) = (1 + cos(pi k / K_m)) / 2, 0 after K_m;
   R_tool = min(``tool_most``, ``tool_step`` x calls); R_fmt is minus the penalty of invalid actions.
2. Dr.BoT, the paper's stronger baseline, also keeps bad responses out of the loss (``mask``) and keeps only
   the groups with the largest spread of returns (``keep_groups``); see PRESETS for all of it.
3. The on-policy step learns from the advantages A_hat of GRPO or GiGPO.
4. Replay: rows with A_hat > 0 when they were stored get A_tilde = R - P50(D_R), D_R being the mean returns
   of past groups. Where more than 1.5 ``replay_rows`` stored rows have A_tilde > 0, at most ``replay_rows``
   of these are drawn, the replay is emptied, and a step of its own learns from them with the weight
   gamma(k) = gamma_0 (1 - cos(pi k / K_g)) / 2, gamma_0 after K_g, against the log-probs under which they
   were sampled and without the KL penalty. An entropy bonus has this weight too.
5. Rows of this iteration with A_hat > 0 on average are stored, its groups' mean returns join D_R.

Both steps drop a few tokens at random whose covariance of advantage and log-prob is high (Clip-Cov). Its
bounds are on the scale of the reward. They are given for a success that is worth 10, as published, and are
multiplied by ``reward_scale`` / 10; advantages over the standard deviation have no scale and take them as
they are.

What the published code does otherwise: it calls each turn a row (here with the window context; an append
context makes one row of an episode, whose score is the mean of its turns'), keeps rows with A_tilde = 0,
which teach nothing, cuts batches to powers of two, forgets old rows after and not before they could be used,
and leaves out of D_R the groups that it filters. Its bonus in households counts turns, that is, pays for
length (``tool_counts=turns``); ``calls`` pays for the use of tools instead. Not here: the variant that pays
once for any call in a right answer, and the rule for mathematics that stored rows must hold a call.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from palaestra.agents.codeact import parse as parse_code
from palaestra.agents.episode import Episode, sequences
from palaestra.envs.panel import make_env
from palaestra.errors import OptionError
from palaestra.trainers import grpo
from palaestra.trainers.core import instructions, losses
from palaestra.trainers.core.advantages import Credit, turn_scores
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.learner import Learner, LearnerConfig, Metrics, PolicyLoss
from palaestra.trainers.core.masks import SHORTEST_REPETITIVE, Fault, faults, without
from palaestra.trainers.core.online import mean, run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.policies import TrainablePolicy
from palaestra.trainers.core.replay import Replay, RunningMedian
from palaestra.trainers.core.schedules import cosine_rise, decay

_FILL = 1.5
_PUBLISHED_REWARD = 10.0


@dataclass(frozen=True)
class Config(grpo.Config):
    """GRPO that imitates its own good tries. The same command again resumes the run; more ``iterations``
    continue it.
    """

    out: Path = Path("runs/spear")
    """The run directory. The trained policy is left in its folder `policy`."""
    normalise_std: bool = False
    """Divide advantages by the group's standard deviation; in a group whose tries all failed, the bonus alone
    then counts as much as a success elsewhere (see docs/studies/spear_guess.md)."""

    imitate: Literal["earlier", "present", "none"] = "earlier"
    """Which good rows are learnt from once more: those of earlier iterations, those of the present one (a
    control: only more steps), or none."""
    imitation_weight: float = 1.0
    """The weight of imitation after its warm-up (gamma_0)."""
    imitation_warmup: int = 100
    """Iterations until imitation has its weight (K_g); 0 gives it from the first on."""
    recalibrate: bool = True
    """Weigh a stored row by its return over the running median, not by the advantage that it had."""
    replay_rows: int = 16
    """Most rows that are imitated in an iteration; a row is an episode, or a turn with the window context."""
    replay_age: int = 5
    """Iterations after which a stored row is forgotten."""
    median_groups: int = 10_240
    """How many groups the running median looks back."""

    tool_reward: Literal["none", "constant", "cosine"] = "cosine"
    """The bonus for tool calls: none, the same throughout, or falling along a cosine."""
    tool_counts: Literal["calls", "turns"] = "calls"
    """What it counts: calls (turns that run code where the environment offers tools, elsewhere the different
    actions that the environment accepted), or all turns (the published code in households)."""
    tool_step: float = 0.01
    """The bonus for each of them."""
    tool_most: float = 0.1
    """The largest bonus of an episode."""
    tool_decay: int = 100
    """Iterations until the bonus is gone (K_m)."""

    covariance: Literal["none", "clip", "kl"] = "clip"
    """What happens to tokens of high covariance: nothing, some are dropped (Clip-Cov), or the highest are
    held to the sampling policy (KL-Cov, which has no ratio clip)."""
    covariance_share: float = 0.0002
    """Share of an on-policy micro-batch's tokens that this concerns, at least one."""
    covariance_bounds: tuple[float, float] = (1.0, 5.0)
    """Clip-Cov's bounds in the on-policy step, for a reward of 10."""
    replay_covariance_share: float = 0.02
    """Share of a micro-batch's tokens in the replay step, at least one."""
    replay_covariance_bounds: tuple[float, float] = (2.0, 60.0)
    """Clip-Cov's bounds in the replay step, for a reward of 10."""
    reward_scale: float = 1.0
    """What a success is worth; the bounds shrink with it where advantages are not standardised."""
    kl_cov_coefficient: float = 0.1
    """KL-Cov's weight of the absolute log ratio."""

    mask: tuple[Fault, ...] = ()
    """Responses whose tokens stay out of the loss: overlong, incomplete, repetitive, unreadable."""
    keep_groups: float = 1.0
    """Share of the groups that is learnt from, those with the largest spread of returns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("replay_rows", "replay_age", "median_groups", "tool_decay", "reward_scale"))
        require_positive(self, ("imitation_weight", "tool_step", "tool_most", "kl_cov_coefficient"))
        require_positive(self, ("imitation_warmup",), or_zero=True)
        for name in ("covariance_share", "replay_covariance_share", "keep_groups"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}")
        for name in ("covariance_bounds", "replay_covariance_bounds"):
            if not getattr(self, name)[0] < getattr(self, name)[1]:
                raise OptionError(f"{name} are a lower and a higher number, not {getattr(self, name)}")
        if "repetitive" in self.mask and self.max_new_tokens < SHORTEST_REPETITIVE:
            raise OptionError(
                "mask=repetitive would do nothing: it takes "
                f"{SHORTEST_REPETITIVE} tokens, and max_new_tokens is {self.max_new_tokens}"
            )
        self._refuse_idle()

    def _refuse_idle(self) -> None:
        if self.imitate == "none":
            refuse_idle(self, (*_IMITATION, *_REPLAY), "imitate=none learns from no row again")
        elif self.imitate == "present":
            refuse_idle(self, _REPLAY, "imitate=present keeps no rows")
        elif not self.recalibrate:
            refuse_idle(self, ("median_groups",), "recalibrate=False needs no median")
        if self.tool_reward == "none":
            refuse_idle(self, ("tool_counts", "tool_step", "tool_most", "tool_decay"), "tool_reward=none")
        elif self.tool_reward == "constant":
            refuse_idle(self, ("tool_decay",), "tool_reward=constant never falls")
        if self.covariance != "none":
            refuse_idle(self, ("dual_clip",), f"covariance={self.covariance} replaces the loss that has one")
        if self.covariance != "clip":
            refuse_idle(self, _BOUNDS, "only Clip-Cov has bounds")
        if self.covariance != "kl":
            refuse_idle(self, ("kl_cov_coefficient",), "it belongs to covariance=kl")
        else:
            refuse_idle(self, ("clip_low", "clip_high"), "KL-Cov has no ratio clip")
        if self.covariance == "none":
            refuse_idle(self, ("covariance_share",), "covariance=none")
        if self.covariance == "none" or self.imitate == "none":
            refuse_idle(self, ("replay_covariance_share",), "no replayed token is dropped or held")

    def learner(self) -> LearnerConfig:
        """Return the learner's settings; covariances are taken over all sampled tokens."""
        return replace(super().learner(), zero_advantages=self.covariance != "none")


_IMITATION = ("imitation_weight", "imitation_warmup", "replay_rows", "replay_covariance_bounds")
_REPLAY = ("recalibrate", "replay_age", "median_groups")
_BOUNDS = ("covariance_bounds", "replay_covariance_bounds", "reward_scale")

PRESETS: dict[str, dict[str, object]] = {
    # The script for ALFWorld with Qwen2.5-1.5B and 7B, for rewards of 1 instead of 10 (penalty and bonus are
    # a tenth). Its K_g says 100 but is not passed on; 200 is what runs. Mini-batches are 1,024 of some 8,000
    # rows an iteration: 8 is our estimate, and 2560 tokens are its longest prompt and response together. Its
    # dual clip of 10 is left out, because its Clip-Cov has none.
    "published": {
        "iterations": 200,
        "tasks_per_iteration": 32,
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
        "imitation_warmup": 200,
        "replay_rows": 2048,
        "tool_counts": "turns",
        "tool_decay": 200,
        "learning_rate": 1e-6,
        "warmup_steps": 0,
        "weight_decay": 0.01,
        "mini_batches": 8,
        "kl_coefficient": 0.01,
        "entropy_coefficient": 0.001,
        "evaluate_every": 5,
        "eval_options": ("split=valid_seen", "max_steps=50"),
        "eval_tasks": 128,
        "eval_temperature": 0.4,
        "device": "cuda",
    },
    # What Dr.BoT changes, beside GiGPO or not; the sizes stay what they are. The divisor is our choice.
    "dr-bot": {
        "clip_high": 0.28,
        "dynamic_filter": False,
        "aggregation": "constant",
        "constant_tokens": 512,
        "kl_coefficient": 0.0,
        "max_new_tokens": 512,
        "mask": ("overlong", "incomplete", "repetitive", "unreadable"),
        "keep_groups": 0.75,
    },
}

C = TypeVar("C", bound=Config)


class SPEAR(grpo.GRPO[C], Generic[C]):
    """GRPO with a bonus in its returns and a second step on its own good rows."""

    def __init__(self, config: C, policy: TrainablePolicy, learner: Learner) -> None:
        super().__init__(config, policy, learner)
        self.replay = Replay(config.replay_age)
        self.median = RunningMedian(config.median_groups)
        self._offers_tools = _offers_tools(config.env, self.options)
        self._again: list[Row] = []

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return the on-policy rows; prepare the rows to imitate, and store this iteration's good ones."""
        shaped = [self.shaped(iteration, episode) for episode in episodes if not episode.failed]
        kept = widest([self.masked(episode) for episode in shaped], self.config.keep_groups)
        credit = self.compare(kept)
        rows, scores = scored_rows(kept, credit, self.config.invalid_action_penalty)
        good = [(row, score) for row, score in zip(rows, scores, strict=True) if mean_advantage(row) > 0]
        metrics = counts(episodes, shaped, kept) | grpo.counts(credit)
        metrics["spear/mu"] = bonus_weight(self.config, iteration)
        metrics |= self.imitable(iteration, [row for row, _ in good])
        if self.config.imitate == "earlier":
            self.replay.add(iteration, [row for row, _ in good], [score for _, score in good])
            self.median.add(group_means(shaped, self.config.invalid_action_penalty))
        return rows, metrics | {"spear/stored": float(len(self.replay))}

    def learn(self, iteration: int, rows: Sequence[Row]) -> Metrics:
        """Take the on-policy step, then the one on the rows to imitate."""
        loss = None if self.config.covariance == "none" else self.surrogate(iteration, replayed=False)
        metrics = self.update(rows, loss) | ({"dropped_share": loss.dropped_share} if loss else {})
        weight = imitation_weight(self.config, iteration)
        # The optimiser's momentum would move the weights even where the loss has no weight.
        if self._again and weight > 0:
            loss = self.surrogate(iteration, replayed=True)
            found = self.update(self._again, loss, weight)
            metrics |= {f"replay_{name}": value for name, value in found.items()}
            metrics["replay_dropped_share"] = loss.dropped_share
        self._again = []
        return metrics

    def imitable(self, iteration: int, good: Sequence[Row]) -> Metrics:
        """Set the rows to imitate in this iteration, of earlier ones or of ``good``; return metrics."""
        config = self.config
        ages: list[float] = []
        found: list[Row] = []
        if config.imitate == "present":
            found = list(good)
        elif config.imitate == "earlier":
            self.replay.forget(iteration)
            found, ages = self.pull(iteration)
        if len(found) > config.replay_rows:
            generator = np.random.default_rng([config.seed, iteration, _DRAW])
            chosen = sorted(generator.choice(len(found), config.replay_rows, replace=False).tolist())
            found, ages = [found[i] for i in chosen], [ages[i] for i in chosen] if ages else []
        # The divergence from the reference is the on-policy step's concern.
        self._again = [replace(row, divergence=[0.0] * len(row.ids)) for row in found]
        return {
            "spear/gamma": imitation_weight(config, iteration),
            "spear/median": self.median.value,
            "spear/imitated_rows": float(len(found)),
            "spear/imitated_age": mean(ages) if ages else 0.0,
            "spear/imitated_advantage": mean([mean_advantage(row) for row in found]) if found else 0.0,
        }

    def pull(self, iteration: int) -> tuple[list[Row], list[float]]:
        """Take the stored rows that are still good, with their ages, if there are enough of them."""
        level = self.median.value if self.config.recalibrate else -math.inf
        if sum(score > level for score in self.replay.scores()) <= _FILL * self.config.replay_rows:
            return [], []
        taken = [stored for stored in self.replay.take() if stored.score > level]
        ages = [float(iteration - stored.iteration) for stored in taken]
        if not self.config.recalibrate:
            return [stored.row for stored in taken], ages
        return [worth(stored.row, stored.score - level) for stored in taken], ages

    def shaped(self, iteration: int, episode: Episode) -> Episode:
        """Return the episode with the bonus in its return; step rewards stay what the environment paid."""
        bonus = tool_bonus(self.config, episode, self._offers_tools)
        return replace(episode, reward=episode.reward + bonus_weight(self.config, iteration) * bonus)

    def masked(self, episode: Episode) -> Episode:
        """Return the episode with the completions of bad responses out of the loss."""
        if not self.config.mask:
            return episode
        decode, unwanted = self.policy.tokenizer.decode, set(self.config.mask)
        return without(
            episode,
            [
                bool(unwanted & faults(turn, decode(turn.completion_ids), thought=self.config.thought))
                for turn in episode.turns
            ],
        )

    def surrogate(self, iteration: int, *, replayed: bool) -> Surrogate:
        """Return the policy loss of one of the two steps."""
        seed = np.random.default_rng([self.config.seed, iteration, _DROP, replayed]).integers(2**62)
        generator = torch.Generator().manual_seed(int(seed))
        return Surrogate(self.config, self.learner.clipped_surrogate, replayed, generator)

    def state(self) -> dict[str, Any]:
        """Return the replay and the values behind the median."""
        return {"replay": self.replay.state(), "median": self.median.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned."""
        self.replay.load_state(state["replay"])
        self.median.load_state(state["median"])


# What the draws of an iteration are for; small numbers are the rounds in which tasks are drawn.
_DRAW, _DROP = 1_000_001, 1_000_002


class Surrogate:
    """A step's policy loss; it counts the tokens that it drops (or holds)."""

    def __init__(
        self,
        config: Config,
        clipped: PolicyLoss,
        replayed: bool,
        generator: torch.Generator,
    ) -> None:
        self.config = config
        self.clipped = clipped
        self.share = config.replay_covariance_share if replayed else config.covariance_share
        self.bounds = covariance_bounds(config, replayed=replayed)
        self.generator = generator
        self.tokens = self.dropped = 0

    def __call__(
        self, logprobs: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the losses and which tokens are silenced, both (N,)."""
        inside = weight > 0
        loss, silenced, dropped = self._loss(logprobs, behaviour, advantage, weight, inside)
        self.tokens += int(inside.sum())
        self.dropped += int(dropped.sum())
        return loss, silenced

    @property
    def dropped_share(self) -> float:
        """The share of tokens that were dropped or held."""
        return self.dropped / max(1, self.tokens)

    def _loss(
        self, logprobs: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor, inside: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        config, nothing = self.config, torch.zeros_like(inside)
        if config.covariance == "none":
            return *self.clipped(logprobs, behaviour, advantage, weight), nothing
        if config.covariance == "kl":
            loss, held = losses.kl_cov(
                logprobs,
                behaviour,
                advantage,
                inside,
                share=self.share,
                coefficient=config.kl_cov_coefficient,
            )
            return loss, nothing, held
        loss, silenced, dropped = losses.clip_cov(
            logprobs,
            behaviour,
            advantage,
            inside,
            share=self.share,
            low=self.bounds[0],
            high=self.bounds[1],
            generator=self.generator,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
        )
        return loss, silenced | dropped, dropped


def imitation_weight(config: Config, iteration: int) -> float:
    """Return gamma of iteration ``iteration``, from 1."""
    if config.imitate == "none":
        return 0.0
    return config.imitation_weight * cosine_rise(iteration - 1, config.imitation_warmup)


def bonus_weight(config: Config, iteration: int) -> float:
    """Return mu of iteration ``iteration``, from 1."""
    if config.tool_reward == "cosine":
        return decay(iteration - 1, config.tool_decay, "cosine")
    return float(config.tool_reward == "constant")


def tool_bonus(config: Config, episode: Episode, offers_tools: bool) -> float:
    """Return R_tool."""
    if config.tool_reward == "none":
        return 0.0
    counted = (
        len(episode.turns)
        if config.tool_counts == "turns"
        else tool_calls(episode, offers_tools=offers_tools)
    )
    return min(config.tool_most, config.tool_step * counted)


def tool_calls(episode: Episode, *, offers_tools: bool) -> int:
    """Return how many turns called a tool: those whose action holds a block of Python, or whose code an
    agent ran (tag ``cell``).

    Where the environment offers no tools, acting is the only way to find something out, so the different
    actions that it accepted are counted; the same one again says little new.
    """
    if not offers_tools:
        return len({turn.action for turn in episode.turns if turn.valid and turn.action})
    return sum("cell" in turn.tags or bool(parse_code(turn.action).code) for turn in episode.turns)


def covariance_bounds(config: Config, *, replayed: bool) -> tuple[float, float]:
    """Return Clip-Cov's bounds on the scale of the advantages that the step learns from."""
    low, high = config.replay_covariance_bounds if replayed else config.covariance_bounds
    recalibrated = replayed and config.imitate == "earlier" and config.recalibrate
    scale = config.reward_scale / _PUBLISHED_REWARD if recalibrated or not config.normalise_std else 1.0
    return low * scale, high * scale


def widest(episodes: Sequence[Episode], share: float) -> list[Episode]:
    """Return the episodes of the ``share`` of groups (rounded up) whose returns have the largest standard
    deviation; the first of equals.
    """
    returns = _by_group(episodes, [episode.reward for episode in episodes])
    spread = {
        group: statistics.stdev(values) if len(values) > 1 else 0.0 for group, values in returns.items()
    }
    kept = set(sorted(spread, key=lambda group: -spread[group])[: math.ceil(share * len(spread))])
    return [episode for episode in episodes if episode.group in kept]


def scored_rows(episodes: Sequence[Episode], credit: Credit, penalty: float) -> tuple[list[Row], list[float]]:
    """Return the rows of the episodes that have advantages, and each row's score: the mean over the turns
    that it samples of their scores (0 where it samples none, which teaches nothing).
    """
    rows: list[Row] = []
    scores: list[float] = []
    for episode, advantages in zip(episodes, credit.advantages, strict=True):
        if advantages is None:
            continue
        of_turn = turn_scores(episode, penalty)
        for sequence in sequences(episode):
            turns = {turn for turn in sequence.turn if turn >= 0}
            scores.append(mean([of_turn[turn] for turn in sorted(turns)]) if turns else 0.0)
        rows += policy_rows(episode, advantages)
    return rows, scores


def group_means(episodes: Sequence[Episode], penalty: float) -> list[float]:
    """Return every group's mean over its episodes of the mean score of their turns."""
    played = [episode for episode in episodes if episode.turns]
    return [
        mean(values)
        for values in _by_group(played, [mean(turn_scores(episode, penalty)) for episode in played]).values()
    ]


def mean_advantage(row: Row) -> float:
    """Return the mean advantage of the tokens that the policy sampled, 0 where it sampled none."""
    values = [a for a, sampled in zip(row.advantage or (), row.sampled, strict=False) if sampled]
    return mean(values) if values else 0.0


def worth(row: Row, advantage: float) -> Row:
    """Return the row with one advantage at all its sampled tokens."""
    return replace(row, advantage=[advantage if sampled else 0.0 for sampled in row.sampled])


def counts(episodes: Sequence[Episode], shaped: Sequence[Episode], kept: Sequence[Episode]) -> Metrics:
    """Return the metrics of what was sampled, paid as a bonus and masked.

    ``rollout/entropy`` is the mean of -log p over all sampled tokens, which estimates the policy's entropy
    per token without bias, since the tokens are sampled at temperature 1.
    """
    judged = [episode for episode in episodes if not episode.failed]
    logprobs = [value for episode in judged for turn in episode.turns for value in turn.logprobs]
    bonuses = [after.reward - before.reward for before, after in zip(judged, shaped, strict=True)]
    groups = {episode.group for episode in kept}
    sampled = sum(episode.sampled_tokens for episode in shaped if episode.group in groups)
    trained = sum(episode.sampled_tokens for episode in kept)
    return {
        "rollout/entropy": -mean(logprobs),
        "spear/bonus": mean(bonuses),
        "spear/masked_share": 1.0 - trained / max(1, sampled),
    }


def _by_group(episodes: Sequence[Episode], values: Sequence[float]) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for episode, value in zip(episodes, values, strict=True):
        groups[episode.group].append(value)
    return groups


def _offers_tools(env_id: str, options: dict[str, Any]) -> bool:
    env = make_env(env_id, options)
    try:
        return bool(env.reset(seed=0)[1].get("tools"))
    finally:
        env.close()


def train(config: Config) -> Path:
    """Run SPEAR (or go on with it) and return the run directory."""
    return run("spear", config, SPEAR)
