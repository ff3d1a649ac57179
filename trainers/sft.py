"""Supervised fine-tuning: play an environment's expert and imitate what it did.

With ``noise``, the expert is made to take random actions now and then. Those are shown but not imitated,
so the policy learns how to get back on track, which a clean expert never shows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from palaestra.agents.context import reencode, spelled
from palaestra.agents.episode import Episode, success_rate
from palaestra.agents.policies.core import Tokenizer
from palaestra.agents.policies.scripted import ExpertPolicy
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.agents.progress import ProgressLine
from palaestra.agents.react import make_context, react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.panel import PanelItem, make_env, make_panel, parse_options
from palaestra.errors import OptionError
from palaestra.trainers.core.batch import Row, imitation_rows
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.policies import TrainablePolicy, resumed_policy, trainable_policy
from palaestra.trainers.core.run import Run
from palaestra.trainers.core.schedules import Decay

_UNBOUNDED_TOKENS = 1 << 30


@dataclass(frozen=True)
class Config:
    """Imitate the expert of an environment. The same command again resumes the run."""

    env: str = "palaestra/ALFWorld-v0"
    """The environment; it needs an expert."""
    options: tuple[str, ...] = ()
    """Options of the environment as name=value, such as split=train."""
    out: Path = Path("runs/sft")
    """The run directory. The trained policy is left in its folder `policy`."""
    policy: str = "tiny"
    """`tiny` makes a new small model and tokenizer; `tiny:DIR` goes on with a saved one."""
    width: int = 128
    """Hidden size of a new model."""
    layers: int = 2
    """Layers of a new model."""
    heads: int = 4
    """Attention heads of a new model."""
    vocab_size: int = 1024
    """Tokens of a new tokenizer, trained on the texts of the expert episodes."""
    episodes: int = 1000
    """Expert episodes to play. Each has another task while there are enough."""
    noise: float = 0.15
    """Share of the expert's actions replaced by random ones, which are not imitated."""
    keep_failures: bool = False
    """Also imitate expert episodes that did not succeed."""
    epochs: int = 8
    """How often to go over the episodes."""
    batch_tokens: int = 2048
    """Tokens of an optimiser step, about."""
    learning_rate: float = 2e-3
    """The highest learning rate."""
    warmup_steps: int = 20
    """Optimiser steps until the learning rate is reached."""
    decay: Decay = "cosine"
    """How the learning rate falls until the last step."""
    weight_decay: float = 0.01
    """AdamW's decay of matrices."""
    auxiliary_coefficient: float = 0.3
    """Weight of predicting the observations too, which teaches the world's rules."""
    context: Literal["append", "window"] = "append"
    """How the history becomes a prompt."""
    window_turns: int | None = None
    """Turns that the window context shows; it has no effect with append."""
    thought: bool = False
    """Imitate the expert's action after an empty thought, in the form of policies that think."""
    system: str = ""
    """How to play, told before the first observation (as a system message where the policy's chat template
    has such). Give `--system "$(cat FILE)"` for a text in a file."""
    remind_goal: bool = False
    """Repeat the goal with every observation after the first."""
    max_context_tokens: int = 2048
    """Longest prompt with completion; turns beyond it are cut off."""
    tokens_per_micro_batch: int = 2048
    """Tokens of one forward pass; lower it when memory runs out."""
    checkpoint_every: int = 100
    """Optimiser steps between checkpoints."""
    keep_checkpoints: int = 2
    """How many checkpoints stay."""
    concurrency: int = 64
    """Expert episodes played at once."""
    max_failure_rate: float = 0.1
    """Share of failed episodes (the machine's fault) above which the run stops."""
    device: str = "cpu"
    """Where to train: cpu or cuda."""
    threads: int | None = None
    """Threads of torch; its own choice when not given."""
    seed: int = 0
    """Everything random derives from it."""

    def __post_init__(self) -> None:
        counts = ("episodes", "epochs", "batch_tokens", "checkpoint_every", "keep_checkpoints")
        require_positive(self, counts)
        if self.policy != "tiny":
            shape = ("width", "layers", "heads", "vocab_size")
            refuse_idle(self, shape, f"the policy {self.policy!r} has its shape already")
        if self.context == "append":
            refuse_idle(self, ("window_turns",), "it belongs to context='window'")


PRESETS: dict[str, dict[str, object]] = {
    # For a --policy of 1.5B to 7B parameters: 3 epochs at 1e-5 with a cosine is common practice and our
    # choice; no single paper is behind it.
    "published": {
        "epochs": 3,
        "batch_tokens": 32768,
        "learning_rate": 1e-5,
        "auxiliary_coefficient": 0.0,
        "noise": 0.0,
        "max_context_tokens": 4096,
        "tokens_per_micro_batch": 16384,
        "device": "cuda",
    },
}

# What may change when a run is resumed: no step's weights depend on it, but for rounding.
_MAY_CHANGE = ("checkpoint_every", "keep_checkpoints", "concurrency", "max_failure_rate", "threads")


