"""``palaestra bench``: play a panel of tasks with several policies and print the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from palaestra.agents.benchmark import Results, benchmark
from palaestra.agents.contestants import Contestant
from palaestra.agents.rollout import RolloutSettings
from palaestra.cli.envs import EnvOptions, flatten
from palaestra.cli.view import write_report
from palaestra.envs.panel import Panel, make_panel, parse_options
from palaestra.errors import OptionError


@dataclass(frozen=True)
class Config:
    """Measure policies on a panel of tasks: success with a 95 % interval, steps, tokens, seconds, failures.

    The same command again plays only what is missing.
    """

    env: str = "palaestra/ALFWorld-v0"
    """The environment's id."""
    option: EnvOptions = ()
    """Options of the environment, such as split=test scale=small."""
    policy: list[str] = field(default_factory=lambda: ["random", "expert"])
    """The policies to compare: random, expert, tiny:DIR."""
    size: int = 100
    """How many tasks the panel has."""
    panel_seed: int = 0
    """Which tasks are drawn."""
    panel: Path | None = None
    """A panel file to play instead of drawing one."""
    context: Literal["append", "window"] = "append"
    """What a prompt shows: the whole episode, or its beginning and the last turns."""
    window_turns: int | None = None
    """How many turns a window shows."""
    thought: bool = False
    """Completions read "Thought: ... Action: ..." instead of being the action."""
    remind_goal: bool = False
    """Repeat the goal with every observation, for policies that were trained so."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy."""
    max_tokens: int = 64
    """Longest completion, in tokens."""
    out: Path = Path("runs/bench")
    """Where episodes and results go."""
    workers: int = 1
    """Processes that play; the score does not depend on it."""
    concurrency: int = 64
    """Episodes live at once in each process; the score does not depend on it."""


def run(config: Config) -> int:
    """Play what is missing, print the table, write results.json and report.html."""
    options = parse_options(flatten(config.option))
    if config.panel is not None and config.option:
        raise OptionError("--option has no effect with --panel: a panel file holds each item's options")
    panel = (
        Panel.load(config.panel)
        if config.panel is not None
        else make_panel(config.env, config.size, seed=config.panel_seed, options=options)
    )
    results = benchmark(
        panel,
        [_contestant(config, policy) for policy in config.policy],
        config.out,
        workers=config.workers,
        settings=RolloutSettings(concurrency=config.concurrency),
        show_progress=True,
    )
    console = Console(highlight=False)
    console.print(table(results))
    console.print(f"episodes and results: {config.out}", soft_wrap=True)
    console.print(f"report: {write_report(config.out)}", soft_wrap=True)
    return 0


def _contestant(config: Config, policy: str) -> Contestant:
    return Contestant(
        name=policy.replace("/", "_").replace(":", "_"),
        policy=policy,
        context=config.context,
        window_turns=config.window_turns,
        thought=config.thought,
        remind_goal=config.remind_goal,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
    )


def table(results: Results) -> Table:
    """Return the results as a table, one line a contestant."""
    title = f"{results.panel.name} ({len(results.panel.items)} tasks, digest {results.panel.digest})"
    shown = Table(title=title)
    for name in ("policy", "success", "95 % interval", "steps", "tokens", "seconds", "failures"):
        shown.add_column(name, justify="left" if name == "policy" else "right")
    for score in results.scores:
        low, high = score.interval
        shown.add_row(
            score.name,
            f"{score.success:.1%}",
            f"{low:.1%} to {high:.1%}",
            f"{score.steps:.1f}",
            f"{score.tokens:.0f}",
            f"{score.seconds:.2f}",
            str(score.failures),
        )
    return shown
