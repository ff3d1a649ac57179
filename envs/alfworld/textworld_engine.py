"""The real ALFWorld engine (TextWorld's PDDL environment), one killable child process a game.

It is here to be compared with: the fast engine must give the same texts, commands and rewards. The real one
is not thread-safe, swaps ``sys.stdout`` while it loads, and raises ``SystemExit`` when Fast Downward refuses
a problem, so it never runs in the caller's process. Needs the extra ``alfworld``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from palaestra.envs.alfworld.game import WORDINGS, Game
from palaestra.errors import ContractError, DataError, MissingExtraError
from palaestra.sandboxes.worker import Worker

LOGIC_VARIABLE = "ALFWORLD_LOGIC"

Told = tuple[str, list[str], bool]
"""What the real engine says of a state: the observation, the sorted admissible commands, whether won."""

# The logic of the released games of the older wording, as named in logic.json.
_PUT_DOMAIN, _PUT_GRAMMAR = "e9f0f8b0", "02dfb0c9"
_PUT_TEMPLATE = "put {o} in/on {r}"
_SENTENCE = re.compile(r'(?<=Your task is to: )(?:\\.|[^"\\])*')


class _Played:
    """The engine contract by way of one method: ``_play(command)``, where None starts over."""

    _commands: tuple[str, ...] = ()
    _admissible: tuple[str, ...] = ()
    _won = False

    def _play(self, command: str | None) -> Told:
        raise ContractError(f"{type(self).__name__} does not define _play")

    def reset(self) -> str:
        """Return to the start and return the introduction."""
        observation = self._take(self._play(None))
        self._commands = ()
        return observation

    def step(self, command: str) -> str:
        """Carry a command out and return what is seen."""
        observation = self._take(self._play(command))
        self._commands += (command,)
        return observation

    def _take(self, told: Told) -> str:
        observation, admissible, self._won = told
        self._admissible = tuple(admissible)
        return observation

    @property
    def admissible(self) -> list[str]:
        """The commands that do something now, sorted."""
        return list(self._admissible)

    @property
    def won(self) -> bool:
        """Whether the goal holds now."""
        return self._won

    def save(self) -> tuple[str, ...]:
        """Return the commands so far: the real engine has no other state to hand out."""
        return self._commands

    def load(self, state: tuple[str, ...]) -> None:
        """Return to a saved state by playing its commands again."""
        self.reset()
        for command in state:
            self.step(command)

    def close(self) -> None:
        """Let go of what the engine holds; it cannot be used afterwards."""


class TextWorldEngine(_Played):
    """Plays one game through TextWorld. Implements ``palaestra.envs.alfworld.engine.Engine``.

    Loading takes seconds and a step about a tenth of one; ``cached`` remembers what the engine parses again
    and again and is more than ten times faster, but then it is no longer the unmodified engine.

    Raises ``MissingExtraError`` without the extra, ``DataError`` for a game that the engine refuses,
    ``DeadlineError`` and ``WorkerError`` when the child hangs or dies.
    """

    def __init__(
        self,
        game: Game,
        step_deadline_s: float = 120.0,
        load_deadline_s: float = 300.0,
        *,
        cached: bool = False,
    ) -> None:
        _require_extra()
        self._step_deadline_s = step_deadline_s
        self._worker = Worker(
            "palaestra.envs.alfworld.textworld_engine:RealGame",
            {"data": game_file(game), "name": game.id, "cached": cached},
            start_deadline_s=load_deadline_s,
        )

    def _play(self, command: str | None) -> Told:
        return self._worker.call("tell", command, deadline_s=self._step_deadline_s)

    @property
    def pid(self) -> int | None:
        """The process id of the child, or None after ``close``."""
        return self._worker.pid

    def close(self) -> None:
        """End the child process."""
        self._worker.close()


class RealGame(_Played):
    """TextWorld's environment around one game, in this very process: for the child, and for measurements.

    ``data`` is what an official game file holds (see ``game_file``), ``name`` is for messages. ``cached``
    patches TextWorld for the whole process, so raw and cached games cannot live in one; raises
    ``ContractError`` when they should, ``DataError`` when the engine refuses the game.
    """

    def __init__(self, data: dict[str, Any], name: str, cached: bool) -> None:
        _require_extra()
        import textworld  # pyright: ignore[reportMissingImports]
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler  # pyright: ignore[reportMissingImports]
        from textworld.envs import PddlEnv  # pyright: ignore[reportMissingImports]

        if cached:
            _remember_parses()
        elif _remember_parses.cache_info().currsize:
            raise ContractError("this process has the cached TextWorld; play the raw one in another process")
        infos = textworld.EnvInfos(won=True, admissible_commands=True)
        self._env: Any = AlfredDemangler(PddlEnv(infos))
        try:
            self._env.load(data)
        except (OSError, MemoryError):
            raise
        except (Exception, SystemExit) as error:  # its parsers raise all sorts; Fast Downward exits
            raise DataError(f"the real engine refused the game {name!r}: {error!r}") from error

    def tell(self, command: str | None) -> Told:
        """Start over (None) or carry a command out; return observation, admissible commands, and won."""
        if command is None:
            state, reward, done = self._env.reset(), 0, False
        else:
            state, reward, done = self._env.step(command)
        won = bool(state["won"])
        if command is not None and (reward, done) != (int(won), won):
            raise ContractError(f"the real engine says won {won}, but reward {reward} and done {done}")
        return state.feedback, list(state["admissible_commands"]), won

    _play = tell


# ---- what the engine is given ----------------------------------------------------------------------------


def game_file(game: Game) -> dict[str, Any]:
    """Return what an official game file of this game would hold.

    Raises ``DataError`` when the logic of its wording is not here.
    """
    domain, grammar = _logic(game.wording)
    sentence = json.dumps(game.task)[1:-1]
    return {
        "pddl_domain": domain,
        "grammar": _SENTENCE.sub(lambda _: sentence, grammar, count=1),
        "pddl_problem": game.problem(),
        "solvable": True,
        "walkthrough": [],
    }


def playable_wordings() -> tuple[str, ...]:
    """Return the wordings that the real engine can play here: "put" needs logic that no package brings."""
    return WORDINGS if _logic_path() else ("move",)


def _logic(wording: str) -> tuple[str, str]:
    """Return (domain, grammar) of a wording: the installed package's, or those of the released games."""
    if wording == "move":
        return _installed_logic()
    path = _logic_path()
    if path is None:
        raise DataError(
            "the wording 'put' in the real engine needs the logic of the released games, and the installed "
            f"alfworld package only knows 'move': set {LOGIC_VARIABLE} to the path of any official "
            "game.tw-pddl of json_2.1.1, or of a logic.json"
        )
    return _released_logic(path)


