"""``palaestra bench``: play a panel of tasks with several contestants, compare them, print the table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from palaestra.agents.benchmark import Results, Shard, benchmark
from palaestra.agents.comparison import Comparison
from palaestra.agents.contestants import contestant_from
from palaestra.agents.rollout import RolloutSettings
from palaestra.agents.scores import Score
from palaestra.cli.envs import EnvOptions, flatten
from palaestra.cli.view import write_report
from palaestra.envs.panel import Panel, make_panel, parse_options
from palaestra.envs.panels.named import find_panel, join
from palaestra.errors import OptionError

_MOST_PAIRS = 10
_DRAWN = ("env", "option", "size", "panel_seed")


@dataclass(frozen=True)
class Config:
    """Measure contestants on a panel of tasks: success with a 95 % interval, steps, tokens, seconds, cost,
    and which differences are beyond doubt. The same command again plays only what is missing.

    A contestant is [NAME=][AGENT:]POLICY[,SETTING=VALUE...]. Agents: react (unless given), codeact,
    reflexion, best-of-n. Policies: random, expert, tiny:DIR, hf:DIR, smollm2, vllm:DIR, openai:MODEL@URL.
    Settings: tries (of reflexion and best-of-n), context, window_turns, thought, remind_goal, temperature,
    max_tokens, max_turns, and system (a file that says how to play).

    Example: palaestra bench --panel alfworld-small math-small --contestants random expert
    react:tiny:runs/sft/policy,remind_goal reflexion:smollm2,tries=3,max_turns=10
    """

    contestants: list[str] = field(default_factory=lambda: ["random", "expert"])
    """Who plays, each as [NAME=][AGENT:]POLICY[,SETTING=VALUE...]."""
    panel: tuple[str, ...] = ()
    """Named panels (`palaestra panels` lists them) or panel files; several are played as one."""
    env: str | None = None
    """Without --panel: the environment whose tasks are drawn (palaestra/ALFWorld-v0)."""
    option: EnvOptions = ()
    """Without --panel: options of the environment, such as split=test scale=small."""
    size: int | None = None
    """Without --panel: how many tasks are drawn (100)."""
    panel_seed: int | None = None
    """Without --panel: which tasks are drawn (0)."""
    context: Literal["append", "window"] | None = None
    """For contestants that do not say: a prompt shows the whole episode (append), or its beginning and the
    last turns (window)."""
    window_turns: int | None = None
    """For contestants that do not say: how many turns a window shows."""
    thought: bool = False
    """For all: completions read "Thought: ... Action: ..." instead of being the action."""
    remind_goal: bool = False
    """For all: repeat the goal with every observation, for policies that were trained so."""
    temperature: float | None = None
    """For contestants that do not say: sampling temperature; 0, unless given, is greedy."""
    max_tokens: int | None = None
    """For contestants that do not say: longest completion, in tokens (64; codeact 512)."""
    max_turns: int | None = None
    """For contestants that do not say: actions after which a try ends (codeact 20; others: no limit)."""
    out: Path = Path("runs/bench")
    """Where episodes and results go."""
    shard: str | None = None
    """Play part i of n only, as i/n. Copy the episode files of all parts into one folder and run the same
    command without --shard there: it puts them together."""
    workers: int = 1
    """Processes that play; the score does not depend on it."""
    concurrency: int = 64
    """Episodes live at once in each process; the score does not depend on it."""


def run(config: Config) -> int:
    """Play what is missing, print the table, write results.json and report.html."""
    defaults = _defaults(config)
    results = benchmark(
        _panel(config),
        [contestant_from(text, defaults) for text in config.contestants],
        config.out,
        workers=config.workers,
        shard=Shard.parse(config.shard) if config.shard is not None else None,
        settings=RolloutSettings(concurrency=config.concurrency),
        show_progress=True,
    )
    console = Console(highlight=False)
    console.print(table(results))
    if len(results.scores[0].by_env) > 1:
        console.print(by_environment(results))
    if results.comparisons:
        console.print(differences(results))
    console.print(f"episodes and results: {config.out}", soft_wrap=True)
    console.print(f"report: {write_report(config.out)}", soft_wrap=True)
    return 0


def _panel(config: Config) -> Panel:
    """Return the panels that were named, as one, or one that is drawn."""
    if not config.panel:
        return make_panel(
            config.env or "palaestra/ALFWorld-v0",
            config.size if config.size is not None else 100,
            seed=config.panel_seed or 0,
            options=parse_options(flatten(config.option)),
        )
    if unused := [name for name in _DRAWN if getattr(config, name) not in (None, ())]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise OptionError(
            f"{options}: no effect with --panel, since a panel holds its tasks and their options"
        )
    return join([find_panel(name) for name in config.panel])


def _defaults(config: Config) -> dict[str, Any]:
    names = ("context", "window_turns", "thought", "remind_goal", "temperature", "max_tokens", "max_turns")
    given = {name: getattr(config, name) for name in names}
    return {name: value for name, value in given.items() if value is not None and value is not False}


# ---- what is printed -----------------------------------------------------------------------------------


def table(results: Results) -> Table:
    """Return the results as a table, one line a contestant."""
    panel, shard = results.panel, results.shard
    tasks = f"{len(panel.items)} tasks"
    if shard is not None:
        tasks = f"part {shard.number} of {shard.of}: {len(results.items)} of {tasks}"
    shown = Table(title=f"{panel.name} ({tasks}, digest {panel.digest})")
    lines = [_cells(score, results.scores) for score in results.scores]
    for name, _ in lines[0]:
        shown.add_column(name, justify="left" if name == "contestant" else "right", overflow="fold")
    for line in lines:
        shown.add_row(*(cell for _, cell in line))
    return shown


def _cells(score: Score, scores: Sequence[Score]) -> list[tuple[str, str]]:
    """Return a contestant's cells with their headings; some are there only if any of ``scores`` has them."""
    low, high = score.interval
    goals = [("SGC", _number(score.scenario_goal, ".1%")), ("scenarios", str(score.scenarios))]
    names = dict.fromkeys(name for one in scores for name in one.metrics)
    return [
        ("contestant", score.name),
        ("success", _number(score.success, ".1%")),
        ("95 % interval", f"{low:.1%} to {high:.1%}"),
        *(goals if any(one.scenarios for one in scores) else []),
        ("steps", _number(score.steps, ".1f")),
        *((name.replace("_", " "), _number(score.metrics.get(name, math.nan), ".1f")) for name in names),
        ("tokens", _number(score.tokens, ".0f")),
        ("seconds", _number(score.seconds, ".2f")),
        ("failures", str(score.failures)),
        *([("cost", _number(score.cost, ".4f"))] if any(one.cost > 0 for one in scores) else []),
    ]


