"""The adapter to AppWorld: its tasks, and an environment that plays them in a process of the real package."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from palaestra.envs.appworld.process import AppWorldProcess, MissingAppWorldError
from palaestra.envs.core import Info, Task, TaskSet, TextEnv, Verdict
from palaestra.errors import ContractError, DataError, OptionError, UnknownNameError

SPLITS = ("train", "dev", "test_normal", "test_challenge")
PYTHON_VARIABLE, ROOT_VARIABLE = "PALAESTRA_APPWORLD_PYTHON", "APPWORLD_ROOT"
SERVER = Path(__file__).resolve().with_name("server.py")
# Importing the package and building its apps takes 6 s where nothing else runs.
_START_DEADLINE_S = 180.0
# How much longer than code may run its process is waited for, before it counts as hanging.
_GRACE_S = 15.0
_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)

_HOW = (
    "Act by Python, in one ```python block a message. The interpreter keeps its variables and shows you what "
    "the code prints. An API is called as apis.APP.API(name=value, ...). Begin with "
    "print(apis.api_docs.show_api_descriptions(app_name='supervisor')) and "
    "print(apis.api_docs.show_api_doc(app_name='supervisor', api_name='complete_task')). "
    "apis.supervisor.show_account_passwords() tells the passwords. Change nothing that the task does not ask "
    "for. At the end call apis.supervisor.complete_task(), with answer=... only where the task asks one."
)


class AppWorldEnv(TextEnv):
    """Do things for a person through the apps of AppWorld, the real package and its tasks.

    Not part of Palaestra, and not brought by any of its extras: ``scripts/install-appworld.sh`` makes a
    Python environment for the package (it needs pydantic 1), and its tasks are downloaded by you, with
    ``appworld download data``. ``palaestra/Apps-v0`` is a world of our own of this shape that needs neither.

    Terms: what AppWorld protects (the code of its apps, its tasks, databases, solutions and evaluations) may
    be passed on only encrypted. Palaestra holds none of it. Episodes played here do hold some, in goals and
    observations: they are yours to keep private, so publish none of them unpacked, nor train on test splits.

    Observation: who the person is, what time it is, the task and how to act; afterwards what the code
    printed, or the end of its traceback, in the words of the package.
    Action: Python, in ```python blocks or bare; the interpreter keeps its variables. The package runs it in
    its own process, with your rights, behind a guard of its own: no sandbox that would hold against malice,
    and the solutions lie on the same disk.
    Reward: 1 when the package's own evaluation finds every requirement of the task fulfilled, else 0; the
    ``checks`` number the requirements, whose texts are protected.
    End: terminates when the task was completed (``apis.supervisor.complete_task``); truncates after
    ``max_steps`` interactions (default 50), and is evaluated then too.
    Splits: ``train``, ``dev``, ``test_normal``, ``test_challenge``, as the files of the data say. Tasks are
    named SCENARIO_NUMBER, and the tasks of one scenario are siblings: success over tasks is TGC, over whole
    scenarios SGC.
    Options: ``split``; ``python``, the interpreter that has the package (default: the variable
    ``PALAESTRA_APPWORLD_PYTHON``, else what the script makes); ``root``, the folder that holds AppWorld's
    ``data`` (default: the variable ``APPWORLD_ROOT``, else the working folder); ``deadline_s``, how long one
    action may run (100, as in the package) before it fails with a message; ``max_steps``; ``render_mode``.
    Info adds ``tools`` (["python"]), ``scenario`` and ``metrics`` (``interactions``, ``api_calls``).
    A snapshot is restored by running the actions again.
    Errors: ``MissingExtraError`` without the package, ``DataError`` without its data; a process that hangs or
    dies is a ``DeadlineError`` or ``WorkerError``, never a reward, and the next reset starts another.
    Versions: v0.

    Source: AppWorld (Trivedi et al., 2024), package ``appworld``, data 0.1.0.
    """

    step_kind: ClassVar[Literal["compute", "io"]] = "io"
    splits: ClassVar[tuple[str, ...]] = SPLITS
    siblings: ClassVar[bool] = True

    def __init__(
        self,
        split: str = "train",
        python: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        max_steps: int = 50,
        deadline_s: float = 100.0,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        if not deadline_s >= 1:
            raise OptionError(f"deadline_s must be at least 1, not {deadline_s}")
        self.python = find_python(python)
        self.root = Path(root or os.environ.get(ROOT_VARIABLE) or ".").expanduser().resolve()
        tasks = AppWorldTasks(split, self.root, self.python)
        super().__init__(tasks, max_steps=max_steps, render_mode=render_mode, **unknown)
        self.deadline_s = float(deadline_s)
        self._process: AppWorldProcess | None = None
        self._api_calls = 0

    # ---- the episode -----------------------------------------------------------------------------------

    def _start(self, task: Task) -> str:
        process = self._process
        if process is None or not process.alive:
            process = AppWorldProcess([str(self.python), "-I", str(SERVER)], self.root / "data")
            self._process = process
            process.ask("hello", _START_DEADLINE_S)
        self._api_calls = 0
        told = process.ask(
            "start",
            _START_DEADLINE_S,
            task=task.id,
            timeout_s=int(self.deadline_s),
            most_interactions=self.max_steps,
        )
        return first_observation(told)

    def _apply(self, action: str) -> tuple[str, bool]:
        done = self._ask("execute", code=code_of(action))
        self._api_calls = int(done["api_calls"])
        return str(done["output"]).rstrip("\n"), bool(done["completed"])

    def _verify(self) -> Verdict:
        found = [bool(passed) for passed in self._ask("evaluate")]
        right = bool(found) and all(found)
        return Verdict(float(right), right, {f"requirement {n}": passed for n, passed in enumerate(found, 1)})

    def _info(self) -> Info:
        return {
            "tools": ["python"],
            "scenario": self.task.scenario,
            "metrics": {"interactions": self.steps, "api_calls": self._api_calls},
        }

    def _ask(self, do: str, **fields: Any) -> Any:
        if self._process is None:
            raise ContractError("there is no world: call reset() first")
        return self._process.ask(do, self.deadline_s + _GRACE_S, **fields)

    def close(self) -> None:
        """End the episode and the process of the package."""
        self._live = False
        if self._process is not None:
            self._process.close()
            self._process = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps. Raises ``ContractError`` in the middle of an episode."""
        if self._live:
            raise ContractError("a running episode cannot be pickled: pickle env.snapshot() instead")
        return {**self.__dict__, "_process": None}


def code_of(action: str) -> str:
    """Return the code of an action: all its blocks, or the whole text where there is none."""
    blocks = _BLOCK.findall(action)
    return "\n".join(blocks) if blocks else action


def first_observation(told: dict[str, Any]) -> str:
    """Return what the agent is told at the beginning, of what the package says of a task."""
    me = told["supervisor"]
    apps = ", ".join(name for name in told["apps"] if name not in ("supervisor", "api_docs"))
    return (
        f"You act for {me['first_name']} {me['last_name']} ({me['email']}, {me['phone_number']}) in the apps "
        f"of {me['first_name']}: {apps}; and supervisor and api_docs. It is {told['datetime']}.\n\n"
        f"Task: {told['instruction']}\n\n{_HOW}"
    )


def find_python(named: str | os.PathLike[str] | None = None) -> Path:
    """Return the interpreter that has the package. Raises ``MissingAppWorldError`` where there is none.

    It is only looked for, not asked: that takes seconds.
    """
    named = named or os.environ.get(PYTHON_VARIABLE)
    # Not resolved: a virtual environment's interpreter is a link, and must be called by its own name.
    path = Path(named).expanduser().absolute() if named else default_folder() / "bin" / "python"
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise MissingAppWorldError(f"there is no interpreter {path}")
    return path


def default_folder() -> Path:
    """Return where ``scripts/install-appworld.sh`` makes the environment: in the folder of our sources."""
    return Path(__file__).resolve().parents[2] / ".venv-appworld"


# ---- the tasks -----------------------------------------------------------------------------------------


class AppWorldTasks(TaskSet):
    """The tasks that the data's file of a split names; their instructions are read when they are asked for.

    Raises ``UnknownNameError`` for a split that AppWorld does not have, ``DataError`` where the data is not.
    """

    def __init__(self, split: str, root: Path, python: Path) -> None:
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        self.split = split
        self._data = root / "data"
        file = self._data / "datasets" / f"{split}.txt"
        try:
            lines = file.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"no AppWorld tasks at {file} ({error}). They may not be passed on unpacked, so get them "
                f"yourself, once and with a network: APPWORLD_ROOT={root} "
                f"{python.with_name('appworld')} download data. Where they are elsewhere, set APPWORLD_ROOT "
                "(or pass root=...) to the folder that holds their folder `data`"
            ) from error
        # What stands behind a colon is a tag.
        self._ids = list(dict.fromkeys(line.partition(":")[0] for line in lines))
        self._indices = {task_id: index for index, task_id in enumerate(self._ids)}
        if not self._ids:
            raise DataError(f"{file} names no tasks; run `appworld download data` again")

    def __len__(self) -> int:
        return len(self._ids)

    def task(self, index: int) -> Task:
        """Return task ``index``. Raises ``DataError`` when its specification cannot be read."""
        task_id = self._ids[index]
        file = self._data / "tasks" / task_id / "specs.json"
        try:
            goal = json.loads(file.read_text(encoding="utf-8"))["instruction"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} is not the specification of a task: {error!r}") from error
        return Task(task_id, str(goal), self.split, task_id.rpartition("_")[0])
