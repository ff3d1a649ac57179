"""``palaestra demo``: the whole way on one machine: clone an expert, improve by trying, measure, show.

A decoder of under a million parameters starts from nothing. It learns to read and act by imitating the
expert on generated ALFWorld games, then improves by GRPO on its own tries, and is measured before and
after on a panel of games whose rooms and goals it has never seen.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from palaestra.agents.benchmark import Results, benchmark
from palaestra.agents.contestants import Contestant
from palaestra.agents.rollout import RolloutSettings
from palaestra.cli.bench import table
from palaestra.cli.view import write_report
from palaestra.envs.panel import Panel, make_panel

if TYPE_CHECKING:
    from palaestra.trainers import grpo, sft

ENV = "palaestra/ALFWorld-v0"
MAX_STEPS = 20
# One of the six task types: enough to learn to look for things, and to be learnt in minutes on two cores.
TASK_TYPES = ("pick_and_place_simple",)
MAX_NEW_TOKENS = 24


@dataclass(frozen=True)
class Config:
    """Train a tiny agent on ALFWorld and measure it, in minutes on a CPU. The same command again resumes."""

    out: Path = Path("runs/demo")
    """Where everything goes: sft/, grpo/ and bench/, with the report."""
    seed: int = 0
    """Everything random derives from it."""
    tasks: int = 150
    """Games of the panel on which the policies are measured."""
    threads: int | None = None
    """Threads of torch; its own choice when not given."""


def training_options() -> tuple[str, ...]:
    """Return the options of the environment that both trainers play in."""
    return ("scale=small", "split=train", f"max_steps={MAX_STEPS}", f"task_types={json.dumps(TASK_TYPES)}")


def sft_config(out: Path, seed: int, *, episodes: int, threads: int | None = None) -> sft.Config:
    """Return how the demo clones the expert; the study of several seeds gives it more ``episodes``."""
    from palaestra.trainers import sft  # brings torch, which `--help` can do without

    return sft.Config(
        env=ENV,
        options=training_options(),
        out=out,
        episodes=episodes,
        epochs=1,
        noise=0.2,
        remind_goal=True,
        batch_tokens=2048,
        learning_rate=3e-3,
        checkpoint_every=250,
        max_context_tokens=1024,
        seed=seed,
        threads=threads,
    )


def grpo_config(
    out: Path,
    policy: Path,
    seed: int,
    *,
    iterations: int,
    learning_rate: float = 1e-3,
    threads: int | None = None,
) -> grpo.Config:
    """Return how the demo improves the clone; the study gives it more ``iterations`` and a lower rate.

    The demo's rate is the highest that a few dozen iterations bear; over hundreds it wears the policy down.
    """
    from palaestra.trainers import grpo

    return grpo.Config(
        policy=f"tiny:{policy}",
        env=ENV,
        options=training_options(),
        out=out,
        iterations=iterations,
        tasks_per_iteration=12,
        group_size=8,
        learning_rate=learning_rate,
        warmup_steps=5,
        # A tenth of a success for each command that does nothing: clones lose most turns repeating those.
        invalid_action_penalty=0.1,
        max_new_tokens=MAX_NEW_TOKENS,
        remind_goal=True,
        max_context_tokens=1024,
        seed=seed,
        threads=threads,
    )


def unseen_panel(tasks: int, seed: int = 1) -> Panel:
    """Return the panel that reports are made on: rooms and goals apart from those of training."""
    options = {"scale": "small", "max_steps": MAX_STEPS, "split": "test", "task_types": list(TASK_TYPES)}
    return make_panel(ENV, tasks, seed=seed, options=options, name=f"ALFWorld small, unseen ({tasks})")


def contestant(name: str, policy: Path, temperature: float) -> Contestant:
    """Return a tiny policy as a contestant of the benchmark."""
    return Contestant(
        name, f"tiny:{policy}", temperature=temperature, max_tokens=MAX_NEW_TOKENS, remind_goal=True
    )


def run(config: Config) -> int:
    """Clone, improve, measure both; print the table and the path of the report."""
    from palaestra.trainers import grpo, sft

    console = Console(highlight=False)
    began = time.perf_counter()
    console.print("[bold]1/3[/bold] cloning the expert on generated games")
    sft.train(sft_config(config.out / "sft", config.seed, episodes=4000, threads=config.threads))
    cloned = config.out / "sft" / "policy"
    console.print(f"[bold]2/3[/bold] improving by GRPO on its own tries {_since(began)}")
    settings = grpo_config(config.out / "grpo", cloned, config.seed, iterations=25, threads=config.threads)
    grpo.train(settings)
    improved = config.out / "grpo" / "policy"
    console.print(f"[bold]3/3[/bold] measuring on {config.tasks} games never seen {_since(began)}")
    results = measure(config.out / "bench", config.tasks, cloned, improved)
    console.print(table(results))
    report = write_report(config.out / "bench")
    curves = write_report(config.out / "grpo")
    console.print(f"report of the measurement: {report}", soft_wrap=True)
    console.print(f"report of the training:    {curves}", soft_wrap=True)
    console.print(f"done {_since(began)}")
    return 0


def measure(out: Path, tasks: int, cloned: Path, improved: Path) -> Results:
    """Return the scores of the clone and of what GRPO made of it, beside the random and expert ones."""
    contestants = [
        Contestant("random", "random"),
        contestant("cloned", cloned, 1.0),
        contestant("cloned, greedy", cloned, 0.0),
        contestant("GRPO", improved, 1.0),
        contestant("GRPO, greedy", improved, 0.0),
        Contestant("expert", "expert"),
    ]
    settings = RolloutSettings(concurrency=64)
    return benchmark(unseen_panel(tasks), contestants, out, settings=settings, show_progress=True)


def _since(began: float) -> str:
    return f"({time.perf_counter() - began:.0f} s so far)"
