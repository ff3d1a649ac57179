"""The Apps environment: a person's apps, an agent that acts in them, a verdict by what changed."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from palaestra.envs.apps import programs, trial
from palaestra.envs.apps.api import ApiError
from palaestra.envs.apps.tasks import AppsTasks, Judgement, Prepared, judge
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import World
from palaestra.envs.core import Info, Task, TextEnv, Verdict
from palaestra.errors import ContractError, OptionError, UnknownNameError
from palaestra.sandboxes.core import Limits
from palaestra.sandboxes.ladder import BACKENDS, default_sandbox
from palaestra.sandboxes.session import Session, Tool, ToolRefusal

MODES = ("code", "json", "functions")
GOLD = ("plain", "functions")
_LIMITS = Limits(cpu_s=10.0, wall_s=60.0)
_STEPS = {"code": 30, "json": 200, "functions": 200}
_LONGEST_OUTPUT = 6000  # characters shown of what a step brought
_BLOCK = re.compile(r"```(?:python|py|json)?[ \t]*\n(.*?)```", re.DOTALL)

CALL_API: dict[str, Json] = {
    "type": "function",
    "function": {
        "name": "call_api",
        "description": "Call an API of an app. api_docs.show_apps, api_docs.show_apis(app) and "
        "api_docs.show_api(app, api) tell which there are.",
        "parameters": {
            "type": "object",
            "properties": {
                "api": {"type": "string", "description": "its name, as app.api"},
                "arguments": {"type": "object", "description": "its arguments by name"},
            },
            "required": ["api"],
        },
    },
}

_HOW = {
    "code": (
        "Act by Python, in one ```python block a message. The interpreter keeps its variables and shows you "
        "what the code prints and the value of its last line. An API is called as "
        "apis.APP.API(name=value, ...); a refused call raises ToolError. Begin with "
        "print(apis.api_docs.show_apis(app='notes')) and apis.api_docs.show_api(app='notes', api='login')."
    ),
    "json": (
        'Act by calls, one a message: {"name": "APP.API", "arguments": {"name": value, ...}}. You are shown '
        'the answer. Begin with {"name": "api_docs.show_apis", "arguments": {"app": "notes"}} and '
        '{"name": "api_docs.show_api", "arguments": {"app": "notes", "api": "login"}}.'
    ),
}
_HOW["functions"] = _HOW["json"]


class AppsEnv(TextEnv):
    """Do things for a person, through the APIs of their apps.

    A simulated life: a person (the supervisor), the people around them, and what their apps hold: notes,
    contacts and messages, email, calendar, to-do lists, files, payments, shared expenses, music, shopping.
    Each is an app of 10 to 40 APIs over a SQLite database; ``api_docs`` documents them, ``supervisor`` tells
    the passwords. Lists come in pages, calls can be refused, and there is a clock, which moves by a second
    with each call. ``docs/apps-reference.md`` lists all APIs.

    Observation: who the person is, what day it is, the task and how to act; afterwards what the code printed,
    or what the call answered.
    Action: with ``mode="code"`` (the default) Python, in ```python blocks or bare. It runs in a sandboxed
    session (10 s of processor time a step, no network, none of your files), and every API is a function
    ``apis.APP.API(...)`` that this process answers: the code never sees a database. With ``mode="json"`` or
    ``"functions"`` one call a step, as {"name": "APP.API", "arguments": {...}}; ``call_api`` with ``api`` and
    ``arguments``, and ``APP__API``, are accepted as names too.
    Reward: 1 when the task was completed (``supervisor.complete_task``, with the right answer where one is
    asked), every change that had to happen did, and nothing else in any app was changed; else 0.
    End: terminates at ``supervisor.complete_task``; truncates after ``max_steps`` (default 30 for code, 200
    for calls). A task that is truncated was not completed.
    Splits: ``train``, ``dev``, ``test_normal`` and ``test_challenge``, of different people and different
    scenarios; those of ``test_challenge`` use apps, or sets of apps, that no scenario of ``train`` does.
    Tasks are named SCENARIO-NUMBER. The tasks of one scenario are siblings: the same request with other
    people, dates and amounts. Success over tasks is AppWorld's TGC, over whole scenarios its SGC.
    Options: ``split``; ``mode``; ``siblings``, how many tasks each scenario has (3; any number can be drawn,
    and the first ones stay the same); ``scenarios``, a list of names, default all of the split;
    ``extensions``, names of modules that add apps, APIs or scenarios; ``gold``, how the expert writes:
    "plain" code, or reusable "functions"; ``sandbox``, a backend's name (default: the strongest that works
    here); ``max_steps``; ``render_mode``.
    Info adds ``tools`` (["python"], or the schemas of the functions that can be called: ``call_api`` alone
    with ``mode="json"``, every API with ``mode="functions"``), ``scenario``, ``metrics`` (``interactions``,
    ``api_calls`` and ``refused_calls``) and, once code has run, ``sandbox`` (the rung of isolation).
    A snapshot with ``mode="code"`` is restored by running the code again.
    Errors: ``InfrastructureError`` where the sandbox fails; that is never a reward.
    Versions: v0.

    Source of the shape: AppWorld (Trivedi et al., 2024). All apps, data and tasks here are our own; for the
    original see ``palaestra/AppWorld-v0``.
    """

    step_kind: ClassVar[Literal["compute", "io"]] = "io"
    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "test_normal", "test_challenge")
    has_expert: ClassVar[bool] = True
    siblings: ClassVar[bool] = True

    def __init__(
        self,
        split: str = "train",
        mode: str = "code",
        siblings: int = 3,
        scenarios: Iterable[str] | None = None,
        extensions: Iterable[str] = (),
        gold: str = "plain",
        sandbox: str | None = None,
        max_steps: int | None = None,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        for what, name, known in (("mode", mode, MODES), ("form of gold", gold, GOLD)):
            if name not in known:
                raise UnknownNameError(what, name, known)
        if sandbox is not None and sandbox not in BACKENDS:
            raise UnknownNameError("sandbox", sandbox, BACKENDS)
        if mode != "code" and (sandbox is not None or gold != "plain"):
            raise OptionError("sandbox and gold are for code: they do nothing with another mode")
        added = _names("extensions", extensions) or ()
        tasks = AppsTasks(split, siblings, _names("scenarios", scenarios), added)
        steps = _STEPS[mode] if max_steps is None else max_steps
        super().__init__(tasks, max_steps=steps, render_mode=render_mode, **unknown)
        self.apps_tasks, self.mode, self.gold, self.sandbox = tasks, mode, gold, sandbox
        self._prepared: Prepared | None = None
        self._world: World | None = None
        self._session: Session | None = None
        self._judgement: Judgement | None = None
        self._refused = 0

    # ---- the episode -----------------------------------------------------------------------------------

    @property
    def prepared(self) -> Prepared:
        """The present task, its plan and the world it began in. Raises ``ContractError`` before a reset."""
        if self._prepared is None:
            raise ContractError("there is no task yet: call reset() first")
        return self._prepared

    @property
    def world(self) -> World:
        """The world of this episode. Raises ``ContractError`` before a reset."""
        if self._world is None:
            raise ContractError("there is no world yet: call reset() first")
        return self._world

    def _start(self, task: Task) -> str:
        self._end_session()
        self._prepared = self.apps_tasks.prepare(task)
        if self._world is None:
            self._world = World(self.apps_tasks.catalogue, self._prepared.image)
        else:
            self._world.restore(self._prepared.image)
        self._judgement, self._refused = None, 0
        return first_observation(self._prepared, self._world, self.mode)

    def _apply(self, action: str) -> tuple[str, bool]:
        shown = self._run(action) if self.mode == "code" else self._one_call(action)
        return shortened(shown), self.world.submission is not None

    def _run(self, action: str) -> str:
        code = code_of(action)
        if code is None:
            return "The block of code was cut off before its closing ```; nothing was run."
        if self._session is None:
            self._session = Session(default_sandbox(self.sandbox), _LIMITS, self._tools())
        result = self._session.run(code)
        if result.ended is not None:
            self._session.reset()
        return result.text.strip() or "(no output)"

    def _tools(self) -> dict[str, Tool]:
        return {f"apis.{name}": functools.partial(self._answer, name) for name in self.world.catalogue.apis}

    def _answer(self, name: str, /, *unnamed: Json, **arguments: Json) -> Json:
        """Answer a call of the code in the sandbox. Raises ``ToolRefusal``, which it sees."""
        if unnamed:
            raise ToolRefusal(f"422 invalid_argument: give the arguments of {name} by their names")
        try:
            return self.world.call(name, arguments)
        except ApiError as error:
            self._refused += 1
            raise ToolRefusal(str(error)) from None

    def _one_call(self, action: str) -> str:
        try:
            return json.dumps(self.world.call(*read_call(action)), ensure_ascii=False)
        except ApiError as error:
            self._refused += 1
            told = {"status": error.status, "code": error.code, "message": error.message}
            return json.dumps({"error": told})

    def _verify(self) -> Verdict:
        self._judgement = judge(self.prepared, self.world)
        return self._judgement.verdict

    def _info(self) -> Info:
        info: Info = {
            "tools": self._offered(),
            "scenario": self.task.scenario,
            "metrics": {
                "interactions": self.steps,
                "api_calls": self.world.calls,
                "refused_calls": self._refused,
            },
        }
        if self._session is not None:
            info["sandbox"] = self._session.sandbox.rung.name
        return info

    def _offered(self) -> list[Any]:
        if self.mode == "code":
            return ["python"]
        if self.mode == "json":
            return [CALL_API]
        return self.world.catalogue.schemas

    def _save(self) -> tuple[bytes, int] | None:
        return None if self.mode == "code" else (self.world.image(), self._refused)

    def _load(self, state: tuple[bytes, int]) -> None:
        image, self._refused = state
        self._prepared = self.apps_tasks.prepare(self.task)
        if self._world is None:
            self._world = World(self.apps_tasks.catalogue, image)
        else:
            self._world.restore(image)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def close(self) -> None:
        """End the episode, its session and its world."""
        self._live = False
        self._end_session()
        if self._world is not None:
            self._world.close()
            self._world = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps. Raises ``ContractError`` in the middle of an episode."""
        if self._live:
            raise ContractError("a running episode cannot be pickled: pickle env.snapshot() instead")
        return {**self.__dict__, "_world": None, "_session": None, "_prepared": None, "_judgement": None}

    # ---- the expert ------------------------------------------------------------------------------------

    def uncalled_changes(self) -> list[str]:
        """Return what the verdict found changed that should not have been, in words; empty before it."""
        return [] if self._judgement is None else [str(change) for change in self._judgement.uncalled]

    def expert(self) -> str:
        """Return the next action of the gold program: its next cell, or its next call."""
        program = self._written(self._gold_cells())
        done = 0
        for action in self._actions:
            if done < len(program) - 1 and action == program[done]:
                done += 1
        return program[done]

    def _gold_cells(self) -> list[str]:
        scenario, parameters = self.prepared.scenario, self.prepared.plan.parameters
        if self.gold == "functions":
            return programs.functions(scenario.gold, scenario.name, parameters)
        return programs.plain(scenario.gold, parameters)

    def _written(self, cells: list[str]) -> list[str]:
        """Return cells as actions: themselves, or the calls that they make in a copy of the world."""
        if self.mode == "code":
            return [f"```python\n{cell}\n```" for cell in cells]
        world = World(self.apps_tasks.catalogue, self.prepared.image)
        try:
            made = trial.attempt(world, cells).calls
        finally:
            world.close()
        return [json.dumps({"name": name, "arguments": arguments}) for name, arguments in made]

    def near_misses(self) -> list[list[str]]:
        """Return the gold program with one thing wrong, in every way that the scenario names."""
        plan, gold = self.prepared.plan, self.prepared.scenario.gold
        misses = [programs.near_miss(gold, plan.parameters, miss) for miss in plan.near_misses]
        return [actions for cells in misses if (actions := self._written(cells))]


def _names(option: str, names: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(names, str):
        raise OptionError(f"{option} is a list of names: pass [{names!r}]")
    return None if names is None else tuple(names)


def code_of(action: str) -> str | None:
    """Return the code of an action: all its blocks, or the whole text; None for a block that is cut off."""
    blocks = _BLOCK.findall(action)
    if blocks:
        return "\n".join(blocks)
    return None if "```" in action else action


def read_call(action: str) -> tuple[str, dict[str, Json]]:
    """Return the name and the arguments of a call. Raises ``ApiError`` for what is none."""
    block = _BLOCK.search(action)
    try:
        call = json.loads(block[1] if block else action)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"this is not JSON ({error}); a call reads {_CALL_SHAPE}") from None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise ApiError(400, f"a call reads {_CALL_SHAPE}")
    name, arguments = call["name"], call.get("arguments", {})
    if name == CALL_API["function"]["name"] and isinstance(arguments, dict):
        name, arguments = arguments.get("api"), arguments.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ApiError(400, f"a call reads {_CALL_SHAPE}")
    return name.replace("__", ".", 1), arguments


_CALL_SHAPE = '{"name": "APP.API", "arguments": {...}}'


def shortened(text: str) -> str:
    """Return a text, with its middle left out where it is too long to be shown."""
    if len(text) <= _LONGEST_OUTPUT:
        return text
    half = _LONGEST_OUTPUT // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out) ...\n{text[-half:]}"


def first_observation(prepared: Prepared, world: World, mode: str) -> str:
    """Return what the agent is told at the beginning."""
    me = prepared.life.supervisor
    apps = ", ".join(name for name in world.catalogue.apps if name not in ("supervisor", "api_docs"))
    day, clock = world.now.split("T")
    return (
        f"You act for {me.name} ({me.email}, {me.phone_number}) in the apps of {me.first_name}: {apps}; and "
        f"supervisor and api_docs. It is {world.weekday}, {day}, {clock[:5]}.\n\n"
        f"Task: {prepared.task.goal}\n\n"
        f"{_HOW[mode]} supervisor.show_account_passwords tells the passwords. Change nothing that the task "
        "does not ask for. At the end call supervisor.complete_task, with answer=... only where the task "
        "asks something."
    )