def by_environment(results: Results) -> Table:
    """Return the success in each environment of the panel."""
    ids = list(dict.fromkeys(item.env_id for item in results.items))
    shown = Table(title="success by environment")
    shown.add_column("contestant", overflow="fold")
    for env_id in ids:
        shown.add_column(env_id.rpartition("/")[2], justify="right")
    for score in results.scores:
        rates = [score.by_env.get(env_id, {}).get("success", math.nan) for env_id in ids]
        shown.add_row(score.name, *(_number(rate, ".1%") for rate in rates))
    return shown


def differences(results: Results) -> Table:
    """Return who is better than whom, task by task: of all pairs, or of neighbours where there are many."""
    pairs = shown_pairs(results.scores, results.comparisons)
    left_out = len(results.comparisons) - len(pairs)
    shown = Table(
        title="differences in success, on the same tasks",
        caption=f"{left_out} more pairs are in the report and in results.json" if left_out else None,
    )
    for name in ("first", "second"):
        shown.add_column(name, overflow="fold")
    for name in ("difference", "95 % interval", "p (Holm)"):
        shown.add_column(name, justify="right")
    for pair in pairs:
        low, high = pair.interval
        p = f"{pair.p_holm:.3f}" if pair.p_holm >= 0.001 else "< 0.001"
        shown.add_row(
            pair.first, pair.second, _number(pair.difference, "+.1%"), f"{low:+.1%} to {high:+.1%}", p
        )
    return shown


def shown_pairs(scores: Sequence[Score], comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return all comparisons, or if they are many, those of contestants next to each other by success."""
    found = list(comparisons)
    if len(found) <= _MOST_PAIRS:
        return found
    ranked = [score.name for score in sorted(scores, key=lambda score: -score.success)]
    neighbours = {frozenset(pair) for pair in itertools.pairwise(ranked)}
    return [one for one in found if frozenset((one.first, one.second)) in neighbours]


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"