def _logic_path() -> Path | None:
    named = os.environ.get(LOGIC_VARIABLE)
    if named:
        return Path(named)
    shared = os.environ.get("PALAESTRA_SHARED") or Path(__file__).resolve().parents[2] / ".." / "shared"
    path = Path(shared) / "data" / "alfworld" / "logic.json"
    return path if path.is_file() else None


@lru_cache(maxsize=2)
def _released_logic(path: Path) -> tuple[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if "pddl_domain" in record:
            domain, grammar = str(record["pddl_domain"]), str(record["grammar"])
        else:
            domain, grammar = record["domains"][_PUT_DOMAIN], record["grammars"][_PUT_GRAMMAR]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} ({LOGIC_VARIABLE}) holds no ALFWorld logic: {error!r}") from error
    if _PUT_TEMPLATE not in grammar:
        raise DataError(
            f"{path} ({LOGIC_VARIABLE}) is of the wording 'move'; take a game file of json_2.1.1 as released"
        )
    return domain, grammar


@cache
def _installed_logic() -> tuple[str, str]:
    # Found without importing alfworld, whose import takes seconds.
    found = importlib.util.find_spec("alfworld")
    if found is None or found.origin is None:
        raise MissingExtraError("engine='textworld'", "alfworld")
    data = Path(found.origin).parent / "data"
    return (data / "alfred.pddl").read_text(), (data / "alfred.twl2").read_text()


def _require_extra() -> None:
    for module in ("textworld", "alfworld", "fast_downward"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("engine='textworld'", "alfworld")


# ---- the cached engine -----------------------------------------------------------------------------------


@cache
def _remember_parses() -> None:
    """Make this process's TextWorld parse each template and condition once, and translate each problem once.

    Profiling its step shows two thirds of the time in parsing the same strings again, and a quarter in deep
    copies of contexts whose entries nobody changes; loading and resetting translate the same PDDL four times.
    """
    import copy

    import fast_downward  # pyright: ignore[reportMissingImports]
    from textworld.envs.pddl import textgen  # pyright: ignore[reportMissingImports]

    parse = cache(textgen._parse_and_convert)

    def parse_once(text: str, rule_name: str = "symbols", trace: bool = False) -> Any:
        return copy.deepcopy(parse(text, rule_name=rule_name))

    def shallow(context: dict[str, Any]) -> dict[str, Any]:
        return {**context, "variables": dict(context["variables"]), "mapping": dict(context["mapping"])}

    textgen._parse_and_convert = parse_once
    textgen.copy_context = shallow
    textgen.Rule.parse_conjunctive_query = staticmethod(cache(textgen.Rule.parse_conjunctive_query))
    fast_downward.pddl2sas = lru_cache(maxsize=2)(fast_downward.pddl2sas)