def train(config: Config) -> Path:
    """Run supervised fine-tuning (or go on with it) and return the run directory.

    The directory's folder ``policy`` holds the trained policy, for ``tiny:DIR``. Raises ``OptionError`` for
    settings that cannot be used or differ from those that the run was begun with.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with Run(config.out, "sft", config, free=_MAY_CHANGE, keep=config.keep_checkpoints) as run:
        demonstrations = expert_episodes(config)
        policy = _policy(config, run, demonstrations)
        rows = demonstration_rows(config, demonstrations, policy.tokenizer)
        batches = plan(config, rows)
        learner = Learner(policy.model, _learner_config(config, len(batches)))
        if run.resumed:
            learner.load_state(run.resumed.learner)
        with ProgressLine("sft", len(batches), run.step) as progress:
            for step in range(run.step + 1, len(batches) + 1):
                epoch, chosen = batches[step - 1]
                metrics = learner.update([rows[number] for number in chosen])
                run.log(step, {"epoch": epoch, **{f"learner/{name}": x for name, x in metrics.items()}})
                if step % config.checkpoint_every == 0 or step == len(batches):
                    run.save(step, policy, learner.state())
                progress.advance(f"epoch {epoch + 1}  loss {metrics['loss']:.3f}")
        policy.save(run.directory / "policy")
    return config.out


def expert_episodes(config: Config) -> list[Episode]:
    """Play the expert; return the episodes to imitate. They are a function of the settings alone, so a
    resumed run plays them again instead of storing them.
    """
    options = parse_options(config.options)
    jobs = [Job(item, group=item.task_id, attempt=attempt) for item, attempt in _tasks(config, options)]
    agent = react(max_context_tokens=_UNBOUNDED_TOKENS)
    settings = RolloutSettings(concurrency=config.concurrency, max_failure_rate=config.max_failure_rate)
    played = rollout(jobs, agent, ExpertPolicy(config.noise), settings)
    kept = [e for e in played if not e.failed and e.turns and (e.success or config.keep_failures)]
    if not kept:
        raise OptionError(
            f"none of {len(played)} expert episodes of {config.env} can be imitated "
            f"(success {success_rate(played):.0%}): lower noise or raise the environment's max_steps"
        )
    return [_thoughtful(episode) for episode in kept] if config.thought else kept


def _thoughtful(episode: Episode) -> Episode:
    return replace(
        episode, turns=[replace(turn, tags={"thought": "", **turn.tags}) for turn in episode.turns]
    )


def _tasks(config: Config, options: dict[str, Any]) -> list[tuple[PanelItem, int]]:
    """Return the tasks to show with their attempt; a small task set is gone over again."""
    env = make_env(config.env, options)
    try:
        if not env.has_expert:
            raise OptionError(f"{config.env} has no expert to imitate")
    finally:
        env.close()
    items = make_panel(config.env, config.episodes, seed=config.seed, options=options).items
    return [(items[number % len(items)], number // len(items)) for number in range(config.episodes)]


def demonstration_rows(config: Config, episodes: Sequence[Episode], tokenizer: Tokenizer) -> list[Row]:
    """Return the rows to imitate: the episodes in the policy's own tokens, noise seen but not imitated."""
    rows: list[Row] = []
    for episode in episodes:
        limit = config.max_context_tokens
        context = make_context(config.context, tokenizer, limit, config.window_turns, config.system)
        shown = reencode(episode, context, remind_goal=config.remind_goal)
        weights = [0.0 if turn.tags.get("noise") else 1.0 for turn in shown.turns]
        rows.extend(row for row in imitation_rows(shown, weights) if any(row.imitation or ()))
    if not rows:
        raise OptionError(f"max_context_tokens={config.max_context_tokens} has no room for a single turn")
    return rows


def plan(config: Config, rows: Sequence[Row]) -> list[tuple[int, list[int]]]:
    """Return (epoch, numbers of rows) of every optimiser step, as a function of seed and rows alone."""
    batches: list[tuple[int, list[int]]] = []
    for epoch in range(config.epochs):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(rows)).tolist()
        per_epoch = math.ceil(sum(len(row.ids) for row in rows) / config.batch_tokens)
        bounds = np.linspace(0, len(rows), min(per_epoch, len(rows)) + 1).round().astype(int).tolist()
        batches.extend((epoch, order[begin:end]) for begin, end in itertools.pairwise(bounds))
    return batches


def _policy(config: Config, run: Run, episodes: Sequence[Episode]) -> TrainablePolicy:
    """Return the resumed policy, the saved one that was named, or a new one for these episodes' texts."""
    if run.resumed:
        return resumed_policy(config.policy, run.resumed.policy)
    if config.policy != "tiny":
        return trainable_policy(config.policy)
    return TinyPolicy.new(
        [*filter(None, [config.system]), *(text for episode in episodes for text in _texts(episode))],
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        vocab_size=config.vocab_size,
        context_tokens=config.max_context_tokens,
        seed=config.seed,
    )


def _texts(episode: Episode) -> list[str]:
    observations = [f"{turn.observation}\n>" for turn in episode.turns] + [episode.final_observation]
    return observations + [f" {spelled(turn.action, turn.tags.get('thought'))}" for turn in episode.turns]


def _learner_config(config: Config, steps: int) -> LearnerConfig:
    return LearnerConfig(
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        decay=config.decay,
        decay_steps=0 if config.decay == "constant" else steps,
        weight_decay=config.weight_decay,
        auxiliary_coefficient=config.auxiliary_coefficient,
        tokens_per_micro_batch=config.tokens_per_micro_batch,
        device=config.device,
    )
