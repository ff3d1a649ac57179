"""The real ALFWorld engine (TextWorld's PDDL environment), one killable child process a game.

It is here to be compared with: the fast engine must give the same texts, commands and rewards. The real one
is not thread-safe, swaps ``sys.stdout`` while it loads, and leaves the process when Fast Downward refuses a
problem, so it never runs in the caller's process. Needs the extra ``alfworld``.
"""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from palaestra.envs.alfworld.game import Game
from palaestra.errors import DataError, MissingExtraError, WorkerError
from palaestra.sandboxes.worker import Worker

# The logic of the released games of the older wording, as named in the row files.
_PUT_DOMAIN, _PUT_GRAMMAR = "e9f0f8b0", "02dfb0c9"
_TASK_PLACE = "UNKNOWN GOAL."


class TextWorldEngine:
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
        for module in ("textworld", "alfworld", "fast_downward"):
            if importlib.util.find_spec(module) is None:
                raise MissingExtraError("engine='textworld'", "alfworld")
        self._step_deadline_s = step_deadline_s
        self._commands: tuple[str, ...] = ()
        self._admissible: list[str] = []
        self._won = False
        domain, grammar = _logic(game.wording)
        data = {
            "pddl_domain": domain,
            "grammar": grammar.replace(_TASK_PLACE, json.dumps(game.task)[1:-1]),
            "pddl_problem": game.problem(),
            "solvable": True,
            "walkthrough": [],
        }
        try:
            self._worker = Worker(
                "palaestra.envs.alfworld.textworld_engine:RealGame",
                {"data": data, "cached": cached},
                start_deadline_s=load_deadline_s,
            )
        except WorkerError as error:
            if "exit status" in str(error) or "SystemExit" in str(error) or "Traceback" in str(error):
                raise DataError(f"the real engine refused the game {game.id!r}: {error}") from error
            raise

    def reset(self) -> str:
        """Return to the start and return the introduction."""
        self._commands = ()
        return self._take(self._worker.call("reset", deadline_s=self._step_deadline_s))

    def step(self, command: str) -> str:
        """Carry a command out and return what is seen."""
        answer = self._worker.call("step", command, deadline_s=self._step_deadline_s)
        self._commands += (command,)
        return self._take(answer)

    def _take(self, answer: tuple[str, list[str], bool]) -> str:
        observation, self._admissible, self._won = answer
        return observation

    @property
    def admissible(self) -> list[str]:
        """The commands that do something now, sorted."""
        return list(self._admissible)

    @property
    def won(self) -> bool:
        """Whether the goal holds now."""
        return self._won

    @property
    def pid(self) -> int | None:
        """The process id of the child."""
        return self._worker.pid

    def save(self) -> tuple[str, ...]:
        """Return the commands so far: the real engine has no other state to hand out."""
        return self._commands

    def load(self, state: tuple[str, ...]) -> None:
        """Return to a saved state by playing its commands again."""
        self.reset()
        for command in state:
            self.step(command)

    def close(self) -> None:
        """End the child process."""
        self._worker.close()


def _logic(wording: str) -> tuple[str, str]:
    """Return (domain, grammar) of a wording: the installed package's for "move", the released games' for
    "put".
    """
    if wording == "move":
        return _installed_logic()
    for path in _logic_paths():
        if path.is_file():
            record = json.loads(path.read_text())
            return record["domains"][_PUT_DOMAIN], record["grammars"][_PUT_GRAMMAR]
    raise DataError(
        "the wording 'put' in the real engine needs the logic of the released games (logic.json): name it "
        "in the environment variable ALFWORLD_LOGIC; the installed alfworld package only knows 'move'"
    )


def _logic_paths() -> list[Path]:
    shared = os.environ.get("PALAESTRA_SHARED") or Path(__file__).resolve().parents[2] / ".." / "shared"
    named = os.environ.get("ALFWORLD_LOGIC")
    return [*([Path(named)] if named else []), Path(shared) / "data" / "alfworld" / "logic.json"]


@cache
def _installed_logic() -> tuple[str, str]:
    # Found without importing alfworld, whose import takes seconds.
    found = importlib.util.find_spec("alfworld")
    assert found is not None
    assert found.origin is not None
    data = Path(found.origin).parent / "data"
    return (data / "alfred.pddl").read_text(), (data / "alfred.twl2").read_text()


class RealGame:
    """What lives in the child: TextWorld's environment around one game."""

    def __init__(self, data: dict[str, Any], cached: bool) -> None:
        import textworld
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
        from textworld.envs import PddlEnv

        if cached:
            _remember_parses()
        infos = textworld.EnvInfos(won=True, admissible_commands=True)
        self._env: Any = AlfredDemangler(PddlEnv(infos))
        self._env.load(data)

    def reset(self) -> tuple[str, list[str], bool]:
        """Start over; return the introduction, the admissible commands, whether the goal holds."""
        return self._read(self._env.reset())

    def step(self, command: str) -> tuple[str, list[str], bool]:
        """Carry a command out; return the same three things."""
        return self._read(self._env.step(command)[0])

    @staticmethod
    def _read(state: Any) -> tuple[str, list[str], bool]:
        return state.feedback, list(state["admissible_commands"]), bool(state["won"])


def _remember_parses() -> None:
    """Make TextWorld's text generator parse each template and each condition once.

    Profiling its step shows two thirds of the time in parsing the same strings again, and a quarter in deep
    copies of contexts whose entries nobody changes.
    """
    import copy

    from textworld.envs.pddl import textgen

    parse, derive = cache(textgen._parse_and_convert), textgen.ContextSensitiveGrammar.derive
    plain = (textgen.TerminalSymbol, textgen.EvalSymbol)
    commands: dict[tuple[Any, ...], str] = {}

    def parse_once(text: str, rule_name: str = "symbols", trace: bool = False) -> Any:
        return copy.deepcopy(parse(text, rule_name=rule_name))

    def shallow(context: dict[str, Any]) -> dict[str, Any]:
        return {**context, "variables": dict(context["variables"]), "mapping": dict(context["mapping"])}

    def derive_once(grammar: Any, start: str, context: Any = None) -> str:
        context = {} if context is None else context
        symbols = parse(start, rule_name="symbols")
        # Only templates of names and letters: what they say depends on the entities' names alone.
        if not all(isinstance(symbol, plain) for symbol in symbols):
            return derive(grammar, start, context)
        key = (start, *((name, entity.id, entity.name) for name, entity in context["variables"].items()))
        if key not in commands:
            commands[key] = derive(grammar, start, context)
        return commands[key]

    textgen._parse_and_convert = parse_once
    textgen.copy_context = shallow
    textgen.ContextSensitiveGrammar.derive = derive_once
    textgen.Rule.parse_conjunctive_query = staticmethod(cache(textgen.Rule.parse_conjunctive_query))
