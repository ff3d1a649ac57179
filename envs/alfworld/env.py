"""The ALFWorld environment: tasks, an engine, a verdict, an expert."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from palaestra.envs.alfworld.engine import Engine, FastEngine, State
from palaestra.envs.alfworld.expert import STYLES, Expert
from palaestra.envs.alfworld.game import WORDINGS, Game
from palaestra.envs.alfworld.generator import GENERATED_SPLITS, SCALES, GeneratedGames, check_task_types
from palaestra.envs.alfworld.tasks import OFFICIAL_SPLITS, OfficialGames
from palaestra.envs.core import Info, Task, TaskSet, TextEnv, Verdict
from palaestra.errors import OptionError, UnknownNameError

SOURCES = ("generated", "official")
ENGINES = ("fast", "textworld")


@dataclass(frozen=True, slots=True)
class _Saved:
    """The state of an episode. Nothing in it ever changes, so that a deep copy of it is itself."""

    fast: State
    real: Any
    heard: tuple[tuple[str, str], ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> _Saved:
        return self


class ALFWorldEnv(TextEnv):
    """Household tasks in text: find things, clean, heat or cool them, put them where they belong.

    Six task types (``task_types``): ``pick_and_place_simple``, ``look_at_obj_in_light``,
    ``pick_clean_then_place_in_recep``, ``pick_heat_then_place_in_recep``, ``pick_cool_then_place_in_recep``
    and ``pick_two_obj_and_place``.

    Observation: the introduction (the receptacles of the room, then the task), afterwards the answer to each
    command; a command that cannot be carried out is answered by "Nothing happens." and costs a step.
    Action: a command, exactly as listed in ``info["admissible_actions"]`` (spaces around it do not matter):
    ``go to X``, ``open X``, ``close X``, ``take O from X``, ``move O to X`` (or ``put O in/on X``),
    ``examine X``, ``use O``, ``heat O with X``, ``clean O with X``, ``cool O with X``, ``slice O with K``,
    ``look``, ``inventory``, ``help``.
    Reward: 1 when the goal of the game's PDDL problem holds, else 0.
    End: terminates as soon as the goal holds; truncates after ``max_steps`` (default 50).
    Splits: generated games have ``train``, ``valid_seen`` (other games with the room layouts and goals of
    train), ``valid_unseen`` and ``test`` (each with layouts and goals of its own); official games have
    ``train``, ``valid_seen``, ``valid_unseen`` and ``valid_train``.
    Options: ``split``; ``source`` ("generated", or "official": needs ``data`` or the variable
    ``ALFWORLD_DATA``, a folder with the official layout or with row files ``<split>.jsonl.xz``); ``engine``
    ("fast", or "textworld": the real one, slow, needs ``pip install 'palaestra[alfworld]'``); ``wording``
    ("move": the newer commands, or "put": those of ALFWorld before 0.4); ``task_types``; ``scale`` of
    generated games ("full", default, or "small": 6 to 9 receptacles, 5 to 9 objects); ``size``, how many
    generated games the split has (100,000); ``expert`` ("explorer" looks for things like a player, "oracle"
    knows where they are); ``max_steps``; ``render_mode``.
    Info adds ``admissible_actions``, ``task_type``, ``wording`` and ``engine``.
    Versions: v0.

    Source: ALFWorld (Shridhar et al., 2021). The fast engine gives the same texts as the real one.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "valid_seen", "valid_unseen", "test", "valid_train")
    has_expert: ClassVar[bool] = True

    def __init__(
        self,
        split: str = "train",
        source: str = "generated",
        data: str | os.PathLike[str] | None = None,
        engine: str = "fast",
        wording: str = "move",
        task_types: Iterable[str] | None = None,
        scale: str | None = None,
        size: int | None = None,
        expert: str = "explorer",
        max_steps: int = 50,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        for kind, name, known in (
            ("source", source, SOURCES),
            ("engine", engine, ENGINES),
            ("wording", wording, WORDINGS),
            ("expert", expert, STYLES),
            ("split", split, GENERATED_SPLITS if source == "generated" else OFFICIAL_SPLITS),
        ):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        types = check_task_types(task_types)
        tasks: TaskSet
        if source == "official":
            if scale is not None or size is not None:
                raise OptionError("scale and size are options of generated games; source='official' has none")
            tasks = OfficialGames(split, data=data, task_types=types, wording=wording)
        else:
            if data is not None:
                raise OptionError("data is for official games: pass source='official' with it")
            tasks = GeneratedGames(
                split,
                scale=scale or SCALES[0],
                task_types=types,
                wording=wording,
                size=100_000 if size is None else size,
            )
        super().__init__(tasks, max_steps=max_steps, render_mode=render_mode, **unknown)
        self.engine_name, self.wording, self.expert_style = engine, wording, expert
        self._fast: FastEngine | None = None
        self._real: Engine | None = None
        self._heard: list[tuple[str, str]] = []
        self._expert: Expert | None = None

    # ---- the episode -----------------------------------------------------------------------------------

    @property
    def game(self) -> Game:
        """The game of the present task."""
        return self.task.data["game"]

    @property
    def _engine(self) -> Engine:
        engine = self._real or self._fast
        assert engine is not None
        return engine

    def _set_up(self, game: Game) -> None:
        """Make the engines; with the real one, the fast one runs beside it and tells the expert the state."""
        self.close()
        self._fast = FastEngine(game)
        self._expert = None
        if self.engine_name == "textworld":
            from palaestra.envs.alfworld.textworld_engine import TextWorldEngine

            self._real = TextWorldEngine(game)

    def _start(self, task: Task) -> str:
        self._set_up(task.data["game"])
        observation = self._engine.reset()
        self._heard = [("", observation)]
        return observation

    def _apply(self, action: str) -> tuple[str, bool]:
        observation = self._engine.step(action)
        if self._real is not None:
            self._shadow.step(action)
        self._heard.append((action, observation))
        return observation, self._engine.won

    @property
    def _shadow(self) -> FastEngine:
        assert self._fast is not None
        return self._fast

    def _verify(self) -> Verdict:
        won = self._engine.won
        checks = {"goal": won, **self._shadow.checks()}
        return Verdict(float(won), won, checks)

    def _info(self) -> Info:
        return {
            "admissible_actions": self._engine.admissible,
            "task_type": self.game.task_type,
            "wording": self.wording,
            "engine": self.engine_name,
        }

    def _save(self) -> Any:
        real = None if self._real is None else self._real.save()
        return _Saved(self._shadow.save(), real, tuple(self._heard))

    def _load(self, state: _Saved) -> None:
        if self._fast is None or self._fast.world.game is not self.game:
            self._set_up(self.game)
        self._shadow.load(state.fast)
        if self._real is not None:
            self._real.load(state.real)
        self._heard = list(state.heard)
        self._expert = None

    def close(self) -> None:
        """End the episode and let go of the real engine's process, where there is one."""
        self._live = False
        if self._real is not None:
            self._real.close()
            self._real = None

    # ---- the expert ------------------------------------------------------------------------------------

    def expert(self) -> str:
        """Return the next command of the scripted solution, from any state of the episode."""
        if self._expert is None:
            self._expert = Expert(self._shadow, self.expert_style)
        return self._expert.next(self._heard)

    def near_misses(self) -> list[list[str]]:
        """Return solutions of the present game with one thing wrong: a step left out, or a wrong place."""
        return near_misses(self.game)


def solution(game: Game, *, limit: int = 100) -> list[str]:
    """Return the oracle's commands from the start of a game until it is won."""
    engine = FastEngine(game)
    expert, commands = Expert(engine, "oracle"), []
    while not engine.won and len(commands) < limit:
        commands.append(expert.next(()))
        engine.step(commands[-1])
    return commands


def near_misses(game: Game) -> list[list[str]]:
    """Return command sequences that come close to winning a game, and do not win it."""
    commands = solution(game)
    found = [commands[:-1]]
    changes = [
        n for n, command in enumerate(commands) if command.split()[0] in ("clean", "heat", "cool", "use")
    ]
    if changes:
        found.append([command for n, command in enumerate(commands) if n not in changes])
    found += _wrong_places(game, commands)
    if game.task_type == "look_at_obj_in_light":
        # The lamp is turned on, but nothing is held in its light.
        found.append([command for command in commands if not command.startswith("take ")])
    return [sequence for sequence in found if not _wins(game, sequence)]


def _wrong_places(game: Game, commands: list[str]) -> list[list[str]]:
    """End the solution by carrying the object to another kind of receptacle."""
    engine = FastEngine(game)
    for command in commands[:-1]:
        engine.step(command)
    if engine.held < 0:
        return []
    world, state = engine.world, engine.save()
    for number, name in enumerate(world.receptacle_names):
        if world.receptacle_types[number] == game.facts.goal.target:
            continue
        engine.load(state)
        tail = [
            f"go to {name}",
            f"open {name}",
            world.put_command.format(world.object_names[engine.held], name),
        ]
        used = [command for command in tail if command in engine.admissible and engine.step(command)]
        if tail[-1] in used:
            return [[*commands[:-1], *used]]
    return []


def _wins(game: Game, commands: list[str]) -> bool:
    engine = FastEngine(game)
    for command in commands:
        engine.step(command)
        if engine.won:
            return True
    return False
