"""``palaestra play ID``: a person plays an environment in the terminal."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel as Frame

from palaestra.agents.episode import Episode, EpisodeWriter, Turn
from palaestra.cli.envs import EnvOptions, ImportOption, flatten, import_modules
from palaestra.envs.core import Info, Snapshot, TextEnv
from palaestra.envs.panel import PanelItem, make_env, parse_options
from palaestra.errors import PalaestraError

_KEYS = (
    "a number or text acts, ? shows a hint, u takes back, q quits, !TEXT sends TEXT as it is, "
    "a line that ends with \\ goes on in the next"
)


@dataclass(frozen=True)
class Config:
    """Play an environment in this terminal: type an action, or the number of one that is listed."""

    id: tyro.conf.Positional[str]
    """The environment's id; `palaestra envs` lists them."""
    option: EnvOptions = ()
    """Options of the environment, such as split=valid max_steps=20."""
    task: str = ""
    """The id of the task to play; without it, the seed draws one."""
    seed: int | None = None
    """Seed of the episode; without it, a new one is drawn and shown."""
    hint: bool = False
    """Show the expert's next action at every turn."""
    save: Path | None = None
    """Append the episode to this JSON-lines file."""
    modules: ImportOption = ()
    """Modules to import first, which register more environments."""


@dataclass(slots=True)
class _Game:
    """One episode being played: the environment, what it last said, and the way back."""

    env: TextEnv
    observation: str
    info: Info
    turns: list[Turn] = field(default_factory=list)
    history: list[tuple[Snapshot, Info]] = field(default_factory=list)
    outcome: str = ""

    @property
    def actions(self) -> list[str]:
        """The actions listed for the present turn (none where the domain lists none)."""
        return list(self.info.get("admissible_actions") or [])


def run(config: Config) -> int:
    """Play one episode to its end or until the person quits; reads standard input, also from a pipe."""
    import_modules(config.modules)
    options = parse_options(flatten(config.option))
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    console = Console(highlight=False)
    env = make_env(config.id, options)
    began = time.monotonic()
    try:
        observation, info = env.reset(seed=seed, options={"task": config.task} if config.task else None)
        game = _Game(env, observation, info)
        console.print(f"[bold]{escape(config.id)}[/]   task {escape(info['task_id'])}   seed {seed}")
        console.print(f"[dim]{_KEYS}[/]")
        _play(game, console, config.hint)
        episode = _episode(game, config.id, options, seed, time.monotonic() - began)
    finally:
        env.close()
    if config.save is not None:
        with EpisodeWriter(config.save) as writer:
            writer.write(episode)
        console.print(f"saved to {escape(str(config.save))}")
    return 0


def _play(game: _Game, console: Console, hint: bool) -> None:
    shown = -1
    while not game.outcome:
        if shown != len(game.turns):
            _show(game, console)
            if hint:
                _show_hint(game, console)
        shown = len(game.turns)
        try:
            typed = _typed()
        except EOFError:
            typed = "q"
        if typed == "q":
            console.print("[dim]You left the game; it counts as not solved.")
            return
        if typed == "?":
            _show_hint(game, console)
        elif typed == "u":
            _undo(game, console)
        elif typed:
            _act(game, _resolve(typed, game.actions), console)
    _show_end(game, console)


def _typed() -> str:
    """Read what is typed: one line, or several where each but the last ends with a backslash."""
    lines = [input("> ")]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(". "))
    return "\n".join(line.rstrip() for line in lines).strip()


def _resolve(typed: str, actions: list[str]) -> str:
    """Return the action meant: text that is listed, else the number of a listed one, else the text."""
    if typed.startswith("!"):
        return typed[1:]
    if typed not in actions and typed.isascii() and typed.isdigit() and 1 <= int(typed) <= len(actions):
        return actions[int(typed) - 1]
    return typed


def _act(game: _Game, action: str, console: Console) -> None:
    before = game.env.snapshot(), game.info
    shown, listed = game.observation, game.actions
    game.observation, reward, terminated, truncated, game.info = game.env.step(action)
    game.history.append(before)
    valid = action in listed if listed else True
    game.turns.append(
        Turn(
            observation=shown,
            prompt_ids=[],
            kept=0,
            completion_ids=[],
            logprobs=[],
            action=action,
            reward=reward,
            valid=valid,
        )
    )
    game.outcome = "terminated" if terminated else "truncated" if truncated else ""
    console.print(
        f"[bold cyan]> {escape(action)}[/]" + ("" if valid else "   [yellow]not a listed action[/]")
    )


def _undo(game: _Game, console: Console) -> None:
    if not game.history:
        console.print("[yellow]Nothing to take back.")
        return
    snapshot, game.info = game.history.pop()
    game.observation, _ = game.env.restore(snapshot)
    taken = game.turns.pop()
    console.print(f"[dim]taken back: {escape(taken.action)}")


def _show(game: _Game, console: Console) -> None:
    title = f"step {len(game.turns)} of {game.env.max_steps}"
    goal = " ".join(escape(game.env.task.goal).split()) if game.turns else None
    frame = Frame(escape(game.observation), title=title, title_align="left", border_style="dim")
    frame.subtitle, frame.subtitle_align = goal, "left"
    console.print(frame)
    numbered = [f"[dim]{i:>2}[/] {escape(action)}" for i, action in enumerate(game.actions, 1)]
    if numbered:
        console.print(Columns(numbered, padding=(0, 2), column_first=True))


def _show_hint(game: _Game, console: Console) -> None:
    try:
        console.print(f"[green]hint: {escape(game.env.expert())}")
    except PalaestraError as error:
        console.print(f"[yellow]no hint: {escape(str(error))}")


def _show_end(game: _Game, console: Console) -> None:
    console.print(Frame(escape(game.observation), title=game.outcome, title_align="left", border_style="dim"))
    solved = "[bold green]Solved[/]" if game.info["success"] else "[bold red]Not solved[/]"
    console.print(f"{solved} after {len(game.turns)} steps, reward {game.turns[-1].reward:g}.")


def _episode(game: _Game, env_id: str, options: dict[str, Any], seed: int, seconds: float) -> Episode:
    task = game.env.task
    outcome = "terminated" if game.outcome == "terminated" else "truncated"
    return Episode(
        env_id=env_id,
        task_id=task.id,
        goal=task.goal,
        seed=seed,
        policy="human",
        agent="play",
        options=options,
        scenario=task.scenario,
        turns=game.turns,
        final_observation=game.observation,
        reward=sum(turn.reward for turn in game.turns),
        success=bool(game.info["success"]),
        outcome=outcome,
        checks=dict(game.info.get("checks", {})),
        tags={} if game.outcome else {"quit": True},
        seconds=seconds,
        key=PanelItem(env_id, task.id, seed, options).key,
    )
